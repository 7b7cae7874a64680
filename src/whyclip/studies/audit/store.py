"""The measurements of an audit on disk, sample by sample, so that an interrupted audit resumes."""

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
# Files of a report, of an audit or of something else.
_REPORTS = (RESULT, "index.html", "report.md")

_KINDS = {kind.__name__: kind for kind in (SampleEvidence, MethodEvidence, Exchange, Word)}


@dataclass
class Store:
    """A file of lines, one for each thing that was measured, under a key.

    The file's name has a digest of everything that decides the results, so that audits of another
    model, dataset or plan have files of their own. Its first line says what that is.
    """

    folder: Path
    identity: Mapping[str, Any]
    lines: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Read what an earlier run measured; half a line at the end is removed.

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
                f"{str(self.file)!r:.80} cannot be read: {error!s:.60}; remove it to begin anew"
            ) from None

    def refuse_others(self) -> None:
        """Refuse a folder with a report that belongs to something else than this audit.

        Raises:
            OutputError: writing the audit's report would replace it.
        """
        held = [name for name in _REPORTS if (self.folder / name).exists()]
        if held and not self.file.exists():
            raise OutputError(
                f"{str(self.folder)!r:.80} holds another report ({held[0]}); name another folder "
                "with --out, or remove this one"
            )

    def get(self, key: str) -> Any:
        """What was measured under a key; None if nothing was.

        Raises:
            OutputError: it was not written by whyclip.
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
        """Write what was measured through to the file.

        Raises:
            OutputError: the file cannot be written.
        """
        line = json.dumps({"key": key, "value": _packed(value)}, separators=(",", ":"))
        make_folder(self.folder)
        append_line(self.file, line, header=json.dumps(self.identity))


def _packed(value: Any) -> Any:
    """A value in JSON's types; what is not one of them becomes a pair of its kind and content."""
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
