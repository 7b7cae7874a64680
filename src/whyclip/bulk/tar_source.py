"""Webdataset tars: files with the same name before the first dot form one sample."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from whyclip.bulk.file_source import names_digest, printable
from whyclip.bulk.remote import file_system, is_remote
from whyclip.bulk.source import Item, Source
from whyclip.datasets.annotation_files import file_at
from whyclip.errors import InputError, reason
from whyclip.finetuning.tar_captions import is_complete

IMAGES = ("jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff")
DAMAGED = "tar is damaged or cut short"


@dataclass(frozen=True)
class Member:
    """A file within an uncompressed local tar: its offset and size in bytes."""

    tar: str
    offset: int
    size: int

    def read(self) -> bytes:
        """Read it."""
        with Path(self.tar).open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


class TarSource(Source):
    """Samples of tars, in the order of the tars.

    For an uncompressed local tar, only the headers are read here; worker processes read the
    images. Other tars are read from beginning to end.

    Args:
        name: files or addresses of tars, optionally with braces (``{0000..0331}``).
        prompts: a file extension (``txt``) or a field of the sample's JSON with its prompts; None
            if all images share the prompts.

    Raises:
        InputError: a tar does not exist.
    """

    def __init__(self, name: str, prompts: str | None = None) -> None:
        self.name, self.prompts = name, prompts
        self.shards = sorted(expanded(name.removeprefix("wds:")))
        for shard in self.shards:
            if not is_remote(shard):
                file_at(shard, "a webdataset tar, such as data-{0000..0009}.tar")

    def contents(self) -> str:
        """Digest of the tars' names and sizes."""
        sizes = [0 if is_remote(s) else Path(s).stat().st_size for s in self.shards]
        return names_digest([f"{s}\0{n}" for s, n in zip(self.shards, sizes, strict=True)])

    def items(self) -> Iterator[Item]:
        """List the samples; a damaged tar is one item with its fault."""
        number = 0
        for shard in self.shards:
            name = shard.rpartition("/")[2]
            fault = ""
            try:
                for key, files in samples(shard):
                    yield self._item(number, f"{name}:{key}", files)
                    number += 1
                if not is_remote(shard) and not is_complete(shard):
                    fault = "it has no end marker"
            except Exception as error:  # noqa: BLE001 - each file system raises errors of its own
                fault = reason(error)
            if fault:
                yield Item(number, name, None, fault=f"{DAMAGED}: {fault}")
                number += 1

    def _item(self, number: int, id: str, files: dict[str, Any]) -> Item:
        id = printable(id)
        image = next((files[kind] for kind in IMAGES if kind in files), None)
        if image is None:
            return Item(number, id, None, fault=f"no image among {sorted(files)!r:.100}")
        if self.prompts is None:
            return Item(number, id, image)
        prompts = tuple(map(printable, _prompts(files, self.prompts)))
        if not prompts:
            return Item(number, id, None, fault=f"no prompt under {self.prompts!r}")
        return Item(number, id, image, prompts)


def samples(shard: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Group the files of a tar by the part of their names before the first dot.

    Yields:
        The key, and the files by extension: bytes, or a `Member` to be read later.
    """
    held: dict[str, Any] = {}
    last: str | None = None
    for name, file in _files(shard):
        folder, _, base = name.rpartition("/")
        stem, _, extension = base.partition(".")
        key = f"{folder}/{stem}" if folder else stem
        if key != last and held:
            yield str(last), held
            held = {}
        last = key
        held[extension.lower()] = file
    if held:
        yield str(last), held


def _files(shard: str) -> Iterator[tuple[str, Any]]:
    if not is_remote(shard) and _is_plain(shard):
        with tarfile.open(shard, "r:") as tar:
            for info in tar:
                if info.isfile() and not info.sparse:
                    yield info.name, Member(shard, info.offset_data, info.size)
                _forget(tar)
        return
    with closing(_stream(shard)) as stream, tarfile.open(fileobj=stream, mode="r|*") as tar:
        for info in tar:
            content = tar.extractfile(info) if info.isfile() else None
            if content is not None:
                yield info.name, content.read()
            _forget(tar)


def _forget(tar: Any) -> None:
    """Clear the list of headers, which would otherwise grow with the tar."""
    tar.members = []


def _stream(shard: str) -> IO[bytes]:
    if not is_remote(shard):
        return Path(shard).open("rb")
    system, path = file_system(shard)
    opened: IO[bytes] = system.open(path, "rb")
    return opened


def _is_plain(shard: str) -> bool:
    """Whether a tar is uncompressed: its first header has the magic number of a tar."""
    with Path(shard).open("rb") as file:
        return file.read(512)[257:262] == b"ustar"


def _prompts(files: dict[str, Any], field: str) -> list[str]:
    def read(file: Any) -> bytes:
        return file if isinstance(file, bytes) else file.read()

    if field in files:
        cell: Any = read(files[field]).decode("utf-8", "replace")
    else:
        try:
            cell = json.loads(read(files["json"]))[field]
        except (KeyError, TypeError, ValueError, RecursionError):
            return []
    listed = cell if isinstance(cell, list) else [cell]
    return [text.strip() for text in listed if isinstance(text, str) and text.strip()]


def expanded(pattern: str) -> list[str]:
    """Expand braces: ``a-{00..11}.tar`` and ``{a,b}.tar``.

    Raises:
        InputError: a brace is not closed.
    """
    from braceexpand import braceexpand

    try:
        return list(braceexpand(pattern, escape=False))
    except ValueError:
        raise InputError(f"{pattern!r:.80}: a brace is not closed") from None
