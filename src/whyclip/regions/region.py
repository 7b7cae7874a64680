"""Regions of an image with their classes, from any dataset with boxes or masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from whyclip.datasets import Dataset, Sample
from whyclip.datasets.annotation_files import Mask
from whyclip.datasets.boxes import Boxes
from whyclip.datasets.coco import Coco
from whyclip.datasets.dataset import base_dataset, numbers_of, same_size
from whyclip.datasets.scenes import SceneSamples
from whyclip.datasets.segments import segments_of

Box = tuple[float, float, float, float]
RegionKind = Literal["thing", "stuff"]

# CLIPSelf excludes regions with a box below 8² pixels of the original image.
LEAST_AREA = 8.0**2
SMALL, CROWD, EMPTY = "box below 8×8 pixels", "crowd", "empty mask"


@dataclass(frozen=True)
class Region:
    """One region of an image.

    Attributes:
        label: its true class, one of the dataset's classes.
        box: left, top, right, bottom in pixels of the original image; right and bottom exclusive.
        mask: bool ``[H, W]``, or None if only the box is known.
        kind: ``"thing"`` for countable objects, ``"stuff"`` for the rest, such as sky.
    """

    label: str
    box: Box
    mask: Mask | None = None
    kind: RegionKind = "thing"

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        left, top, right, bottom = self.box
        return max(right - left, 0.0) * max(bottom - top, 0.0)


@dataclass(frozen=True)
class RegionImage:
    """An image with its regions and the numbers of excluded regions.

    Attributes:
        id: id of the sample.
        image: upright RGB.
        regions: regions in the dataset's order.
        left_out: number of excluded regions, by reason.
    """

    id: str
    image: Image.Image
    regions: tuple[Region, ...]
    left_out: Counter[str]


def region_image(dataset: Dataset, index: int) -> RegionImage:
    """Read one image of a dataset with its regions.

    COCO gives one region per segment, without crowds; ``scenes`` one per visible object; a CSV file
    of boxes one per row. Any other dataset with masks gives one thing per label.

    Args:
        dataset: the dataset, or samples drawn from one.
        index: number of the sample.

    Raises:
        InputError: the image or its annotation cannot be read, or their sizes differ.
    """
    sample = dataset[index]
    image = sample.image
    left_out: Counter[str] = Counter()
    regions = []
    for region in _regions(base_dataset(dataset), numbers_of(dataset)[index], sample, left_out):
        if region.mask is not None:
            same_size(region.mask, image.height, image.width, f"the mask of {sample.id}")
        if region.area < LEAST_AREA:
            left_out[SMALL] += 1
        else:
            regions.append(region)
    return RegionImage(sample.id, image, tuple(regions), left_out)


def box_of(mask: Mask) -> Box | None:
    """Return the smallest box around a mask; None for an empty mask.

    Example:
        >>> box_of(np.array([[False, False, False], [False, True, True]]))
        (1.0, 1.0, 3.0, 2.0)
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _regions(
    dataset: Dataset, number: int, sample: Sample, left_out: Counter[str]
) -> Iterable[Region]:
    if isinstance(dataset, Coco):
        return _of_coco(dataset, number, left_out)
    if isinstance(dataset, SceneSamples):
        objects = dataset.scenes[number].objects
        return [Region(one.name, one.box, one.mask) for one in objects if one.mask.any()]
    if isinstance(dataset, Boxes):
        return [Region(box.label, box[1:]) for box in dataset.items[number][1]]
    return _of_masks(sample, left_out)


def _of_coco(dataset: Coco, number: int, left_out: Counter[str]) -> Iterator[Region]:
    for segment in segments_of(dataset, number):
        box = segment.box or box_of(segment.mask)
        if segment.crowd:
            left_out[CROWD] += 1
        elif box is None or not segment.mask.any():
            left_out[EMPTY] += 1
        else:
            kind: RegionKind = "thing" if segment.thing else "stuff"
            yield Region(segment.label, box, segment.mask, kind)


def _of_masks(sample: Sample, left_out: Counter[str]) -> Iterator[Region]:
    for label, mask in (sample.masks or {}).items():
        box = box_of(mask)
        if box is None:
            left_out[EMPTY] += 1
        else:
            yield Region(label, box, mask)
