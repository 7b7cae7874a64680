"""Statistics of a finished run per prompt, read part by part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from whyclip.bulk.result import BulkResult
from whyclip.bulk.schema import MAP, SCALE

Floats = NDArray[np.float64]

PROMPTS = 20
"""Number of prompts in a report: the most frequent ones."""
SAMPLE = 1500
"""Number of maps per prompt that are kept for clusters, chosen at random."""
SIDE = 14
"""Rows and columns to which maps are resized if they differ between images."""
WORDS = 20
"""Number of words in a report: those with most scores."""


@dataclass
class PromptStatistics:
    """Sums over the maps of one prompt.

    Shares are shares of a map's positive relevance; means exclude maps without positive relevance.

    Attributes:
        prompt: the prompt.
        scores: match scores of all images.
        count: number of maps.
        kept: numbers of the rows whose maps are kept for clusters.
        maps: these maps, ``[gh, gw]``, each divided by its largest absolute value.
    """

    prompt: str
    grid: tuple[int, int]
    scores: list[float] = field(default_factory=list)
    inside: list[float] = field(default_factory=list)
    border: list[float] = field(default_factory=list)
    corner: list[float] = field(default_factory=list)
    half: list[float] = field(default_factory=list)
    count: int = 0
    kept: list[int] = field(default_factory=list)
    maps: list[Floats] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Set all sums to zero."""
        self._sum, self._squares = np.zeros(self.grid), np.zeros(self.grid)

    def add(self, row: int, values: Floats, rng: np.random.Generator) -> None:
        """Add one map; keep it or not by reservoir sampling."""
        peak = np.abs(values).max()
        scaled = values / peak if peak > 0 else values
        self._sum += scaled
        self._squares += scaled**2
        self.count += 1
        positive = np.maximum(values, 0)
        if positive.sum() > 0:
            self.border.append(float(positive[ring(self.grid)].sum() / positive.sum()))
            self.corner.append(float(positive[corners(self.grid)].sum() / positive.sum()))
            self.half.append(half_area(positive))
        place = len(self.kept) if len(self.kept) < SAMPLE else int(rng.integers(self.count))
        if place == len(self.kept):
            self.kept.append(row)
            self.maps.append(scaled)
        elif place < SAMPLE:
            self.kept[place], self.maps[place] = row, scaled

    @property
    def mean(self) -> Floats:
        """Mean of the maps, each divided by its largest absolute value."""
        return self._sum / max(self.count, 1)

    @property
    def spread(self) -> Floats:
        """Standard deviation of these maps, per patch."""
        return np.sqrt(np.maximum(self._squares / max(self.count, 1) - self.mean**2, 0))


def ring(grid: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask of the patches at the border of the grid."""
    mask = np.ones(grid, bool)
    mask[1:-1, 1:-1] = False
    return mask


def corners(grid: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask of the grid's four corners, each a quarter of the height by a quarter of the width."""
    rows, columns = (np.arange(side) for side in grid)
    high, wide = (max(1, side // 4) for side in grid)
    vertical = (rows < high) | (rows >= grid[0] - high)
    horizontal = (columns < wide) | (columns >= grid[1] - wide)
    return np.asarray(vertical[:, None] & horizontal[None])


def half_area(positive: Floats) -> float:
    """Smallest share of the patches that contains half of the positive relevance."""
    ordered = np.sort(positive.ravel())[::-1]
    return float((np.searchsorted(ordered.cumsum(), ordered.sum() / 2) + 1) / ordered.size)


@dataclass(frozen=True)
class Statistics:
    """Statistics of a run.

    Attributes:
        prompts: the most frequent prompts, the most frequent first.
        words: for the words with most scores, their number and their mean relevance.
        images: number of images.
        errors: number of images with an error.
        distinct: number of different prompts.
    """

    prompts: tuple[PromptStatistics, ...]
    words: tuple[tuple[str, int, float], ...]
    images: int
    errors: int
    distinct: int


def statistics(result: BulkResult, seed: int = 0) -> Statistics:
    """Read a run once for its prompts, and once for their maps and words."""
    counts: Counter[str] = Counter()
    images = errors = 0
    for batch in result.dataset.to_batches(columns=["prompt", "prompt_number", "error"]):
        counts.update(prompt for prompt in batch["prompt"].to_pylist() if prompt is not None)
        failed = batch.num_rows - batch["error"].null_count
        errors += failed
        images += failed + batch["prompt_number"].to_pylist().count(0)
    chosen = [prompt for prompt, _ in counts.most_common(PROMPTS)]
    made: dict[str, PromptStatistics] = {}
    words: dict[str, list[float]] = {}
    rng = np.random.default_rng(seed)
    for number, row in rows_of(result):
        for word in row["words"] or ():
            tally = words.setdefault(word["word"].lower(), [0, 0.0])
            tally[0] += 1
            tally[1] += word["relevance"]
        prompt = row["prompt"]
        if prompt not in chosen:
            continue
        values = map_of(row)
        if prompt not in made:
            made[prompt] = PromptStatistics(prompt, (SIDE, SIDE))
            if values is not None and not _differ(result):
                made[prompt] = PromptStatistics(prompt, (values.shape[0], values.shape[1]))
        entry = made[prompt]
        entry.scores.append(row["score"])
        if row["inside"] is not None:
            entry.inside.append(row["inside"])
        if values is not None:
            entry.add(number, _fitted(values, entry.grid), rng)
    frequent = sorted(words.items(), key=lambda item: -item[1][0])[:WORDS]
    return Statistics(
        tuple(made[prompt] for prompt in chosen if prompt in made),
        tuple((word, int(count), total / count) for word, (count, total) in frequent),
        images,
        errors,
        len(counts),
    )


def rows_of(result: BulkResult) -> Iterator[tuple[int, dict[str, Any]]]:
    """All rows without an error, with their numbers, one part in memory at a time."""
    columns = ["prompt", "score", MAP, SCALE, "grid", "inside", "words", "error"]
    number = 0
    for batch in result.dataset.to_batches(columns=columns, batch_size=512):
        for row in batch.to_pylist():
            if row["error"] is None:
                yield number, row
            number += 1


def map_of(row: dict[str, Any]) -> Floats | None:
    """The map of a row, ``[gh, gw]``; None if it has none."""
    if row[MAP] is None:
        return None
    return np.asarray(row[MAP], np.float64).reshape(row["grid"]) * row[SCALE]


def _differ(result: BulkResult) -> bool:
    return bool(result.run["geometry"] == "keep")


def _fitted(values: Floats, grid: tuple[int, int]) -> Floats:
    if values.shape == grid:
        return values
    resized = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(values)[None], grid)
    return np.asarray(resized[0].numpy(), np.float64)
