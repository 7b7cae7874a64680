"""Simulate how often the 95 % interval of the mean per-class accuracy (mAcc) contains the truth.

    python -m benchmarks.coverage_regions

Images have 1 to 5 regions. Classes differ in frequency and accuracy, and the regions of an image
are correlated. The truth is the mAcc of many such images. The percentile bootstrap over images is
reported for comparison.
"""

from __future__ import annotations

import argparse

import numpy as np

from whyclip.regions.counts import Counts, count

# Number of classes, whether nearly all regions are correct, and numbers of images.
WORLDS = (
    (6, False, (30, 60, 100)),
    (20, False, (30, 60, 100)),
    (60, False, (30, 100)),
    (160, False, (30, 100, 400)),
    (6, True, (30, 60, 100)),
    (60, True, (100,)),
)
MANY = 4000


def drawn(rng: np.random.Generator, images: int, classes: int, *, easy: bool) -> Counts:
    """Draw images with regions, and count the correct ones."""
    image = np.repeat(np.arange(images), rng.integers(1, 6, images))
    often = 1 / np.sqrt(np.arange(1, classes + 1))
    labels = rng.choice(classes, len(image), p=often / often.sum())
    share = np.linspace(0.97, 1, classes) if easy else np.linspace(0.3, 0.9, classes)
    of_image = rng.normal(0, 0.0 if easy else 0.2, images)
    right = rng.random(len(image)) < share[labels] + of_image[image]
    return count(image, labels, np.where(right, 0, 1), (images, classes), (1,))


def percentile(counts: Counts, rng: np.random.Generator, draws: int = 400) -> tuple[float, float]:
    """Compute the percentile bootstrap interval of the mAcc over images."""
    n = len(counts.total)
    values = []
    for weights in rng.multinomial(n, np.full(n, 1 / n), size=draws):
        total, correct = weights @ counts.total, weights @ counts.correct[1]
        values.append((correct[total > 0] / total[total > 0]).mean())
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    """Print one line per world and number of images."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repetitions", type=int, default=400)
    repetitions = parser.parse_args().repetitions
    print("classes  easy  images  coverage  width   percentile bootstrap: coverage  width")
    for classes, easy, numbers in WORLDS:
        rng = np.random.default_rng(1)
        truth = np.mean([drawn(rng, MANY, classes, easy=easy).macc() for _ in range(3)])
        for images in numbers:
            bounds = []
            for repetition in range(repetitions):
                counts = drawn(rng, images, classes, easy=easy)
                interval = counts.interval(seed=repetition % 2)
                bounds.append([interval.low, interval.high, *percentile(counts, rng)])
            low, high, p_low, p_high = np.array(bounds).T
            covered = ((low <= truth) & (truth <= high)).mean()
            p_covered = ((p_low <= truth) & (truth <= p_high)).mean()
            print(
                f"{classes:7d}  {easy!s:5}  {images:5d}  {covered:8.3f}  {(high - low).mean():.3f}"
                f"  {p_covered:29.3f}  {(p_high - p_low).mean():.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
