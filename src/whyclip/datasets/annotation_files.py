"""Check dataset files, and read annotation images as numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyclip.datasets.tables import shown
from whyclip.errors import InputError

Mask = NDArray[np.bool_]


def folder_at(path: str | Path, what: str) -> Path:
    """Check that a folder exists; nothing is downloaded.

    Raises:
        InputError: it does not.
    """
    return _at(path, Path.is_dir, "folder", what)


def file_at(path: str | Path, what: str) -> Path:
    """Check that a file exists; nothing is downloaded.

    Raises:
        InputError: it does not.
    """
    return _at(path, Path.is_file, "file", what)


def is_folder(path: Path) -> bool:
    """Whether a folder exists; False for invalid names."""
    return _is(path, Path.is_dir)


def _is(path: Path, there: Callable[[Path], bool]) -> bool:
    try:
        return there(path)
    except (OSError, ValueError):
        # The name is too long, or has an unpaired surrogate.
        return False


def _at(path: str | Path, there: Callable[[Path], bool], kind: str, what: str) -> Path:
    location = Path(path)
    if not _is(location, there):
        raise InputError(f"no {kind} {shown(path)}; give {what}")
    return location


def stamp(path: Path) -> tuple[int, int] | None:
    """Size and modification time of a file, to detect changes; None if there is no file.

    This is cheaper than a hash of the content. A file that was only touched counts as changed.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def digest(content: Any) -> str:
    """Hash bytes, or a value of JSON types, to sixteen hexadecimal digits."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return blake2b(raw, digest_size=8).hexdigest()


def read_mask(path: Path) -> Mask:
    """Read a mask from an image with non-zero values on the object.

    Raises:
        InputError: the file cannot be read.
    """
    return nonzero(read_codes(path))


def nonzero(codes: NDArray[Any]) -> Mask:
    """Return where a mask image ``[H, W]`` or ``[H, W, 3]`` is not 0."""
    return np.asarray(codes != 0 if codes.ndim == 2 else (codes != 0).any(-1))


def read_codes(path: Path, mode: str | None = None) -> NDArray[np.generic]:
    """Read the raw numbers of an annotation image, without orientation or colour conversion.

    Args:
        path: path of the image.
        mode: ``"RGB"`` for three numbers per pixel.

    Returns:
        ``[H, W]``, or ``[H, W, 3]``; transparency is dropped, palettes give their indices.

    Raises:
        InputError: the file cannot be read.
    """
    file_at(path, "the annotation image of this sample")
    try:
        with Image.open(path) as image:
            return codes_of(image, mode)
    except Exception as error:  # noqa: BLE001  a decoder may raise anything on a damaged file
        raise InputError(f"annotation image {shown(path)} cannot be read: {error}") from None


def codes_of(image: Image.Image, mode: str | None = None) -> NDArray[np.generic]:
    """The numbers of an annotation image, like :func:`read_codes`."""
    if mode is None:
        mode = {"RGBA": "RGB", "LA": "L"}.get(image.mode, image.mode)
    return np.asarray(image.convert(mode) if image.mode != mode else image)
