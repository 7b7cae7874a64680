"""How a library reads a file by itself, where that is not how whyclip reads it.

whyclip turns an image upright, lays transparency on white, scales 16 bits to 8 and follows the
colour profile of CMYK. ``preprocess(Image.open(file))`` does none of that, so that the user's own
pipeline may see other pixels. Both are compared, and the difference is put into words.
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
    """Say what the library's own pipeline makes of an image, beside what whyclip makes of it.

    Args:
        preprocess: the library's own preprocessing.
        source: what the user gave.
        read: ``[3, H, W]`` what the preprocessing makes of the image as whyclip reads it.

    Returns:
        The library's pixels, or ``read`` where it does not take the image or gives another size;
        and a sentence that says how ``read`` differs from them, empty if it does not.
    """
    opened = library_image(source)
    if opened is None:
        return read, ""
    own = library_pixels(preprocess, opened)
    fits = own is not None and own.shape == read.shape
    return (own if own is not None and fits else read), reading_change(opened, own, read)


def library_image(source: ImageSource) -> Image.Image | None:
    """Open an image as a library's user does, if that may differ from what whyclip reads.

    Args:
        source: what the user gave.

    Returns:
        The image as Pillow opens it; None for plain upright RGB images and for arrays, which no
        library's preprocessing takes.
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
    except Exception:  # noqa: BLE001 - reading the image for whyclip reports what is wrong with it
        return None


def _is_plain(image: Image.Image) -> bool:
    return image.mode == "RGB" and not image.has_transparency_data and _orientation(image) == 1


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - a broken EXIF block turns nothing
        return 1


def library_pixels(preprocess: Preprocess, image: Image.Image) -> Tensor | None:
    """Run the library's own preprocessing on an image as opened; None if it does not take it."""
    try:
        return run_preprocess(preprocess, image)
    except Exception:  # noqa: BLE001 - whatever it raises, it does not read this file
        return None


def reading_change(image: Image.Image, own: Tensor | None, read: Tensor) -> str:
    """Say in words how whyclip's reading of an image differs from the library's own.

    Args:
        image: as Pillow opens it.
        own: what the library's preprocessing makes of it, or None if it does not take it.
        read: what it makes of the image as whyclip reads it.

    Returns:
        One sentence; empty if both give the same pixels.
    """
    if own is None:
        return (
            f"image read as 8-bit RGB ({_what(image)}); the library's own preprocessing does "
            "not take this file"
        )
    if own.shape == read.shape and torch.allclose(own, read, atol=1e-6):
        return ""
    return f"image read differently from the library's own pipeline: {_what(image)}"


def _what(image: Image.Image) -> str:
    reasons = []
    orientation = _orientation(image)
    if orientation != 1:
        reasons.append(f"turned upright by its EXIF orientation ({orientation})")
    if image.has_transparency_data:
        reasons.append("transparency laid on white")
    if image.mode.startswith("I;16") or image.mode in _DEEP:
        reasons.append(f"mode {image.mode} scaled to 8 bits")
    if image.mode == "CMYK" and image.info.get("icc_profile"):
        reasons.append("CMYK converted by its colour profile")
    return ", ".join(reasons) or f"mode {image.mode} converted to RGB"
