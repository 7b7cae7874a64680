"""The folder of an evaluation with its finished samples, from which an interrupted run resumes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from whyclip.errors import OutputError
from whyclip.files import append_line, make_folder, write_atomic
from whyclip.studies.evaluation.case_record import CaseRecord, record_from_json

PLAN, SAMPLES, CLASSES = "plan.json", "samples.jsonl", "classes.safetensors"


@dataclass
class Store:
    """Folder with ``plan.json`` for the setup and ``samples.jsonl`` with one line per sample.

    ``classes.safetensors`` contains the embeddings of the classes, so that they are computed once.

    The plan does not include the batch size, the number of drawn samples or the folder, because
    they may change between runs. It does not describe single samples either: each line has the key
    of its sample, see :func:`whyclip.datasets.dataset.keys_of`.
    """

    folder: Path
    plan: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Open or create the folder.

        Raises:
            OutputError: the folder cannot be created or read, or contains another evaluation.
        """
        # Folders that this run creates, the outermost last.
        self._made = [f for f in (self.folder, *self.folder.parents) if not exists(f)]
        make_folder(self.folder)
        self._added = False
        place = self.folder / PLAN
        if place.exists():
            self._check(place)
        elif (self.folder / SAMPLES).exists():
            raise OutputError(f"{str(self.folder)!r} has {SAMPLES} but no {PLAN}; name another")
        else:
            text = json.dumps(self.plan, indent=1, sort_keys=True) + "\n"
            write_atomic(place, lambda: text.encode("utf-8"))

    def _check(self, place: Path) -> None:
        try:
            before = json.loads(place.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise OutputError(f"{str(place)!r} cannot be read: {error}") from None
        now = json.loads(json.dumps(self.plan))
        for what in sorted(now.keys() | before.keys()):
            old, new = before.get(what), now.get(what)
            if old != new:
                raise OutputError(
                    f"{str(self.folder)!r} holds another evaluation; its {what}: "
                    f"{_shown(old, new)}, now: {_shown(new, old)}; give another --out, or "
                    "repeat the earlier options to resume"
                )

    def records(self) -> dict[str, CaseRecord]:
        """Read the finished samples, by their keys.

        An incomplete last line is removed. Lines of failed samples are removed too, so that they
        are measured again, and so are lines that a later line of the same sample replaces.

        Raises:
            OutputError: a line was not written by whyclip.
        """
        file = self.folder / SAMPLES
        if not file.exists():
            return {}
        try:
            content = file.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            lines = whole.decode("utf-8").splitlines()
            read = [(line, record_from_json(json.loads(line))) for line in lines]
        except (OSError, ValueError) as error:
            raise OutputError(f"{str(file)!r} was not written by whyclip: {error}") from None
        last = {(r.sample, r.image): (line, r) for line, r in read if not r.error}
        kept = "".join(f"{line}\n" for line, _ in last.values()).encode()
        if kept != content:
            write_atomic(file, lambda: kept)
        return {record.key: record for _, record in last.values()}

    def add(self, record: CaseRecord) -> None:
        """Append one finished sample and flush the file.

        Raises:
            OutputError: the file cannot be written.
        """
        line = json.dumps(record.to_json(), separators=(",", ":"), allow_nan=False)
        append_line(self.folder / SAMPLES, line)
        self._added = True

    def __enter__(self) -> Store:
        """Return the store; no file is opened before the first sample."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the folder if the run failed before its first sample."""
        if not self._added and isinstance(error, Exception):
            self.discard()

    def discard(self) -> None:
        """Remove the folders of this run, unless they contain other files."""
        if not self._made:
            return
        for name in (PLAN, CLASSES):
            (self.folder / name).unlink(missing_ok=True)
        with suppress(OSError):
            for folder in self._made:
                folder.rmdir()


def exists(path: Path) -> bool:
    """Whether a path exists; False for an invalid name."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _shown(value: Any, other: Any) -> str:
    """Show the part of one value that differs from the other."""
    if isinstance(value, dict) and isinstance(other, dict):
        if value.keys() != other.keys():
            return ", ".join(key for key in value if key not in other) or "fewer"
        parts = {key: (v, other[key]) for key, v in value.items() if other[key] != v}
        return ", ".join(f"{key} {_shown(*both)}" for key, both in parts.items())
    if isinstance(value, list) and isinstance(other, list):
        return ", ".join(str(v) for v in value if v not in other) or "fewer"
    return str(value)
