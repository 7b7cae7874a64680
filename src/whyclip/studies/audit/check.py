"""The type of a check: a claim about a method, and its measurement from the evidence."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from whyclip.errors import OptionError
from whyclip.studies.audit.evidence import Ask, Evidence
from whyclip.studies.claims import Claim
from whyclip.studies.measurements import Values
from whyclip.studies.pairs import Pairs
from whyclip.types import SIDES, Side

Principle = Literal["fidelity", "consistency"]
Need = Literal["labels", "masks", "attention", "interventions"]

PRINCIPLES: Mapping[str, str] = {
    "fidelity": "model fidelity",
    "consistency": "performance consistency",
}
# Caveat of checks that edit inputs because a true intervention is not available.
UNSEEN = (
    "Such edits are out of distribution for the model, so a drop may come from the edit itself; "
    "data that can be drawn with one change, for example scenes, does not need this check."
)
# Prefix of the caveat of checks that approximate an intervention on data that cannot be redrawn.
APPROXIMATION = "An approximation"
# Heading of checks from earlier versions.
OTHERS = "former checks"


@dataclass(frozen=True)
class Measured:
    """Measurements of a check for one method on one side.

    Attributes:
        values: values that determine the verdict; None if nothing could be measured.
        figures: other values by name, to help interpret the verdict.
        why_not: reason why nothing could be measured.
        exact: as for :class:`Check`, if the samples determine it.
    """

    values: Values | Pairs | None
    figures: Mapping[str, Values | Pairs] = field(default_factory=dict)
    why_not: str = ""
    exact: bool = False


@dataclass(frozen=True, kw_only=True)
class Check(Claim):
    """A claim about a method, with the measurement of its value.

    Attributes:
        principle: one of the two principles of Cui & Fan 2026 (arXiv 2605.12952).
        measure: ``(evidence, method, side) -> Measured``.
        sides: sides on which the check is measured.
        asks: measurements of the model that the check needs in addition to explanations.
        replaced_by: check that is used instead by default if the data has interventions.
        by_default: whether it is measured without being named.
        needs: requirements on the data or the model; without them the check is not applicable.
        share: whether values are 1 or 0, so that their mean is a proportion.
        exact: whether equal values are equal by construction and not by chance: errors of a
            computation, or maps that are computed without the prompt.
        bounds: smallest and largest possible value; thresholds lie between them.
    """

    principle: Principle
    measure: Callable[[Evidence, str, Side], Measured]
    sides: tuple[Side, ...] = SIDES
    asks: tuple[Ask, ...] = ()
    replaced_by: str = ""
    by_default: bool = True
    needs: tuple[Need, ...] = ()
    share: bool = False
    exact: bool = False
    bounds: tuple[float, float] = (-math.inf, math.inf)

    def claim(self, threshold: float) -> Claim:
        """The claim alone, with another threshold."""
        given = {part.name: getattr(self, part.name) for part in fields(Claim)}
        return Claim(**{**given, "threshold": threshold})


def check_threshold(check: Check, threshold: float) -> None:
    """Validate another threshold for a check.

    Raises:
        OptionError: the check is a fact without a threshold, or every value would fail or pass.
    """
    given = f"threshold {check.name}={threshold:g}"
    if check.fact:
        raise OptionError(f"{given}: this check is a fact, not an estimate, and has no threshold")
    low, high = check.bounds
    # The worst possible value is a valid threshold, because every better value passes.
    best, worst = (high, low) if check.higher_is_better else (low, high)
    if not low <= threshold <= high or (threshold == best != worst):
        raise OptionError(
            f"{given} is impossible: values of {check.name} lie between {low:g} and {high:g}, and "
            f"{'higher' if check.higher_is_better else 'lower'} is better"
        )
