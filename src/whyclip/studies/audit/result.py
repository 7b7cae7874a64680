"""An audit's result: findings with their verdicts, and what they were found on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from whyclip.errors import OutputError
from whyclip.metrics import Interval
from whyclip.studies.audit.check import PRINCIPLES, Principle
from whyclip.studies.audit.checks import CHECKS
from whyclip.studies.audit.evidence import CONTROL
from whyclip.studies.audit.verdict import Verdict
from whyclip.types import SIDES, Side

if TYPE_CHECKING:
    from pathlib import Path

    from whyclip.report import Report

VERSION = 1


@dataclass(frozen=True)
class Finding:
    """What one check found of one method on one side.

    Attributes:
        value: what the verdict is about, with its 95 % interval; None where not measured.
        threshold: that the verdict was given by.
        figures: other values that help to read it.
        why_not: why nothing was measured.
    """

    method: str
    check: str
    side: Side
    verdict: Verdict
    value: Interval | None
    threshold: float
    figures: Mapping[str, Interval]
    why_not: str = ""

    @property
    def number(self) -> str:
        """The value with its interval, in the check's own precision."""
        if self.value is None:
            return self.why_not
        digits = CHECKS[self.check].digits if self.check in CHECKS else 3
        mean, low, high = (_rounded(x, digits) for x in self.value[:3])
        return f"{mean} [{low}, {high}]" if not math.isnan(self.value.low) else mean

    @property
    def words(self) -> str:
        """The verdict in a sentence, with its numbers."""
        check = CHECKS[self.check]
        if self.verdict == "not measured":
            return f"{check.title}: not measured: {self.why_not}"
        assert self.value is not None, "what has a verdict has a value"
        side = "above" if check.higher_is_better else "below"
        bound = f"passes {side} {self.threshold:g}, n = {self.value.n}"
        said = {
            "pass": check.passes,
            "fail": check.fails,
            "undecided": f"not enough evidence ({check.title[0].lower()}{check.title[1:]})",
        }[self.verdict]
        return f"{said}: {self.number}; {bound}"


@dataclass(frozen=True)
class Audited:
    """A method as it was audited."""

    name: str
    title: str
    options: Mapping[str, Any]
    text_specific: bool = True


@dataclass(frozen=True)
class Cell:
    """One of the four computations of the 2 x 2: readout heads by picture geometry.

    Attributes:
        gap: |score − score of the model| over the samples' own prompts.
        same: share of samples whose best prompt is the model's.
        accuracy: zero-shot; None without labels.
    """

    heads: str
    geometry: str
    gap: Interval
    same: Interval
    accuracy: Interval | None


@dataclass(frozen=True)
class Audit:
    """What an audit of a model's explanations found.

    Attributes:
        fingerprint: of the model, see ``ModelView.fingerprint``.
        methods: by the names that the findings have.
        cells: the 2 x 2 of heads and geometry; empty where the model has no heads to join.
        notes: what to bear in mind.
        failed: name and error of each sample that could not be audited.
    """

    model: str
    fingerprint: str
    dataset: str
    samples: int
    edited: int
    seed: int
    methods: Mapping[str, Audited]
    findings: tuple[Finding, ...]
    cells: tuple[Cell, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    date: str = ""
    software: str = ""
    failed: tuple[tuple[str, str], ...] = ()

    def of(self, method: str, principle: Principle | None = None) -> tuple[Finding, ...]:
        """The findings of one method, of one principle or of both."""
        return tuple(
            finding
            for finding in self.findings
            if finding.method == method
            and (principle is None or CHECKS[finding.check].principle == principle)
        )

    def finding(self, method: str, check: str, side: Side = "image") -> Finding | None:
        """One finding, or None where that check does not apply."""
        same = [f for f in self.of(method) if f.check == check and f.side == side]
        return same[0] if same else None

    def sides(self, method: str) -> tuple[Side, ...]:
        """The sides on which a method was audited."""
        return tuple(side for side in SIDES if any(f.side == side for f in self.of(method)))

    def verdict(self, method: str, principle: Principle, side: Side | None = None) -> Verdict:
        """Fail if any check fails, pass if all that could be measured pass.

        Args:
            method: one of ``methods``.
            principle: whose checks count.
            side: on which they count; on all by default.
        """
        asked = [f for f in self.of(method, principle) if side in (None, f.side)]
        found = {f.verdict for f in asked} - {"not measured"}
        if not found:
            return "not measured"
        if "fail" in found:
            return "fail"
        return "undecided" if "undecided" in found else "pass"

    def passed(self, method: str, principle: Principle, side: Side) -> tuple[int, int]:
        """How many checks were passed, and how many could be measured."""
        asked = [f for f in self.of(method, principle) if f.side == side]
        measured = [f for f in asked if f.verdict != "not measured"]
        return sum(f.verdict == "pass" for f in measured), len(measured)

    def summary(self, method: str) -> str:
        """Both verdicts on a method, on each of its sides, in one line."""
        parts = []
        for side in self.sides(method):
            told = [
                f"{claim}: {self.verdict(method, principle, side)} "
                f"({'{} of {}'.format(*self.passed(method, principle, side))})"
                for principle, claim in PRINCIPLES.items()
            ]
            parts.append(f"{side} side {', '.join(told)}")
        return "; ".join(parts)

    @property
    def control(self) -> str:
        """The name of the random control."""
        return CONTROL

    def report(self, command: str = "whyclip audit") -> Report:
        """Lay the audit out as a report: the matrix first, then each method in words."""
        from whyclip.studies.audit.page import report_of

        return report_of(self, command)

    def _repr_html_(self) -> str:
        return self.report()._repr_html_()

    def save(self, folder: str | Path, command: str = "whyclip audit") -> Path:
        """Write the report's page and tables, ``findings.csv``, ``figures.csv``, ``audit.json``.

        Returns:
            The page's path.

        Raises:
            OutputError: the folder or a file cannot be written.
        """
        import json
        from pathlib import Path

        from whyclip.files import write_atomic
        from whyclip.studies.audit.page import figures_table, findings_table

        page = self.report(command).save(folder)
        findings_table(self).to_csv(Path(folder) / "findings.csv")
        figures_table(self).to_csv(Path(folder) / "figures.csv")
        content = json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        write_atomic(
            Path(folder) / "audit.json", lambda: content.encode("utf-8", "backslashreplace")
        )
        return page

    @classmethod
    def load(cls, path: str | Path) -> Audit:
        """Read an ``audit.json``, or an audit of the cache.

        Raises:
            OutputError: no such file, or not an audit of this version.
        """
        import json
        from pathlib import Path

        try:
            record = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise OutputError(f"{str(path)!r} cannot be read as an audit: {error}") from error
        if not isinstance(record, dict):
            raise OutputError(f"{str(path)!r} is no audit written by whyclip")
        return cls.from_json(record)

    def to_json(self) -> dict[str, Any]:
        """Describe the audit in plain JSON types; an interval is mean, low, high, n, groups."""
        record = {"whyclip_audit": VERSION, **asdict(self)}
        return _plain(record)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Audit:
        """Read :meth:`to_json`'s description.

        Raises:
            OutputError: it is of another version, or something is missing.
        """
        if record.get("whyclip_audit") != VERSION:
            raise OutputError(
                f"audit of version {record.get('whyclip_audit')!r}; this whyclip reads {VERSION}"
            )
        try:
            rest = {key: value for key, value in record.items() if key != "whyclip_audit"}
            rest["methods"] = {key: Audited(**value) for key, value in record["methods"].items()}
            rest["findings"] = tuple(map(_finding, record["findings"]))
            rest["cells"] = tuple(
                Cell(
                    cell["heads"],
                    cell["geometry"],
                    _interval(cell["gap"]),
                    _interval(cell["same"]),
                    None if cell["accuracy"] is None else _interval(cell["accuracy"]),
                )
                for cell in record["cells"]
            )
            rest["notes"] = tuple(record["notes"])
            rest["failed"] = tuple((name, error) for name, error in record.get("failed", ()))
            return cls(**rest)
        except (KeyError, TypeError, ValueError) as error:
            raise OutputError(f"not an audit written by whyclip: {error!r}") from error


def _finding(record: Mapping[str, Any]) -> Finding:
    value = None if record["value"] is None else _interval(record["value"])
    figures = {key: _interval(figure) for key, figure in record["figures"].items()}
    return Finding(**{**record, "value": value, "figures": figures})


def _interval(record: list[Any]) -> Interval:
    mean, low, high, n, groups = record
    mean, low, high = (math.nan if x is None else x for x in (mean, low, high))
    return Interval(mean, low, high, n, groups)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _rounded(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}"
