"""Bootstrap intervals: held to the normal theory, and to groups that are drawn whole."""

from __future__ import annotations

import math

import numpy as np
import pytest

from whyclip.errors import InputError
from whyclip.metrics import interval, paired_difference, wilson
from whyclip.stats.intervals import p_value

RNG = np.random.default_rng(0)


def test_wide_as_the_normal_theory_says() -> None:
    values = RNG.normal(3, 2, 400)
    result = interval(values)
    half = 1.96 * values.std() / math.sqrt(400)
    assert result.mean == pytest.approx(values.mean())
    assert result.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert result.high == pytest.approx(values.mean() + half, abs=0.1 * half)
    narrow = interval(values, level=0.5)
    assert (narrow.high - narrow.low) / (2 * half) == pytest.approx(0.674 / 1.96, rel=0.1)


def test_it_holds_the_truth_about_as_often_as_it_says() -> None:
    draws = RNG.exponential(1.0, (200, 60))
    held = [low <= 1 <= high for _, low, high, *_ in (interval(d, resamples=400) for d in draws)]
    assert 0.88 <= np.mean(held) <= 0.98


def test_samples_of_one_image_are_drawn_together() -> None:
    """Ten copies of each value say no more than the value once."""
    once = RNG.normal(size=50)
    copied, names = np.repeat(once, 10), np.repeat([f"image {i}" for i in range(50)], 10)
    grouped, alone, naive = interval(copied, groups=names), interval(once), interval(copied)
    assert grouped.mean == pytest.approx(alone.mean)
    assert (grouped.n, grouped.groups, alone.groups) == (500, 50, 50)
    width, wanted = grouped.high - grouped.low, alone.high - alone.low
    assert width == pytest.approx(wanted, rel=0.1)
    assert naive.high - naive.low < 0.5 * width


def test_large_groups_weigh_more() -> None:
    assert interval([1.0, 1.0, 1.0, 5.0], groups=[0, 0, 0, 1]).mean == 2.0


def test_many_samples_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    values = RNG.normal(size=30)
    whole = interval(values, resamples=100)
    monkeypatch.setattr("whyclip.stats.studentised._DRAWS_AT_ONCE", 70)
    assert interval(values, resamples=100) == pytest.approx(whole, rel=1e-5)


def test_the_difference_is_sharper_than_the_two() -> None:
    hard = RNG.normal(0, 5, 200)
    a, b = hard + RNG.normal(0.3, 0.5, 200), hard + RNG.normal(0, 0.5, 200)
    difference = paired_difference(a, b)
    assert difference.mean == pytest.approx((a - b).mean())
    assert difference.low > 0
    assert interval(a).low < interval(b).high, "side by side they cannot be told apart"
    turned = paired_difference(b, a)
    assert (turned.mean, turned.low) == pytest.approx((-difference.mean, -difference.high))


def test_what_is_not_defined_is_left_out() -> None:
    result = interval([1.0, math.nan, 3.0])
    assert (result.mean, result.n) == (2.0, 2)
    both = paired_difference([1.0, math.nan, 3.0, 4.0], [0.0, 1.0, math.nan, 2.0])
    assert (both.mean, both.n) == (1.5, 2)


def test_too_little_for_an_interval() -> None:
    nothing, one = interval([math.nan]), interval([4.0])
    assert nothing.n == 0
    assert math.isnan(nothing.mean)
    assert one.mean == 4
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    assert math.isnan(interval([1.0, 2.0], groups=["same", "same"]).low)


def test_values_that_are_all_the_same_are_not_certain() -> None:
    """A share that differs from 0 in none of n cases is at most 1 − 0.025^(1/n)."""
    unseen = 1 - 0.025 ** (1 / 40)
    assert interval([0.0] * 40)[:3] == pytest.approx((0, -unseen, unseen))
    assert interval([1.0] * 40)[:3] == pytest.approx((1, 1 - unseen, 1)), "hits and misses"
    assert interval([0.5] * 40, limits=(0, 2))[1:3] == pytest.approx(
        (0.5 - 0.5 * unseen, 0.5 + 1.5 * unseen)
    )
    assert math.isnan(interval([7.0] * 40).low), "nothing says how far another value may be"
    assert interval([7.0] * 40).mean == 7


def test_errors_of_a_computation_that_are_all_the_same_are_certain() -> None:
    assert interval([0.0] * 40, exact=True)[:3] == (0, 0, 0)
    rounding = [0.0] * 38 + [3e-8, 6e-8]
    assert -1e-6 < interval(rounding, exact=True).low <= interval(rounding, exact=True).high < 1e-6


def test_rare_values_have_the_exact_bound_of_their_share() -> None:
    values, n = [-1.0] * 3 + [0.0] * 57, 60
    result = interval(values)
    # Values above 0 were not seen; they may be as frequent as none of 60 allows.
    unseen = 1 - 0.025 ** (1 / n)
    exact = _clopper_pearson(3, n)
    assert result.low == pytest.approx(-exact[1])
    assert result.high == pytest.approx(-0.05 + math.hypot(0.05 - exact[0], unseen))


def _clopper_pearson(hits: int, n: int) -> tuple[float, float]:
    """By bisection of plain binomial sums."""

    def solve(ks: range, rising: bool) -> float:
        low, high = 0.0, 1.0
        for _ in range(60):
            p = (low + high) / 2
            tail = sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in ks)
            low, high = (p, high) if (tail < 0.025) == rising else (low, p)
        return low

    return solve(range(hits, n + 1), True), solve(range(hits + 1), False)


@pytest.mark.parametrize("n", [25, 60])
def test_a_studentised_interval_by_plain_loops(n: int) -> None:
    """The formulas of the docstring, draw by draw; equal up to the draws."""
    rng = np.random.default_rng(n)
    sizes = rng.integers(1, 5, n)
    groups = np.repeat(np.arange(n), sizes)
    values = rng.lognormal(size=n)[groups] + 0.1 * rng.normal(size=len(groups))

    def mean_and_error(drawn: list[int]) -> tuple[float, float]:
        parts = [values[groups == g] for g in drawn]
        total = sum(len(part) for part in parts)
        mean = sum(part.sum() for part in parts) / total
        squares = sum((part.sum() - mean * len(part)) ** 2 for part in parts)
        return mean, math.sqrt(n / (n - 1) * squares) / total

    mean, error = mean_and_error(list(range(n)))
    t = []
    for _ in range(3000):
        other, its_error = mean_and_error(rng.integers(0, n, n).tolist())
        t.append((other - mean) / its_error)
    tail = 0.025 * (1 - 8 / n)
    low, high = np.quantile(t, [tail, 1 - tail])
    # Student's quantile for this tail and n − 1 degrees, from a table of draws.
    drawn = rng.normal(size=(200_000, 1))[:, 0] / np.sqrt(rng.chisquare(n - 1, 200_000) / (n - 1))
    student = np.quantile(np.abs(drawn), 1 - 2 * tail)
    result = interval(values, groups=groups)
    assert result.low == pytest.approx(mean - max(high, student) * error, abs=0.12 * error)
    assert result.high == pytest.approx(mean - min(low, -student) * error, abs=0.25 * error)
    assert result.high - result.mean > 1.2 * (result.mean - result.low), "the long tail is above"


@pytest.mark.parametrize("shift", [0.1, 0.25, 0.5])
def test_a_p_value_is_where_the_interval_reaches_zero(shift: float) -> None:
    values = np.random.default_rng(3).exponential(1, 50) - 1 + shift
    p = p_value(values)
    inner, outer = interval(values, level=1 - 1.05 * p), interval(values, level=1 - 0.95 * p)
    assert not inner.low <= 0 <= inner.high
    assert outer.low <= 0 <= outer.high
    assert p_value(-values) == pytest.approx(p, rel=0.05)
    assert p_value([0.0] * 50) == p_value([math.nan]) == 1
    assert p_value([0.0] * 30 + [1.0] * 9) < 0.05 < p_value([0.0] * 30 + [1.0] * 2)


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(InputError, match=r"\(2, 2\)"):
        interval(np.zeros((2, 2)))
    with pytest.raises(InputError, match="not paired"):
        paired_difference([1.0], [1.0, 2.0])
    with pytest.raises(InputError, match="groups"):
        interval([1.0, 2.0], groups=[1])
    with pytest.raises(InputError, match="level"):
        interval([1.0], level=95)


def test_wilson_solves_its_own_equation() -> None:
    low, high = wilson(50 / 100, 100)
    assert low == pytest.approx(0.4038, abs=1e-4)
    assert high == pytest.approx(0.5962, abs=1e-4)
    for share, n in ((0.3, 20), (1.0, 60), (0.0, 5)):
        for bound in wilson(share, n):
            # A bound is the true share from which what was seen is 1.96 standard errors away.
            away = abs(share - bound)
            assert away == pytest.approx(1.959964 * math.sqrt(bound * (1 - bound) / n), abs=1e-9)
    assert wilson(1.0, 60)[1] == 1
    assert wilson(0.0, 60)[0] == 0
    assert all(math.isnan(bound) for bound in wilson(math.nan, 0))
