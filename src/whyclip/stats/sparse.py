"""Means of values that are nearly all the same, with exact bounds for the share of the others."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from whyclip.stats.distributions import bisected, clopper_pearson

# Chosen by simulation (benchmarks/coverage.py): from fewer groups that differ, draws of the data
# say too little of what a rare value does to the mean.
MIN_OTHERS = 10

Floats = NDArray[np.float64]


class Part(NamedTuple):
    """Values above the usual one, or below it.

    ``hits`` is the weight of the groups that have any, of ``n`` in all; ``mean`` is the mean
    distance over all values, ``farthest`` the largest possible one; ``alike`` says whether all
    distances are the largest.
    """

    mean: float
    hits: float
    farthest: float
    alike: bool


class Sparse(NamedTuple):
    """A mean of values of which most are the same."""

    usual: float
    above: Part
    below: Part
    n: float

    def bounds(self, level: float) -> tuple[float, float]:
        """Bounds of the mean at a level, 0 to 1; NaN where the range of values is not known.

        The mean is ``usual + E[above] − E[below]``. Each part is at most the share of the images
        that have one, with its exact bound, times the farthest distance. The two are combined by
        the method of variance estimates recovery (Newcombe, Statistics in Medicine 17, 1998,
        method 10; Zou & Donner, Statistics in Medicine 27, 2008).
        """
        tail = (1 - level) / 2
        low_above, high_above = self._part(self.above, tail)
        low_below, high_below = self._part(self.below, tail)
        if math.isinf(high_above) or math.isinf(high_below):
            return math.nan, math.nan
        a, b = self.above.mean, self.below.mean
        middle = self.usual + a - b
        low = middle - math.hypot(a - low_above, high_below - b)
        high = middle + math.hypot(high_above - a, b - low_below)
        # Rounding of the parts must not carry a bound beyond the range.
        return (
            max(low, self.usual - self.below.farthest),
            min(high, self.usual + self.above.farthest),
        )

    def p_value(self) -> float:
        """P value of a mean of 0: 1 minus the level at which :meth:`bounds` reach 0."""

        def excludes(p: float) -> float:
            low, high = self.bounds(1 - p)
            return float(low > 0 or high < 0)

        # Eighteen halvings leave an error below 1e-5.
        return bisected(excludes, 0.5, 0.0, 1.0, halvings=18) if excludes(1 - 1e-6) else 1.0

    def _part(self, part: Part, tail: float) -> tuple[float, float]:
        if part.farthest == 0:
            return 0.0, 0.0
        low, high = clopper_pearson(part.hits, self.n, tail)
        # A mean that several samples of an image have in common may lie beyond the share's bounds.
        low, high = low * part.farthest if part.alike else 0.0, high * part.farthest
        return min(low, part.mean), max(high, part.mean)


def sparse(
    values: Floats, group: NDArray[np.intp], limits: tuple[float, float] | None
) -> Sparse | None:
    """Describe values of which most are the same; None where enough of them differ.

    Args:
        values: ``[n]``.
        group: ``[n]`` number of each value's group, from 0.
        limits: the smallest and the largest possible value. By default 0 and 1 if the values are
            hits and misses, −1 and 1 if all lie between, and else unknown.
    """
    usual = _usual(values)
    if usual is None:
        return None
    away = values - usual
    away[np.abs(away) <= 1e-12 * max(1.0, abs(usual))] = 0.0
    counts = np.bincount(group).astype(np.float64)
    others = np.bincount(group, away != 0) > 0
    if others.sum() >= min(MIN_OTHERS, len(others) / 5):
        return None
    least, largest = limits or _limits(values, usual)
    n = effective(counts)

    def part(distance: Floats, farthest: float) -> Part:
        theirs = np.bincount(group, distance > 0) > 0
        hits = n * float(counts[theirs].sum() / counts.sum())
        seen = distance[distance > 0]
        alike = bool(np.isclose(seen, farthest).all())
        return Part(float(distance.mean()), hits, farthest, alike)

    above = part(np.maximum(away, 0), max(largest - usual, 0.0))
    below = part(np.maximum(-away, 0), max(usual - least, 0.0))
    return Sparse(usual, above, below, n)


def effective(counts: Floats) -> float:
    """Effective number of groups: as many as are drawn if all count the same, else fewer.

    ``(Σ c)² / Σ c²``, Kish, Survey Sampling, 1965.
    """
    return float(counts.sum() ** 2 / np.square(counts).sum())


def _usual(values: Floats) -> float | None:
    """The value of more than half of the groups, up to rounding; None if there is none."""
    median = float(np.sort(values)[(len(values) - 1) // 2])
    same = np.abs(values - median) <= 1e-12 * max(1.0, abs(median))
    return median if 2 * same.sum() > len(values) else None


def _limits(values: Floats, usual: float) -> tuple[float, float]:
    if usual == 1 and np.isin(values, (0.0, 1.0)).all():
        return 0.0, 1.0
    if np.abs(values).max() <= 1:
        return -1.0, 1.0
    return -math.inf, math.inf
