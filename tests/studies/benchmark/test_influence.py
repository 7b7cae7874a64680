"""Pseudo-values, ranks and correlations over models, against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from whyclip.studies.benchmark.influence import mean_ranks, pseudo_values
from whyclip.studies.benchmark.result import correlation_over_models
from whyclip.studies.measurements import Values
from whyclip.studies.pairs import Pairs


def drawn(n: int) -> tuple[list[float], list[float], list[str]]:
    rng = np.random.default_rng(7)
    groups = [f"image {i % 9}" for i in range(n)]
    x = rng.exponential(1, n)
    y = 0.6 * x + rng.normal(0, 0.5, n)
    x[3] = math.nan
    return x.tolist(), y.tolist(), groups


def test_a_correlation_without_each_image() -> None:
    x, y, groups = drawn(40)
    value, images = pseudo_values(Pairs(x, y, groups))

    def without(group: str) -> float:
        kept = [
            (a, b) for a, b, g in zip(x, y, groups, strict=True) if g != group and not math.isnan(a)
        ]
        return float(np.corrcoef(np.array(kept).T)[0, 1])

    assert value == pytest.approx(without("none"), abs=1e-9)
    assert len(images) == 9
    for group, pseudo in images.items():
        assert pseudo == pytest.approx(9 * value - 8 * without(group), abs=1e-9)


def test_a_mean_is_its_values() -> None:
    value, images = pseudo_values(Values([1.0, 0.0, math.nan, 1.0], ["a", "b", "c", "d"]))
    assert value == pytest.approx(2 / 3)
    assert images == pytest.approx({"a": 1.0, "b": 0.0, "d": 1.0})


def test_a_method_that_says_the_same_of_every_case_has_no_correlation() -> None:
    value, images = pseudo_values(Pairs([0.3] * 6, [1, 2, 3, 4, 5, 6], list("aabbcc")))
    assert value == 0
    assert set(images.values()) == {0}


def test_nothing_measured_is_nan() -> None:
    value, images = pseudo_values(Values([math.nan], ["a"]))
    assert math.isnan(value)
    assert images == {}


def test_ranks_share_ties_and_put_nan_last() -> None:
    ranks = mean_ranks({"a": 0.5, "b": 0.9, "c": 0.5, "d": math.nan})
    assert ranks == {"a": 2.5, "b": 1.0, "c": 2.5, "d": 4.0}


def test_a_correlation_over_models_and_its_interval() -> None:
    rng = np.random.default_rng(3)
    xs, ys = [], []
    for shift in (0.0, 0.0, 1.0, 1.5):
        y = shift + rng.normal(0, 0.2, 50)
        xs.append(y + rng.normal(0, 0.3, 50))
        ys.append(y)
    kinds = ["ordinary", "ordinary", "badge", "badge"]
    interval = correlation_over_models(xs, ys, kinds)
    expected = np.corrcoef(np.concatenate(xs), np.concatenate(ys))[0, 1]
    assert interval.mean == pytest.approx(expected)
    assert interval.low < expected < interval.high
    assert interval.low > 0.8
    noise = [rng.normal(0, 1, 50) for _ in xs]
    other = correlation_over_models(noise, ys, kinds)
    assert other.low < 0.2
    assert other.high < 0.5
    nothing = correlation_over_models([np.zeros(50)] * 4, ys, kinds)
    assert (nothing.mean, nothing.low, nothing.high) == (0.0, 0.0, 0.0)


def test_other_models_widen_the_interval() -> None:
    rng = np.random.default_rng(5)
    y = [rng.normal(0, 1, 40) for _ in range(6)]
    same = [row + rng.normal(0, 1, 40) for row in y]
    # Half of the models follow closely, half not at all.
    mixed = [row if i % 2 else rng.normal(0, 1, 40) for i, row in enumerate(y)]
    kinds = ["ordinary"] * 6
    narrow, wide = (correlation_over_models(x, y, kinds) for x in (same, mixed))
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
