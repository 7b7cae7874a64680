"""Batches that the user has already preprocessed, for example in a DataLoader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from whyclip.errors import ImageError, OptionError, UnsupportedModelError, quoted, warn
from whyclip.inputs.canvas import Canvas
from whyclip.inputs.geometry import normalisation_of
from whyclip.inputs.preprocessing import Normalisation
from whyclip.models import ModelView
from whyclip.types import Geometry, GeometryName

# Normalised values of all known models lie between about -3 and 3.
LARGEST = 10.0
BYTE = 255.0


@dataclass(frozen=True)
class Pixels(Sequence[Tensor]):
    """A checked batch of model inputs ``[b, 3, H, W]``, float32 on the CPU."""

    tensor: Tensor

    def __len__(self) -> int:
        return len(self.tensor)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> Pixels: ...
    def __getitem__(self, index: int | slice) -> Tensor | Pixels:
        """Return one input ``[3, H, W]``, or a part of the batch."""
        part = self.tensor[index]
        return Pixels(part) if isinstance(index, slice) else part


def check_pixels(
    model: ModelView, batch: Any, geometry: GeometryName = "model", *, looks: bool = True
) -> Pixels:
    """Validate a preprocessed batch.

    Args:
        model: the model that the batch was preprocessed for.
        batch: a float tensor or array ``[b, 3, H, W]`` of the model's input size.
        geometry: only ``"model"``; the others need the original image.
        looks: whether to check that the values look normalised.

    Warns:
        WhyclipWarning: the values fill 0 to 1, although the model's preprocessing normalises.

    Raises:
        ImageError: wrong shape, type or size; NaN or infinity; or values from 0 to 255.
        OptionError: unsupported geometry.
    """
    if geometry != "model":
        raise OptionError(
            f"geometry={quoted(geometry)} needs the original image; with pixels use 'model'"
        )
    if isinstance(batch, np.ndarray) and batch.dtype.kind in "fiub":
        batch = torch.from_numpy(np.ascontiguousarray(batch))
    if not isinstance(batch, Tensor):
        raise ImageError(
            f"pixels is {quoted(batch)} of type {type(batch).__name__}; give a float tensor "
            "[b, 3, height, width]"
        )
    shape = tuple(batch.shape)
    name = f"pixels of shape {shape} and type {str(batch.dtype).removeprefix('torch.')}"
    if batch.ndim != 4 or shape[1] != 3 or 0 in shape:
        hint = "; add an axis: pixels[None]" if batch.ndim == 3 and shape[0] == 3 else ""
        raise ImageError(f"{name}: expected [b, 3, height, width]{hint}")
    if not batch.is_floating_point():
        raise ImageError(f"{name}: expected floats; run the model's preprocessing first")
    tower, size = model.image, shape[2:]
    grid = (size[0] // tower.patch, size[1] // tower.patch)
    fits = grid == tower.native_grid if tower.native_size is None else size == tower.input_size
    if not fits:
        wanted = "×".join(map(str, tower.input_size))
        raise ImageError(f"{name}: {model.name} takes {wanted} pixels; resize and crop to that")
    pixels = batch.detach().float().cpu()
    if not bool(torch.isfinite(pixels).all()):
        raise ImageError(f"{name} has values that are NaN or infinite")
    if looks:
        _check_range(model, pixels, name)
    return Pixels(pixels)


def _check_range(model: ModelView, pixels: Tensor, name: str) -> None:
    low, high = float(pixels.min()), float(pixels.max())
    if low < 0:
        return
    norm = _normalisation(model)
    # Some models take values from 0 to 255.
    top = max((1 - m) / s for m, s in zip(norm.mean, norm.std, strict=True)) if norm else 1.0
    if max(LARGEST, top) < high <= BYTE:
        raise ImageError(
            f"{name} has values from {low:.4g} to {high:.4g}, so it does not look normalised; "
            "run the model's preprocessing first"
        )
    bottom = min(-m / s for m, s in zip(norm.mean, norm.std, strict=True)) if norm else 0.0
    if bottom < -0.5 and low < 0.1 and 0.9 < high <= 1:
        warn(
            f"{name} has values from {low:.4g} to {high:.4g}, so it does not look normalised; "
            f"{model.name} takes values from {bottom:.2g} to {top:.2g}"
        )


def _normalisation(model: ModelView) -> Normalisation | None:
    """Mean and standard deviation of the model's preprocessing; None if they are unknown."""
    try:
        return normalisation_of(model.preprocess)
    except UnsupportedModelError:
        return None


def geometry_of(model: ModelView, pixels: Tensor) -> Geometry:
    """Place the patch grid on the model's input ``[..., H, W]`` itself."""
    height, width = pixels.shape[-2:]
    canvas = Canvas.of(width, height).whole_patches(model.image.patch)
    return Geometry("model", width, height, canvas.box)


def images_of(model: ModelView, pixels: Tensor) -> list[Image.Image | None]:
    """Undo the normalisation of ``[b, 3, H, W]``, for display only.

    Returns:
        RGB images of the input's size; None if the preprocessing has no known normalisation.
    """
    norm = _normalisation(model)
    if norm is None or norm.mix is not None:
        return [None] * len(pixels)
    mean, std = (torch.tensor(values)[:, None, None] for values in (norm.mean, norm.std))
    rgb = (pixels * std + mean).clamp(0, 1).mul(BYTE).round().byte()
    return [Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()) for image in rgb]
