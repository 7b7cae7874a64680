"""Base class of the results of studies, with a report and files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path

from whyclip.files import write_atomic
from whyclip.report import Report


class StudyResult(ABC):
    """Base of the results of evaluations, audits and experiments."""

    @abstractmethod
    def report(self) -> Report:
        """Return the result as a page with tables and figures."""

    def files(self) -> Mapping[str, Callable[[], bytes]]:
        """Content of additional files, by file name."""
        return {}

    def save(self, folder: str | Path) -> Path:
        """Write ``index.html``, ``report.md``, tables and figures, and the measured values.

        Returns:
            Path of the page.

        Raises:
            OutputError: the folder or a file cannot be written.
        """
        page = self.report().save(folder)
        for name, content in self.files().items():
            write_atomic(Path(folder) / name, content)
        return page

    def _repr_html_(self) -> str:
        return self.report()._repr_html_()
