"""Result of region classification."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from whyclip.datasets import Dataset
from whyclip.regions.counts import Counts, count

Kind = Literal["boxes", "thing masks", "stuff masks"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Outcome:
    """Predictions for r regions.

    Attributes:
        image: ``[r]`` row of the region's image.
        labels: ``[r]`` index of the true class.
        stuff: bool ``[r]``.
        pixel_boxes: ``[r, 4]`` boxes in pixels of the original images.
        box_rank: ``[r]`` rank of the true class by the scores of the box, from 0.
        mask_rank: ``[r]`` the same for the mask; −1 without a mask.
        box_best: ``[r, k]`` classes with the highest scores of the box, best first.
        mask_best: ``[r, k]`` the same for the mask.
    """

    image: Ints
    labels: Ints
    stuff: NDArray[np.bool_]
    pixel_boxes: NDArray[np.float64]
    box_rank: Ints
    mask_rank: Ints
    box_best: Ints
    mask_best: Ints

    @classmethod
    def joined(cls, parts: Sequence[Outcome]) -> Outcome:
        """Concatenate the predictions for several groups of images."""
        names = [one.name for one in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def of(self, kind: Kind) -> tuple[NDArray[np.bool_], Ints, Ints]:
        """Return the regions of a kind, and the ranks and best classes of all regions."""
        if kind == "boxes":
            return ~self.stuff, self.box_rank, self.box_best
        where = (self.mask_rank >= 0) & (self.stuff == (kind == "stuff masks"))
        return where, self.mask_rank, self.mask_best


@dataclass(frozen=True)
class Confusion:
    """Regions of one class that were predicted as another.

    Attributes:
        true: class of the regions.
        predicted: class with the highest score.
        count: number of regions.
        share: share of the regions of the true class.
        regions: rows of the regions, in the order of the dataset.
    """

    true: str
    predicted: str
    count: int
    share: float
    regions: tuple[int, ...]


@dataclass(frozen=True)
class RegionResult:
    """Region classification of one model on one dataset.

    Attributes:
        model: name of the model.
        classes: the classes of the dataset.
        outcome: predictions of all regions.
        top: the values of k.
        ids: ids of the images that have regions.
        numbers: indices of these images in the dataset.
        left_out: number of excluded regions, by reason.
        failed: for each unreadable image, the reason by its index in the dataset.
        dataset: source of example crops.
        seed: random seed of the intervals.
        data: specification of the dataset.
        size: height and width of the input.
        template: template of the class prompts; None for OpenAI's 80.
        masks: weights of patches under a mask.
        seconds: run time.
        command: command that repeats the run.
    """

    model: str
    classes: tuple[str, ...]
    outcome: Outcome = field(repr=False)
    top: tuple[int, ...]
    ids: tuple[str, ...] = field(repr=False)
    numbers: tuple[int, ...] = field(repr=False)
    left_out: Mapping[str, int]
    failed: Mapping[int, str] = field(repr=False)
    dataset: Dataset = field(repr=False)
    seed: int = 0
    data: str = ""
    size: tuple[int, ...] = ()
    template: str | None = None
    masks: str = "share"
    seconds: float = 0.0
    command: str = ""

    @property
    def n_images(self) -> int:
        """Number of images with at least one counted region."""
        return len(self.ids)

    @property
    def n_regions(self) -> int:
        """Number of counted regions."""
        return len(self.outcome.labels)

    @cached_property
    def counts(self) -> Mapping[Kind, Counts]:
        """Counts of regions by image and class, for each kind that occurs."""
        shape = len(self.ids), len(self.classes)
        counts: dict[Kind, Counts] = {}
        for kind in KINDS:
            where, rank, _ = self.outcome.of(kind)
            if where.any():
                counts[kind] = count(
                    self.outcome.image[where],
                    self.outcome.labels[where],
                    rank[where],
                    shape,
                    self.top,
                )
        return counts

    def confusions(self, kind: Kind = "boxes", limit: int = 10) -> list[Confusion]:
        """List the most frequent errors of a kind, most frequent first."""
        where, _, best = self.outcome.of(kind)
        rows = np.flatnonzero(where & (best[:, 0] != self.outcome.labels))
        pairs = list(zip(self.outcome.labels[rows].tolist(), best[rows, 0].tolist(), strict=True))
        total = np.bincount(self.outcome.labels[where], minlength=len(self.classes))
        most = sorted(Counter(pairs).items(), key=lambda pair: (-pair[1], pair[0]))[:limit]
        return [
            Confusion(
                true=self.classes[true],
                predicted=self.classes[predicted],
                count=number,
                share=number / int(total[true]),
                regions=tuple(
                    int(row)
                    for row, pair in zip(rows, pairs, strict=True)
                    if pair == (true, predicted)
                ),
            )
            for (true, predicted), number in most
        ]

    def described(self, **facts: Any) -> RegionResult:
        """Return a copy with facts about the run, given by attribute name."""
        return replace(self, **facts)

    def save(self, folder: str | Path) -> Path:
        """Write ``index.html``, ``report.md``, CSV files and ``regions.json`` into a folder.

        Returns:
            The path of the page.

        Raises:
            OutputError: a file cannot be written.
        """
        from whyclip.regions.pages import save

        return save(self, Path(folder))
