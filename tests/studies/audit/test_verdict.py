"""Intervals and verdicts: pass only if sure, fail only if sure, else not enough evidence."""

from __future__ import annotations

import math
import random

import pytest

from whyclip.metrics import Interval
from whyclip.stats.verdict import MIN_GROUPS, judge
from whyclip.studies.measurements import Values


@pytest.mark.parametrize(
    ("low", "high", "higher", "expected"),
    [
        (0.31, 0.5, True, "pass"),
        (0.3, 0.5, True, "inconclusive"),  # the threshold itself is not good enough
        (0.1, 0.31, True, "inconclusive"),
        (0.1, 0.3, True, "fail"),
        (0.1, 0.29, False, "pass"),
        (0.1, 0.3, False, "inconclusive"),
        (0.3, 0.4, False, "fail"),
        (float("nan"), float("nan"), True, "inconclusive"),
    ],
)
def test_only_a_whole_interval_decides(
    low: float, high: float, higher: bool, expected: str
) -> None:
    found = Interval((low + high) / 2, low, high, 40, 40)
    assert judge(found, 0.3, higher_is_better=higher) == expected


def test_few_images_are_never_enough() -> None:
    few = Interval(0.9, 0.8, 1.0, 500, MIN_GROUPS - 1)
    assert judge(few, 0.3, higher_is_better=True) == "inconclusive"
    assert judge(few._replace(groups=MIN_GROUPS), 0.3, higher_is_better=True) == "pass"
    assert judge(Interval(0, 0, 0, 0, 0), 0.3, higher_is_better=True) == "not applicable"


def test_a_share_of_one_is_not_certain() -> None:
    # Wilson 1927 by hand: n / (n + z²) where all are hits.
    ids = [str(i) for i in range(30)]
    found = Values([1.0] * 30, ids).interval(share=True)
    assert found.high == 1.0
    assert found.low == pytest.approx(30 / (30 + 1.959964**2), abs=1e-6)
    some = Values([1.0] * 12 + [0.0] * 18 + [math.nan], [*ids, "x"]).interval(share=True)
    assert (some.mean, some.n) == (0.4, 30)
    z, p, n = 1.959964, 0.4, 30
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    assert some.high - some.low == pytest.approx(2 * half)


def test_several_of_one_picture_make_no_share_more_certain() -> None:
    values, groups = (
        [1.0, 1.0, 0.0, 1.0] * 10 + [math.nan],
        [f"picture {i // 4}" for i in range(41)],
    )
    found = Values(values, groups).interval(share=True)
    assert (found.mean, found.n, found.groups) == (0.75, 40, 10), "the NaN is all of its picture"
    # Wilson 1927 by hand, as of 10.
    z, p, n = 1.959964, 0.75, 10
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    assert found.high - found.low == pytest.approx(2 * half)
    few = Values([1.0] * 99, ["a"] * 50 + ["b"] * 49).interval(share=True)
    assert judge(few, 0.1, higher_is_better=True) == "inconclusive"


def test_a_contrast_is_the_difference_of_two_means_with_images_drawn_whole() -> None:
    draw = random.Random(0)
    values, groups, right = [], [], []
    for image in range(40):
        for _ in range(3):
            right.append(draw.random() < 0.7)
            values.append((1.0 if right[-1] else 0.4) + draw.gauss(0, 0.2) + 0.1 * (image % 2))
            groups.append(f"image {image}")
    found = Values(values, groups, right).interval()
    good = [v for v, r in zip(values, right, strict=True) if r]
    bad = [v for v, r in zip(values, right, strict=True) if not r]
    assert found.mean == pytest.approx(sum(good) / len(good) - sum(bad) / len(bad))
    assert found.n == 120
    assert found.groups == len({g for g, r in zip(groups, right, strict=True) if not r})
    # The same by drawing images one at a time.
    apart = []
    for _ in range(600):
        drawn = [f"image {draw.randrange(40)}" for _ in range(40)]
        rows = [i for name in drawn for i in range(120) if groups[i] == name]
        one = [values[i] for i in rows if right[i]]
        two = [values[i] for i in rows if not right[i]]
        apart.append(sum(one) / len(one) - sum(two) / len(two))
    apart.sort()
    assert found.low == pytest.approx(apart[15], abs=0.02)
    assert found.high == pytest.approx(apart[585], abs=0.02)


def test_a_contrast_needs_both_sides() -> None:
    found = Values([1.0, 2.0], ["a", "b"], [True, True]).interval()
    assert judge(found, 0.0, higher_is_better=True) == "not applicable"
