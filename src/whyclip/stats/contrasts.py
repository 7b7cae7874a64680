"""Difference between the means of two different samples, with its interval."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from whyclip.stats.intervals import Interval, by_group, interval, number_of


def contrast(
    values: ArrayLike,
    condition: ArrayLike,
    *,
    groups: ArrayLike,
    limits: tuple[float, float] | None = None,
    seed: int = 0,
) -> Interval:
    """Mean where a condition is True minus the mean where it is False, with its interval.

    The bounds combine the bounds of the two means by the method of variance estimates recovery,
    with the correlation of the two means over images (Zou & Donner, Statistics in Medicine 27,
    2008). ``groups`` of the result is the number of images in the smaller of the two samples. If
    one sample is empty, ``n`` is 0.

    Args:
        values: float ``[n]``; NaN is ignored.
        condition: bool ``[n]``.
        groups: as for :func:`interval`.
        limits: as for :func:`interval`.
        seed: random seed of the draws.
    """
    row, group = by_group(values, np.asarray(groups))
    side = np.asarray(condition, dtype=bool)[~np.isnan(np.asarray(values, dtype=np.float64))]
    if side.all() or not side.any():
        return Interval(math.nan, math.nan, math.nan, 0, 0)
    one, other = (
        interval(row[chosen], groups=group[chosen], limits=limits, seed=seed)
        for chosen in (side, ~side)
    )
    # How far each image moves the two means.
    first, second = (
        np.bincount(group[chosen], row[chosen] - row[chosen].mean(), number_of(group))
        for chosen in (side, ~side)
    )
    scale = math.sqrt(np.square(first).sum() * np.square(second).sum())
    together = 2 * float(first @ second) / scale if scale else 0.0

    def distance(a: float, b: float) -> float:
        return math.sqrt(max(a * a + b * b - together * a * b, 0.0))

    mean = one.mean - other.mean
    low = mean - distance(one.mean - one.low, other.high - other.mean)
    high = mean + distance(one.high - one.mean, other.mean - other.low)
    return Interval(mean, low, high, len(row), min(one.groups, other.groups))
