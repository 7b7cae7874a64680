"""The result of an audit with its report and files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whyclip.errors import OutputError
from whyclip.report import Report
from whyclip.studies.audit.page import figures_table, findings_table, report_of
from whyclip.studies.audit.record import AuditRecord, fields_from_json
from whyclip.studies.result import StudyResult


@dataclass(frozen=True)
class Audit(AuditRecord, StudyResult):
    """Results of an audit of a model's explanations.

    Attributes:
        fingerprint: fingerprint of the model, see ``ModelView.fingerprint``.
        methods: audited methods by the names used in the findings.
        cells: the 2 x 2 table of heads and geometry; empty if heads cannot be merged.
        notes: remarks on the results.
        failed: name and error of each sample that could not be audited.
        command: command that repeats the audit.
    """

    def report(self) -> Report:
        """Return a report with the matrix and a description of each method."""
        return report_of(self)

    def files(self) -> Mapping[str, Callable[[], bytes]]:
        """``findings.csv``, ``figures.csv`` and ``audit.json``."""

        def content() -> bytes:
            text = json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
            return text.encode("utf-8", "backslashreplace")

        return {
            "findings.csv": findings_table(self).csv,
            "figures.csv": figures_table(self).csv,
            "audit.json": content,
        }

    @classmethod
    def load(cls, path: str | Path) -> Audit:
        """Read an ``audit.json``, or an audit from the cache.

        Raises:
            OutputError: the file does not exist or is not an audit of a known version.
        """
        try:
            record = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise OutputError(f"{str(path)!r} cannot be read as an audit: {error}") from error
        if not isinstance(record, dict):
            raise OutputError(f"{str(path)!r} is not an audit written by whyclip")
        return cls.from_json(record)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Audit:
        """Read the result of :meth:`to_json`.

        Raises:
            OutputError: the version is unknown, or a field is missing.
        """
        try:
            return cls(**fields_from_json(record))
        except TypeError as error:
            raise OutputError(f"not an audit written by whyclip: {error!r}") from error
