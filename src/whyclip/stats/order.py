"""Order statistics as thresholds: exact intervals for how often a new value exceeds one.

If m + 1 values are independent draws from one continuous distribution, the share of the
distribution above the k-th largest of the first m follows Beta(k, m − k + 1), for any distribution
(Wilks, Annals of Mathematical Statistics 12, 1941). Ties can only make the share smaller.
"""

from __future__ import annotations

import math

from whyclip.errors import OptionError, quoted
from whyclip.stats.distributions import beta_quantile

# 0.29 · 100 is 28.999999999999996.
_SLACK = 1 + 1e-12


def rank_for(rate: float, m: int) -> int:
    """Choose the largest k such that a new value exceeds the k-th largest of m at most this often.

    The probability is ``k / (m + 1)``, so ``k = ⌊rate · (m + 1)⌋``.

    Raises:
        OptionError: the rate is not between 0 and 1, or m is too small for it.
    """
    if not isinstance(rate, (int, float)) or not 0 < rate < 1:
        raise OptionError(f"rate={quoted(rate)}: give a false-match rate between 0 and 1")
    k = math.floor(rate * (m + 1) * _SLACK)
    if k < 1:
        least = math.ceil(1 / rate - 1e-9) - 1
        raise OptionError(
            f"rate={rate:g} needs at least {least:,} reference images; this reference has {m:,}"
        )
    return min(k, m)


def rank_possible(rate: float, m: int) -> bool:
    """Whether m values are enough for this rate."""
    return rate * (m + 1) * _SLACK >= 1


def exceedance_interval(k: int, m: int, confidence: float = 0.95) -> tuple[float, float]:
    """Bound the share of the distribution that lies above the k-th largest of m values.

    Equal-tailed interval of Beta(k, m − k + 1). For a continuous distribution its coverage is
    exactly ``confidence``.
    """
    tail = (1 - confidence) / 2
    return beta_quantile(tail, k, m - k + 1), beta_quantile(1 - tail, k, m - k + 1)


def fresh_interval(k: int, m: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Bound the share of n new values that exceed the k-th largest of m earlier ones.

    The number follows the beta-binomial distribution BB(n, k, m − k + 1), so the coverage for
    a continuous distribution is at least ``confidence``.
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


def _log_beta_binomial(count: int, n: int, a: int, b: int) -> float:
    def log_beta(x: float, y: float) -> float:
        return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)

    ways = math.lgamma(n + 1) - math.lgamma(count + 1) - math.lgamma(n - count + 1)
    return ways + log_beta(count + a, n - count + b) - log_beta(a, b)
