"""From an interval to a verdict: one scale, and one least number of images, for every study."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, cast, get_args

import numpy as np

from whyclip.stats.intervals import Interval

Verdict = Literal["pass", "fail", "inconclusive", "not applicable"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

MIN_GROUPS = 20
"""From fewer images than this, intervals contain the true mean too rarely to judge by."""

# Words in files that earlier versions wrote.
_EARLIER: dict[str, Verdict] = {
    "undecided": "inconclusive",
    "not measured": "not applicable",
    "holds": "pass",
    "does not hold": "fail",
    "cannot be told": "inconclusive",
}


def verdict_of(word: str) -> Verdict:
    """Read a verdict from a file, also by the words of earlier versions.

    Raises:
        ValueError: it is not a verdict.

    Example:
        >>> verdict_of("undecided"), verdict_of("pass")
        ('inconclusive', 'pass')
    """
    if word not in VERDICTS and word not in _EARLIER:
        raise ValueError(f"{word!r} is not a verdict")
    return _EARLIER.get(word, cast("Verdict", word))


def judge(value: Interval, threshold: float, *, higher_is_better: bool) -> Verdict:
    """Pass only if the whole interval is on the good side, fail only if it is on the bad one.

    The threshold itself is on the bad side. An interval without bounds, or from fewer than
    ``MIN_GROUPS`` images, is inconclusive; without any value nothing is judged.

    Example:
        >>> judge(Interval(0.5, 0.4, 0.6, 20, 20), 0.3, higher_is_better=True)
        'pass'
        >>> judge(Interval(0.5, 0.4, 0.6, 20, 20), 0.45, higher_is_better=True)
        'inconclusive'
    """
    if value.n == 0:
        return "not applicable"
    if value.groups < MIN_GROUPS or math.isnan(value.low) or math.isnan(value.high):
        return "inconclusive"
    sign = 1 if higher_is_better else -1
    ends = sorted((sign * value.low, sign * value.high))
    if ends[0] > sign * threshold:
        return "pass"
    return "fail" if ends[1] <= sign * threshold else "inconclusive"


def judge_fact(values: Sequence[float]) -> Verdict:
    """Judge a fact, which is not estimated: it holds for every sample, or it does not.

    Example:
        >>> judge_fact([1.0, 1.0]), judge_fact([1.0, 0.0])
        ('pass', 'fail')
    """
    return "pass" if np.mean(values) == 1 else "fail"


def judge_worst(values: Sequence[float], groups: int, bound: float) -> Verdict:
    """Judge a claim of equality by its worst case: one is enough against it, not for it.

    Args:
        values: differences in all cases.
        groups: number of images that they are from.
        bound: the largest of them must be below it.

    Example:
        >>> judge_worst([3e-7] * 40, 20, 1e-5), judge_worst([3e-7], 1, 1e-5)
        ('pass', 'inconclusive')
    """
    if not values:
        return "not applicable"
    # max() passes over NaN wherever it stands.
    if any(map(math.isnan, values)):
        return "inconclusive"
    if max(values) >= bound:
        return "fail"
    return "pass" if groups >= MIN_GROUPS else "inconclusive"


def excludes_zero(difference: Interval) -> bool:
    """Whether a difference is significant: never from fewer than ``MIN_GROUPS`` images."""
    return "pass" in {
        judge(difference, 0, higher_is_better=True),
        judge(difference, 0, higher_is_better=False),
    }
