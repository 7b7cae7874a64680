"""Two quantities over all cases of all images, and how closely one follows the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from whyclip.stats.correlation import ranks
from whyclip.stats.intervals import Interval

# Of two rows that are exactly proportional, Fisher's z is infinite.
_LARGEST = 1 - 1e-12
_Z = 1.959963985


@dataclass(frozen=True)
class Pairs:
    """Two numbers for each case; cases of one image are not independent.

    Attributes:
        x: what a method says; NaN where it says nothing.
        y: what was measured; NaN where it was not.
        groups: the image of each case.
    """

    x: Sequence[float]
    y: Sequence[float]
    groups: Sequence[str]

    @property
    def values(self) -> Sequence[float]:
        """What a method says."""
        return self.x

    def ranked(self) -> Pairs:
        """The same by rank among all cases, for Spearman's correlation."""
        x, y, groups = self._rows()
        return Pairs(
            ranks(torch.from_numpy(x)).tolist(), ranks(torch.from_numpy(y)).tolist(), list(groups)
        )

    def interval(self, *, share: bool = False, seed: int = 0) -> Interval:
        """Pearson correlation over all cases of all images, with its 95 % interval.

        Jackknife over images of Fisher's ``z = artanh r``, with Student's t of one degree of
        freedom fewer than there are images. Efron & Tibshirani, An Introduction to the Bootstrap,
        1993, chapter 11. A simulation of skewed, clustered pairs covers .94 at 60 images and .95
        at 120. A constant ``x``, which says the same of every case, has correlation 0.

        Args:
            share: not used.
            seed: not used: nothing is drawn.
        """
        del share, seed
        x, y, groups = self._rows()
        nan = float("nan")
        kinds, group = np.unique(groups, return_inverse=True)
        total, n = len(kinds), len(x)
        if n < 2 or _constant(y):
            return Interval(nan, nan, nan, 0, 0)
        if _constant(x):
            return Interval(0.0, 0.0, 0.0, n, total)
        moments = _moments(x, y, group, total)
        whole = float(_correlation(moments.sum(0)))
        if total < 2:
            return Interval(whole, nan, nan, n, total)
        z = np.arctanh(np.clip(_correlation(moments.sum(0) - moments), -_LARGEST, _LARGEST))
        if np.isnan(z).any():
            return Interval(whole, nan, nan, n, total)
        error = float(np.sqrt((total - 1) / total * ((z - z.mean()) ** 2).sum()))
        reach = student(total - 1) * error
        centre = float(np.arctanh(np.clip(whole, -_LARGEST, _LARGEST)))
        return Interval(
            whole, float(np.tanh(centre - reach)), float(np.tanh(centre + reach)), n, total
        )

    def __len__(self) -> int:
        """Return the number of cases."""
        return len(self.x)

    def _rows(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.str_]]:
        """The cases of which both numbers are known."""
        x, y = np.asarray(self.x, dtype=np.float64), np.asarray(self.y, dtype=np.float64)
        there = ~(np.isnan(x) | np.isnan(y))
        return x[there], y[there], np.asarray(self.groups, dtype=str)[there]


def student(freedom: int) -> float:
    """The 97.5 % point of Student's t; the expansion of Abramowitz & Stegun, 1964, 26.7.5.

    Example:
        >>> [round(student(n), 3) for n in (9, 23, 119)]
        [2.262, 2.069, 1.98]
    """
    z, v = _Z, float(freedom)
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )


def _constant(row: NDArray[np.float64]) -> bool:
    return not float(np.ptp(row)) > 1e-9 * float(np.abs(row).max())


def _moments(
    x: NDArray[np.float64], y: NDArray[np.float64], group: NDArray[np.int64], total: int
) -> NDArray[np.float64]:
    """Sums of each group ``[g, 6]``: number, x, y, x², y², xy; of centred and scaled rows."""
    x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    rows = (np.ones_like(x), x, y, x * x, y * y, x * y)
    return np.stack([np.bincount(group, row, total) for row in rows], 1)


def _correlation(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    n, x, y, xx, yy, xy = np.moveaxis(moments, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        product = (xx - x * x / n) * (yy - y * y / n)
        found: NDArray[np.float64] = (xy - x * y / n) / np.sqrt(product)
    return found
