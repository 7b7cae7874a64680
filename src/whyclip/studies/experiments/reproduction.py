"""The result of an experiment with its report and its files."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from whyclip.report import Report
from whyclip.report.document import Section
from whyclip.stats.intervals import Interval
from whyclip.studies.claims import Finding
from whyclip.studies.experiments.experiment import Experiment, ExperimentResult
from whyclip.studies.result import StudyResult

FINDINGS = "findings.json"


@dataclass(frozen=True)
class Reproduction(StudyResult):
    """Result of an experiment, with the claim of its source.

    Attributes:
        experiment: the experiment.
        result: its findings, tables and figures.
        facts: facts about the run: model, dataset, samples, seed, versions, seconds.
        command: command that repeats the run.
    """

    experiment: Experiment
    result: ExperimentResult
    facts: Mapping[str, str]
    command: str = ""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Verdicts on the claims, most important first."""
        return tuple(self.result.findings)

    def report(self) -> Report:
        """Return a report with the claim, the findings, tables and figures."""
        experiment = self.experiment
        findings = "\n".join(f"- {finding}" for finding in self.findings)
        real = "At full size" if experiment.defaults.trains else "On the data of the source"
        sections: list[Section] = [
            f"## The claim\n\n{experiment.claim}\n\nSource: {experiment.source}.",
            f"## Findings\n\n{findings}",
            *self.result.sections,
            f"## {real}\n\n    {experiment.on_real_data}",
        ]
        return Report(experiment.title, self.command, sections, self.facts)

    def files(self) -> Mapping[str, Callable[[], bytes]]:
        """``findings.json``: each claim with its verdict and numbers."""
        return {FINDINGS: lambda: json.dumps(self.to_json(), indent=1, allow_nan=False).encode()}

    def to_json(self) -> dict[str, Any]:
        """Describe the findings in plain JSON types; an interval is mean, low, high, n, groups."""
        return {
            "experiment": self.experiment.name,
            "command": self.command,
            "facts": dict(self.facts),
            "findings": [
                {
                    "claim": asdict(finding.claim),
                    "verdict": finding.verdict,
                    "value": _plain(finding.value),
                }
                for finding in self.findings
            ],
        }


def _plain(value: Interval | None) -> list[float | None] | None:
    return None if value is None else [None if math.isnan(x) else x for x in value]
