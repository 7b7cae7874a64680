"""What a check is: a question about a method, and how its answer is read from the evidence."""

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
# Of checks that edit inputs for want of a true intervention.
UNSEEN = (
    "The model has never seen such an edit, so a drop may come from the edit itself; data that can "
    "be drawn with one change, such as scenes, needs no such check."
)
# Begins the caveat of checks that approximate an intervention on data that cannot be drawn again.
APPROXIMATION = "An approximation"
# Heading of checks that an earlier version had.
OTHERS = "former checks"


@dataclass(frozen=True)
class Measured:
    """What a check found of one method on one side.

    Attributes:
        values: what the verdict is about; None where nothing could be measured.
        figures: other values that help to read it, by name.
        why_not: why nothing could be measured.
        exact: as for :class:`Check`, if the samples show it.
    """

    values: Values | Pairs | None
    figures: Mapping[str, Values | Pairs] = field(default_factory=dict)
    why_not: str = ""
    exact: bool = False


@dataclass(frozen=True, kw_only=True)
class Check(Claim):
    """A claim about a method, and how its number is measured.

    Attributes:
        principle: which of the two principles of Cui & Fan 2026 (arXiv 2605.12952) it belongs to.
        measure: ``(evidence, method, side) -> Measured``.
        sides: on which it is measured.
        asks: what has to be measured of the model for it, beside plain explanations.
        replaced_by: the check that takes its place where the data has interventions; by default it
            is left out there.
        by_default: whether it is measured without being named.
        needs: of the data or the model; without it the check is not applicable.
        share: whether values are 1 or 0, so that their mean is a share.
        exact: whether equal values are equal for a reason and not by chance: errors of a
            computation, or maps that are computed without the prompt.
        bounds: the smallest and the largest possible value; thresholds lie between them.
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
        OptionError: the check is a fact and has none, or every value would fail or pass.
    """
    given = f"threshold {check.name}={threshold:g}"
    if check.fact:
        raise OptionError(f"{given}: this check is a fact, not an estimate, and has no threshold")
    low, high = check.bounds
    # The worst possible value may be the threshold: then all that is better passes.
    best, worst = (high, low) if check.higher_is_better else (low, high)
    if not low <= threshold <= high or (threshold == best != worst):
        raise OptionError(
            f"{given} is impossible: values of {check.name} lie between {low:g} and {high:g}, and "
            f"{'higher' if check.higher_is_better else 'lower'} is better"
        )
