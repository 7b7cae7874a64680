"""Files of datasets on this machine, found or refused by name; annotation images as numbers."""

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
    """Check that a folder is there; nothing is fetched in its place.

    Raises:
        InputError: it is not.
    """
    return _at(path, Path.is_dir, "folder", what)


def file_at(path: str | Path, what: str) -> Path:
    """Check that a file is there; nothing is fetched in its place.

    Raises:
        InputError: it is not.
    """
    return _at(path, Path.is_file, "file", what)


def is_folder(path: Path) -> bool:
    """Whether a folder is there; False also for a name that no folder can have."""
    return _is(path, Path.is_dir)


def _is(path: Path, there: Callable[[Path], bool]) -> bool:
    try:
        return there(path)
    except (OSError, ValueError):
        # A name that is longer than the file system allows, or has half of a surrogate pair.
        return False


def _at(path: str | Path, there: Callable[[Path], bool], kind: str, what: str) -> Path:
    found = Path(path)
    if not _is(found, there):
        raise InputError(f"no {kind} {shown(path)}; give {what}")
    return found


def stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of a file, by which a changed file is noticed; None if there is no file.

    Cheaper than its content; at worst, a file that was only touched counts as another.
    """
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns


def digest(content: Any) -> str:
    """Sixteen hexadecimal digits that stand for some bytes, or for a value of JSON's types."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return blake2b(raw, digest_size=8).hexdigest()


def read_mask(path: Path) -> Mask:
    """Read a mask from an image: the object is where it is not 0.

    Raises:
        InputError: the file cannot be read.
    """
    return nonzero(read_codes(path))


def nonzero(codes: NDArray[Any]) -> Mask:
    """Say where a mask image ``[H, W]`` or ``[H, W, 3]`` is not 0."""
    return np.asarray(codes != 0 if codes.ndim == 2 else (codes != 0).any(-1))


def read_codes(path: Path, mode: str | None = None) -> NDArray[np.generic]:
    """Read the numbers of an annotation image as they are, without any orientation or colour.

    Args:
        path: of the image.
        mode: ``"RGB"`` where each pixel shall have three.

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
    """The numbers of an annotation image, as :func:`read_codes` gives them."""
    if mode is None:
        mode = {"RGBA": "RGB", "LA": "L"}.get(image.mode, image.mode)
    return np.asarray(image.convert(mode) if image.mode != mode else image)
