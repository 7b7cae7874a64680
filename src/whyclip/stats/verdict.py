"""Verdicts from intervals: one scale and one minimum number of images for every study."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, cast, get_args

import numpy as np

from whyclip.stats.intervals import Interval

Verdict = Literal["pass", "fail", "inconclusive", "not applicable"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

MIN_GROUPS = 20
"""Fewest images for a verdict; with fewer, intervals cover the true mean too rarely."""

# Words in files that earlier versions wrote.
_EARLIER: dict[str, Verdict] = {
    "undecided": "inconclusive",
    "not measured": "not applicable",
    "holds": "pass",
    "does not hold": "fail",
    "cannot be told": "inconclusive",
}


def verdict_of(word: str) -> Verdict:
    """Read a verdict from a file, including the words of earlier versions.

    Raises:
        ValueError: the word is not a verdict.

    Example:
        >>> verdict_of("undecided"), verdict_of("pass")
        ('inconclusive', 'pass')
    """
    if word not in VERDICTS and word not in _EARLIER:
        raise ValueError(f"{word!r} is not a verdict")
    return _EARLIER.get(word, cast("Verdict", word))


def judge(value: Interval, threshold: float, *, higher_is_better: bool) -> Verdict:
    """Pass if the whole interval is on the good side of the threshold, fail if on the bad side.

    The threshold itself is on the bad side. An interval without bounds, or from fewer than
    ``MIN_GROUPS`` images, is inconclusive. Without any value the check is not applicable.

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
    """Judge a property that is checked exactly: pass only if it holds for every sample.

    Example:
        >>> judge_fact([1.0, 1.0]), judge_fact([1.0, 0.0])
        ('pass', 'fail')
    """
    return "pass" if np.mean(values) == 1 else "fail"


def judge_worst(values: Sequence[float], groups: int, bound: float) -> Verdict:
    """Judge a claim of equality by its worst case: one case can refute it, but not confirm it.

    Args:
        values: differences in all cases.
        groups: number of different images.
        bound: the largest difference must be below this value.

    Example:
        >>> judge_worst([3e-7] * 40, 20, 1e-5), judge_worst([3e-7], 1, 1e-5)
        ('pass', 'inconclusive')
    """
    if not values:
        return "not applicable"
    # max() does not propagate NaN.
    if any(map(math.isnan, values)):
        return "inconclusive"
    if max(values) >= bound:
        return "fail"
    return "pass" if groups >= MIN_GROUPS else "inconclusive"


def excludes_zero(difference: Interval) -> bool:
    """Whether a difference is significant; False with fewer than ``MIN_GROUPS`` images."""
    return "pass" in {
        judge(difference, 0, higher_is_better=True),
        judge(difference, 0, higher_is_better=False),
    }
