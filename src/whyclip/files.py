"""Files that are written whole or not at all, folders, and where whyclip keeps its own."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from whyclip.errors import OutputError, quoted

VARIABLE = "WHYCLIP_CACHE"


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


def write_atomic(path: Path, encode: Callable[[], bytes]) -> None:
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


def make_folder(folder: Path) -> Path:
    """Make a folder with those above it, if it is not there; return it.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"folder {quoted(str(folder))} cannot be made: {reason}") from None
    return folder


def append_line(path: Path, line: str, *, header: str = "") -> None:
    """Write a line through to the end of a file, which is made if it is not there.

    Args:
        path: the file.
        line: without a line break.
        header: the first line of a file that is new or empty.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            first = f"{header}\n" if header and file.tell() == 0 else ""
            file.write(f"{first}{line}\n")
    except OSError as error:
        raise OutputError(f"cannot write {quoted(str(path))}: {error.strerror}") from None


def cache_folder() -> Path:
    """The folder that whyclip keeps things in between runs; it need not exist."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return (Path(base) if base else Path.home() / "AppData" / "Local") / "whyclip" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "whyclip"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "whyclip"
