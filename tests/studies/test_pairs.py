"""Correlation over all cases of all images, and an interval that covers it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from whyclip.stats.distributions import t_quantile
from whyclip.studies.pairs import Pairs


def plain(x: list[float], y: list[float]) -> float:
    """Pearson correlation from its definition."""
    a, b = sum(x) / len(x), sum(y) / len(y)
    product = sum((p - a) * (q - b) for p, q in zip(x, y, strict=True))
    squares = sum((p - a) ** 2 for p in x) * sum((q - b) ** 2 for q in y)
    return product / math.sqrt(squares)


def drawn(images: int, rng: np.random.Generator) -> Pairs:
    """Skewed values in images of 1 to 4 prompts by as many objects, each on its own scale."""
    x: list[float] = []
    y: list[float] = []
    groups: list[str] = []
    for image in range(images):
        scale = rng.gamma(4) / 4
        for number in range(int(rng.integers(1, 5)) ** 2):
            hit = number % 4 == 0
            true = hit * scale * rng.gamma(3) * 0.12 + rng.normal() * 0.03
            y.append(true)
            x.append(0.8 * true * rng.gamma(3) / 3 + rng.normal() * 0.06)
            groups.append(str(image))
    return Pairs(x, y, groups)


def test_the_value_is_the_correlation_of_all_cases_together() -> None:
    pairs = drawn(20, np.random.default_rng(0))
    interval = pairs.interval()
    assert interval.mean == pytest.approx(plain(list(pairs.x), list(pairs.y)))
    assert (interval.n, interval.groups) == (len(pairs), 20)
    assert interval.low < interval.mean < interval.high


def test_the_bounds_leave_out_each_image_in_turn() -> None:
    pairs = drawn(12, np.random.default_rng(1))
    left = []
    for image in map(str, range(12)):
        kept = [i for i, group in enumerate(pairs.groups) if group != image]
        left.append(math.atanh(plain([pairs.x[i] for i in kept], [pairs.y[i] for i in kept])))
    mean = sum(left) / 12
    error = math.sqrt(11 / 12 * sum((z - mean) ** 2 for z in left))
    kurtosis = 12 * sum((z - mean) ** 4 for z in left) / sum((z - mean) ** 2 for z in left) ** 2
    reach = t_quantile(0.975, 2 * 12 / kurtosis) * error
    centre = math.atanh(plain(list(pairs.x), list(pairs.y)))
    interval = pairs.interval()
    assert interval.low == pytest.approx(math.tanh(centre - reach), abs=1e-9)
    assert interval.high == pytest.approx(math.tanh(centre + reach), abs=1e-9)


@pytest.mark.parametrize("images", [20, 40, 120])
def test_the_interval_covers_the_truth(images: int) -> None:
    rng = np.random.default_rng(images)
    truth = drawn(30_000, rng).interval().mean
    intervals = [drawn(images, rng).interval() for _ in range(400)]
    # Two standard errors of 400 draws below the wanted 0.93.
    assert sum(one.low <= truth <= one.high for one in intervals) >= (0.93 - 0.025) * 400


def test_ranks_give_spearmans_correlation() -> None:
    pairs = Pairs([1.0, 2.0, 30.0, 4.0], [0.1, 0.2, 9.0, 0.3], list("abcd"))
    assert pairs.interval().mean < 1
    assert pairs.ranked().interval().mean == pytest.approx(1.0)


def test_a_method_that_says_the_same_of_everything_follows_nothing() -> None:
    interval = Pairs([0.5] * 6, [0.1, 0.2, 0.3, 0.1, 0.0, 0.4], list("aabbcc")).interval()
    assert (interval.mean, interval.low, interval.high, interval.groups) == (0.0, 0.0, 0.0, 3)


def test_unknown_values_are_left_out() -> None:
    nan = math.nan
    pairs = Pairs([1.0, nan, 2.0, 3.0, 5.0], [1.0, 7.0, nan, 2.0, 4.0], list("aabbc"))
    interval = pairs.interval()
    assert interval.n == 3
    assert interval.mean == pytest.approx(plain([1.0, 3.0, 5.0], [1.0, 2.0, 4.0]))
    assert Pairs([nan], [1.0], ["a"]).interval().n == 0
    assert math.isnan(Pairs([1.0, 2.0], [1.0, 3.0], ["a", "a"]).interval().low)
