"""Convert images to model input in one of three geometries."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from whyclip.errors import check_choice
from whyclip.inputs.canvas import Canvas
from whyclip.inputs.geometry import model_canvas, normalisation_of
from whyclip.inputs.preprocessing import (
    Normalisation,
    Preprocess,
    run_preprocess,
)
from whyclip.types import Geometry, GeometryName

GEOMETRIES: tuple[GeometryName, ...] = ("model", "keep", "pad")

# The 30 x 40 grid of the paper's notebooks, for 640 x 480 images and patches of 16.
MAX_PATCHES = 1200


def prepare(
    images: Sequence[Image.Image],
    preprocess: Preprocess,
    geometry: GeometryName = "model",
    *,
    patch: int,
    native: tuple[int, int],
) -> list[tuple[Tensor, Geometry]]:
    """Convert RGB images to model input.

    Args:
        images: upright RGB images, as returned by :func:`read_image`.
        preprocess: the library's own preprocessing.
        geometry: ``"model"`` runs that preprocessing unchanged; ``"keep"`` keeps the aspect
            ratio and the image's own resolution on a grid of another size, so position embeddings
            must be resampled; ``"pad"`` fits the whole image into the model's native input and
            fills the rest with the mean colour (zeros after normalisation).
        patch: side of a patch in input pixels.
        native: rows and columns of the model's own patch grid.

    Returns:
        For each image, its input ``[3, H, W]`` float32 and the position of the grid on it.
        With ``"keep"`` the inputs may differ in size.

    Raises:
        OptionError: unknown geometry.
        UnsupportedModelError: the preprocessing cannot be reproduced.
    """
    check_choice("geometry", geometry, GEOMETRIES)
    if geometry == "model":
        return [_model(image, preprocess, patch) for image in images]
    norm = normalisation_of(preprocess)
    if geometry == "keep":
        return [_keep(image, norm, patch, native) for image in images]
    return [_pad(image, preprocess, norm, patch, native) for image in images]


def keep_size(width: int, height: int, patch: int, native: tuple[int, int]) -> tuple[int, int]:
    """Choose the input size that keeps an image's aspect ratio and, roughly, its resolution.

    The short side is at least that of the native grid. The number of patches is at most
    ``MAX_PATCHES`` or that of the native grid, whichever is larger; this limit takes precedence for
    long thin images.

    Returns:
        Height and width in pixels, both multiples of ``patch``. 640 x 480 with patches of 16
        gives a 30 x 40 grid; a square of the native size gives the native grid.
    """
    limit = max(MAX_PATCHES, native[0] * native[1])
    rows, columns = height / patch, width / patch
    grow = max(1.0, min(native) / min(rows, columns))
    shrink = min(1.0, sqrt(limit / (rows * columns * grow**2)))
    gh, gw = (max(1, round(side * grow * shrink)) for side in (rows, columns))
    while gh * gw > limit:
        gh, gw = (gh - 1, gw) if gh >= gw else (gh, gw - 1)
    return gh * patch, gw * patch


def keep_tensor(image: Image.Image, size_hw: tuple[int, int], norm: Normalisation) -> Tensor:
    """Resize a whole RGB image with Pillow and normalise it.

    Returns:
        ``[3, H, W]`` float32 with H and W from ``size_hw``.
    """
    height, width = size_hw
    if (width, height) != image.size:
        image = image.resize((width, height), norm.interpolation)
    rgb = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float().div(255)
    return norm.apply(rgb)


def pad_tensor(
    image: Image.Image, size_hw: tuple[int, int], norm: Normalisation
) -> tuple[Tensor, Canvas]:
    """Centre a whole RGB image in the input and fill the rest with the mean colour.

    Returns:
        ``[3, H, W]`` float32, and the canvas whose box is the input in image pixels.
    """
    height, width = size_hw
    scale = min(height / image.height, width / image.width)
    inner_h = min(height, max(1, round(image.height * scale)))
    inner_w = min(width, max(1, round(image.width * scale)))
    left, top = (width - inner_w) // 2, (height - inner_h) // 2
    pixels = torch.zeros(3, height, width)
    pixels[:, top : top + inner_h, left : left + inner_w] = keep_tensor(
        image, (inner_h, inner_w), norm
    )
    canvas = Canvas.of(image.width, image.height).resize(inner_w, inner_h)
    return pixels, canvas.crop(-left, -top, width, height)


def _model(image: Image.Image, preprocess: Preprocess, patch: int) -> tuple[Tensor, Geometry]:
    pixels = run_preprocess(preprocess, image)
    canvas = model_canvas(preprocess, image.width, image.height).whole_patches(patch)
    return pixels, Geometry("model", image.width, image.height, canvas.box)


def _keep(
    image: Image.Image, norm: Normalisation, patch: int, native: tuple[int, int]
) -> tuple[Tensor, Geometry]:
    size = keep_size(image.width, image.height, patch, native)
    box = Canvas.of(image.width, image.height).box
    return keep_tensor(image, size, norm), Geometry("keep", image.width, image.height, box)


def _pad(
    image: Image.Image,
    preprocess: Preprocess,
    norm: Normalisation,
    patch: int,
    native: tuple[int, int],
) -> tuple[Tensor, Geometry]:
    """Pad to the native input, which may exceed its whole patches (384 pixels, patches of 14)."""
    native_canvas = model_canvas(preprocess, image.width, image.height)
    fits = (native_canvas.height // patch, native_canvas.width // patch) == tuple(native)
    size = (
        (native_canvas.height, native_canvas.width)
        if fits
        else (native[0] * patch, native[1] * patch)
    )
    pixels, canvas = pad_tensor(image, size, norm)
    box = canvas.whole_patches(patch).box
    return pixels, Geometry("pad", image.width, image.height, box)
