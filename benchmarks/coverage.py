"""Simulate how often whyclip's 95 % intervals contain the true value.

    python -m benchmarks.coverage                     # 2,000 repetitions; writes coverage.json
    python -m benchmarks.coverage --repetitions 300 --only contrast

A cell is a distribution with known mean and a number of images. Samples are drawn from it, whyclip
computes the interval, and the share of intervals that contain the true mean is counted. An interval
without bounds, or from too few images for a verdict, excludes no value and counts as containing the
mean. The share of intervals with bounds is therefore reported too. These criteria were written
before the intervals were chosen:

1. Coverage is at least 0.93 in every cell (nominal 0.95; one standard error of 2,000 repetitions
   is 0.006), at every number of images from ``MIN_GROUPS``.
2. In all cells except the rare ones, at least 95 % of the intervals have bounds.
3. For normal values, the mean width is at most 1.4 times that of the normal theory at the smallest
   number of images for a verdict, and at most 1.15 times from 100 images.
4. One interval of 100 images takes at most 20 ms.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.coverage_models import MODEL_CELLS, ModelCell
from benchmarks.coverage_models import measured as measured_over_models
from whyclip.stats import intervals
from whyclip.stats.contrasts import contrast
from whyclip.stats.intervals import Interval
from whyclip.stats.verdict import MIN_GROUPS

RESULT = Path(__file__).with_name("coverage.json")
REPETITIONS = 2000
LEAST = 0.93
BOUNDED = 0.95
IMAGES = tuple(n for n in (10, 14, 20, 30, 45, 70, 100, 200) if n >= MIN_GROUPS)
# Draws depend only on the seed and the number of images; those of two seeds are cached.
SEEDS = 2

Draw = Callable[[np.random.Generator, int], Any]


@dataclass(frozen=True)
class Cell:
    """A distribution with its true mean, and the kind of interval to test."""

    kind: str
    name: str
    draw: Draw
    truth: float
    rare: bool = False

    @property
    def title(self) -> str:
        return f"{self.kind}, {self.name}"

    def interval(self, rng: np.random.Generator, images: int, seed: int) -> Interval:
        """Draw a sample and compute whyclip's interval."""
        drawn = self.draw(rng, images)
        if self.kind == "paired":
            a, b = drawn
            return intervals.paired_difference(a, b, seed=seed)
        if self.kind == "contrast":
            values, condition, groups = drawn
            return contrast(values, condition, groups=groups, seed=seed)
        if self.kind == "share":
            values, groups = drawn
            return intervals.share_interval(values, groups=groups)
        values, groups = drawn if isinstance(drawn, tuple) else (drawn, None)
        return intervals.interval(values, groups=groups, seed=seed)


def sizes(rng: np.random.Generator, images: int) -> tuple[Any, Any]:
    """Draw images with 1 to 8 samples: number of samples per image, and image of each sample."""
    size = rng.integers(1, 9, images)
    return size, np.repeat(np.arange(images), size)


def clustered(effect: Draw) -> Draw:
    """Multiply an effect shared by the samples of an image by independent noise with mean 1."""

    def draw(rng: np.random.Generator, images: int) -> Any:
        _, group = sizes(rng, images)
        return effect(rng, images)[group] * rng.exponential(1, len(group)), group

    return draw


def larger_with_size(rng: np.random.Generator, images: int) -> Any:
    """Images with more samples have larger values."""
    size, group = sizes(rng, images)
    effect = rng.exponential(1, images) * size
    return effect[group] + rng.normal(size=len(group)), group


def rare(share: float, amount: Draw) -> Draw:
    """Zero, except in a share of the images."""
    return lambda rng, n: (rng.random(n) < share) * amount(rng, n)


def rare_clustered(share: float) -> Draw:
    """All samples of a rare image are −1."""

    def draw(rng: np.random.Generator, images: int) -> Any:
        _, group = sizes(rng, images)
        return -(rng.random(images) < share).astype(float)[group], group

    return draw


def ties(rng: np.random.Generator, n: int) -> Any:
    """Seven of ten values are exactly 1; the others lie below."""
    return np.where(rng.random(n) < 0.7, 1.0, rng.beta(4, 1, n))


def pair(first: Draw, second: Draw, shared: float) -> Draw:
    """Two quantities with a common part."""

    def draw(rng: np.random.Generator, n: int) -> Any:
        common = shared * rng.normal(size=n)
        return first(rng, n) + common, second(rng, n) + common

    return draw


def pair_of_hits(only_first: float, only_second: float) -> Draw:
    """Hits of two methods, which are both right in half of the other cases."""

    def draw(rng: np.random.Generator, n: int) -> Any:
        u = rng.random(n)
        both = rng.random(n) < 0.5
        differ = u < only_first + only_second
        return np.where(differ, u < only_first, both) * 1.0, np.where(
            differ, u >= only_first, both
        ) * 1.0

    return draw


def sides(where_true: Draw, where_false: Draw, share: float, *, within: bool) -> Draw:
    """Values under a condition that differs within images, or only between them."""

    def draw(rng: np.random.Generator, images: int) -> Any:
        _, group = sizes(rng, images)
        n = len(group)
        is_so = rng.random(n) < share if within else (rng.random(images) < share)[group]
        common = rng.exponential(1, images)[group]
        return np.where(is_so, where_true(rng, n), where_false(rng, n)) + common, is_so, group

    return draw


def sides_of_hits(where_true: float, where_false: float) -> Draw:
    """One hit or miss per image, on two sides of the same size."""

    def draw(rng: np.random.Generator, images: int) -> Any:
        is_so = rng.random(images) < 0.5
        hit = rng.random(images) < np.where(is_so, where_true, where_false)
        return hit.astype(float), is_so, np.arange(images)

    return draw


def hits(share: float) -> Draw:
    """One hit or miss per image."""
    return lambda rng, n: ((rng.random(n) < share).astype(float), np.arange(n))


def clustered_hits(share: float, together: float) -> Draw:
    """Hits whose probability differs by image (beta); ``together`` is their dependence, 0..1."""
    a = share * (1 / together - 1)
    b = (1 - share) * (1 / together - 1)

    def draw(rng: np.random.Generator, images: int) -> Any:
        _, group = sizes(rng, images)
        chance = rng.beta(a, b, images)
        return (rng.random(len(group)) < chance[group]).astype(float), group

    return draw


def nothing(_: np.random.Generator, n: int) -> Any:
    return np.zeros(n)


def exponential(rng: np.random.Generator, n: int) -> Any:
    return rng.exponential(1, n)


def lognormal(sigma: float) -> Draw:
    return lambda rng, n: rng.lognormal(0, sigma, n)


def minus_one(_: np.random.Generator, n: int) -> Any:
    return -np.ones(n)


def either_sign(rng: np.random.Generator, n: int) -> Any:
    return rng.choice([-1.0, 1.0], n)


def _cells() -> tuple[Cell, ...]:
    mean_size_of_size = (8 + 1) * (2 * 8 + 1) / 6 / ((8 + 1) / 2)
    cells = [
        Cell("mean", "normal", lambda rng, n: rng.normal(0, 1, n), 0.0),
        Cell("mean", "uniform", lambda rng, n: rng.random(n), 0.5),
        Cell("mean", "exponential", exponential, 1.0),
        Cell("mean", "log-normal", lognormal(1.0), math.exp(0.5)),
        Cell("mean", "near 1, beta(8, 0.4)", lambda rng, n: rng.beta(8, 0.4, n), 8 / 8.4),
        Cell("mean", "near 1, 70 % ties", ties, 0.7 + 0.3 * 0.8),
        Cell("mean", "half zero, half exponential", rare(0.5, exponential), 0.5),
        Cell("clustered", "exponential", clustered(exponential), 1.0),
        Cell("clustered", "log-normal", clustered(lognormal(1.0)), math.exp(0.5)),
        Cell("clustered", "larger with size", larger_with_size, mean_size_of_size),
        Cell("paired", "log-normal", pair(lognormal(1), lognormal(0.6), 2.0),
             math.exp(0.5) - math.exp(0.18)),
        Cell("paired", "exponential", pair(exponential, exponential, 1.0), 0.0),
        Cell("contrast", "exponential within images",
             sides(exponential, nothing, 0.7, within=True), 1.0),
        Cell("contrast", "log-normal between images",
             sides(lognormal(1), exponential, 0.5, within=False), math.exp(0.5) - 1),
        Cell("contrast", "hits 0.95 and 0.8", sides_of_hits(0.95, 0.8), 0.15),
        Cell("contrast", "rare hits 0.02 and 0.05", sides_of_hits(0.02, 0.05), -0.03),
        Cell("paired", "hits, 30 % and 20 % differ", pair_of_hits(0.3, 0.2), 0.1),
    ]  # fmt: skip
    for share in (0.02, 0.05, 0.1):
        percent = f"{100 * share:g} %"
        cells += [
            Cell("rare", f"−1 in {percent}", rare(share, minus_one), -share, rare=True),
            Cell("rare", f"±1 in {percent}", rare(share, either_sign), 0.0, rare=True),
            Cell("rare", f"0 to 0.1 in {percent}",
                 rare(share, lambda rng, n: 0.1 * rng.random(n)), 0.05 * share, rare=True),
            Cell("rare", f"exponential in {percent}", rare(share, exponential), share, rare=True),
            Cell("rare", f"clustered −1 in {percent}", rare_clustered(share), -share, rare=True),
            Cell("paired", f"hits, {percent} and {percent} differ",
                 pair_of_hits(share, share), 0.0, rare=True),
            Cell("paired", f"hits, {percent} differ", pair_of_hits(share, 0), share, rare=True),
        ]  # fmt: skip
    for share in (0.02, 0.0278, 0.1, 0.5, 0.9, 0.97):
        cells.append(Cell("share", f"{share:g}", hits(share), share))
    for share, together in ((0.05, 0.5), (0.5, 0.3), (0.9, 0.5), (0.9, 0.9)):
        name = f"{share:g}, clustered ({together:g})"
        cells.append(Cell("share", name, clustered_hits(share, together), share))
    return tuple(cells)


CELLS = _cells()


def measured(cell: Cell, images: int, repetitions: int, seed: int = 0) -> dict[str, float]:
    """Measure coverage, misses on each side, share of intervals with bounds, and mean width."""
    rng = np.random.default_rng((seed, images, *cell.title.encode()))
    below = above = bounded = 0
    widths = []
    for repetition in range(repetitions):
        value = cell.interval(rng, images, repetition % SEEDS)
        if value.groups < MIN_GROUPS or math.isnan(value.low) or math.isnan(value.high):
            continue
        bounded += 1
        # A difference by rounding is not a miss.
        below += value.high < cell.truth - 1e-12
        above += value.low > cell.truth + 1e-12
        widths.append(value.high - value.low)
    return {
        "coverage": round(1 - (below + above) / repetitions, 4),
        "interval below the mean": round(below / repetitions, 4),
        "interval above the mean": round(above / repetitions, 4),
        "bounded": round(bounded / repetitions, 4),
        "width": float(f"{np.mean(widths):.4g}") if widths else math.nan,
    }


def milliseconds(images: int = 100, repetitions: int = 20) -> float:
    """Measure the processor time of one interval, with new draws each time and no cache."""
    rng = np.random.default_rng(0)
    values = rng.lognormal(size=3 * images)
    groups = np.repeat(np.arange(images), 3)
    start = time.process_time()
    for seed in range(repetitions):
        intervals.interval(values, groups=groups, seed=1000 + seed)
    return 1000 * (time.process_time() - start) / repetitions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--only", default="", help="part of a cell's title")
    parser.add_argument("--images", type=int, nargs="*", default=IMAGES)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    cells: dict[str, Any] = {}
    over_models: dict[str, Any] = {}
    with ProcessPoolExecutor(given.processes) as pool:
        chosen = [cell for cell in CELLS if given.only in cell.title]
        row_of = partial(_row, images=given.images, repetitions=given.repetitions)
        rows = pool.map(row_of, [cell.title for cell in chosen])
        for cell, row in zip(chosen, rows, strict=True):
            cells[cell.title] = row
            _show(cell, row)
        models = [cell for cell in MODEL_CELLS if given.only in cell.title]
        row_of = partial(_row_over_models, repetitions=given.repetitions)
        rows = pool.map(row_of, [cell.title for cell in models])
        for model_cell, row in zip(models, rows, strict=True):
            over_models[model_cell.title] = row
            _show(model_cell, row)
    result = {
        "repetitions": given.repetitions,
        "least coverage": LEAST,
        "milliseconds at 100 images": round(milliseconds(), 1),
        "cells": cells,
        "cells over models": over_models,
    }
    if not given.only and tuple(given.images) == IMAGES:
        RESULT.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


# Cells contain closures, which cannot be sent to other processes.
def _row_over_models(title: str, repetitions: int) -> dict[str, Any]:
    [cell] = [cell for cell in MODEL_CELLS if cell.title == title]
    return measured_over_models(cell, repetitions)


def _row(title: str, images: Sequence[int], repetitions: int) -> dict[str, Any]:
    [cell] = [cell for cell in CELLS if cell.title == title]
    return {str(n): measured(cell, n, repetitions) for n in images}


def _show(cell: Cell | ModelCell, row: dict[str, dict[str, float]]) -> None:
    shown = " ".join(
        f"{n}:{'!' if numbers['coverage'] < LEAST else ''}{numbers['coverage']:.3f}"
        + (f"({numbers['bounded']:.2f})" if numbers["bounded"] < 1 else "")
        for n, numbers in row.items()
    )
    print(f"{cell.title:40s} {shown}", flush=True)


if __name__ == "__main__":
    main()
