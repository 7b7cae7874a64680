"""Distributions, by integrals and sums of their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from whyclip.stats.distributions import (
    beta_quantile,
    clopper_pearson,
    f_above,
    t_quantile,
    t_two_sided,
)


def area(density: object, low: float, high: float) -> float:
    """Midpoint rule with many points."""
    edges = np.linspace(low, high, 400_001)
    middle = (edges[1:] + edges[:-1]) / 2
    return float(density(middle).mean() * (high - low))  # type: ignore[operator]


@pytest.mark.parametrize(("a", "b"), [(1.7, 2.2), (3, 40.5), (60, 1.3), (1, 1)])
@pytest.mark.parametrize("x", [0.01, 0.3, 0.77, 0.999])
def test_beta_by_its_integral(a: float, b: float, x: float) -> None:
    constant = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b))
    expected = area(lambda u: constant * u ** (a - 1) * (1 - u) ** (b - 1), 0, x)
    if 1e-6 < expected < 1 - 1e-6:
        # The midpoint rule is exact to about 1e-7; the density turns that into an error of x.
        density = constant * x ** (a - 1) * (1 - x) ** (b - 1)
        assert beta_quantile(expected, a, b) == pytest.approx(x, abs=1e-6 + 1e-7 / density)


def test_ends_of_the_range() -> None:
    assert (beta_quantile(0, 2, 3), beta_quantile(1, 2, 3)) == (0, 1)
    assert clopper_pearson(0, 7, 0.025)[0] == 0
    assert clopper_pearson(7, 7, 0.025)[1] == 1


@pytest.mark.parametrize("df", [4, 19, 120])
def test_student_by_its_integral(df: int) -> None:
    constant = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(df * math.pi)
    for t in (0.3, 1.0, 2.5):
        inside = area(lambda u: constant * (1 + u * u / df) ** (-(df + 1) / 2), -t, t)
        assert t_two_sided(t, df) == pytest.approx(1 - inside, abs=1e-8)
        assert t_quantile(0.5 + inside / 2, df) == pytest.approx(t, rel=1e-6)
    # Table values of the 97.5 % quantile.
    known = {4: 2.776445, 19: 2.093024, 120: 1.979930}
    assert t_quantile(0.975, df) == pytest.approx(known[df], abs=1e-6)


def test_f_is_the_square_of_t() -> None:
    assert f_above(2.1**2, 1, 17) == pytest.approx(t_two_sided(2.1, 17), rel=1e-10)
    # Table value: 5 % of F(5, 30) lie above 2.5336.
    assert f_above(2.5336, 5, 30) == pytest.approx(0.05, abs=1e-5)
    assert f_above(0, 3, 4) == 1


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (3, 60), (19, 20), (50, 100)])
def test_exact_bounds_by_binomial_sums(hits: int, n: int) -> None:
    low, high = clopper_pearson(hits, n, 0.025)

    def chance(p: float, ks: range) -> float:
        return sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in ks)

    if hits:
        assert chance(low, range(hits, n + 1)) == pytest.approx(0.025, rel=1e-6)
    assert chance(high, range(hits + 1)) == pytest.approx(0.025, rel=1e-6)
