"""Differences between a library's decoding of a file and whyclip's.

whyclip rotates images upright, composites transparency on white, scales 16 bits to 8 and applies
the colour profile of CMYK. ``preprocess(Image.open(file))`` does not, so the user's pipeline may
get different pixels. Both are compared, and the difference is described.
"""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from whyclip.inputs.images import ImageSource, local_path
from whyclip.inputs.preprocessing import Preprocess, run_preprocess

ORIENTATION = 0x0112
_DEEP = ("I", "F")


def library_reading(
    preprocess: Preprocess, source: ImageSource, read: Tensor
) -> tuple[Tensor, str]:
    """Run the library's own pipeline on an image, and compare it with whyclip's.

    Args:
        preprocess: the library's own preprocessing.
        source: the user's input.
        read: ``[3, H, W]`` preprocessed image as whyclip decodes it.

    Returns:
        The library's pixels, or ``read`` if the library rejects the image or gives another size;
        and a sentence that describes the difference, empty if there is none.
    """
    opened = library_image(source)
    if opened is None:
        return read, ""
    pixels = library_pixels(preprocess, opened)
    fits = pixels is not None and pixels.shape == read.shape
    return (pixels if pixels is not None and fits else read), reading_change(opened, pixels, read)


def library_image(source: ImageSource) -> Image.Image | None:
    """Open an image with Pillow, if the result may differ from whyclip's decoding.

    Args:
        source: the user's input.

    Returns:
        The image as Pillow opens it; None for plain upright RGB images, and for arrays, which no
        library's preprocessing accepts.
    """
    if isinstance(source, Image.Image):
        return None if _is_plain(source) else source
    if not isinstance(source, (str, Path)):
        return None
    try:
        with Image.open(local_path(str(source), repr(source))) as image:
            if _is_plain(image):
                return None
            image.load()
            return image
    except Exception:  # noqa: BLE001 - whyclip reports the problem when it reads the image
        return None


def _is_plain(image: Image.Image) -> bool:
    return image.mode == "RGB" and not image.has_transparency_data and _orientation(image) == 1


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - a broken EXIF block has no orientation
        return 1


def library_pixels(preprocess: Preprocess, image: Image.Image) -> Tensor | None:
    """Run the library's preprocessing on an opened image; None if it rejects the image."""
    try:
        return run_preprocess(preprocess, image)
    except Exception:  # noqa: BLE001 - any exception means that it rejects this file
        return None


def reading_change(image: Image.Image, pixels: Tensor | None, read: Tensor) -> str:
    """Describe how whyclip's decoding of an image differs from the library's.

    Args:
        image: the image as Pillow opens it.
        pixels: output of the library's preprocessing, or None if it rejects the image.
        read: output of the preprocessing for the image as whyclip decodes it.

    Returns:
        One sentence; empty if both give the same pixels.
    """
    if pixels is None:
        return (
            f"image read as 8-bit RGB ({_what(image)}); the library's own preprocessing "
            "rejects this file"
        )
    if pixels.shape == read.shape and torch.allclose(pixels, read, atol=1e-6):
        return ""
    return f"image read differently from the library's own pipeline: {_what(image)}"


def _what(image: Image.Image) -> str:
    reasons = []
    orientation = _orientation(image)
    if orientation != 1:
        reasons.append(f"rotated upright by its EXIF orientation ({orientation})")
    if image.has_transparency_data:
        reasons.append("transparency composited on white")
    if image.mode.startswith("I;16") or image.mode in _DEEP:
        reasons.append(f"mode {image.mode} scaled to 8 bits")
    if image.mode == "CMYK" and image.info.get("icc_profile"):
        reasons.append("CMYK converted by its colour profile")
    return ", ".join(reasons) or f"mode {image.mode} converted to RGB"
