"""Check output files before any work."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from whyclip.errors import OutputError


def check_outputs(
    outputs: Sequence[Path],
    endings: Iterable[str],
    images: Sequence[str],
    *,
    folders: bool = False,
    option: str = "--out",
) -> None:
    """Check that files can be written.

    Args:
        outputs: the files to be written.
        endings: supported extensions, with their dots.
        images: input images, which must not be overwritten.
        folders: whether missing folders will be created.
        option: option that names the files.

    Raises:
        OutputError: the extension is unknown, a folder is missing or read-only, a file is a folder,
            given twice, or one of the images.
    """
    try:
        _check(outputs, tuple(endings), images, folders, option)
    # No permission, or name too long.
    except OSError as error:
        if error.filename is not None and Path(error.filename) in map(Path, images):
            return  # reading the image raises the error
        raise OutputError(
            f"{option} {error.filename!r} cannot be written: {error.strerror}"
        ) from None


def _check(
    outputs: Sequence[Path],
    endings: tuple[str, ...],
    images: Sequence[str],
    folders: bool,
    option: str,
) -> None:
    read = {_identity(Path(image)) for image in images if outputs and Path(image).exists()}
    seen: set[Path] = set()
    for path in outputs:
        if "\0" in str(path):
            raise OutputError(f"{option} {str(path)!r} cannot be written: it has a null character")
        if path.suffix.lower() not in endings:
            reason = f"ends in {path.suffix!r}" if path.suffix else "has no extension"
            raise OutputError(f"{option} {str(path)!r} {reason}; known: {', '.join(endings)}")
        if path in seen:
            raise OutputError(f"{option} {str(path)!r} is given twice")
        seen.add(path)
        if not path.parent.is_dir():
            if folders:
                continue
            raise OutputError(f"{option} {str(path)!r}: there is no folder {str(path.parent)!r}")
        if path.is_dir():
            raise OutputError(f"{option} {str(path)!r} is a folder; name a file in it")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise OutputError(f"{option} {str(path)!r} cannot be written: permission denied")
        if path.exists() and _identity(path) in read:
            raise OutputError(f"{option} {str(path)!r} is the image itself; name another file")


def _identity(path: Path) -> tuple[int, int]:
    """Return a key that is equal for two names of one file."""
    status = path.stat()
    return status.st_dev, status.st_ino
