"""Image files matched by a name: a file, a folder, or a pattern."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from whyclip.errors import ImageError

EXTENSIONS = frozenset(
    (
        *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
        *(".avif", ".jp2", ".ppm", ".pgm", ".pbm", ".tga"),
    )
)


def named_images(argument: str) -> list[str] | None:
    """List the images matched by a file name, a folder or a pattern.

    Returns:
        Paths in alphabetical order; None if no such file or folder exists.

    Raises:
        ImageError: a folder or pattern without images.
    """
    try:
        path = Path(argument)
        if path.is_dir():
            return _images(sorted(map(str, path.iterdir())), f"folder {argument!r}")
        if path.is_file():
            return [argument]
        if not glob.has_magic(argument):
            return None
        matching = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207  patterns may be absolute
    # Name too long, null byte, or folder without permission.
    except ImageError:
        raise
    except (OSError, ValueError, re.error):
        return None
    files = [name for name in matching if Path(name).is_file()]
    return _images(files, f"pattern {argument!r}") if files else None


def _images(names: Sequence[str], where: str) -> list[str]:
    images = [name for name in names if Path(name).suffix.lower() in EXTENSIONS]
    if not images:
        raise ImageError(f"{where} has no images; known extensions are .png, .jpg, .webp and more")
    return images
