"""Replacements of deleted pixels."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from whyclip.errors import ImageError, InputError

Pixels = NDArray[np.uint8]
Fill = Literal["black", "random", "mean", "blurred", "background"]
FILLS: tuple[Fill, ...] = get_args(Fill)

# Mean colour of ImageNet in RGB, as in the preprocessing of most classifiers.
MEAN = (124, 116, 104)
KERNEL, SIGMA = 11, 5.0


def filled(image: Pixels, fill: Fill, seed: int = 0, background: Pixels | None = None) -> Pixels:
    """Return the image with every pixel replaced.

    Args:
        image: uint8 ``[H, W, 3]``.
        fill: ``"black"``; ``"random"``, uniform colours for each pixel and channel, which depend
            only on the seed and not on the method; ``"mean"``, ImageNet's mean colour;
            ``"blurred"``, a Gaussian of 11 by 11 pixels with σ = 5 and repeated edges;
            ``"background"``, the same scene without any object.
        seed: random seed of the noise.
        background: uint8 ``[H, W, 3]``, for ``fill="background"``.

    Raises:
        InputError: unknown fill, or the background is missing or has another size.

    Example:
        >>> filled(np.full((1, 2, 3), 9, np.uint8), "mean").tolist()
        [[[124, 116, 104], [124, 116, 104]]]
    """
    if fill == "black":
        return np.zeros_like(image)
    if fill == "random":
        return np.random.default_rng((seed, 2)).integers(0, 256, image.shape, dtype=np.uint8)
    if fill == "mean":
        return np.broadcast_to(np.array(MEAN, np.uint8), image.shape).copy()
    if fill == "blurred":
        return _blurred(image)
    if fill == "background":
        if background is None:
            raise InputError(
                "fill 'background' needs the image without its objects, available for scenes; "
                f"give background, or one of {', '.join(FILLS[:-1])}"
            )
        if background.shape != image.shape:
            raise InputError(
                f"background of shape {background.shape} for an image of shape {image.shape}"
            )
        return background
    raise InputError(f"unknown fill {fill!r}; known: {', '.join(FILLS)}")


def _blurred(image: Pixels) -> Pixels:
    reach = KERNEL // 2
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / SIGMA) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    height, width = image.shape[:2]
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="edge").astype(np.float32)
    rows = sum(kernel[i] * padded[i : i + height] for i in range(KERNEL))
    both: Any = sum(kernel[i] * rows[:, i : i + width] for i in range(KERNEL))
    return np.rint(both).astype(np.uint8)


def as_pixels(image: Any, heatmap: Any) -> tuple[Pixels, NDArray[np.float32]]:
    """Check an RGB image and its map.

    Args:
        image: a PIL image, or uint8 ``[H, W, 3]``.
        heatmap: float ``[H, W]``, an array or a tensor; NaN outside the crop.

    Raises:
        ImageError: the image has another type.
        InputError: the map has another size.
    """
    pixels = np.asarray(image.convert("RGB") if hasattr(image, "convert") else image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ImageError(
            f"image of shape {pixels.shape} and type {pixels.dtype}; give uint8 [H, W, 3]"
        )
    values = np.asarray(heatmap, dtype=np.float32)
    if values.shape != pixels.shape[:2]:
        raise InputError(
            f"heat map of shape {values.shape} on an image of {pixels.shape[:2]}; "
            "Explanation.heatmap() gives maps of the image's own size"
        )
    return pixels, values
