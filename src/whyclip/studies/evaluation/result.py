"""The result of an evaluation with its report and files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from whyclip.report import Report
from whyclip.studies.evaluation.pages import report_of
from whyclip.studies.evaluation.record import EvaluationRecord, Row
from whyclip.studies.evaluation.summary import Line, summarise
from whyclip.studies.result import StudyResult


@dataclass(frozen=True)
class Evaluation(EvaluationRecord, StudyResult):
    """Results of an evaluation.

    Attributes:
        setup: methods, metrics and options.
        records: one record per measured sample, in the order of the dataset.
        facts: facts about the run: model, dataset, samples, seed, versions, seconds.
        command: command that repeats the evaluation; empty from Python.
        failed: one record with its ``error`` per sample that could not be measured.
    """

    @cached_property
    def summary(self) -> tuple[Line, ...]:
        """Summary of each method for each measure, with intervals and differences."""
        return tuple(summarise(self))

    def report(self) -> Report:
        """Return a report with tables, curves and differences."""
        return report_of(self, self.summary)

    def files(self) -> Mapping[str, Callable[[], bytes]]:
        """``values.csv``, and ``values.parquet`` if pandas and pyarrow are installed."""
        files: dict[str, Callable[[], bytes]] = {"values.csv": self._csv}
        if find_spec("pandas") is not None and find_spec("pyarrow") is not None:
            files["values.parquet"] = lambda: self.to_dataframe().to_parquet(index=False)
        return files

    def save(self, folder: str | Path) -> Path:
        """Write the report (``index.html``, ``report.md``), tables, figures, and every value.

        Returns:
            Path of the page.

        Raises:
            OutputError: a file cannot be written.
        """
        for old in Path(folder).glob("failed-samples.*"):
            # Remove the list of an earlier run, whose samples may not fail any more.
            old.unlink()
        return super().save(folder)

    def _csv(self) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(self.iterate())
        return text.getvalue().encode("utf-8", "backslashreplace")
