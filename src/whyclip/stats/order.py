"""Order statistics as thresholds: how often a new value exceeds one, with exact intervals.

If m + 1 values are drawn alike from a continuous distribution, the share of the distribution above
the k-th largest of the first m follows Beta(k, m − k + 1), whatever the distribution is (Wilks,
Annals of Mathematical Statistics 12, 1941). With ties the share is at most that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from whyclip.errors import OptionError, quoted

# 0.29 · 100 is 28.999999999999996.
_SLACK = 1 + 1e-12


def rank_for(rate: float, m: int) -> int:
    """Choose k so that a new value exceeds the k-th largest of m with at most this probability.

    The probability is ``k / (m + 1)``, so ``k = ⌊rate · (m + 1)⌋``.

    Raises:
        OptionError: the rate is not between 0 and 1, or m is too small for it.
    """
    if not 0 < rate < 1:
        raise OptionError(f"rate={quoted(rate)}: give a rate of false matches between 0 and 1")
    k = math.floor(rate * (m + 1) * _SLACK)
    if k < 1:
        least = math.ceil(1 / rate - 1e-9) - 1
        raise OptionError(
            f"rate={rate:g} needs at least {least:,} reference images; this reference has {m:,}"
        )
    return min(k, m)


def rank_possible(rate: float, m: int) -> bool:
    """Say whether m values are enough for this rate."""
    return rate * (m + 1) * _SLACK >= 1


@lru_cache
def exceedance_interval(k: int, m: int, confidence: float = 0.95) -> tuple[float, float]:
    """Bound the share of the distribution that lies above the k-th largest of m values.

    Equal-tailed interval of Beta(k, m − k + 1): it contains the share with exactly this
    probability for a continuous distribution.
    """
    tail = (1 - confidence) / 2

    def beta_cdf(x: float) -> float:
        return binomial_at_least(k, m, x)

    return _bisected(beta_cdf, tail), _bisected(beta_cdf, 1 - tail)


def fresh_interval(k: int, m: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Bound the share of n new values that exceed the k-th largest of m earlier ones.

    The number follows the beta-binomial distribution BB(n, k, m − k + 1), so the interval contains
    it with at least this probability for a continuous distribution.
    """
    tail = (1 - confidence) / 2
    low, high, below = None, n, 0.0
    for count in range(n + 1):
        below += math.exp(_log_beta_binomial(count, n, k, m - k + 1))
        if low is None and below > tail:
            low = count
        if below >= 1 - tail:
            high = count
            break
    return (low or 0) / n, high / n


def binomial_at_least(k: int, m: int, p: float) -> float:
    """Probability of at least k successes in m trials, which is the CDF of Beta(k, m − k + 1)."""
    if p <= 0:
        return 0.0
    if p >= 1:
        return 1.0
    log_p, log_q = math.log(p), math.log1p(-p)
    base = math.lgamma(m + 1)
    fewer = math.fsum(
        math.exp(base - math.lgamma(i + 1) - math.lgamma(m - i + 1) + i * log_p + (m - i) * log_q)
        for i in range(k)
    )
    return min(max(1 - fewer, 0.0), 1.0)


def _log_beta_binomial(count: int, n: int, a: int, b: int) -> float:
    def log_beta(x: float, y: float) -> float:
        return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)

    ways = math.lgamma(n + 1) - math.lgamma(count + 1) - math.lgamma(n - count + 1)
    return ways + log_beta(count + a, n - count + b) - log_beta(a, b)


def _bisected(increasing: Callable[[float], float], value: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if increasing(middle) < value else (low, middle)
    return (low + high) / 2
