"""The measurements of an audit on disk, so that an interrupted audit can resume."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whyclip.datasets.annotation_files import digest
from whyclip.errors import OutputError
from whyclip.files import append_line, make_folder
from whyclip.studies.audit.evidence import Exchange, MethodEvidence, SampleEvidence
from whyclip.types import Word

RESULT = "audit.json"
# Files of a report, of an audit or of another study.
_REPORTS = (RESULT, "index.html", "report.md")

_KINDS = {kind.__name__: kind for kind in (SampleEvidence, MethodEvidence, Exchange, Word)}


@dataclass
class Store:
    """A file with one line per measurement, each with a key.

    The file name contains a digest of everything that affects the results, so that audits of
    another model, dataset or plan use separate files. The first line describes these inputs.
    """

    folder: Path
    identity: Mapping[str, Any]
    lines: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Read the measurements of an earlier run; an incomplete last line is removed.

        Raises:
            OutputError: the file cannot be read.
        """
        self.file = self.folder / f"measured-{digest(self.identity)}.jsonl"
        if not self.file.exists():
            return
        try:
            content = self.file.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            if len(whole) < len(content):
                with self.file.open("r+b") as opened:
                    opened.truncate(len(whole))
            for line in whole.splitlines()[1:]:
                record = json.loads(line)
                self.lines[record["key"]] = record["value"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(
                f"{str(self.file)!r:.80} cannot be read: {error!s:.60}; remove it to start again"
            ) from None

    def refuse_others(self) -> None:
        """Check that the folder contains no report of another study or audit.

        Raises:
            OutputError: writing the audit's report would replace another report.
        """
        held = [name for name in _REPORTS if (self.folder / name).exists()]
        if held and not self.file.exists():
            raise OutputError(
                f"{str(self.folder)!r:.80} holds another report ({held[0]}); name another folder "
                "with --out, or remove this one"
            )

    def get(self, key: str) -> Any:
        """Return the measurement with a key; None if there is none.

        Raises:
            OutputError: the line was not written by whyclip.
        """
        if key not in self.lines:
            return None
        try:
            return _unpacked(self.lines[key])
        except (ValueError, KeyError, TypeError) as error:
            raise OutputError(
                f"{str(self.file)!r:.80} was not written by whyclip: {error!s:.60}"
            ) from None

    def put(self, key: str, value: Any) -> None:
        """Append a measurement and flush the file.

        Raises:
            OutputError: the file cannot be written.
        """
        line = json.dumps({"key": key, "value": _packed(value)}, separators=(",", ":"))
        make_folder(self.folder)
        append_line(self.file, line, header=json.dumps(self.identity))


def _packed(value: Any) -> Any:
    """Convert a value to JSON types; other types become a pair of type name and content."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Tensor):
        array = value.detach().cpu().contiguous().numpy()
        content = b64encode(array.tobytes()).decode("ascii")
        return ["tensor", [array.dtype.str, list(array.shape), content]]
    if isinstance(value, Mapping):
        return ["dict", [[_packed(key), _packed(part)] for key, part in value.items()]]
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, [_packed(part) for part in value]]
    name = type(value).__name__
    if name not in _KINDS:
        raise TypeError(f"{name} is not a kind of evidence")
    return [name, [_packed(getattr(value, part)) for part in value.__dataclass_fields__]]


def _unpacked(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    kind, content = value
    if kind == "tensor":
        dtype, shape, raw = content
        array = np.frombuffer(bytearray(b64decode(raw)), np.dtype(dtype)).reshape(shape)
        return torch.from_numpy(array)
    if kind == "dict":
        return {_unpacked(key): _unpacked(part) for key, part in content}
    parts = [_unpacked(part) for part in content]
    if kind in {"list", "tuple"}:
        return tuple(parts) if kind == "tuple" else parts
    return _KINDS[kind](*parts)
