"""Mean per-class accuracy (mAcc) of regions, and its bootstrap interval over images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyclip.errors import InputError
from whyclip.metrics import Interval

RESAMPLES = 2000
_NUMBERS_AT_ONCE = 2_000_000

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
        """Number of images that have such a region."""
        return int((self.total.sum(1) > 0).sum())

    def per_class(self, k: int = 1) -> Floats:
        """Accuracy of each class ``[C]``; NaN for a class without a region."""
        return _divided(self.correct[k].sum(0), self.total.sum(0))

    def macc(self, k: int = 1) -> float:
        """Mean over the classes that occur of the accuracy within the class; NaN without one."""
        return float(_mean_accuracy(self.correct[k].sum(0), self.total.sum(0)))

    def interval(
        self, k: int = 1, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
    ) -> Interval:
        """MAcc with its percentile bootstrap interval over images.

        Whole images are resampled with replacement, and mAcc is computed from the sums of each
        draw; classes that do not occur in a draw are ignored. Efron & Tibshirani, An Introduction
        to the Bootstrap, 1993, chapter 13.

        Args:
            k: a region counts as correct if its class is among the k best.
            level: 0 to 1.
            resamples: number of draws.
            seed: of the draws.

        Returns:
            ``n`` counts regions and ``groups`` images; the bounds are NaN for fewer than two
            images.
        """
        there = self.total.sum(1) > 0
        total, correct = self.total[there], self.correct[k][there]
        if len(total) < 2:
            return Interval(self.macc(k), np.nan, np.nan, self.n, len(total))
        drawn = [
            _mean_accuracy(weights @ correct, weights @ total)
            for weights in _draws(len(total), resamples, seed)
        ]
        return _interval(self.macc(k), drawn, level, self.n, len(total))


def macc_difference(
    a: Counts,
    b: Counts,
    k: int = 1,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """MAcc of a minus mAcc of b on the same regions, with its paired bootstrap interval.

    Args:
        a: of one model.
        b: of another model on the same images.
        k: a region counts as correct if its class is among the k best.
        level: 0 to 1.
        resamples: number of draws.
        seed: of the draws.

    Raises:
        InputError: the two are not counts of the same regions.
    """
    if a.total.shape != b.total.shape or (a.total != b.total).any():
        raise InputError("the two counts are not of the same regions; classify one Prepared twice")
    there = a.total.sum(1) > 0
    total, first, second = a.total[there], a.correct[k][there], b.correct[k][there]
    difference = a.macc(k) - b.macc(k)
    if len(total) < 2:
        return Interval(difference, np.nan, np.nan, a.n, len(total))
    drawn = []
    for weights in _draws(len(total), resamples, seed):
        sums = weights @ total
        drawn.append(_mean_accuracy(weights @ first, sums) - _mean_accuracy(weights @ second, sums))
    return _interval(difference, drawn, level, a.n, len(total))


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


def _draws(n: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Number of times that each of n images is drawn, in chunks ``[resamples, n]``."""
    rng = np.random.default_rng((seed, 6))
    at_once = max(1, _NUMBERS_AT_ONCE // n)
    for start in range(0, resamples, at_once):
        size = min(at_once, resamples - start)
        yield rng.multinomial(n, np.full(n, 1 / n), size=size).astype(np.float64)


def _interval(value: float, drawn: list[Floats], level: float, n: int, images: int) -> Interval:
    low, high = np.quantile(np.concatenate(drawn), [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), n, images)
