"""Images and regions as tensors, made once and then used for any number of models."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from whyclip.data import Dataset
from whyclip.data.files import Mask
from whyclip.errors import InputError, OptionError
from whyclip.inputs import Normalisation, keep_tensor, normalisation_of
from whyclip.model import ModelView
from whyclip.regions.features import check_tower
from whyclip.regions.region import Box, RegionImage, region_image

MaskRule = Literal["share", "touched"]
MASK_RULES: tuple[MaskRule, ...] = ("share", "touched")
BEYOND = "mask outside the patches"


@dataclass(frozen=True)
class Prepared:
    """Images and regions as a model takes them, for n images and r regions.

    Attributes:
        pixels: ``[n, 3, H, W]`` float32, normalised and padded.
        image: ``[r]`` row of each region's image.
        boxes: ``[r, 4]`` left, top, right, bottom in units of patches.
        weights: ``[r, gh·gw]`` weight of each patch under the mask; a row of 0 without a mask.
        labels: ``[r]`` number of the true class.
        stuff: bool ``[r]``, whether the region is stuff.
        pixel_boxes: the boxes in pixels of the original images.
        grid: rows and columns of patches.
        dataset: where the images and classes come from.
        numbers: number of each image in the dataset.
        ids: of the images.
        left_out: number of regions that do not count, by reason.
        failed: for each image that could not be read, the reason by its number in the dataset.
    """

    pixels: Tensor
    image: Tensor
    boxes: Tensor
    weights: Tensor
    labels: Tensor
    stuff: Tensor
    pixel_boxes: tuple[Box, ...]
    grid: tuple[int, int]
    dataset: Dataset = field(repr=False)
    numbers: tuple[int, ...] = ()
    ids: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.ids)

    @property
    def masked(self) -> Tensor:
        """Bool ``[r]``, whether the region has a mask."""
        return self.weights.sum(1) > 0


@dataclass(frozen=True)
class Canvas:
    """The input of a model, into which images are fitted at the top left.

    Attributes:
        height: in pixels.
        width: in pixels.
        patch: side of a patch in pixels.
        norm: the model's own normalisation.
        masks: ``"share"`` weighs each patch by the share of it that a mask covers, ``"touched"``
            gives all patches that a mask touches the same weight, as CLIPSelf does.
    """

    height: int
    width: int
    patch: int
    norm: Normalisation
    masks: MaskRule = "share"

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of whole patches."""
        return self.height // self.patch, self.width // self.patch

    def fitted(self, image: Image.Image) -> tuple[int, int]:
        """Height and width of an image whose longer side fills the canvas."""
        scale = min(self.height / image.height, self.width / image.width)
        return max(1, round(image.height * scale)), max(1, round(image.width * scale))

    def pixels(self, image: Image.Image) -> Tensor:
        """Resize, normalise and pad an image with black: ``[3, H, W]``.

        Black pixels are added right and below, before the normalisation, as CLIPSelf's released
        code does.
        """
        height, width = self.fitted(image)
        black = self.norm.apply(torch.zeros(3, 1, 1))
        canvas = black.expand(3, self.height, self.width).clone()
        canvas[:, :height, :width] = keep_tensor(image, (height, width), self.norm)
        return canvas

    def box(self, box: Box, image: Image.Image) -> tuple[float, ...]:
        """Scale a box from pixels of the image to patches."""
        height, width = self.fitted(image)
        across = width / image.width / self.patch
        down = height / image.height / self.patch
        left, top, right, bottom = box
        return left * across, top * down, right * across, bottom * down

    def weights(self, mask: Mask | None, image: Image.Image) -> Tensor:
        """Weigh the patches under a mask: ``[gh·gw]``, 0 to 1; zeros without a mask."""
        gh, gw = self.grid
        if mask is None:
            return torch.zeros(gh * gw)
        height, width = self.fitted(image)
        # The part of the image's plane that the grid covers, in pixels of the image.
        right = gw * self.patch * image.width / width
        bottom = gh * self.patch * image.height / height
        more = max(0, math.ceil(bottom) - image.height), max(0, math.ceil(right) - image.width)
        padded = np.pad(mask.astype(np.float32), ((0, more[0]), (0, more[1])))
        shares = Image.fromarray(padded).resize(
            (gw, gh), Image.Resampling.BOX, box=(0, 0, right, bottom)
        )
        found = torch.from_numpy(np.array(shares)).flatten()
        return (found > 0).float() if self.masks == "touched" else found


def canvas_of(view: ModelView, size: int | None = None, masks: MaskRule = "share") -> Canvas:
    """Choose the input of a model.

    Args:
        view: the model.
        size: height and width in pixels; the model's native input by default.
        masks: as in :class:`Canvas`.

    Raises:
        OptionError: the size is not a multiple of the patch size, or the model takes no other
            grid than its own.
        UnsupportedModelError: the model has no dense features.
    """
    check_tower(view)
    tower = view.image
    height, width = tower.input_size
    if masks not in MASK_RULES:
        raise OptionError(f"masks={masks!r}; give one of {', '.join(MASK_RULES)}")
    if size is not None and (size, size) != (height, width):
        if tower.fixed:
            raise OptionError(
                f"size={size}: {view.name} takes only {height}×{width} pixels because {tower.fixed}"
            )
        if size < tower.patch or size % tower.patch:
            near = max(1, round(size / tower.patch)) * tower.patch
            raise OptionError(
                f"size={size} is not a multiple of the {tower.patch}-pixel patches of "
                f"{view.name}; give {near}"
            )
        height = width = size
    return Canvas(height, width, tower.patch, normalisation_of(view.preprocess), masks)


def prepare_regions(
    view: ModelView, dataset: Dataset, *, size: int | None = None, masks: MaskRule = "share"
) -> Prepared:
    """Read all images and regions of a dataset at once.

    Any model with the same input size, patch size and normalisation can use the result. It holds
    all images; :func:`whyclip.regions.classify_regions` reads a few at a time instead.

    Args:
        view: a model that will classify the regions.
        dataset: as :func:`whyclip.data.open_dataset` gives it.
        size: side of the input in pixels; the model's native input by default.
        masks: how patches under a mask are weighed, see :class:`Canvas`.

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
    """Read some images of a dataset; those without a region that counts are left out."""
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
        grid=canvas.grid,
        dataset=dataset,
        numbers=tuple(number for number, _ in images),
        ids=tuple(read.id for _, read in images),
        left_out=dict(left_out),
        failed=failed,
    )


def check_any(prepared: Prepared) -> Prepared:
    """Check that there is a region to classify.

    Raises:
        InputError: there is none; the message names the first image that could not be read.
    """
    if not len(prepared.labels):
        said = next(iter(prepared.failed.values()), None)
        why = f"the first error: {said}" if said else "give a dataset with boxes or masks"
        raise InputError(f"no image of {prepared.dataset.name} has a region to classify; {why}")
    return prepared
