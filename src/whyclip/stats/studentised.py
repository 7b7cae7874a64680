"""Bootstrap-t intervals of a mean over groups of different sizes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from whyclip.stats.distributions import t_quantile, t_two_sided

RESAMPLES = 4000
"""Number of draws; the smallest p value of a comparison is about 2 / 4000."""

_DRAWS_AT_ONCE = 4_000_000
# Chosen by simulation (benchmarks/coverage.py): with 20 groups each tail is 0.015 instead of 0.025,
# with 100 it is 0.023. Without this factor, intervals of log-normal values cover the mean in 91 to
# 93 % of cases.
_NARROWER_TAILS = 8.0

Floats = NDArray[np.float64]


class Studentised:
    """Mean ``Σ s_g / Σ c_g`` over groups, its standard error and its bootstrap distribution.

    Whole groups are drawn with replacement. Each draw gives ``t* = (mean* − mean) / se*``, with the
    standard error of a ratio, ``se² = G/(G−1) Σ (s_g − mean · c_g)² / (Σ c_g)²`` (Cochran, Sampling
    Techniques, 1977, eq. 6.13). Efron & Tibshirani, An Introduction to the Bootstrap, 1993, sec.
    12.5. The interval is extended to contain the Student's t interval with G − 1 degrees of
    freedom, because bootstrap-t alone is too narrow on the side of the short tail.

    Args:
        sums: ``[G]`` sum of the values of each group; at least two groups.
        counts: ``[G]`` number of values of each group, at least 1.
        seed: random seed of the draws.
        resamples: number of draws.
    """

    def __init__(self, sums: Floats, counts: Floats, seed: int, resamples: int) -> None:
        total = counts.sum()
        self.groups = len(sums)
        self.mean = float(sums.sum() / total)
        rest, share = (sums - self.mean * counts) / total, counts / total
        unbiased = self.groups / (self.groups - 1)
        self.error = float(np.sqrt(unbiased * np.square(rest).sum()))
        # In units of standard errors, float32 is enough even for nearly equal values.
        rest = rest / self.error if self.error else rest
        terms = np.stack([share, rest, np.square(rest), rest * share, np.square(share)], axis=1)
        single = terms.astype(np.float32)
        drawn = [weights @ single for weights in draws(self.groups, seed, resamples)]
        size, rest, squares, mixed, sizes = np.concatenate(drawn).astype(np.float64).T
        away = rest / size
        variance = squares - 2 * away * mixed + np.square(away) * sizes
        error = np.sqrt(unbiased * np.maximum(variance, 0)) / size
        # A draw that contains only one group has no standard error.
        there = error > 1e-3
        t = away[there] / error[there]
        largest = np.abs(t).max(initial=0.0)
        self.t = np.concatenate([t, np.copysign(largest, away[~there])])

    @property
    def shrinkage(self) -> float:
        """Factor by which the tails are made smaller than the nominal ones."""
        return max(1 - _NARROWER_TAILS / self.groups, 0.5)

    def bounds(self, level: float) -> tuple[float, float]:
        """Bounds of the interval at a level, 0 to 1."""
        tail = self.shrinkage * (1 - level) / 2
        place = max(int(tail * (len(self.t) + 1)), 1)
        student = t_quantile(1 - tail, self.groups - 1)
        ordered = np.partition(self.t, [place - 1, len(self.t) - place])
        low, high = min(ordered[place - 1], -student), max(ordered[-place], student)
        return float(self.mean - high * self.error), float(self.mean - low * self.error)

    def p_value(self) -> float:
        """P value of a mean of 0: 1 minus the level at which :meth:`bounds` reach 0."""
        if self.error == 0:
            return float(self.mean == 0)
        ratio = self.mean / self.error
        beyond = int(((self.t >= ratio) if ratio > 0 else (self.t <= ratio)).sum())
        drawn = 2 * (beyond + 1) / (len(self.t) + 1)
        return min(max(drawn, t_two_sided(ratio, self.groups - 1)) / self.shrinkage, 1.0)


def draws(groups: int, seed: int, resamples: int) -> Iterator[NDArray[np.float32]]:
    """Number of times that each group is drawn, in parts ``[resamples, groups]``."""
    at_once = max(1, _DRAWS_AT_ONCE // groups)
    if at_once >= resamples:
        yield _kept(groups, seed, resamples)
        return
    rng = np.random.default_rng((seed, 4))
    for start in range(0, resamples, at_once):
        yield _counted(rng, groups, min(at_once, resamples - start))


# Cached, because many intervals are over the same images with the same seed.
@lru_cache(maxsize=2)
def _kept(groups: int, seed: int, resamples: int) -> NDArray[np.float32]:
    counted = _counted(np.random.default_rng((seed, 4)), groups, resamples)
    counted.flags.writeable = False
    return counted


def _counted(rng: np.random.Generator, groups: int, resamples: int) -> NDArray[np.float32]:
    drawn = rng.integers(0, groups, (resamples, groups))
    drawn += groups * np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=resamples * groups)
    return counts.reshape(resamples, groups).astype(np.float32)
