"""Confidence intervals of a mean over models and images, both taken as random samples."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whyclip.errors import InputError
from whyclip.stats.distributions import t_quantile
from whyclip.stats.intervals import Interval, differences
from whyclip.stats.sparse import sparse
from whyclip.stats.studentised import RESAMPLES, Studentised

MIN_MODELS = 5
"""Fewest models for an interval with bounds."""

Floats = NDArray[np.float64]
Index = NDArray[np.intp]


def hierarchical_interval(
    values: ArrayLike,
    models: ArrayLike,
    images: ArrayLike,
    *,
    limits: tuple[float, float] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Mean over models, with an interval that generalises to other models and images.

    Every model has the same weight: the result is the mean of the models' means. The distance to
    each bound combines two parts as ``√(models² + images²)`` (the method of variance estimates
    recovery, Zou & Donner, Statistics in Medicine 27, 2008):

    - models: Student's t with K − 1 degrees of freedom times the standard error of the K models'
      means. With 5 models t is 2.8, so five models suffice only for large effects.
    - images: the distance of :class:`~whyclip.stats.studentised.Studentised` over images, times the
      share of its standard error that the models have in common. The first part already includes
      the scatter of each single model over images; if no two models share an image, this part is 0.

    We do not use a bootstrap over models and then images: with 5 models its intervals are too short
    by a factor of ``√((K−1)/K) · 1.96 / 2.78``, about 0.63.

    Args:
        values: float ``[n]``; NaN is ignored.
        models: ``[n]`` hashable; with fewer than ``MIN_MODELS`` different ones, bounds are NaN.
        images: ``[n]`` hashable; equal values are the same image, also for different models.
        limits: as for :func:`~whyclip.stats.intervals.interval`.
        level: 0 to 1.
        seed: random seed of the draws.

    Returns:
        ``n`` is the number of values, ``groups`` the number of images.

    Raises:
        InputError: the three rows differ in length.

    Example:
        >>> model, image = [k for k in range(6) for _ in range(30)], [*range(30)] * 6
        >>> found = hierarchical_interval([k + i / 30 for k, i in zip(model, image)], model, image)
        >>> round(found.mean, 2), 0.5 < found.low < 1.2, found.groups
        (2.98, True, 30)
    """
    row, model, image = _rows(values, models, images)
    if not len(row):
        nan = math.nan
        return Interval(nan, nan, nan, 0, 0)
    sizes = np.bincount(model)
    means = np.bincount(model, row) / sizes
    mean, number, pictures = float(means.mean()), len(means), int(image.max()) + 1
    if number < MIN_MODELS or pictures < 2:
        return Interval(mean, math.nan, math.nan, len(row), pictures)
    student = t_quantile((1 + level) / 2, number - 1)
    of_models = student * float(means.std(ddof=1)) / math.sqrt(number)
    below, above = _over_images(row, model, image, sizes, means, limits, level, seed)
    low, high = mean - math.hypot(of_models, below), mean + math.hypot(of_models, above)
    if limits is not None and not math.isnan(low):
        low, high = max(low, limits[0]), min(high, limits[1])
    return Interval(mean, low, high, len(row), pictures)


def over_models(means: ArrayLike, *, level: float = 0.95) -> Interval:
    """Mean over models, with an interval that generalises to other models.

    Student's t with K − 1 degrees of freedom; the value of each model is taken as exact.

    Args:
        means: ``[K]`` one value per model; with fewer than ``MIN_MODELS``, bounds are NaN.
        level: 0 to 1.

    Example:
        >>> interval = over_models([1.0, 2.0, 3.0, 4.0, 5.0])
        >>> round(interval.low, 2), round(interval.high, 2)
        (1.04, 4.96)
    """
    row = np.asarray(means, np.float64)
    number, mean = len(row), float(row.mean())
    if number < MIN_MODELS:
        return Interval(mean, math.nan, math.nan, number, number)
    reach = t_quantile((1 + level) / 2, number - 1) * float(row.std(ddof=1)) / math.sqrt(number)
    return Interval(mean, mean - reach, mean + reach, number, number)


def hierarchical_difference(
    a: ArrayLike,
    b: ArrayLike,
    models: ArrayLike,
    images: ArrayLike,
    *,
    limits: tuple[float, float] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Mean of a − b on the same models and images; see :func:`hierarchical_interval`.

    Args:
        a: float ``[n]``.
        b: float ``[n]``, of the same samples; ignored where either is NaN.
        models: ``[n]`` hashable.
        images: ``[n]`` hashable.
        limits: of the differences.
        level: 0 to 1.
        seed: random seed of the draws.

    Raises:
        InputError: the rows differ in length.
    """
    return hierarchical_interval(
        differences(a, b), models, images, limits=limits, level=level, seed=seed
    )


def _over_images(
    row: Floats,
    model: Index,
    image: Index,
    sizes: Index,
    means: Floats,
    limits: tuple[float, float] | None,
    level: float,
    seed: int,
) -> tuple[float, float]:
    """Distances from the mean to its bounds for other images, of these models.

    ``sizes`` and ``means`` are the models' numbers of values and their means.
    """
    rare = sparse(row, image, limits)
    if rare is not None:
        low, high = rare.bounds(level)
        middle = float(row.mean())
        return middle - low, high - middle
    weight = 1 / (len(sizes) * sizes[model])
    rest = weight * (row - means[model])
    # Effect of each image on the mean, after subtracting each model's mean.
    moved = np.bincount(image, rest)
    share = np.bincount(image, weight).astype(np.float64)
    over = Studentised(moved + float(means.mean()) * share, share, seed, RESAMPLES)
    if over.error == 0:
        return 0.0, 0.0
    cell = model * (int(image.max()) + 1) + image
    alone = np.bincount(cell, rest)
    # Σ_i Σ_{k≠l} of image i's effects on models k and l: the covariance of two models' means.
    shared = float(np.square(moved).sum() - np.square(alone).sum())
    shared *= len(sizes) / (len(sizes) - 1)
    in_common = math.sqrt(min(max(shared, 0.0) / float(np.square(moved).sum()), 1.0))
    low, high = over.bounds(level)
    return in_common * (over.mean - low), in_common * (high - over.mean)


def _rows(values: ArrayLike, models: ArrayLike, images: ArrayLike) -> tuple[Floats, Index, Index]:
    row = np.asarray(values, dtype=np.float64)
    first, second = np.asarray(models), np.asarray(images)
    if row.ndim != 1 or row.shape != first.shape or row.shape != second.shape:
        raise InputError(
            f"values, models and images of shapes {row.shape}, {first.shape} and {second.shape}; "
            "give three rows of one length"
        )
    there = ~np.isnan(row)
    _, model = np.unique(first[there], return_inverse=True)
    _, image = np.unique(second[there], return_inverse=True)
    return row[there], model, image
