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


def batches(
    model: ModelView, sources: Sequence[ImageSource], geometry: GeometryName
) -> Iterator[Batch]:
    """Read images and prepare them for the model, ``IMAGES_AT_ONCE`` at a time."""
    at_once = 1 if geometry == "keep" else IMAGES_AT_ONCE
    for start in range(0, len(sources), at_once):
        part = sources[start : start + at_once]
        yield _given(model, part) if isinstance(part, Pixels) else _batch(model, part, geometry)


def _given(model: ModelView, part: Pixels) -> Batch:
    """Build batches from preprocessed pixels: the library's input and the explained one."""
    pixels = part.tensor
    where = [geometry_of(model, pixels)] * len(pixels)
    return Batch(
        images_of(model, pixels), where, pixels, None, ((),) * len(pixels), preprocessed=True
    )


def _batch(model: ModelView, sources: Sequence[ImageSource], geometry: GeometryName) -> Batch:
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
    everywhere = all(_same(a, b) for a, b in zip(library, stacked, strict=True))
    return Batch(
        [display_copy(image) for image in images],
        [where for _, where in inputs],
        stacked,
        None if everywhere else torch.stack(library),
        tuple(changes),
    )


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, atol=1e-6)


def _geometry_changes(model: ModelView, pixels: Tensor, geometry: GeometryName) -> list[str]:
    changes = [f"image prepared by geometry {geometry!r}, not by the model's own preprocessing"]
    tower = model.image
    grid = (pixels.shape[-2] // tower.patch, pixels.shape[-1] // tower.patch)
    if grid != tower.native_grid:
        (gh, gw), (rows, columns) = grid, tower.native_grid
        changes.append(f"position embeddings interpolated from {rows}×{columns} to {gh}×{gw}")
    return changes
