"""Confidence intervals: bootstrap, paired differences, Wilson."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whyclip.errors import InputError

RESAMPLES = 2000

_Z = 1.959964  # of a two-sided 95 %
_DRAWS_AT_ONCE = 2_000_000


class Interval(NamedTuple):
    """A mean over samples with its confidence interval.

    ``n`` is the number of samples with a value, ``groups`` the number of resampled units (images,
    if one image has several samples).
    """

    mean: float
    low: float
    high: float
    n: int
    groups: int

    def __str__(self) -> str:
        return f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}], n = {self.n}"


def interval(
    values: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Mean with its percentile bootstrap interval.

    Samples are resampled with replacement; the interval has the middle ``level`` of the means.
    Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    Args:
        values: float ``[n]``; NaN (undefined for this sample) is left out.
        groups: ``[n]`` hashable; samples of one image are not independent, so whole groups are
            resampled.
        level: 0 to 1.
        resamples: number of draws.
        seed: of the draws.

    Returns:
        NaN for all three if there is no value, and for the bounds if there is only one group.

    Raises:
        InputError: values are not one row, or level or groups are invalid.

    Example:
        >>> found = interval([0.0, 1.0] * 50)
        >>> round(found.mean, 3), 0.38 < found.low < 0.42, 0.58 < found.high < 0.62
        (0.5, True, True)
    """
    sums, counts = _by_group(values, groups)
    if not 0 < level < 1 or resamples < 1:
        raise InputError(f"level={level}, resamples={resamples}; give 0 < level < 1, resamples ≥ 1")
    n = int(counts.sum())
    mean = float(sums.sum() / n) if n else float("nan")
    if len(sums) < 2:
        return Interval(mean, float("nan"), float("nan"), n, len(sums))
    rng = np.random.default_rng((seed, 4))
    means: list[NDArray[np.float64]] = []
    at_once = max(1, _DRAWS_AT_ONCE // len(sums))
    for start in range(0, resamples, at_once):
        drawn = rng.integers(0, len(sums), (min(at_once, resamples - start), len(sums)))
        means.append(sums[drawn].sum(1) / counts[drawn].sum(1))
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high), n, len(sums))


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Mean of a − b over the same samples, with its bootstrap interval.

    More precise than two separate intervals, because the difficulty of samples cancels. The two
    differ at this level if the interval excludes 0.

    Args:
        a: float ``[n]``.
        b: float ``[n]``, of the same samples; left out where either is NaN.
        groups: as for :func:`interval`.
        level: 0 to 1.
        resamples: number of draws.
        seed: of the draws.

    Raises:
        InputError: the two are not rows of the same length.

    Example:
        >>> paired_difference([1.0, 5.0, 9.0], [0.5, 4.5, 8.5])
        Interval(mean=0.5, low=0.5, high=0.5, n=3, groups=3)
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise InputError(f"values of shapes {first.shape} and {second.shape} are not paired")
    return interval(first - second, groups=groups, level=level, resamples=resamples, seed=seed)


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share; wide even if all samples agree.

    Wilson, Journal of the American Statistical Association 22, 1927.

    Args:
        share: 0 to 1.
        n: number of independent samples; for 0 the interval is NaN.

    Example:
        >>> [round(bound, 3) for bound in wilson(1.0, 60)]
        [0.94, 1.0]
    """
    if n == 0:
        return float("nan"), float("nan")
    square = _Z * _Z / n
    middle = (share + square / 2) / (1 + square)
    half = math.sqrt(square * (share * (1 - share) + square / 4)) / (1 + square)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def share_interval(values: ArrayLike, *, groups: ArrayLike) -> Interval:
    """Share of hits with its 95 % interval by :func:`wilson`.

    A bootstrap of values that are all the same would be certain of any of them. Several values of
    one image count as one.

    Args:
        values: float ``[n]``, 1 or 0; NaN is left out.
        groups: as for :func:`interval`.

    Example:
        >>> str(share_interval([1.0] * 60, groups=range(60)))
        '1 [0.9398, 1], n = 60'
    """
    sums, counts = _by_group(values, np.asarray(groups))
    n = int(counts.sum())
    share = float(sums.sum() / n) if n else float("nan")
    return Interval(share, *wilson(share, len(sums)), n, len(sums))


def contrast(
    values: ArrayLike, condition: ArrayLike, *, groups: ArrayLike, seed: int = 0
) -> Interval:
    """Mean where a condition is True minus the mean where it is False, with its interval.

    Whole images are drawn anew. ``groups`` of the result is the number of images on the smaller
    of the two sides; without values on both sides ``n`` is 0.

    Args:
        values: float ``[n]``; NaN is left out.
        condition: bool ``[n]``.
        groups: as for :func:`interval`.
        seed: of the draws.
    """
    row = np.asarray(values, dtype=np.float64)
    there = ~np.isnan(row)
    row, side = row[there], np.asarray(condition, dtype=bool)[there]
    if side.all() or not side.any():
        nan = float("nan")
        return Interval(nan, nan, nan, 0, 0)
    kinds, group = np.unique(np.asarray(groups)[there], return_inverse=True)
    total = len(kinds)
    sums = [np.bincount(group[s], row[s], total) for s in (side, ~side)]
    counts = [np.bincount(group[s], minlength=total).astype(float) for s in (side, ~side)]
    drawn = np.random.default_rng((seed, 4)).integers(0, total, (RESAMPLES, total))
    with np.errstate(invalid="ignore", divide="ignore"):
        means = [s[drawn].sum(1) / c[drawn].sum(1) for s, c in zip(sums, counts, strict=True)]
    low, high = np.nanquantile(means[0] - means[1], [0.025, 0.975])
    smaller = int(min((c > 0).sum() for c in counts))
    mean = float(row[side].mean() - row[~side].mean())
    return Interval(mean, float(low), float(high), len(row), smaller)


def _by_group(
    values: ArrayLike, groups: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and number of the values of each group, without NaN."""
    row = np.asarray(values, dtype=np.float64)
    if row.ndim != 1:
        raise InputError(f"values of shape {row.shape}; give one row [n]")
    there = ~np.isnan(row)
    if groups is None:
        return row[there], np.ones(int(there.sum()))
    names = np.asarray(groups)
    if names.shape != row.shape:
        raise InputError(f"groups of shape {names.shape} for values of shape {row.shape}")
    _, group = np.unique(names[there], return_inverse=True)
    sums = np.bincount(group, row[there]).astype(np.float64)
    return sums, np.bincount(group).astype(np.float64)
