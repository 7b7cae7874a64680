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
    interval = Interval((low + high) / 2, low, high, 40, 40)
    assert judge(interval, 0.3, higher_is_better=higher) == expected


def test_few_images_are_never_enough() -> None:
    few = Interval(0.9, 0.8, 1.0, 500, MIN_GROUPS - 1)
    assert judge(few, 0.3, higher_is_better=True) == "inconclusive"
    assert judge(few._replace(groups=MIN_GROUPS), 0.3, higher_is_better=True) == "pass"
    assert judge(Interval(0, 0, 0, 0, 0), 0.3, higher_is_better=True) == "not applicable"


def binomial(n: int, ks: range, p: float) -> float:
    return sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in ks)


def test_a_share_of_one_is_not_certain() -> None:
    # Clopper and Pearson 1934: each bound is a share from which as many hits, or fewer, are drawn
    # in 2.5 % of cases.
    ids = [str(i) for i in range(30)]
    interval = Values([1.0] * 30, ids).interval(share=True)
    assert interval.high == 1.0
    assert interval.low == pytest.approx(0.025 ** (1 / 30))
    some = Values([1.0] * 12 + [0.0] * 18 + [math.nan], [*ids, "x"]).interval(share=True)
    assert (some.mean, some.n) == (0.4, 30)
    assert binomial(30, range(12, 31), some.low) == pytest.approx(0.025)
    assert binomial(30, range(13), some.high) == pytest.approx(0.025)


def test_several_of_one_picture_make_no_share_more_certain() -> None:
    values, groups = (
        [1.0, 1.0, 1.0, 0.0, 0.0] * 10 + [math.nan],
        [f"picture {i // 5}" for i in range(51)],
    )
    interval = Values(values, groups).interval(share=True)
    assert (interval.mean, interval.n, interval.groups) == (0.6, 50, 10), (
        "the NaN is all of its picture"
    )
    assert binomial(10, range(6, 11), interval.low) == pytest.approx(0.025), "as of 10"
    assert binomial(10, range(7), interval.high) == pytest.approx(0.025)
    few = Values([1.0] * 99, ["a"] * 50 + ["b"] * 49).interval(share=True)
    assert judge(few, 0.1, higher_is_better=True) == "inconclusive"


def test_pictures_of_different_sizes_count_as_fewer() -> None:
    """Kish 1965: (Σ c)² / Σ c² of images with c values each."""
    groups = ["large"] * 10 + [f"small {i}" for i in range(20)]
    interval = Values([1.0] * 30, groups).interval(share=True)
    assert interval.low == pytest.approx(0.025 ** (120 / 900))


def test_a_contrast_is_the_difference_of_two_means_with_images_drawn_whole() -> None:
    draw = random.Random(0)
    values, groups, right = [], [], []
    for image in range(40):
        for _ in range(3):
            right.append(draw.random() < 0.7)
            values.append((1.0 if right[-1] else 0.4) + draw.gauss(0, 0.2) + 0.1 * (image % 2))
            groups.append(f"image {image}")
    interval = Values(values, groups, right).interval()
    good = [v for v, r in zip(values, right, strict=True) if r]
    bad = [v for v, r in zip(values, right, strict=True) if not r]
    assert interval.mean == pytest.approx(sum(good) / len(good) - sum(bad) / len(bad))
    assert interval.n == 120
    assert interval.groups == len({g for g, r in zip(groups, right, strict=True) if not r})
    # The same by drawing images one at a time.
    apart = []
    for _ in range(600):
        drawn = [f"image {draw.randrange(40)}" for _ in range(40)]
        rows = [i for name in drawn for i in range(120) if groups[i] == name]
        one = [values[i] for i in rows if right[i]]
        two = [values[i] for i in rows if not right[i]]
        apart.append(sum(one) / len(one) - sum(two) / len(two))
    apart.sort()
    # Percentiles are known to be too narrow; the interval contains them, and not much more.
    assert interval.low < apart[15] + 0.005
    assert interval.high > apart[585] - 0.005
    assert interval.high - interval.low < 1.3 * (apart[585] - apart[15])


def test_a_contrast_needs_both_sides() -> None:
    interval = Values([1.0, 2.0], ["a", "b"], [True, True]).interval()
    assert judge(interval, 0.0, higher_is_better=True) == "not applicable"
