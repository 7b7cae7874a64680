"""Mean ranks of methods over many cases, with tests of their differences (Demšar 2006)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whyclip.errors import InputError
from whyclip.stats.distributions import bisected, f_above

_POINTS = 2001
_FARTHEST = 8.0  # standard deviations; beyond it the normal density is below 1e-14


@dataclass(frozen=True)
class Ranking:
    """Mean ranks with their critical difference.

    Attributes:
        ranks: mean rank of each label, from 1 (best), in the order of the mean ranks.
        critical_difference: smallest significant difference between two mean ranks; NaN for fewer
            than two cases.
        p_value: p value of the hypothesis that all methods have the same mean rank; NaN for fewer
            than two cases.
        cases: number of ranked cases.
        level: confidence level of the test; 0.95 means 5 % significance.
    """

    ranks: Mapping[str, float]
    critical_difference: float
    p_value: float
    cases: int
    level: float = 0.95

    @property
    def cliques(self) -> list[tuple[str, ...]]:
        """Maximal groups of two or more labels whose mean ranks do not differ significantly."""
        names, values = list(self.ranks), list(self.ranks.values())
        groups: list[tuple[int, int]] = []
        for first in range(len(names)):
            last = first
            while last + 1 < len(names) and not self._differ(values[first], values[last + 1]):
                last += 1
            if last > first and not (groups and groups[-1][1] >= last):
                groups.append((first, last))
        return [tuple(names[first : last + 1]) for first, last in groups]

    def differ(self, one: str, other: str) -> bool:
        """Whether the mean ranks of two labels differ significantly."""
        return self._differ(self.ranks[one], self.ranks[other])

    def _differ(self, one: float, other: float) -> bool:
        # The tolerance allows for rounding of the mean ranks.
        return abs(one - other) >= self.critical_difference * (1 - 1e-12)


def ranking(
    scores: Mapping[str, Sequence[float]],
    *,
    higher_is_better: ArrayLike = True,
    level: float = 0.95,
) -> Ranking:
    """Rank methods within each case, and compare their mean ranks.

    The best of k methods in a case has rank 1; equal scores share their mean rank. A case is, for
    example, one check on one model. Friedman's test, in Iman and Davenport's form::

        χ² = 12 N / (k (k+1)) · (Σ R_j² − k (k+1)² / 4)
        F  = (N−1) χ² / (N (k−1) − χ²),   with k − 1 and (k−1)(N−1) degrees of freedom

    Nemenyi's critical difference is ``CD = q √(k (k+1) / (6 N))``; q is the quantile of the
    studentised range of k values with infinitely many degrees of freedom, over √2. Demšar, Journal
    of Machine Learning Research 7, 2006, sec. 3.2.2. Both tests assume independent cases. Checks on
    the same model are dependent, so with few models the critical difference is too small.

    Args:
        scores: one number per case for each label, in the same order; a case where any label has
            NaN is excluded. If the numbers are ranks, set ``higher_is_better=False``.
        higher_is_better: one bool for all cases, or ``[N]``, one per case.
        level: 0 to 1.

    Raises:
        InputError: fewer than two labels, rows of different lengths, no complete case, or an
            invalid level.

    Example:
        >>> found = ranking({"a": [0.9, 0.8, 0.7], "b": [0.5, 0.9, 0.1], "c": [0.2, 0.1, 0.0]})
        >>> {name: round(rank, 2) for name, rank in found.ranks.items()}
        {'a': 1.33, 'b': 1.67, 'c': 3.0}
    """
    lengths = {len(row) for row in scores.values()}
    if len(scores) < 2 or len(lengths) != 1:
        raise InputError(
            f"{len(scores)} rows of lengths {sorted(lengths)}; a ranking needs two or more rows of "
            "equal length"
        )
    if not 0 < level < 1:
        raise InputError(f"level={level}; give 0 < level < 1")
    table = np.array(list(scores.values()), dtype=np.float64)
    sign = np.where(np.broadcast_to(np.asarray(higher_is_better), table.shape[1:]), -1.0, 1.0)
    complete = ~np.isnan(table).any(0)
    table = (sign * table)[:, complete]
    k, cases = table.shape
    if not cases:
        raise InputError("no case has a score for every method; remove methods without scores")
    means = _ranks(table).mean(1)
    order = np.argsort(means, kind="stable")
    names = list(scores)
    return Ranking(
        {names[i]: float(means[i]) for i in order},
        nemenyi_factor(k, level) * math.sqrt(k * (k + 1) / (6 * cases)) if cases > 1 else math.nan,
        _friedman(means, cases) if cases > 1 else math.nan,
        cases,
        level,
    )


def _ranks(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks within each column, from 1 for the smallest; equal values share their mean rank."""
    below = (table[None] < table[:, None]).sum(1)
    equal = (table[None] == table[:, None]).sum(1)
    return below + (equal + 1) / 2


def _friedman(means: NDArray[np.float64], cases: int) -> float:
    k = len(means)
    squared = 12 * cases / (k * (k + 1)) * (float(np.square(means).sum()) - k * (k + 1) ** 2 / 4)
    left = cases * (k - 1) - squared
    if left <= 1e-9:
        return 0.0
    return f_above((cases - 1) * squared / left, k - 1, (k - 1) * (cases - 1))


@lru_cache
def nemenyi_factor(k: int, level: float = 0.95) -> float:
    """Quantile of the studentised range of k normal values, over √2.

    ``P(range ≤ q) = k ∫ φ(z) (Φ(z) − Φ(z − q))^(k−1) dz``.

    Example:
        >>> round(nemenyi_factor(5), 3)
        2.728
    """
    from scipy.special import ndtr

    z = np.linspace(-_FARTHEST, _FARTHEST, _POINTS)
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    step = float(z[1] - z[0])
    below = ndtr(z)

    def within(q: float) -> float:
        return k * step * float((density * (below - ndtr(z - q)) ** (k - 1)).sum())

    return bisected(within, level, 0.0, 20.0) / math.sqrt(2)
