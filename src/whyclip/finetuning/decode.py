"""Decode the image and the mask of an example, or report why it is unusable."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from whyclip.datasets.annotation_files import Mask, codes_of, nonzero
from whyclip.errors import WhyclipWarning, reason
from whyclip.finetuning.captions import BAD_MASK, UNREADABLE, Skipped, UnusableError
from whyclip.inputs import read_image


def decode_image(source: bytes | Path | Image.Image, id: str) -> Image.Image:
    """Read an image as upright RGB.

    Raises:
        UnusableError: it cannot be read.
    """
    try:
        with warnings.catch_warnings():
            # One warning per odd image would bury the progress of a long run.
            warnings.simplefilter("ignore", WhyclipWarning)
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return read_image(_opened(source))
    except Exception as error:  # noqa: BLE001 - a decoder may raise anything on a damaged file
        raise UnusableError(Skipped(id, UNREADABLE, reason(error))) from None


def decode_mask(source: bytes | Path | Image.Image, image: Image.Image, id: str) -> Mask:
    """Read a mask: True where it is not 0.

    Raises:
        UnusableError: it cannot be read, or does not have the size of its image.
    """
    try:
        opened = _opened(source)
        if isinstance(opened, Path):
            with Image.open(opened) as file:
                mask = nonzero(codes_of(file))
        else:
            mask = nonzero(codes_of(opened))
    except Exception as error:  # noqa: BLE001 - a decoder may raise anything on a damaged file
        raise UnusableError(Skipped(id, BAD_MASK, reason(error))) from None
    if mask.shape != (image.height, image.width):
        sizes = f"{mask.shape[1]}x{mask.shape[0]} pixels, its image {image.width}x{image.height}"
        raise UnusableError(Skipped(id, BAD_MASK, f"the mask has {sizes}"))
    return np.ascontiguousarray(mask)


def _opened(source: bytes | Path | Image.Image) -> Path | Image.Image:
    return Image.open(io.BytesIO(source)) if isinstance(source, bytes) else source
