"""Image files: a folder with subfolders, a pattern or one file, local or at an address."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from whyclip.bulk.remote import RemoteImage, file_system, is_remote
from whyclip.bulk.source import Item, Source
from whyclip.errors import ImageError, quoted, reason

EXTENSIONS = frozenset(
    (
        *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
        *(".avif", ".jp2", ".ppm", ".pgm", ".pbm", ".tga"),
    )
)


class FileSource(Source):
    """Image files sorted by name; ids are paths relative to the folder.

    Args:
        name: a folder, a pattern with ``*``, a file, or the address of one of these.

    Raises:
        ImageError: there are no images.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.remote = is_remote(name)
        self.root, self.ids = _listed_remote(name) if self.remote else _listed(name)
        self.length: int = len(self.ids)
        if not self.ids:
            raise ImageError(f"{quoted(name)} has no images; give a folder, a pattern or a table")

    def items(self) -> Iterator[Item]:
        """List the files."""
        for number, id in enumerate(self.ids):
            image: Any = RemoteImage(self.root + id) if self.remote else Path(self.root) / id
            yield Item(number, printable(id), image)

    def contents(self) -> str:
        """Digest of the names."""
        return names_digest(self.ids)


def names_digest(names: Sequence[str]) -> str:
    """Digest of a list of names in their order: 16 hexadecimal digits."""
    made = blake2b(digest_size=8)
    for name in names:
        made.update(os.fsencode(name) + b"\0")
    return made.hexdigest()


def printable(id: str) -> str:
    """Escape bytes of a file name that are not valid UTF-8, so that a table can store it."""
    return id.encode("utf-8", "backslashreplace").decode()


def _listed(name: str) -> tuple[str, list[str]]:
    path = Path(name)
    if path.is_dir():
        ids = [
            (Path(folder) / file).relative_to(path).as_posix()
            for folder, _, files in os.walk(path)
            for file in files
            if _is_image(file)
        ]
        return str(path), sorted(ids)
    if path.is_file():
        return str(path.parent), [path.name]
    if not glob.has_magic(name):
        raise ImageError(f"no file or folder {quoted(name)}; give images, a table or tars")
    matches = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - patterns may be absolute
    files = [match for match in matches if _is_image(match) and Path(match).is_file()]
    # Ids are relative to the folder before the first wildcard, not to the working directory.
    fixed = name[: min(name.index(sign) for sign in "*?[" if sign in name)]
    root = os.path.dirname(fixed)  # noqa: PTH120 - an empty name stays empty
    return root or ".", [os.path.relpath(file, root or ".") for file in files]


def _listed_remote(name: str) -> tuple[str, list[str]]:
    system, path = file_system(name)
    try:
        if glob.has_magic(path):
            names = sorted(map(str, system.glob(path)))
        elif system.isdir(path):
            names = sorted(map(str, system.find(path)))
        else:
            names = [path]
    except Exception as error:  # noqa: BLE001 - each file system raises errors of its own
        raise ImageError(f"{quoted(name)} cannot be listed: {reason(error)}") from None
    names = [one for one in names if _is_image(one)] or (names if names == [path] else [])
    urls = [str(system.unstrip_protocol(one)) for one in names]
    if not urls:
        return "", []
    root = urls[0].rpartition("/")[0] + "/" if len(urls) == 1 else _common_folder(urls)
    return root, [url.removeprefix(root) for url in urls]


def _common_folder(urls: Sequence[str]) -> str:
    """The longest common prefix ending in a slash; ``os.path.commonpath`` would merge slashes."""
    first, last = min(urls), max(urls)
    pairs = zip(first, last, strict=False)
    same = next((i for i, (a, b) in enumerate(pairs) if a != b), len(first))
    return first[:same].rpartition("/")[0] + "/"


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in EXTENSIONS  # noqa: PTH122 - also of addresses
