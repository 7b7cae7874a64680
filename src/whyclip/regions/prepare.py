"""Images and regions as tensors, prepared once for any number of models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from whyclip.datasets import Dataset
from whyclip.datasets.dataset import base_dataset
from whyclip.errors import InputError
from whyclip.models import ModelView
from whyclip.regions.canvas import Canvas, canvas_of
from whyclip.regions.region import Box, RegionImage, region_image
from whyclip.types import MaskRule

BEYOND = "mask outside the patches"


@dataclass(frozen=True)
class Prepared:
    """Prepared input for n images and r regions.

    Attributes:
        pixels: ``[n, 3, H, W]`` float32, normalised and padded.
        image: ``[r]`` row of each region's image.
        boxes: ``[r, 4]`` left, top, right, bottom in units of patches.
        weights: ``[r, gh·gw]`` weight of each patch under the mask; a row of 0 without a mask.
        labels: ``[r]`` index of the true class.
        stuff: bool ``[r]``, whether the region is stuff.
        pixel_boxes: ``[r, 4]`` boxes in pixels of the original images.
        canvas: the model input.
        dataset: the source of images and classes.
        numbers: number of each image in the dataset.
        ids: ids of the images.
        left_out: number of excluded regions, by reason.
        failed: for each unreadable image, the reason by its index in the dataset.
    """

    pixels: Tensor
    image: Tensor
    boxes: Tensor
    weights: Tensor
    labels: Tensor
    stuff: Tensor
    pixel_boxes: tuple[Box, ...]
    canvas: Canvas
    dataset: Dataset = field(repr=False)
    numbers: tuple[int, ...] = ()
    ids: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.ids)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.canvas.grid

    @property
    def masked(self) -> Tensor:
        """Bool ``[r]``, whether the region has a mask."""
        return self.weights.sum(1) > 0


def prepare_regions(
    view: ModelView, dataset: Dataset, *, size: int | None = None, masks: MaskRule = "share"
) -> Prepared:
    """Read all images and regions of a dataset at once.

    Any model with the same input size, patch size and normalisation can use the result. All images
    are in memory; :func:`whyclip.regions.classify_regions` reads a few at a time instead.

    Args:
        view: a model that will classify the regions.
        dataset: from :func:`whyclip.datasets.open_dataset`.
        size: side of the input in pixels; the model's native input by default.
        masks: weights of patches under a mask, see :class:`Canvas`.

    Raises:
        InputError: no image of the dataset has a region.
        UnsupportedModelError: the model has no dense features.
    """
    canvas = canvas_of(view, size, masks)
    return check_any(prepare_part(canvas, dataset, range(len(dataset))))


def prepare_parts(canvas: Canvas, dataset: Dataset, batch_size: int) -> Iterator[Prepared]:
    """Read a dataset ``batch_size`` images at a time."""
    for start in range(0, len(dataset), batch_size):
        numbers = range(start, min(start + batch_size, len(dataset)))
        yield prepare_part(canvas, dataset, numbers)


def prepare_part(canvas: Canvas, dataset: Dataset, numbers: Sequence[int]) -> Prepared:
    """Read some images of a dataset; images without regions are excluded."""
    images: list[tuple[int, RegionImage]] = []
    left_out: Counter[str] = Counter()
    failed: dict[int, str] = {}
    for number in numbers:
        try:
            read = region_image(dataset, number)
        except InputError as error:
            failed[number] = str(error)
            continue
        left_out += read.left_out
        if read.regions:
            images.append((number, read))
    pixels = [canvas.pixels(read.image) for _, read in images]
    rows, boxes, weights, labels, stuff, pixel_boxes = [], [], [], [], [], []
    for row, (_, read) in enumerate(images):
        for region in read.regions:
            weight = canvas.weights(region.mask, read.image)
            if region.mask is not None and not weight.any():
                left_out[BEYOND] += 1
                continue
            rows.append(row)
            boxes.append(canvas.box(region.box, read.image))
            weights.append(weight)
            labels.append(dataset.number_of(region.label))
            stuff.append(region.kind == "stuff")
            pixel_boxes.append(region.box)
    gh, gw = canvas.grid
    return Prepared(
        pixels=torch.stack(pixels) if pixels else torch.zeros(0, 3, canvas.height, canvas.width),
        image=torch.tensor(rows, dtype=torch.long),
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        weights=torch.stack(weights) if weights else torch.zeros(0, gh * gw),
        labels=torch.tensor(labels, dtype=torch.long),
        stuff=torch.tensor(stuff, dtype=torch.bool),
        pixel_boxes=tuple(pixel_boxes),
        canvas=canvas,
        dataset=dataset,
        numbers=tuple(number for number, _ in images),
        ids=tuple(read.id for _, read in images),
        left_out=dict(left_out),
        failed=failed,
    )


def check_fits(view: ModelView, prepared: Prepared) -> None:
    """Check that a model fits prepared input.

    Raises:
        InputError: its input size, patch size or normalisation differs.
    """
    made = prepared.canvas
    expected = canvas_of(view, made.height if made.height == made.width else None, made.masks)
    if expected != made:
        raise InputError(
            f"the regions were prepared for {made.height}×{made.width} pixels in patches of "
            f"{made.patch}; {view.name} takes {expected.height}×{expected.width} in patches of "
            f"{expected.patch}, or uses another normalisation; prepare them with this model"
        )


def check_any(prepared: Prepared) -> Prepared:
    """Check that there is a region to classify.

    Raises:
        InputError: there is none; the message names the first image that could not be read.
    """
    if not len(prepared.labels):
        said = next(iter(prepared.failed.values()), None)
        name = base_dataset(prepared.dataset).name
        why = f"the first error: {said}" if said else "give a dataset with boxes or masks"
        raise InputError(f"no image of {name} has a region to classify; {why}")
    return prepared
