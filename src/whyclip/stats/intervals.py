"""Confidence intervals of means, proportions and paired differences.

``benchmarks/coverage.py`` simulates how often each interval contains the true mean.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whyclip.errors import InputError
from whyclip.stats.distributions import clopper_pearson
from whyclip.stats.sparse import Sparse, effective, sparse
from whyclip.stats.studentised import RESAMPLES, Studentised

_Z = 1.959964  # of a two-sided 95 %
_NAN = float("nan")

Bounded = Studentised | Sparse


class Interval(NamedTuple):
    """Mean over samples with its confidence interval.

    ``n`` is the number of samples with a value, ``groups`` the number of resampled units (images,
    if an image has several samples).
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
    limits: tuple[float, float] | None = None,
    exact: bool = False,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Mean with its confidence interval.

    Bootstrap-t over groups, see :class:`~whyclip.stats.studentised.Studentised`. If fewer than ten
    groups, and fewer than one in five, differ from one common value, resampling is unreliable. The
    proportion of the other groups then has its exact bound, see
    :class:`~whyclip.stats.sparse.Sparse`.

    Args:
        values: float ``[n]``; NaN (undefined for this sample) is ignored.
        groups: ``[n]`` hashable; whole groups are drawn, because samples of one image are not
            independent.
        limits: smallest and largest possible value. The interval stays within them, and they are
            needed if most values are the same. Default: no limits, except that such values use 0
            and 1 if both occur and nothing else does, or −1 and 1 if all lie between.
        exact: whether identical values are identical by construction, for example rounding errors.
            Their interval then has zero width.
        level: 0 to 1.
        resamples: number of draws.
        seed: random seed of the draws.

    Returns:
        All three are NaN if there is no value. The bounds are NaN if there is only one group, or if
        most values are the same and their limits are unknown.

    Raises:
        InputError: values are not one-dimensional, or level or groups are invalid.

    Example:
        >>> found = interval([0.0, 1.0] * 50)
        >>> round(found.mean, 3), 0.38 < found.low < 0.42, 0.58 < found.high < 0.62
        (0.5, True, True)
    """
    row, group = by_group(values, groups)
    if not 0 < level < 1 or resamples < 1:
        raise InputError(f"level={level}, resamples={resamples}; give 0 < level < 1, resamples ≥ 1")
    made = _bounded(row, group, limits, resamples, seed, exact=exact)
    low, high = (_NAN, _NAN) if made is None else _within(made.bounds(level), limits)
    mean = float(row.mean()) if len(row) else _NAN
    return Interval(mean, low, high, len(row), number_of(group))


def p_value(
    values: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    limits: tuple[float, float] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> float:
    """Two-sided p value of a mean of 0: 1 minus the level at which :func:`interval` reaches 0.

    Args:
        values: as for :func:`interval`, for example paired differences.
        groups: as for :func:`interval`.
        limits: as for :func:`interval`.
        resamples: number of draws; the smallest p value is about 2 / resamples.
        seed: random seed of the draws.

    Returns:
        0 to 1; 1 if the interval is undefined.

    Example:
        >>> p_value([1.0, -1.0] * 30)
        1.0
        >>> p_value([1.0, 2.0, 3.0] * 10) < 0.001
        True
    """
    row, group = by_group(values, groups)
    made = _bounded(row, group, limits, resamples, seed)
    return 1.0 if made is None else made.p_value()


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    limits: tuple[float, float] | None = None,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Mean of a − b over the same samples, with its interval.

    More precise than two separate intervals, because differences in difficulty between samples
    cancel. The means differ significantly at this level if the interval excludes 0.

    Args:
        a: float ``[n]``.
        b: float ``[n]``, of the same samples; ignored where either is NaN.
        groups: as for :func:`interval`.
        limits: of the differences, as for :func:`interval`.
        level: 0 to 1.
        resamples: number of draws.
        seed: random seed of the draws.

    Raises:
        InputError: the rows differ in length.

    Example:
        >>> found = paired_difference([1.0, 5.0, 9.0, 2.0], [0.5, 4.0, 8.5, 1.25])
        >>> round(found.mean, 4), found.low < 0.6 < found.high
        (0.6875, True)
    """
    return interval(
        differences(a, b),
        groups=groups,
        limits=limits,
        level=level,
        resamples=resamples,
        seed=seed,
    )


def differences(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Return a − b over the same samples.

    Raises:
        InputError: the rows differ in length.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise InputError(f"values of shapes {first.shape} and {second.shape} are not paired")
    return first - second


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a proportion; its width is positive even at 0 and 1.

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
    """Proportion of hits with its exact 95 % interval, see :func:`clopper_pearson`.

    The sample size is the number of images, not of values. It is reduced if images have different
    numbers of values, see :func:`~whyclip.stats.sparse.effective`.

    Args:
        values: float ``[n]``, 1 or 0; NaN is ignored.
        groups: as for :func:`interval`.

    Example:
        >>> str(share_interval([1.0] * 60, groups=range(60)))
        '1 [0.9404, 1], n = 60'
    """
    row, group = by_group(values, np.asarray(groups))
    if not len(row):
        return Interval(_NAN, _NAN, _NAN, 0, 0)
    share, n = float(row.mean()), effective(np.bincount(group).astype(np.float64))
    return Interval(share, *clopper_pearson(share * n, n, 0.025), len(row), number_of(group))


def _bounded(
    row: NDArray[np.float64],
    group: NDArray[np.intp],
    limits: tuple[float, float] | None,
    resamples: int,
    seed: int,
    *,
    exact: bool = False,
) -> Bounded | None:
    """Object that computes bounds at any level; None with fewer than two groups."""
    if number_of(group) < 2:
        return None
    rare = None if exact else sparse(row, group, limits)
    if rare is not None:
        return rare
    sums, counts = (np.bincount(group, w).astype(np.float64) for w in (row, np.ones_like(row)))
    return Studentised(sums, counts, seed, resamples)


def _within(bounds: tuple[float, float], limits: tuple[float, float] | None) -> tuple[float, float]:
    if limits is None or math.isnan(bounds[0]):
        return bounds
    return max(bounds[0], limits[0]), min(bounds[1], limits[1])


def number_of(group: NDArray[np.intp]) -> int:
    """Number of groups, whose indices start at 0."""
    return int(group.max()) + 1 if len(group) else 0


def by_group(
    values: ArrayLike, groups: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The values without NaN, and the index of each value's group, from 0."""
    row = np.asarray(values, dtype=np.float64)
    if row.ndim != 1:
        raise InputError(f"values of shape {row.shape}; give one row [n]")
    there = ~np.isnan(row)
    if groups is None:
        return row[there], np.arange(int(there.sum()))
    names = np.asarray(groups)
    if names.shape != row.shape:
        raise InputError(f"groups of shape {names.shape} for values of shape {row.shape}")
    _, group = np.unique(names[there], return_inverse=True)
    return row[there], group
