"""The folder of an evaluation: finished samples are added to it, and an interrupted run goes on."""

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
    """``plan.json`` says what is measured, ``samples.jsonl`` has a line for each sample.

    ``classes.safetensors`` has the directions of the classes, so that they are embedded once.

    The plan has nothing of the batch size, of how many samples are drawn, or of the folder: these
    may change from run to run. Nor has it anything of single samples: each line has the key of its
    sample, see :func:`whyclip.datasets.dataset.keys_of`.
    """

    folder: Path
    plan: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Open the folder, or make it.

        Raises:
            OutputError: it cannot be made or read, or holds another evaluation.
        """
        # Those that this run makes, the outermost last.
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
                    f"{_shown(old, new)}, now: {_shown(new, old)}; give another --out, or ask as "
                    "before to go on"
                )

    def records(self) -> dict[str, CaseRecord]:
        """Read the samples that are finished, by their keys.

        A last line that was cut off is removed, and so are lines of samples that could not be
        measured and of samples that were measured again since, so that they are measured again.

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
        """Write one finished sample through to the file.

        Raises:
            OutputError: the file cannot be written.
        """
        line = json.dumps(record.to_json(), separators=(",", ":"), allow_nan=False)
        append_line(self.folder / SAMPLES, line)
        self._added = True

    def __enter__(self) -> Store:
        """Nothing is opened before the first sample."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """A run that failed before its first sample leaves nothing behind."""
        if not self._added and isinstance(error, Exception):
            self.discard()

    def discard(self) -> None:
        """Remove what this run made, unless there is anything else in it."""
        if not self._made:
            return
        for name in (PLAN, CLASSES):
            (self.folder / name).unlink(missing_ok=True)
        with suppress(OSError):
            for folder in self._made:
                folder.rmdir()


def exists(path: Path) -> bool:
    """Whether there is anything at a path; False for a name that nothing can have."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _shown(value: Any, other: Any) -> str:
    """Show of two values what one has and the other has not."""
    if isinstance(value, dict) and isinstance(other, dict):
        if value.keys() != other.keys():
            return ", ".join(key for key in value if key not in other) or "fewer"
        parts = {key: (v, other[key]) for key, v in value.items() if other[key] != v}
        return ", ".join(f"{key} {_shown(*both)}" for key, both in parts.items())
    if isinstance(value, list) and isinstance(other, list):
        return ", ".join(str(v) for v in value if v not in other) or "fewer"
    return str(value)
