"""What a check is: a question about a method, and how its answer is read from the evidence."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from whyclip.errors import OptionError
from whyclip.studies.audit.evidence import Ask, Evidence
from whyclip.types import SIDES, Side

Principle = Literal["itself", "consistent"]
Need = Literal["labels", "masks", "attention"]

PRINCIPLES: Mapping[Principle, str] = {
    "itself": "model fidelity",
    "consistent": "performance consistency",
}


@dataclass(frozen=True)
class Values:
    """One value for each sample, or for each prompt of a sample.

    Attributes:
        values: NaN where the sample says nothing.
        groups: the id of the image that each value is of; those of one are not independent.
        contrast: where given, the question is how much greater the mean is where this is True
            than where it is False.
    """

    values: Sequence[float]
    groups: Sequence[str]
    contrast: Sequence[bool] | None = None


@dataclass(frozen=True)
class Measured:
    """What a check found of one method on one side.

    Attributes:
        values: what the verdict is about; None where nothing could be measured.
        figures: other values that help to read it, by name.
        why_not: why nothing could be measured.
    """

    values: Values | None
    figures: Mapping[str, Values] = field(default_factory=dict)
    why_not: str = ""


@dataclass(frozen=True)
class Check:
    """A check's name, function and claims.

    Attributes:
        question: what is asked, in one sentence.
        measure: ``(evidence, method, side) -> Measured``.
        principle: which of the two principles of Cui & Fan 2026 (arXiv 2605.12952) it belongs to.
        higher_is_better: which way is better.
        threshold: the value's interval has to lie wholly beyond it, on the good side to pass and
            on the bad side to fail.
        reason: why the threshold lies there.
        passes: what is true of a method that passes.
        fails: what is true of one that fails.
        formula: of the value.
        asks: what has to be measured of the model for it, beside plain explanations.
        needs: of the data or the model; without it the check is "not measured".
        share: whether values are 1 or 0, so that their mean is a share.
        digits: after the decimal point.
        bounds: the smallest and the largest possible value; thresholds lie between them.
        fact: whether it is a matter of fact: it passes if every value is 1 and fails otherwise, on
            any number of samples and without an interval.
    """

    name: str
    title: str
    question: str
    measure: Callable[[Evidence, str, Side], Measured]
    principle: Principle
    higher_is_better: bool
    threshold: float
    reason: str
    passes: str
    fails: str
    formula: str
    sides: tuple[Side, ...] = SIDES
    asks: tuple[Ask, ...] = ()
    needs: tuple[Need, ...] = ()
    share: bool = False
    digits: int = 2
    fact: bool = False
    bounds: tuple[float, float] = (-math.inf, math.inf)


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
