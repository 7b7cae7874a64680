"""Images in batches, prepared by whyclip and by the library's own pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from PIL.Image import Image
from torch import Tensor

from whyclip.inputs import ImageSource, read_image
from whyclip.inputs.decoding import library_reading
from whyclip.models import ModelView, model_inputs
from whyclip.preprocessed import Pixels, geometry_of, images_of
from whyclip.resample import display_copy
from whyclip.types import Geometry, GeometryName

IMAGES_AT_ONCE = 16


@dataclass(frozen=True)
class Batch:
    """Images whose model inputs have the same size.

    Attributes:
        images: upright RGB, at display size; None if only pixels were given and their
            normalisation is unknown.
        geometries: position of each patch grid on its image.
        pixels: ``[b, 3, H, W]``, the explained input.
        library_pixels: ``[b, 3, h, w]``, the same images prepared by the library's own pipeline;
            None if identical to ``pixels``.
        changes: for each image, sentences that describe how ``pixels`` differ from
            ``library_pixels``.
        preprocessed: whether the user gave these pixels instead of images.
    """

    images: Sequence[Image | None]
    geometries: list[Geometry]
    pixels: Tensor
    library_pixels: Tensor | None
    changes: tuple[tuple[str, ...], ...]
    preprocessed: bool = False

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def model_input(self) -> Tensor:
        """``[b, 3, h, w]`` input from the library's own pipeline."""
        return self.pixels if self.library_pixels is None else self.library_pixels


def batches(
    model: ModelView, sources: Sequence[ImageSource] | Batch, geometry: GeometryName
) -> Iterator[Batch]:
    """Read images and prepare them for the model, ``IMAGES_AT_ONCE`` at a time.

    A batch that is already prepared, for example by a worker process, is returned unchanged.
    """
    if isinstance(sources, Batch):
        yield sources
        return
    at_once = 1 if geometry == "keep" else IMAGES_AT_ONCE
    for start in range(0, len(sources), at_once):
        part = sources[start : start + at_once]
        yield (
            _given(model, part)
            if isinstance(part, Pixels)
            else prepare_batch(model, part, geometry)
        )


def _given(model: ModelView, part: Pixels) -> Batch:
    """Build a batch from preprocessed pixels: both the library's and the explained input."""
    pixels = part.tensor
    where = [geometry_of(model, pixels)] * len(pixels)
    return Batch(
        images_of(model, pixels), where, pixels, None, ((),) * len(pixels), preprocessed=True
    )


def prepare_batch(
    model: ModelView,
    sources: Sequence[ImageSource],
    geometry: GeometryName,
    *,
    display: bool = True,
) -> Batch:
    """Read images, prepare them, and compare the result with the library's own pipeline.

    Args:
        model: only its preprocessing and the sizes of its image encoder are used.
        sources: images whose inputs have the same size.
        geometry: input mode of the images.
        display: whether to keep copies for display.

    Raises:
        ImageError: an image cannot be read.
        UnsupportedModelError: the preprocessing cannot be reproduced.
    """
    images = [read_image(source) for source in sources]
    inputs = model_inputs(model, images, geometry)
    plain = inputs if geometry == "model" else model_inputs(model, images)
    library, changes = [], []
    for source, (pixels, _), (read, _) in zip(sources, inputs, plain, strict=True):
        library_input, sentence = library_reading(model.preprocess, source, read)
        sentences = [sentence] if sentence else []
        if not _same(pixels, read):
            sentences += _geometry_changes(model, pixels, geometry)
        library.append(library_input)
        changes.append(tuple(sentences))
    stacked = torch.stack([pixels for pixels, _ in inputs])
    everywhere = all(_same(a, b) for a, (b, _) in zip(library, inputs, strict=True))
    return Batch(
        [display_copy(image) if display else None for image in images],
        [where for _, where in inputs],
        stacked,
        None if everywhere else torch.stack(library),
        tuple(changes),
    )


def merge_batches(parts: Sequence[Batch]) -> Batch:
    """Join batches whose inputs have the same size, in their order."""
    pixels = torch.cat([part.pixels for part in parts])
    same = all(part.library_pixels is None for part in parts)
    return Batch(
        [image for part in parts for image in part.images],
        [where for part in parts for where in part.geometries],
        pixels,
        None if same else torch.cat([part.model_input for part in parts]),
        tuple(change for part in parts for change in part.changes),
        preprocessed=all(part.preprocessed for part in parts),
    )


def _same(a: Tensor, b: Tensor) -> bool:
    if a is b:
        return True
    return a.shape == b.shape and torch.allclose(a, b, atol=1e-6)


def _geometry_changes(model: ModelView, pixels: Tensor, geometry: GeometryName) -> list[str]:
    changes = [f"image prepared by geometry {geometry!r}, not by the model's own preprocessing"]
    tower = model.image
    grid = (pixels.shape[-2] // tower.patch, pixels.shape[-1] // tower.patch)
    if grid != tower.native_grid:
        (gh, gw), (rows, columns) = grid, tower.native_grid
        changes.append(f"position embeddings interpolated from {rows}×{columns} to {gh}×{gw}")
    return changes
