"""Contribution of each image to a quantity, for averaging quantities over models."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from whyclip.studies.measurements import Values
from whyclip.studies.pairs import Pairs

Floats = NDArray[np.float64]


def pseudo_values(measured: Values | Pairs) -> tuple[float, dict[str, float]]:
    """Compute a mean or a correlation, and the jackknife's pseudo-value of each image.

    ``P_i = n θ − (n − 1) θ₋ᵢ``, with θ₋ᵢ the quantity without image i. Their mean is θ up to the
    jackknife correction. For a mean with one value per image, they equal the values. Efron &
    Tibshirani, An Introduction to the Bootstrap, 1993, chapter 11.

    Args:
        measured: values for a mean, or pairs for a Pearson correlation; NaN is ignored. A method
            with the same value in every case has correlation 0.

    Returns:
        θ, and the pseudo-value of each image that has a value.
    """
    if isinstance(measured, Pairs):
        x, y = (np.asarray(row, dtype=np.float64) for row in (measured.x, measured.y))
        there = ~(np.isnan(x) | np.isnan(y))
        x, y = x[there], y[there]
        columns = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], 1)
        statistic = _correlation
    else:
        x = np.asarray(measured.values, dtype=np.float64)
        there = ~np.isnan(x)
        columns = np.stack([np.ones(int(there.sum())), x[there]], 1)
        statistic = _mean
    groups = np.asarray(measured.groups, dtype=str)[there]
    images, index = np.unique(groups, return_inverse=True)
    if not len(images):
        return float("nan"), {}
    sums = np.zeros((len(images), columns.shape[1]))
    np.add.at(sums, index, columns)
    total = sums.sum(0)
    whole = float(statistic(total[None])[0])
    if len(images) < 2:
        return whole, {str(images[0]): whole}
    n, without = len(images), statistic(total - sums)
    pseudo = n * whole - (n - 1) * without
    return whole, dict(zip(map(str, images), pseudo.tolist(), strict=True))


def _mean(sums: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Floats = sums[:, 1] / sums[:, 0]
    return mean


def _correlation(sums: Floats) -> Floats:
    n, x, y, xx, yy, xy = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        of_x, of_y = xx - x * x / n, yy - y * y / n
        r = (xy - x * y / n) / np.sqrt(np.maximum(of_x, 0) * np.maximum(of_y, 0))
    # Treat a row that varies only by rounding errors as constant.
    constant = of_x <= 1e-12 * np.maximum(xx, 1e-300)
    clipped: Floats = np.where(constant, 0.0, np.clip(r, -1, 1))
    return clipped


def mean_ranks(values: Mapping[str, float]) -> dict[str, float]:
    """Rank methods by a value from 1 (best); equal values share their mean rank.

    Methods without a value rank last.
    """
    labels = list(values)
    row = np.array([-np.inf if np.isnan(values[label]) else values[label] for label in labels])
    better = (row[:, None] < row).sum(1)
    same = (row[:, None] == row).sum(1)
    return {label: float(b + (s + 1) / 2) for label, b, s in zip(labels, better, same, strict=True)}
