"""Remote files through fsspec, for a fixed list of protocols."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from whyclip.errors import ImageError, InputError, quoted, reason

PROTOCOLS = ("http", "https", "s3", "gs", "gcs", "abfs", "abfss", "az", "hf", "memory")
_ADDRESS = re.compile(r"([a-z0-9]+)://")


def is_remote(name: str) -> bool:
    """Whether a name is an address."""
    return "://" in name


def check_address(url: str) -> str:
    """Return an address if its protocol is supported.

    Raises:
        InputError: another protocol, a chain of file systems or a shell command.
    """
    match = _ADDRESS.match(url)
    if not match or match[1] not in PROTOCOLS or "::" in url:
        raise InputError(f"{quoted(url)} cannot be read; known: {', '.join(PROTOCOLS)}://…")
    return url


def file_system(url: str) -> tuple[Any, str]:
    """Open the file system of an address: fsspec's object, and the path in it.

    Raises:
        InputError: fsspec or the package for this protocol is not installed.
    """
    check_address(url)
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise InputError(f"{quoted(url)} needs fsspec: pip install 'whyclip[bulk]'") from None
    try:
        system, path = url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise InputError(f"{quoted(url)} cannot be opened: {reason(error)}") from None
    return system, path


def read_remote(url: str) -> bytes:
    """Fetch a whole file.

    Raises:
        InputError: it cannot be fetched.
    """
    system, path = file_system(url)
    try:
        content: bytes = system.cat_file(path)
    except Exception as error:  # noqa: BLE001 - each file system raises errors of its own
        raise InputError(f"{quoted(url)} cannot be fetched: {reason(error)}") from None
    return content


@dataclass(frozen=True)
class RemoteImage:
    """An image at an address."""

    url: str

    def read(self) -> bytes:
        """Fetch it.

        Raises:
            ImageError: it cannot be fetched.
        """
        try:
            return read_remote(self.url)
        except InputError as error:
            raise ImageError(str(error)) from None
