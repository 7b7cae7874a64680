"""Means of nearly constant values, with exact bounds for the proportion of other values."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from whyclip.stats.distributions import bisected, clopper_pearson

# Chosen by simulation (benchmarks/coverage.py): if fewer groups differ, resampling underestimates
# the effect of rare values on the mean.
MIN_OTHERS = 10

Floats = NDArray[np.float64]


class Part(NamedTuple):
    """Values above the most common value, or values below it.

    ``hits`` is the weight of the groups that contain such values, out of ``n``. ``mean`` is the
    mean distance over all values and ``farthest`` the largest possible distance. ``alike`` is True
    if every distance is ``farthest``.
    """

    mean: float
    hits: float
    farthest: float
    alike: bool


class Sparse(NamedTuple):
    """Mean of values that are mostly the same."""

    usual: float
    above: Part
    below: Part
    n: float

    def bounds(self, level: float) -> tuple[float, float]:
        """Bounds of the mean at a level, 0 to 1; NaN if the range of values is unknown.

        The mean is ``usual + E[above] − E[below]``. Each part is bounded by the exact bound of the
        proportion of images that contain such values, times the farthest distance. The two are
        combined by the method of variance estimates recovery (Newcombe, Statistics in Medicine 17,
        1998, method 10; Zou & Donner, Statistics in Medicine 27, 2008).
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
        # Rounding of the parts can move a bound out of the range.
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
        # With several samples per image, the mean may lie outside the proportion's bounds.
        low, high = low * part.farthest if part.alike else 0.0, high * part.farthest
        return min(low, part.mean), max(high, part.mean)


def sparse(
    values: Floats, group: NDArray[np.intp], limits: tuple[float, float] | None
) -> Sparse | None:
    """Describe values that are mostly the same; None if enough of them differ for a bootstrap.

    Args:
        values: ``[n]``.
        group: ``[n]`` index of each value's group, from 0.
        limits: smallest and largest possible value. Default: 0 and 1 if all values are 0 or 1, −1
            and 1 if all lie between, otherwise unknown.
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
    """Effective number of groups: smaller than their number if their sizes differ.

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
