"""Two quantities over all cases of all images, and their correlation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from whyclip.stats.correlation import ranks
from whyclip.stats.distributions import t_quantile
from whyclip.stats.intervals import Interval

# Fisher's z is infinite for exactly proportional rows.
_LARGEST = 1 - 1e-12


@dataclass(frozen=True)
class Pairs:
    """Two values per case; cases of one image are not independent.

    Attributes:
        x: value of a method; NaN if it has none.
        y: measured value; NaN if it was not measured.
        groups: the image of each case.
    """

    x: Sequence[float]
    y: Sequence[float]
    groups: Sequence[str]

    @classmethod
    def pooled(cls, tables: Iterable[tuple[str, torch.Tensor, torch.Tensor]]) -> Pairs:
        """Collect tables of any shape: image, values of a method, measured values."""
        x: list[float] = []
        y: list[float] = []
        groups: list[str] = []
        for image, said, measured in tables:
            x += said.flatten().tolist()
            y += measured.flatten().tolist()
            groups += [image] * said.numel()
        return cls(x, y, groups)

    @property
    def values(self) -> Sequence[float]:
        """The values of the method."""
        return self.x

    def ranked(self) -> Pairs:
        """The ranks of both values among all cases, for Spearman's correlation."""
        x, y, groups = self._rows()
        return Pairs(
            ranks(torch.from_numpy(x)).tolist(), ranks(torch.from_numpy(y)).tolist(), list(groups)
        )

    def interval(
        self,
        *,
        share: bool = False,
        limits: tuple[float, float] | None = None,
        exact: bool = False,
        seed: int = 0,
    ) -> Interval:
        """Pearson correlation over all cases of all images, with its 95 % interval.

        Jackknife over images of Fisher's ``z = artanh r`` (Efron & Tibshirani, An Introduction to
        the Bootstrap, 1993, chapter 11), with Student's t and :func:`effective_freedom`. In
        a simulation of skewed, clustered pairs the coverage is .95 to .96 at 20 to 120 images. The
        correlation of a constant ``x`` is 0.

        Args:
            share: not used; the signature matches ``Values.interval``.
            limits: not used; a correlation lies between −1 and 1.
            exact: not used.
            seed: not used; the jackknife is deterministic.
        """
        del share, limits, exact, seed
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
        deviations = z - z.mean()
        error = float(np.sqrt((total - 1) / total * (deviations**2).sum()))
        reach = t_quantile(0.975, effective_freedom(deviations)) * error
        centre = float(np.arctanh(np.clip(whole, -_LARGEST, _LARGEST)))
        return Interval(
            whole, float(np.tanh(centre - reach)), float(np.tanh(centre + reach)), n, total
        )

    def __len__(self) -> int:
        """Return the number of cases."""
        return len(self.x)

    def _rows(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.str_]]:
        """The cases in which both values are known."""
        x, y = np.asarray(self.x, dtype=np.float64), np.asarray(self.y, dtype=np.float64)
        there = ~(np.isnan(x) | np.isnan(y))
        return x[there], y[there], np.asarray(self.groups, dtype=str)[there]


def effective_freedom(deviations: NDArray[np.float64]) -> float:
    """Degrees of freedom of a variance from n deviations d: ``2 (Σ d²)² / Σ d⁴ = 2 n / kurtosis``.

    Satterthwaite's approximation (Biometrics Bulletin 2, 1946): the variance is less certain if few
    deviations dominate the sum. At least 2.
    """
    squares = deviations**2
    return max(2.0, 2 * float(squares.sum() ** 2 / max((squares**2).sum(), 1e-300)))


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
        correlation: NDArray[np.float64] = (xy - x * y / n) / np.sqrt(product)
    return correlation
