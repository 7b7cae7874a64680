"""What numbers say of a claim: it holds, it does not, or it cannot be told."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from whyclip.metrics import Interval

Outcome = Literal["holds", "does not hold", "cannot be told"]

# From fewer pictures than this a bootstrap interval comes out too narrow to judge by.
FEWEST = 10


@dataclass(frozen=True)
class Verdict:
    """A judgement with the numbers it was read from."""

    outcome: Outcome
    claim: str
    because: str

    def __str__(self) -> str:
        """Return the judgement as one sentence, in Markdown."""
        return f"{self.claim}: **{self.outcome}**. {self.because}"


def is_above(claim: str, what: str, found: Interval, bound: float, *, digits: int = 3) -> Verdict:
    """Judge that a mean is above a bound: it holds where its whole interval is.

    Args:
        claim: what is judged.
        what: the name of the number.
        found: the number with its interval.
        bound: what it must be above.
        digits: of the numbers in the sentence.

    Example:
        >>> print(is_above("Better than chance", "difference", Interval(0.2, 0.1, 0.3, 50, 50), 0))
        Better than chance: **holds**. The difference is 0.200 [0.100, 0.300], n = 50; above 0.
        >>> is_above("x", "y", Interval(0.2, -0.1, 0.3, 50, 50), 0).outcome
        'cannot be told'
    """
    return _judge(claim, what, found, bound, digits, "above", lambda value: value > bound)


def is_below(claim: str, what: str, found: Interval, bound: float, *, digits: int = 3) -> Verdict:
    """Judge that a mean is below a bound: it holds where its whole interval is.

    Args:
        claim: as for :func:`is_above`, like the rest.
        what: likewise.
        found: likewise.
        bound: what it must be below.
        digits: likewise.

    Example:
        >>> is_below("x", "y", Interval(0.2, 0.1, 0.3, 50, 50), 0.05).outcome
        'does not hold'
    """
    return _judge(claim, what, found, bound, digits, "below", lambda value: value < bound)


def worst_is_below(
    claim: str, what: str, values: Sequence[float], pictures: int, bound: float
) -> Verdict:
    """Judge a claim of equality by its worst case: one is enough against it, not for it.

    Args:
        claim: what is judged.
        what: the name of the number.
        values: of all cases.
        pictures: from how many pictures they are.
        bound: what the largest of them must be below.

    Example:
        >>> print(worst_is_below("Equal", "largest difference", [3e-7] * 40, 20, 1e-5))
        Equal: **holds**. The largest difference is 3.0e-07 in 40 cases; the bound is 1e-05.
        >>> worst_is_below("Equal", "largest difference", [3e-7], 1, 1e-5).outcome
        'cannot be told'
    """
    if not values:
        return Verdict("cannot be told", claim, "There was no case to look at (n = 0).")
    worst = max(values) if not any(map(math.isnan, values)) else float("nan")
    because = f"The {what} is {worst:.1e} in {len(values)} cases; the bound is {bound:g}"
    if math.isnan(worst):
        return Verdict("cannot be told", claim, f"{because}.")
    if worst >= bound:
        return Verdict("does not hold", claim, f"{because}.")
    if pictures < FEWEST:
        more = f"{FEWEST} pictures or more are asked for, here are {pictures}"
        return Verdict("cannot be told", claim, f"{because}; {more}.")
    return Verdict("holds", claim, f"{because}.")


def _judge(
    claim: str,
    what: str,
    found: Interval,
    bound: float,
    digits: int,
    side: str,
    good: Callable[[float], bool],
) -> Verdict:
    ends = (found.low, found.high)
    few = found.groups < FEWEST or any(map(math.isnan, ends))
    outcome: Outcome = "cannot be told"
    if not few and all(map(good, ends)):
        outcome = "holds"
    elif not few and not any(map(good, ends)):
        outcome = "does not hold"
    relation = {
        "holds": f"{side} {bound:g}",
        "does not hold": f"not {side} {bound:g}",
        "cannot be told": f"the interval contains {bound:g}",
    }[outcome]
    if few:
        relation = f"an interval asks for {FEWEST} pictures or more, here are {found.groups}"
    numbers = f"{found.mean:.{digits}f}"
    if not any(map(math.isnan, ends)):
        numbers += f" [{found.low:.{digits}f}, {found.high:.{digits}f}]"
    return Verdict(outcome, claim, f"The {what} is {numbers}, n = {found.n}; {relation}.")
