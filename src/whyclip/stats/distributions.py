"""Beta, Student's t and F distributions, from one continued fraction."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

_TINY = 1e-300
_STEPS = 10_000


def beta_cdf(x: float, a: float, b: float) -> float:
    """Probability that a Beta(a, b) variable is at most x; a and b need not be whole numbers.

    Continued fraction of DLMF 8.17.22 by Lentz's method, on the side where it converges fast.

    Example:
        >>> round(beta_cdf(0.5, 2, 2), 12)
        0.5
    """
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    log_front = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    front = math.exp(log_front)
    if x < (a + 1) / (a + b + 2):
        return min(front * _fraction(x, a, b) / a, 1.0)
    return max(1 - front * _fraction(1 - x, b, a) / b, 0.0)


def _fraction(x: float, a: float, b: float) -> float:
    def safe(value: float) -> float:
        return value if abs(value) > _TINY else _TINY

    c, d = 1.0, 1 / safe(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _STEPS):
        change = 1.0
        for factor in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d, c = 1 / safe(1 + factor * d), safe(1 + factor / c)
            change = c * d
            value *= change
        if abs(change - 1) < 1e-15:
            break
    return value


@lru_cache(maxsize=4096)
def beta_quantile(p: float, a: float, b: float) -> float:
    """Value that a Beta(a, b) variable does not exceed with probability p."""
    low, high, x = 0.0, 1.0, a / (a + b)
    log_constant = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    for _ in range(200):
        away = beta_cdf(x, a, b) - p
        low, high = (x, high) if away < 0 else (low, x)
        # Newton's step where it stays between the bounds, else the middle.
        slope = math.exp(log_constant + (a - 1) * math.log(x) + (b - 1) * math.log1p(-x))
        new = x - away / slope if slope > 0 else low
        if not low < new < high:
            new = (low + high) / 2
        if abs(new - x) <= 1e-13 * x or new in {0.0, 1.0}:
            break
        x = new
    return x


def t_two_sided(t: float, df: float) -> float:
    """Probability that a Student's t variable is at least as far from 0 as t."""
    return beta_cdf(df / (df + t * t), df / 2, 0.5)


@lru_cache(maxsize=4096)
def t_quantile(p: float, df: float) -> float:
    """Value that a Student's t variable does not exceed with probability p ≥ 0.5.

    Example:
        >>> round(t_quantile(0.975, 4), 3)
        2.776
    """
    x = beta_quantile(2 * (1 - p), df / 2, 0.5)
    return math.sqrt(df * (1 - x) / x) if x > 0 else math.inf


def f_above(value: float, df1: float, df2: float) -> float:
    """Probability that an F variable is at least this value."""
    return beta_cdf(df2 / (df2 + df1 * value), df2 / 2, df1 / 2) if value > 0 else 1.0


@lru_cache(maxsize=4096)
def clopper_pearson(hits: float, n: float, tail: float) -> tuple[float, float]:
    """Exact bounds of a share, each missed with at most this probability.

    Clopper & Pearson, Biometrika 26, 1934: quantiles of Beta(k, n − k + 1) and Beta(k + 1, n − k).
    ``n`` may be an effective sample size (Korn & Graubard, Survey Methodology 24, 1998).

    Args:
        hits: 0 to n.
        n: number of independent samples, above 0.
        tail: probability of a miss on each side.

    Example:
        >>> [round(bound, 4) for bound in clopper_pearson(0, 60, 0.025)]
        [0.0, 0.0596]
    """
    low = 0.0 if hits <= 0 else beta_quantile(tail, hits, n - hits + 1)
    high = 1.0 if hits >= n else beta_quantile(1 - tail, hits + 1, n - hits)
    return low, high


def bisected(
    increasing: Callable[[float], float],
    value: float,
    low: float,
    high: float,
    *,
    halvings: int = 60,
) -> float:
    """Find where an increasing function reaches a value, between two points."""
    for _ in range(halvings):
        middle = (low + high) / 2
        low, high = (middle, high) if increasing(middle) < value else (low, middle)
    return (low + high) / 2
