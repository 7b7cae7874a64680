"""Mean per-class accuracy (mAcc) of regions, and its interval over images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyclip.errors import InputError
from whyclip.metrics import Interval
from whyclip.stats.intervals import interval
from whyclip.stats.studentised import RESAMPLES

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """Regions of one kind, counted by image and class, for n images and C classes.

    Attributes:
        total: ``[n, C]`` number of regions.
        correct: ``[n, C]`` number of regions whose class is among the k best, by k.
    """

    total: Floats
    correct: dict[int, Floats]

    @property
    def n(self) -> int:
        """Number of regions."""
        return int(self.total.sum())

    @property
    def images(self) -> int:
        """Number of images with at least one region of this kind."""
        return int((self.total.sum(1) > 0).sum())

    def per_class(self, k: int = 1) -> Floats:
        """Accuracy of each class ``[C]``; NaN for a class without a region."""
        return _divided(self.correct[k].sum(0), self.total.sum(0))

    def macc(self, k: int = 1) -> float:
        """Mean of the per-class accuracies over the classes that occur; NaN if none occurs."""
        return float(_mean_accuracy(self.correct[k].sum(0), self.total.sum(0)))

    def interval(
        self, k: int = 1, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
    ) -> Interval:
        """MAcc with its bootstrap-t interval over images.

        MAcc is not a mean over images, so each image is replaced by its jackknife pseudo-value
        ``n · mAcc − (n − 1) · mAcc without the image``. The interval of the pseudo-values is that
        of :func:`whyclip.stats.intervals.interval`. Efron & Tibshirani, An Introduction to the
        Bootstrap, 1993, sec. 11.5.

        Args:
            k: a region counts as correct if its class is among the k best.
            level: confidence level, 0 to 1.
            resamples: number of bootstrap samples.
            seed: random seed of the samples.

        Returns:
            ``n`` counts regions and ``groups`` images; the bounds are NaN for fewer than two
            images.
        """
        there = self.total.sum(1) > 0
        values = _pseudo_values(self.correct[k][there], self.total[there])
        bounds = interval(values, limits=(0, 1), level=level, resamples=resamples, seed=seed)
        return Interval(self.macc(k), bounds.low, bounds.high, self.n, len(values))


def macc_difference(
    a: Counts,
    b: Counts,
    k: int = 1,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Difference of mAcc, a minus b, on the same regions, with its paired interval over images.

    The interval is computed as in :meth:`Counts.interval`, from differences of pseudo-values.

    Args:
        a: counts of one model.
        b: counts of another model on the same images.
        k: a region counts as correct if its class is among the k best.
        level: confidence level, 0 to 1.
        resamples: number of bootstrap samples.
        seed: random seed of the samples.

    Raises:
        InputError: the two are not counts of the same regions.
    """
    if a.total.shape != b.total.shape or (a.total != b.total).any():
        raise InputError("the counts are of different regions; classify the same Prepared twice")
    there = a.total.sum(1) > 0
    values = _pseudo_values(a.correct[k][there], a.total[there])
    values -= _pseudo_values(b.correct[k][there], a.total[there])
    bounds = interval(values, limits=(-1, 1), level=level, resamples=resamples, seed=seed)
    return Interval(a.macc(k) - b.macc(k), bounds.low, bounds.high, a.n, len(values))


def count(
    image: NDArray[np.int64],
    labels: NDArray[np.int64],
    rank: NDArray[np.int64],
    shape: tuple[int, int],
    top: tuple[int, ...],
) -> Counts:
    """Count regions by image and class.

    Args:
        image: ``[r]`` row of the region's image.
        labels: ``[r]`` true class.
        rank: ``[r]`` rank of the true class by score, from 0.
        shape: number of images and of classes.
        top: the values of k.
    """

    def counted(which: NDArray[np.bool_]) -> Floats:
        counts = np.zeros(shape)
        np.add.at(counts, (image[which], labels[which]), 1)
        return counts

    return Counts(counted(rank >= 0), {k: counted(rank < k) for k in top})


def _mean_accuracy(correct: Floats, total: Floats) -> Floats:
    """Mean of correct / total over the last axis, where total is not 0; NaN if there is none."""
    there = total > 0
    return _divided(
        np.divide(correct, total, out=np.zeros_like(correct), where=there).sum(-1), there.sum(-1)
    )


def _divided(a: Floats, b: Floats) -> Floats:
    return np.divide(a, b, out=np.full_like(a, np.nan, dtype=np.float64), where=np.asarray(b) > 0)


def _pseudo_values(correct: Floats, total: Floats) -> Floats:
    """Jackknife pseudo-values ``[n]`` of mAcc, from the counts of n images ``[n, C]``."""
    n, all_correct, all_total = len(total), correct.sum(0), total.sum(0)
    without = _mean_accuracy(all_correct - correct, all_total - total)
    values = n * _mean_accuracy(all_correct, all_total) - (n - 1) * without
    # Without this, rounding would make equal images differ.
    return np.round(values, 10) if n > 1 else values
