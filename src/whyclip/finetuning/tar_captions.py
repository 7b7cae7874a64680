"""Webdataset tars as caption data, read by the ``webdataset`` library."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

from whyclip.datasets.annotation_files import file_at
from whyclip.errors import InputError, quoted, reason
from whyclip.finetuning.batch import Example
from whyclip.finetuning.captions import (
    CUT_TAR,
    EMPTY_CAPTION,
    NO_CAPTION,
    NO_IMAGE,
    CaptionData,
    Chooser,
    Skipped,
    UnusableError,
    caption_of,
)
from whyclip.finetuning.decode import decode_image, decode_mask

IMAGES = ("jpg", "jpeg", "png", "webp")
BUFFER = 1000
SPARES = 32
_BLOCK = 512
# The library passes an address to a shell, in quotation marks.
_ADDRESS = re.compile(r"https?://[A-Za-z0-9._~:/?#@!&()*+,;=%\[\]-]+")


class TarCaptions(CaptionData):
    """Samples of tars: ``KEY.jpg`` with ``KEY.txt`` or ``KEY.json``, optionally ``KEY.mask.png``.

    Every epoch shuffles the tars and then the samples, in a buffer. Each process and each worker
    reads every tar, but decodes only its own images. This keeps the batches the same for any
    number of processes and workers.

    Args:
        pattern: file names or http addresses of tars, with braces such as ``{0000..0331}``.
        fraction: share of the samples, chosen by a hash of tar and key.
        seed: of that choice.
        buffer: number of encoded samples in the shuffle buffer.

    Raises:
        InputError: a file or the library is missing, or an address cannot be used.
    """

    def __init__(
        self, pattern: str, *, fraction: float = 1.0, seed: int = 0, buffer: int = BUFFER
    ) -> None:
        try:
            from webdataset.shardlists import expand_urls
        except ImportError:
            raise InputError(
                f"{quoted(pattern)} needs webdataset: pip install 'whyclip[train]'"
            ) from None
        self.name, self.length, self.buffer = f"wds:{pattern}", None, buffer
        self.shards = sorted(map(str, expand_urls(pattern)))
        for shard in self.shards:
            check_shard(shard)
        self.chosen = Chooser(fraction, seed)
        self._faults: list[Skipped] = []
        self._spares: tuple[tuple[int, int], list[dict[str, Any]]] = ((-1, -1), [])

    def order(self, number: int, seed: int) -> Iterator[dict[str, Any]]:
        """Read all tars in a shuffled order; yield undecoded samples from a shuffled buffer."""
        draw = random.Random(f"{seed} {number}")
        shards = draw.sample(self.shards, len(self.shards))
        spares: list[dict[str, Any]] = []
        self._spares = ((number, seed), spares)
        held: list[dict[str, Any]] = []
        for shard in shards:
            for sample in self._samples(shard):
                if len(spares) < SPARES:
                    spares.append(sample)
                held.append(sample)
                if len(held) >= self.buffer:
                    place = draw.randrange(len(held))
                    held[place], held[-1] = held[-1], held[place]
                    yield held.pop()
        draw.shuffle(held)
        yield from held

    def spares(self, position: int, number: int, seed: int) -> Iterator[dict[str, Any]]:
        """List the first samples of the epoch, starting at an index given by the position."""
        of, spares = self._spares
        if of == (number, seed):
            yield from (spares[(position + i) % len(spares)] for i in range(len(spares)))

    def faults(self) -> list[Skipped]:
        """Return and forget the tars that were damaged."""
        faults, self._faults = self._faults, []
        return faults

    def _samples(self, shard: str) -> Iterator[dict[str, Any]]:
        from webdataset.tariterators import group_by_keys, tar_file_expander

        faults: list[Exception] = []

        def note(error: Exception) -> bool:
            faults.append(error)
            return True

        try:
            stream = open_shard(shard)
        except Exception as error:  # noqa: BLE001 - the library raises the errors of its transport
            self._faults.append(Skipped(shard, CUT_TAR, reason(error)))
            return
        name = shard.rpartition("/")[2]
        try:
            with closing(stream):
                files = tar_file_expander([{"url": shard, "stream": stream}], handler=note)
                for sample in group_by_keys(files, handler=note):
                    if self.chosen(f"{name}\0{sample['__key__']}"):
                        yield sample
        except OSError as error:
            # A transfer can fail at its end.
            faults.append(error)
        if faults:
            # The library appends its arguments to the error.
            detail = f"{type(faults[0]).__name__}: {str(faults[0].args[:1])[2:-3]:.120}"
            self._faults.append(Skipped(shard, CUT_TAR, detail))
        elif not is_complete(shard):
            self._faults.append(Skipped(shard, CUT_TAR, "it has no end marker"))

    def read(self, item: dict[str, Any]) -> Example:
        """Decode one sample."""
        id = f"{item['__url__'].rpartition('/')[2]}:{item['__key__']}"
        caption = caption_of(self._caption(item, id), id)
        encoded = next((item[kind] for kind in IMAGES if kind in item), None)
        if encoded is None:
            raise UnusableError(Skipped(id, NO_IMAGE, f"has {sorted(set(item))!r:.100}"))
        image = decode_image(encoded, id)
        mask = item.get("mask.png")
        hidden = None if mask is None else decode_mask(mask, image, id)
        return Example(id, image, caption, hidden=hidden)

    @staticmethod
    def _caption(item: dict[str, Any], id: str) -> object:
        if "txt" in item:
            return item["txt"]
        if "json" not in item:
            raise UnusableError(Skipped(id, NO_CAPTION, "neither txt nor json"))
        try:
            content = json.loads(item["json"])
            return content["caption"] if "caption" in content else content["text"]
        except (ValueError, KeyError, TypeError, RecursionError):
            detail = "the json has no text under 'caption'"
            raise UnusableError(Skipped(id, EMPTY_CAPTION, detail)) from None


def check_shard(shard: str) -> None:
    """Check the name of a tar, without downloading it.

    Raises:
        InputError: no such file, or an address that is not plain http or https.
    """
    if "://" in shard or shard.startswith("pipe:"):
        if not _ADDRESS.fullmatch(shard):
            raise InputError(
                f"{quoted(shard)} is not an address of a tar; give a file or http(s)://…"
            )
        return
    file_at(shard, "a webdataset tar, such as data-{0000..0009}.tar")


def open_shard(shard: str) -> BinaryIO:
    """Open a tar; the library opens addresses."""
    if "://" not in shard:
        return Path(shard).open("rb")
    from webdataset.gopen import gopen

    stream: BinaryIO = gopen(shard)
    return stream


def is_complete(shard: str) -> bool:
    """Whether an uncompressed tar on disk ends in empty blocks; True if unknown.

    Python's reader does not notice a tar that ends between two files, or in a header.
    """
    if "://" in shard or not shard.endswith(".tar"):
        return True
    with Path(shard).open("rb") as file:
        if file.read(2) == b"\x1f\x8b":
            return True
        size = file.seek(0, 2)
        file.seek(max(0, size - 2 * _BLOCK))
        return size % _BLOCK == 0 and not any(file.read())
