"""Paths that can be written to, and files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from whyclip.errors import OutputError, quoted

FIGURES = (".png", ".jpg", ".jpeg", ".svg", ".pdf")
ENDINGS = (".html", *FIGURES, ".json", ".npz", ".safetensors")


def path_of(path: str | Path) -> Path:
    """Return a path as pathlib has it.

    Raises:
        OutputError: it is of another kind, or no file can have this name.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise OutputError(f"{quoted(path)} of type {type(path).__name__} is no path; give a string")
    found = Path(path)
    try:
        nul = b"\0" in os.fsencode(found)
    except UnicodeError:
        nul = True
    if nul:
        raise OutputError(f"no file can have the name {quoted(str(found))}; give another one")
    return found


def is_file(path: Path) -> bool:
    """Whether there is a file; a name that the file system cannot have is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def check_path(path: str | Path) -> Path:
    """Say before the work begins whether :meth:`Explanation.save` will be able to write there.

    Raises:
        OutputError: an unknown ending, a folder that does not exist, or a folder itself.
    """
    path = path_of(path)
    name = quoted(str(path))
    if path.suffix.lower() not in ENDINGS:
        raise OutputError(f"cannot write {name}: end it in one of {', '.join(ENDINGS)}")
    try:
        if path.is_dir():
            raise OutputError(f"cannot write {name}: it is a folder")
        if not path.parent.is_dir():
            raise OutputError(f"cannot write {name}: no such folder: {quoted(str(path.parent))}")
        # A name that is too long for the file system.
        path.exists()
    except OSError as error:
        raise OutputError(f"cannot write {name}: {error.strerror}") from None
    return path


def write_whole(path: Path, encode: Callable[[], bytes]) -> None:
    """Write bytes beside the target first, so that a failure leaves nothing half-written.

    Raises:
        OutputError: the file cannot be written.
    """
    content = encode()
    handle, beside = -1, ""
    try:
        # Named without the target, whose name may be as long as a name can be.
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=".whyclip.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        umask = os.umask(0)
        os.umask(umask)
        Path(beside).chmod(0o666 & ~umask)
        Path(beside).replace(path)
    except BaseException as error:
        if beside:
            Path(beside).unlink(missing_ok=True)
        if isinstance(error, (OSError, ValueError)):
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"cannot write {quoted(str(path))}: {reason!s:.60}") from error
        raise
