"""Saved audits, so that an explanation can show the last result for its method.

    <cache>/audits/<fingerprint>/index.json     for each method, a link to its last audit
    <cache>/audits/<fingerprint>/<date>.json    the audits themselves

``<cache>`` is ``$WHYCLIP_CACHE``, or the platform's cache folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol
from weakref import ref

from whyclip.files import cache_folder
from whyclip.stats.verdict import verdict_of
from whyclip.types import Side

INDEX = "index.json"
# Names of the principles in files that earlier versions wrote.
_EARLIER = {"itself": "fidelity", "consistent": "consistency"}


@dataclass(frozen=True)
class AuditLink:
    """Result of the last audit of a model for one method.

    Attributes:
        date: ISO 8601, in UTC.
        dataset: kind of dataset.
        samples: number of samples.
        verdicts: by side, for the criteria ``"fidelity"`` (to the model) and ``"consistency"``
            (with its performance): ``"pass"``, ``"fail"``, ``"inconclusive"`` or ``"not
            applicable"``.
        failed: titles of failed checks, with their sides.
        file: JSON file of the audit, relative to the cache folder, so that shared pages do not
            reveal a user's home folder.
    """

    date: str
    dataset: str
    samples: int
    verdicts: Mapping[Side, Mapping[str, str]]
    failed: tuple[str, ...]
    file: str

    @property
    def path(self) -> Path:
        """Path of the audit; :meth:`whyclip.studies.audit.Audit.load` reads it."""
        return cache_folder() / self.file

    def only(self, side: Side) -> AuditLink | None:
        """Return the audit of one side; None if that side was not audited."""
        if side not in self.verdicts:
            return None
        failed = tuple(title for title in self.failed if title.endswith(f"({side})"))
        return replace(self, verdicts={side: self.verdicts[side]}, failed=failed)

    def __str__(self) -> str:
        summary = "; ".join(
            f"{'image' if side == 'image' else 'words'}: "
            f"model fidelity {verdicts['fidelity']}, "
            f"performance consistency {verdicts['consistency']}"
            for side, verdicts in self.verdicts.items()
        )
        return f"audit of {self.date[:10]} ({self.dataset}, n = {self.samples}): {summary}"


def joined_links(image: AuditLink | None, text: AuditLink | None) -> AuditLink | None:
    """Join the audits of the methods for maps and words; if the audits differ, return the newer."""
    parts = [link for link in (image and image.only("image"), text and text.only("text")) if link]
    if len(parts) < 2 or parts[0].file != parts[1].file:
        return max(parts, key=lambda link: link.date, default=None)
    first, second = parts
    return replace(
        first,
        verdicts={**first.verdicts, **second.verdicts},
        failed=(*first.failed, *second.failed),
    )


def folder_of(fingerprint: str) -> Path:
    """Return the folder of a model's audits."""
    return cache_folder() / "audits" / fingerprint


def key_of(method: str, options: Mapping[str, Any]) -> str:
    """Build the key of a method with all of its options, defaults included."""
    return json.dumps([method, dict(sorted(options.items()))], default=str)


class Audited(Protocol):
    """The parts of a model that a look-up needs: its module, and the fingerprint of its weights."""

    @property
    def module(self) -> object:
        """The module; None if the model has none."""

    @property
    def fingerprint(self) -> str:
        """Hash of the weights."""


class Audits:
    """Look up the last audit of an explanation's model on demand.

    It does not keep the model alive. After the model is gone, or in another process, only
    ``known`` is returned.

    Args:
        model: the explained model.
        known: the audit that a loaded explanation was saved with.
    """

    def __init__(self, model: Audited | None = None, known: AuditLink | None = None) -> None:
        self.known = known
        self._model = None if model is None else ref(model)
        self._fingerprint = ""

    def __reduce__(self) -> tuple[Any, ...]:
        return Audits, (None, self.known)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Audits) and self.known == other.known

    __hash__ = object.__hash__

    def __deepcopy__(self, memo: object) -> Audits:
        return self

    def find(self, variants: Mapping[Side, tuple[str, Mapping[str, Any]]]) -> AuditLink | None:
        """Find the last audit of this model for methods with their options.

        Nothing is computed if no model was ever audited. A link that cannot be read is ignored.

        Args:
            variants: for each side, the method's name and all of its options.
        """
        try:
            index = self._index()
            links = {
                side: link_of(index[key]) if (key := key_of(*variant)) in index else None
                for side, variant in variants.items()
            }
        # No home folder, a folder without permission, or a file of another version.
        except (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError):
            return self.known
        if len({key_of(*variant) for variant in variants.values()}) > 1:
            return joined_links(links.get("image"), links.get("text")) or self.known
        return next(iter(links.values()), None) or self.known

    def _index(self) -> Mapping[str, Any]:
        model = None if self._model is None else self._model()
        if model is None or model.module is None or not (cache_folder() / "audits").is_dir():
            return {}
        # One object serves all explanations of a call, so weights are read once at most.
        self._fingerprint = self._fingerprint or model.fingerprint
        path = folder_of(self._fingerprint) / INDEX
        return read_index(path, path.stat().st_mtime_ns)


def audit_statement(link: AuditLink | None) -> str:
    """Describe the last audit, or say that there was none."""
    return "audit: not run" if link is None else str(link)


@lru_cache(maxsize=16)
def read_index(path: Path, changed: int) -> Mapping[str, Any]:
    """Read an index file, cached until it changes; an invalid one counts as empty."""
    del changed
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def link_of(record: Mapping[str, Any]) -> AuditLink:
    """Read a link from plain JSON types.

    Raises:
        TypeError, KeyError: a field is missing.
        ValueError: a verdict is not known.
    """
    verdicts = {
        side: {_EARLIER.get(name, name): verdict_of(word) for name, word in by_principle.items()}
        for side, by_principle in record["verdicts"].items()
    }
    return AuditLink(**{**record, "verdicts": verdicts, "failed": tuple(record["failed"])})


def link_to_json(link: AuditLink) -> dict[str, Any]:
    """Describe a link in plain JSON types."""
    return {**asdict(link), "failed": list(link.failed)}
