"""Intervals over models and images; their coverage is in test_coverage.py."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from scipy import stats

from whyclip.errors import InputError
from whyclip.stats.hierarchical import (
    MIN_MODELS,
    hierarchical_difference,
    hierarchical_interval,
    over_models,
)

T_OF_4 = 2.776445


def crossed(models: int, images: int) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(models), images), np.tile(np.arange(images), models)


def test_without_shared_images_it_is_students_interval_of_the_models_means() -> None:
    rng = np.random.default_rng(0)
    model, _ = crossed(5, 30)
    image = np.arange(150)
    values = rng.normal(size=5)[model] + rng.exponential(1, 150)
    result = hierarchical_interval(values, model, image)
    means = [statistics.mean(values[model == k]) for k in range(5)]
    half = T_OF_4 * statistics.stdev(means) / math.sqrt(5)
    assert result.mean == pytest.approx(statistics.mean(means))
    assert result.high - result.mean == pytest.approx(half, rel=1e-6)
    assert result.mean - result.low == pytest.approx(half, rel=1e-6)
    assert (result.n, result.groups) == (150, 150)


def test_models_count_the_same_however_many_values_they_have() -> None:
    model = [0] * 30 + [1, 2, 3, 4] * 5
    image = [*range(30), *range(20)]
    values = [10.0] * 30 + [0.0] * 20
    assert hierarchical_interval(values, model, image).mean == 2.0


def test_images_that_all_models_see_widen_the_interval() -> None:
    """With equal models, what is left is the error of the mean over images."""
    rng = np.random.default_rng(1)
    model, image = crossed(6, 100)
    effect = rng.normal(0, 1, 100)
    values = effect[image] + 0.01 * rng.normal(size=600)
    result = hierarchical_interval(values, model, image)
    error = statistics.stdev(effect) / 10
    assert result.high - result.low == pytest.approx(2 * 1.98 * error, rel=0.15)
    # The same numbers as if each model had other images would be far too sure.
    apart = hierarchical_interval(values, model, np.arange(600))
    assert apart.high - apart.low < 0.2 * (result.high - result.low)


def test_a_plain_bootstrap_over_models_and_images_is_too_narrow() -> None:
    """Why it is not used: its intervals contain the mean of normal effects far too rarely."""
    rng = np.random.default_rng(2)
    repetitions, models, images = 200, 5, 20
    model, image = crossed(models, images)
    plain = ours = 0
    for _ in range(repetitions):
        effects = 3 * rng.normal(size=models)
        table = effects[:, None] + rng.normal(size=images) + rng.normal(size=(models, images))
        means = []
        for _ in range(200):
            drawn = table[rng.integers(0, models, models)]
            means.append(drawn[:, rng.integers(0, images, images)].mean())
        low, high = np.quantile(means, [0.025, 0.975])
        plain += low <= 0 <= high
        result = hierarchical_interval(table.ravel(), model, image)
        ours += result.low <= 0 <= result.high
    assert plain / repetitions < 0.89 < 0.92 < ours / repetitions


def test_differences_are_paired() -> None:
    rng = np.random.default_rng(3)
    model, image = crossed(5, 25)
    hard = 5 * rng.normal(size=25)[image] + 5 * rng.normal(size=5)[model]
    a, b = hard + 0.3 + 0.1 * rng.normal(size=125), hard
    result = hierarchical_difference(a, b, model, image)
    assert result == hierarchical_interval(a - b, model, image)
    assert 0 < result.low < 0.3 < result.high
    assert not hierarchical_interval(a, model, image).low > 0


def test_equal_values_are_not_certain() -> None:
    """None of 40 images differs, so up to 8.8 % of others may; NaN where no limit is known."""
    model, image = crossed(6, 40)
    unseen = 1 - 0.025 ** (1 / 40)
    result = hierarchical_interval(np.zeros(240), model, image)
    assert result[:3] == pytest.approx((0, -unseen, unseen))
    bounded = hierarchical_interval(np.ones(240), model, image, limits=(0, 1))
    assert bounded[:3] == pytest.approx((1, 1 - unseen, 1))
    assert math.isnan(hierarchical_interval(np.full(240, 7.0), model, image).low)


def test_too_little_for_an_interval() -> None:
    model, image = crossed(MIN_MODELS - 1, 30)
    few = hierarchical_interval(np.arange(120.0), model, image)
    assert few.mean == 59.5
    assert math.isnan(few.low)
    assert math.isnan(few.high)
    nothing = hierarchical_interval([math.nan], [0], [0])
    assert (nothing.n, nothing.groups) == (0, 0)
    with pytest.raises(InputError, match=r"\(3,\), \(2,\)"):
        hierarchical_interval([1.0, 2.0, 3.0], [1, 2], [1, 2, 3])
    with pytest.raises(InputError, match="not paired"):
        hierarchical_difference([1.0], [1.0, 2.0], [1], [1])


def test_an_interval_over_models_is_student_s() -> None:
    means = np.array([4.1, 4.1, 3.9, 3.4, 4.6, 2.8])
    expected = stats.t.interval(0.95, 5, means.mean(), stats.sem(means))
    interval = over_models(means)
    assert (interval.low, interval.high) == pytest.approx(expected)
    assert interval.groups == 6
    assert math.isnan(over_models(means[:4]).low)
    same = over_models([2.0] * 5)
    assert (same.low, same.mean, same.high) == (2.0, 2.0, 2.0)
