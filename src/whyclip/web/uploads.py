"""Images from visitors: checks before decoding, and the stored copies."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image

from whyclip.errors import ImageError, reason
from whyclip.inputs import read_image
from whyclip.render.grey import levels
from whyclip.render.page import display_file
from whyclip.web.limits import MEGABYTE, Limits

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF")
"""Formats that browsers also support; no other decoder of Pillow is run on an upload."""


@dataclass(frozen=True)
class Upload:
    """One image file.

    Attributes:
        id: hash of the content, so that links find the same image.
        content: the file.
        shown: the re-encoded display copy; nothing else from the file is sent.
        kind: format of the display copy, ``"jpeg"`` or ``"png"``.
        size: width and height of the upright original.
        levels: stretch of its grey levels, for drawing.
    """

    id: str
    content: bytes
    shown: bytes
    kind: str
    size: tuple[int, int]
    levels: dict[str, float]

    @property
    def weight(self) -> int:
        """Size in the cache, in bytes."""
        return len(self.content) + len(self.shown)

    def open(self) -> Image.Image:
        """Open the file with Pillow; it is decoded when its pixels are read."""
        return Image.open(BytesIO(self.content), formats=FORMATS)

    def to_json(self) -> dict[str, Any]:
        """Describe the image for the page."""
        width, height = self.size
        return {"id": self.id, "width": width, "height": height, "levels": self.levels}


def check_header(content: bytes, limits: Limits) -> None:
    """Reject a file by its first bytes and its size, before any pixel is decoded.

    Raises:
        ImageError: the file is empty, has an unsupported format, or has too many pixels.
    """
    if not content:
        raise ImageError("the file is empty (0 bytes)")
    if len(content) > limits.upload_bytes:
        raise ImageError(too_large(limits))
    try:
        # Pillow warns of many pixels, but the limit below decides.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(BytesIO(content), formats=FORMATS) as image:
                width, height = image.size
    except Image.DecompressionBombError:
        raise ImageError(_too_many(limits)) from None
    except Exception as error:
        raise ImageError(
            f"unsupported image format; give PNG, JPEG, WebP, GIF, BMP or AVIF{_hint(content)}"
        ) from error
    if width * height > limits.pixels:
        raise ImageError(f"{width} × {height} pixels: {_too_many(limits)}")


def read_upload(content: bytes, limits: Limits) -> Upload:
    """Decode an image once to check it, and make its display copy.

    Raises:
        ImageError: the image cannot be used.
    """
    check_header(content, limits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(BytesIO(content), formats=FORMATS) as opened:
                image = read_image(opened)
        except ImageError:
            raise
        except Exception as error:
            raise ImageError(f"the image is damaged: {reason(error)}") from error
    kind, shown = display_file(image)
    return Upload(
        id=hashlib.sha256(content).hexdigest()[:32],
        content=content,
        shown=shown,
        kind=kind,
        size=image.size,
        levels=levels(image)._asdict(),
    )


def too_large(limits: Limits) -> str:
    """Return the message for a file with too many bytes."""
    return f"the file is larger than {limits.upload_bytes // MEGABYTE} MB; give a smaller one"


def _too_many(limits: Limits) -> str:
    return f"an image may have at most {limits.pixels // MEGABYTE} million pixels; scale it down"


def _hint(content: bytes) -> str:
    start = content[:512].lstrip().lower()
    if start.startswith((b"<svg", b"<?xml")):
        return " (this one is SVG)"
    return " (this one is a web page)" if start.startswith((b"<!doctype", b"<html")) else ""
