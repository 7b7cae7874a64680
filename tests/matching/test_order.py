"""Thresholds from order statistics: ranks, exact intervals, and their coverage by simulation."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

import tiny
import whyclip
from whyclip.errors import OptionError
from whyclip.matching.standing import calibrated
from whyclip.stats.order import (
    exceedance_interval,
    fresh_interval,
    rank_for,
    rank_possible,
)


@pytest.mark.parametrize(
    ("rate", "m", "k"), [(0.05, 19, 1), (0.05, 199, 10), (0.29, 99, 29), (0.07, 99, 7), (0.5, 2, 1)]
)
def test_the_rank_is_the_largest_with_at_most_the_rate(rate: float, m: int, k: int) -> None:
    assert rank_for(rate, m) == k
    exact = Fraction(str(rate))
    assert Fraction(k, m + 1) <= exact < Fraction(k + 1, m + 1)
    assert rank_possible(rate, m)


def test_too_few_images_for_a_rate_are_refused_with_the_number_needed() -> None:
    with pytest.raises(OptionError, match="needs at least 999 reference images"):
        rank_for(0.001, 998)
    assert rank_for(0.001, 999) == 1
    assert not rank_possible(0.001, 998)
    for wrong in (0.0, 1.0, -0.1):
        with pytest.raises(OptionError, match="rate="):
            rank_for(wrong, 100)


@pytest.mark.parametrize(("k", "m"), [(1, 5), (4, 9), (9, 9), (10, 199)])
def test_bounds_are_those_of_exact_binomial_sums(k: int, m: int) -> None:
    """P(Beta(k, m − k + 1) ≤ x) is that of at least k successes in m trials."""
    for bound, expected in zip(exceedance_interval(k, m, 0.9), (0.05, 0.95), strict=True):
        p = Fraction(bound)
        exact = sum(math.comb(m, i) * p**i * (1 - p) ** (m - i) for i in range(k, m + 1))
        assert float(exact) == pytest.approx(expected, abs=1e-10)


def test_the_interval_holds_the_true_rate_as_often_as_stated() -> None:
    # Uniform scores: the true rate above a threshold t is 1 − t.
    generator = np.random.default_rng(0)
    for rate, m, confidence in [(0.05, 99, 0.95), (0.1, 40, 0.9), (0.01, 500, 0.95)]:
        k = rank_for(rate, m)
        low, high = exceedance_interval(k, m, confidence)
        limits = np.sort(generator.random((4000, m)), axis=1)[:, m - k]
        covered = ((1 - limits >= low) & (1 - limits <= high)).mean()
        assert covered == pytest.approx(confidence, abs=0.015)
        assert (1 - limits).mean() == pytest.approx(k / (m + 1), rel=0.1)


@pytest.mark.parametrize("draw", ["normal", "ties"])
def test_fresh_rates_lie_within_their_interval(draw: str) -> None:
    generator = np.random.default_rng(1)
    m, n, rate, repetitions = 99, 200, 0.05, 3000
    scores = generator.standard_normal((repetitions, m + n))
    if draw == "ties":
        scores = np.round(scores, 1)
    k = rank_for(rate, m)
    low, high = fresh_interval(k, m, n)
    limits = np.sort(scores[:, :m], axis=1)[:, m - k]
    rates = (scores[:, m:] > limits[:, None]).mean(1)
    assert (rates <= high).mean() >= 0.965
    if draw == "normal":
        within = ((rates >= low) & (rates <= high)).mean()
        assert 0.94 <= within <= 0.99
        # The interval is not wider than it must be: the next narrower one misses.
        narrower = ((rates > low) & (rates < high)).mean()
        assert narrower < 0.96


def test_calibrated_takes_that_score() -> None:
    view = whyclip.wrap(*tiny.openclip_parts())
    scores = torch.tensor([0.3, 0.1, 0.2, 0.5, 0.4, 0.0, 0.6, 0.9, 0.8, 0.7])
    limit = calibrated(view, scores, 0.2)
    # ⌊0.2 · 11⌋ = 2: the second largest.
    assert limit.score == pytest.approx(0.8)
    assert limit.rate == pytest.approx(2 / 11)
    assert limit.n == 10
    assert limit.probability is None
    assert limit.low < limit.rate < limit.high
