"""Claims about numbers, and findings with an interval and a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from whyclip.stats.intervals import Interval
from whyclip.stats.verdict import MIN_GROUPS, Verdict, judge, judge_worst
from whyclip.types import Side


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim about a number.

    Attributes:
        name: name in files and options; empty for a claim of an experiment.
        title: display title; for an experiment, the claim itself.
        quantity: name of the number.
        threshold: the claim passes if the whole interval is on the good side of this value, and
            fails if the whole interval is on the bad side.
        higher_is_better: whether the good side is above the threshold.
        principle: group of claims to which it belongs.
        question: the question that the claim answers, in one sentence.
        reason: reason for the threshold.
        passes: conclusion if the claim passes.
        fails: conclusion if the claim fails.
        formula: formula of the number.
        caveat: limitation of the number.
        digits: number of digits after the decimal point.
        fact: whether it is a fact and not an estimate: it passes if every value is 1 and fails
            otherwise, for any number of samples and without an interval.
        worst: whether the number is the largest value and not the mean.
    """

    name: str = ""
    title: str
    quantity: str = ""
    threshold: float
    higher_is_better: bool
    principle: str = ""
    question: str = ""
    reason: str = ""
    passes: str = ""
    fails: str = ""
    formula: str = ""
    caveat: str = ""
    digits: int = 2
    fact: bool = False
    worst: bool = False

    @property
    def side_of_threshold(self) -> str:
        """Passing side of the threshold, in one word."""
        return "above" if self.higher_is_better else "below"


@dataclass(frozen=True)
class Finding:
    """The result for a claim. It includes the claim, so that later versions can still read it.

    Attributes:
        claim: the claim with the threshold that was used.
        verdict: see :mod:`whyclip.stats.verdict`.
        value: the measured number with its 95 % interval; None if nothing was measured.
        method: label of the method variant; empty if the claim is not about a single method.
        side: image or text.
        figures: additional values by name.
        why_not: reason why nothing was measured.
    """

    claim: Claim
    verdict: Verdict
    value: Interval | None
    method: str = ""
    side: Side = "image"
    figures: Mapping[str, Interval] = field(default_factory=dict)
    why_not: str = ""

    @property
    def check(self) -> str:
        """Name of the claim."""
        return self.claim.name

    @property
    def threshold(self) -> float:
        """Threshold that determined the verdict."""
        return self.claim.threshold

    @property
    def number(self) -> str:
        """The value with its interval, rounded to the digits of the claim."""
        if self.value is None:
            return self.why_not
        digits = self.claim.digits
        mean, low, high = (f"{round(x, digits) + 0.0:.{digits}f}" for x in self.value[:3])
        return f"{mean} [{low}, {high}]" if not math.isnan(self.value.low) else mean

    @property
    def words(self) -> str:
        """The conclusion with its numbers."""
        title = self.claim.title
        if self.value is None:
            return f"{title}: not applicable: {self.why_not}"
        said = {
            "pass": self.claim.passes,
            "fail": self.claim.fails,
            "inconclusive": f"not enough evidence ({title[0].lower()}{title[1:]})",
        }[self.verdict]
        bound = f"passes {self.claim.side_of_threshold} {self.threshold:g}, n = {self.value.n}"
        return f"{said or title}: {self.number}; {bound}"

    @property
    def because(self) -> str:
        """The numbers behind the verdict, in one sentence."""
        claim, value = self.claim, self.value
        if value is None or value.n == 0:
            return "There are no cases (n = 0)."
        bound = f"{claim.threshold:g}"
        few = value.groups < MIN_GROUPS
        if claim.worst:
            said = f"The {claim.quantity} is {value.mean:.1e} in {value.n} cases"
            more = f"at least {MIN_GROUPS} images are needed, there are {value.groups}"
            more = f"; {more}" if self.verdict == "inconclusive" and few else ""
            return f"{said}; the bound is {bound}{more}."
        relation = {
            "pass": f"{claim.side_of_threshold} {bound}",
            "fail": f"not {claim.side_of_threshold} {bound}",
        }.get(self.verdict, f"the interval contains {bound}")
        if few or math.isnan(value.low):
            relation = f"a verdict needs at least {MIN_GROUPS} images, there are {value.groups}"
        return f"The {claim.quantity} is {self.number}, n = {value.n}; {relation}."

    def __str__(self) -> str:
        """Return claim, verdict and numbers as one sentence, in Markdown."""
        return f"{self.claim.title}: **{self.verdict}**. {self.because}"


def is_above(claim: str, what: str, value: Interval, bound: float, *, digits: int = 3) -> Finding:
    """Judge that a mean is above a bound.

    Args:
        claim: the claim in words.
        what: name of the number.
        value: the number with its interval.
        bound: threshold of the claim.
        digits: number of digits in the sentence.

    Example:
        >>> print(is_above("Better than chance", "difference", Interval(0.2, 0.1, 0.3, 50, 50), 0))
        Better than chance: **pass**. The difference is 0.200 [0.100, 0.300], n = 50; above 0.
        >>> is_above("x", "y", Interval(0.2, -0.1, 0.3, 50, 50), 0).verdict
        'inconclusive'
    """
    return _judged(claim, what, value, bound, digits, higher_is_better=True)


def is_below(claim: str, what: str, value: Interval, bound: float, *, digits: int = 3) -> Finding:
    """Judge that a mean is below a bound; arguments as for :func:`is_above`.

    Example:
        >>> is_below("x", "y", Interval(0.2, 0.1, 0.3, 50, 50), 0.05).verdict
        'fail'
    """
    return _judged(claim, what, value, bound, digits, higher_is_better=False)


def worst_is_below(
    claim: str, what: str, values: Sequence[float], images: int, bound: float
) -> Finding:
    """Judge a claim of equality by its worst case, see :func:`~whyclip.stats.verdict.judge_worst`.

    Args:
        claim: the claim in words.
        what: name of the number.
        values: differences in all cases.
        images: number of different images.
        bound: the largest difference must be below this value.

    Example:
        >>> print(worst_is_below("Equal", "largest difference", [3e-7] * 40, 20, 1e-5))
        Equal: **pass**. The largest difference is 3.0e-07 in 40 cases; the bound is 1e-05.
    """
    made = Claim(title=claim, quantity=what, threshold=bound, higher_is_better=False, worst=True)
    nan = math.nan
    worst = nan if not values or any(map(math.isnan, values)) else max(values)
    verdict = judge_worst(values, images, bound)
    return Finding(made, verdict, Interval(worst, nan, nan, len(values), images))


def _judged(
    claim: str, what: str, value: Interval, bound: float, digits: int, *, higher_is_better: bool
) -> Finding:
    made = Claim(
        title=claim,
        quantity=what,
        threshold=bound,
        higher_is_better=higher_is_better,
        digits=digits,
    )
    return Finding(made, judge(value, bound, higher_is_better=higher_is_better), value)
