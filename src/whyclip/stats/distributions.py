"""Probabilities and quantiles of the Beta, Student's t and F distributions, by SciPy."""

from __future__ import annotations

from collections.abc import Callable


def beta_quantile(p: float, a: float, b: float) -> float:
    """Value that a Beta(a, b) variable does not exceed with probability p."""
    from scipy.special import betaincinv

    return float(betaincinv(a, b, p))


def t_two_sided(t: float, df: float) -> float:
    """Probability that a Student's t variable is at least as far from 0 as t."""
    from scipy.special import stdtr

    return 2 * float(stdtr(df, -abs(t)))


def t_quantile(p: float, df: float) -> float:
    """Value that a Student's t variable does not exceed with probability p.

    Example:
        >>> round(t_quantile(0.975, 4), 3)
        2.776
    """
    from scipy.special import stdtrit

    return float(stdtrit(df, p))


def f_above(value: float, df1: float, df2: float) -> float:
    """Probability that an F variable is at least this value."""
    from scipy.special import fdtrc

    return float(fdtrc(df1, df2, max(value, 0.0)))


def clopper_pearson(hits: float, n: float, tail: float) -> tuple[float, float]:
    """Exact bounds of a proportion; each misses it with at most the probability ``tail``.

    Clopper & Pearson, Biometrika 26, 1934: quantiles of Beta(k, n − k + 1) and Beta(k + 1, n − k).
    ``n`` may be an effective sample size (Korn & Graubard, Survey Methodology 24, 1998).

    Args:
        hits: 0 to n.
        n: number of independent samples, above 0.
        tail: largest probability of a miss on each side.

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
