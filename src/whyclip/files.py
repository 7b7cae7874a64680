"""Atomic writes, folders, whyclip's cache folder, and files within pages."""

from __future__ import annotations

import os
import sys
import tempfile
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

from whyclip.errors import OutputError, quoted

VARIABLE = "WHYCLIP_CACHE"


def path_of(path: str | Path) -> Path:
    """Convert to a pathlib path.

    Raises:
        OutputError: another type, or an invalid file name.
    """
    if not isinstance(path, (str, os.PathLike)):
        kind = type(path).__name__
        raise OutputError(f"{quoted(path)} of type {kind} is not a path; give a string")
    converted = Path(path)
    try:
        nul = b"\0" in os.fsencode(converted)
    except UnicodeError:
        nul = True
    if nul:
        raise OutputError(f"no file can have the name {quoted(str(converted))}; give another one")
    return converted


def is_file(path: Path) -> bool:
    """Whether a file exists; False for invalid names."""
    try:
        return path.is_file()
    except OSError:
        return False


def write_atomic(path: Path, encode: Callable[[], bytes]) -> None:
    """Write bytes to a temporary file and rename it, so that a failure leaves no partial file.

    Raises:
        OutputError: the file cannot be written.
    """
    content = encode()
    handle, beside = -1, ""
    try:
        # Named without the target, whose name may already have the maximum length.
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
    """Make a folder and its parents, if missing; return it.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"folder {quoted(str(folder))} cannot be made: {reason}") from None
    return folder


def check_folder(folder: Path, option: str) -> None:
    """Check, before any work, that a folder exists or can be made.

    Args:
        folder: path from the user.
        option: name of the option, for messages.

    Raises:
        OutputError: it is a file, or its name is invalid.
    """
    named = f"{option} {quoted(str(folder))}"
    try:
        is_file = folder.exists() and not folder.is_dir()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{named} cannot be used: {reason}; name another folder") from None
    if is_file:
        raise OutputError(f"{named} is a file; name a folder")


def append_line(path: Path, line: str, *, header: str = "") -> None:
    """Append a line to a file, which is created if missing.

    Args:
        path: the file.
        line: without a line break.
        header: first line of a new or empty file.

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
    """Return whyclip's cache folder, which need not exist."""
    folder = os.environ.get(VARIABLE)
    if folder:
        return Path(folder).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return (Path(base) if base else Path.home() / "AppData" / "Local") / "whyclip" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "whyclip"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "whyclip"


def data_uri(kind: str, content: bytes) -> str:
    """Encode an image file (``"png"`` or ``"jpeg"``) as a ``data:`` URI for a page."""
    return f"data:image/{kind};base64,{b64encode(content).decode('ascii')}"
