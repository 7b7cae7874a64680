"""mAcc and its interval, compared with plain loops and a simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from whyclip.errors import InputError
from whyclip.regions.counts import Counts, count, macc_difference
from whyclip.stats.intervals import interval


def world(
    seed: int, images: int = 20, classes: int = 6, per_image: int = 4
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, label and rank of regions whose accuracy depends on class and image."""
    rng = np.random.default_rng(seed)
    image = np.repeat(np.arange(images), per_image)
    labels = rng.integers(0, classes, images * per_image)
    easy = rng.normal(0, 0.2, images)[image] + np.linspace(0.3, 0.9, classes)[labels]
    return image, labels, np.where(rng.random(len(image)) < easy, 0, rng.integers(1, 8, len(image)))


def slow_macc(labels: np.ndarray, rank: np.ndarray, k: int) -> float:
    shares = []
    for label in sorted(set(labels.tolist())):
        mine = [r for one, r in zip(labels, rank, strict=True) if one == label]
        shares.append(sum(r < k for r in mine) / len(mine))
    return sum(shares) / len(shares)


def counts_of(seed: int, **shape: int) -> Counts:
    image, labels, rank = world(seed, **shape)
    return count(image, labels, rank, (image.max() + 1, shape.get("classes", 6)), (1, 5))


@pytest.mark.parametrize("seed", range(4))
def test_macc_by_a_loop(seed: int) -> None:
    image, labels, rank = world(seed)
    # One class more than occur, and one image without a region.
    counts = count(image, labels, rank, (21, 7), (1, 5))
    for k in (1, 5):
        assert counts.macc(k) == pytest.approx(slow_macc(labels, rank, k))
        assert counts.interval(k).mean == pytest.approx(slow_macc(labels, rank, k))
    assert math.isnan(counts.per_class()[6])
    assert counts.n == 80
    assert counts.images == counts.interval().groups == 20


def test_macc_is_not_accuracy() -> None:
    """Nine right of one class and one wrong of another: accuracy .9, mAcc .5."""
    rank = np.array([0] * 9 + [3])
    labels = np.array([0] * 9 + [1])
    assert count(np.arange(10), labels, rank, (10, 2), (1,)).macc() == 0.5


def test_the_interval_by_leaving_out_images_one_by_one() -> None:
    image, labels, rank = world(3)
    whole = slow_macc(labels, rank, 1)
    values = []
    for left_out in range(20):
        others = image != left_out
        values.append(20 * whole - 19 * slow_macc(labels[others], rank[others], 1))
    plain = interval(values, limits=(0, 1), seed=1)
    result = counts_of(3).interval(seed=1)
    assert (result.low, result.high) == pytest.approx((plain.low, plain.high), abs=1e-6)
    error = np.std(values, ddof=1) / math.sqrt(20)
    assert 3.9 < (result.high - result.low) / error < 6
    assert result.low < result.mean < result.high


def test_the_interval_covers_the_truth() -> None:
    """Of 150 worlds with a common truth, at least 92 % of the 95 % intervals hold it."""
    shape = {"images": 60, "classes": 6, "per_image": 4}
    all_counts = [counts_of(seed, **shape) for seed in range(600)]
    truth = np.mean([counts.macc() for counts in all_counts])
    intervals = [counts.interval(resamples=400) for counts in all_counts[:150]]
    covered = np.mean([one.low <= truth <= one.high for one in intervals])
    assert 0.92 <= covered <= 1
    spread = np.std([counts.macc() for counts in all_counts])
    width = np.mean([one.high - one.low for one in intervals])
    assert 0.95 < width / (2 * 1.96 * spread) < 1.35


def test_equal_images_have_the_exact_bound_of_a_share() -> None:
    """All of 12 images are right: the 12th root of 0.025, by Clopper and Pearson."""
    equal = count(np.arange(12), np.zeros(12, int), np.zeros(12, int), (12, 3), (1,))
    assert equal.interval()[:3] == pytest.approx((1, 0.025 ** (1 / 12), 1))
    alone = count(np.zeros(3, int), np.arange(3), np.array([0, 0, 4]), (1, 3), (1,))
    assert alone.interval().mean == pytest.approx(2 / 3)
    assert math.isnan(alone.interval().low)


def test_paired_differences_are_sharper() -> None:
    image, labels, rank = world(5, images=40)
    better = np.where(np.arange(len(rank)) % 10 == 0, 0, rank)
    a, b = (count(image, labels, one, (40, 6), (1,)) for one in (better, rank))
    difference = macc_difference(a, b)
    assert difference.mean == pytest.approx(a.macc() - b.macc())
    assert difference.low <= difference.mean <= difference.high
    assert difference.high - difference.low < 0.6 * (a.interval().high - a.interval().low)
    most = 1 - 0.025 ** (1 / 40)
    assert macc_difference(a, a)[:3] == pytest.approx((0, -most, most))
    with pytest.raises(InputError, match="of different regions"):
        macc_difference(a, counts_of(6, images=40))
