"""The folder of a bulk run: a manifest that describes the rows, and one file per part."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from whyclip.errors import OutputError, quoted, reason
from whyclip.files import make_folder, write_atomic

MANIFEST, TOTAL, PARTS = "manifest.json", "total.json", "parts"
FORMAT = 1
_PART = re.compile(r"part-(\d+)\.parquet")
# Older temporary files belong to a process that was killed.
_OLD = 600.0


@dataclass(frozen=True)
class Folder:
    """``manifest.json``, ``parts/part-000000.parquet`` and so on, and ``total.json`` at the end.

    Every file is written atomically. A part's name and rows depend only on the source, so several
    processes can write parts in parallel, and existing parts are not computed again.

    Args:
        path: path of the folder.
    """

    path: Path

    @property
    def parts(self) -> Path:
        """Folder of the Parquet files."""
        return self.path / PARTS

    def open(self, identity: Mapping[str, Any], run: Mapping[str, Any]) -> None:
        """Create the folder, or check that it holds the same run.

        Args:
            identity: everything that determines the rows, in JSON types.
            run: fields that all explanations share.

        Raises:
            OutputError: it holds another run, or cannot be written.
        """
        make_folder(self.parts)
        now = json.loads(json.dumps(identity))
        if not (self.path / MANIFEST).exists():
            if self.numbers():
                raise OutputError(f"{quoted(str(self.path))} has parts but no {MANIFEST}")
            text = json.dumps({"format": FORMAT, "identity": now, "run": run}, indent=1)
            write_atomic(self.path / MANIFEST, lambda: text.encode("utf-8", "backslashreplace"))
        before = self.manifest()["identity"]
        for name in sorted(now.keys() | before.keys()):
            if now.get(name) != before.get(name):
                raise OutputError(
                    f"{quoted(str(self.path))} holds another run; its {name}: "
                    f"{quoted(before.get(name))}, now: {quoted(now.get(name))}; give another --out"
                )
        self._remove_leftovers()

    def _remove_leftovers(self) -> None:
        for left in self.parts.glob(".whyclip.*"):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > _OLD:
                    left.unlink()

    def manifest(self) -> dict[str, Any]:
        """Read the manifest.

        Raises:
            OutputError: there is none, or it is of another format.
        """
        return _read_json(self.path / MANIFEST)

    def total(self) -> dict[str, Any] | None:
        """Numbers of images and parts, if a run has listed the whole source; else None."""
        return _read_json(self.path / TOTAL) if (self.path / TOTAL).exists() else None

    def write_total(self, images: int, parts: int) -> None:
        """Write the numbers of images and parts."""
        text = json.dumps({"images": images, "parts": parts})
        write_atomic(self.path / TOTAL, text.encode)

    def numbers(self) -> set[int]:
        """Numbers of the existing parts."""
        names = (_PART.fullmatch(file.name) for file in self.parts.iterdir())
        return {int(match[1]) for match in names if match}

    def part(self, number: int) -> Path:
        """Path of a part's file."""
        return self.parts / f"part-{number:06d}.parquet"

    def write(self, number: int, table: pa.Table) -> None:
        """Write a part atomically.

        Raises:
            OutputError: it cannot be written, for example because the disk is full.
        """

        def encode() -> bytes:
            buffer = io.BytesIO()
            parquet.write_table(table, buffer, compression="zstd")
            return buffer.getvalue()

        write_atomic(self.part(number), encode)

    def read(self, number: int) -> pa.Table:
        """Read a part.

        Raises:
            OutputError: it is damaged.
        """
        return read_part(self.part(number))

    def with_errors(self, number: int) -> set[int]:
        """Numbers of the images in a part that have an error."""
        rows = read_part(self.part(number), ["number", "error"]).to_pylist()
        return {row["number"] for row in rows if row["error"] is not None}


def read_part(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file of a run.

    Raises:
        OutputError: it is damaged or missing.
    """
    try:
        return parquet.ParquetFile(path).read(columns=columns)
    except (OSError, ValueError) as error:
        raise OutputError(f"{quoted(str(path))} cannot be read: {reason(error)}") from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{quoted(str(path))} cannot be read: {reason(error)}; name the --out of a bulk run"
        ) from None
    if content.get("format", FORMAT) != FORMAT:
        raise OutputError(f"{quoted(str(path))} was written by another version of whyclip")
    return dict(content)
