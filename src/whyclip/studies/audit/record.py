"""The findings of an audit with their context, as plain data and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from whyclip.errors import OutputError
from whyclip.stats.intervals import Interval
from whyclip.stats.verdict import Verdict, verdict_of
from whyclip.studies.audit.check import PRINCIPLES
from whyclip.studies.audit.checks import CHECKS
from whyclip.studies.claims import Claim, Finding
from whyclip.studies.control import CONTROL
from whyclip.types import SIDES, Side

VERSION = 2


@dataclass(frozen=True)
class Audited:
    """An audited method with its options."""

    name: str
    title: str
    options: Mapping[str, Any]
    text_specific: bool = True


@dataclass(frozen=True)
class Cell:
    """One of the four computations of the 2 x 2 table of heads and geometry.

    Attributes:
        gap: |score − score of the model| over the samples' own prompts.
        same: share of samples with the same best prompt as the model.
        accuracy: zero-shot accuracy; None without labels.
    """

    heads: str
    geometry: str
    gap: Interval
    same: Interval
    accuracy: Interval | None


@dataclass(frozen=True)
class AuditRecord:
    """Results of an audit of a model's explanations, as plain data.

    Attributes:
        fingerprint: fingerprint of the model, see ``ModelView.fingerprint``.
        methods: audited methods by the names used in the findings.
        cells: the 2 x 2 table of heads and geometry; empty if heads cannot be merged.
        notes: remarks on the results.
        failed: name and error of each sample that could not be audited.
        command: command that repeats the audit.
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
    command: str = "whyclip audit"

    @property
    def claims(self) -> tuple[Claim, ...]:
        """The distinct claims of all findings, ordered by principle."""
        known = {finding.claim.name: finding.claim for finding in self.findings}
        order = {name: number for number, name in enumerate(PRINCIPLES)}
        last = len(order)
        return tuple(sorted(known.values(), key=lambda claim: order.get(claim.principle, last)))

    def of(self, method: str, principle: str | None = None) -> tuple[Finding, ...]:
        """The findings of one method for one principle, or for both."""
        return tuple(
            finding
            for finding in self.findings
            if finding.method == method
            and (principle is None or finding.claim.principle == principle)
        )

    def finding(self, method: str, check: str, side: Side = "image") -> Finding | None:
        """One finding, or None if the check does not apply."""
        same = [f for f in self.of(method) if f.check == check and f.side == side]
        return same[0] if same else None

    def sides(self, method: str) -> tuple[Side, ...]:
        """The sides on which a method was audited."""
        return tuple(side for side in SIDES if any(f.side == side for f in self.of(method)))

    def verdict(self, method: str, principle: str, side: Side | None = None) -> Verdict:
        """Fail if any check fails, pass if all applicable checks pass.

        Args:
            method: one of ``methods``.
            principle: principle of the checks.
            side: side of the checks; default: all sides.
        """
        findings = [f for f in self.of(method, principle) if side in (None, f.side)]
        verdicts = {f.verdict for f in findings} - {"not applicable"}
        if not verdicts:
            return "not applicable"
        if "fail" in verdicts:
            return "fail"
        return "inconclusive" if "inconclusive" in verdicts else "pass"

    def passed(self, method: str, principle: str, side: Side) -> tuple[int, int]:
        """Number of passed checks and number of applicable checks."""
        findings = [f for f in self.of(method, principle) if f.side == side]
        measured = [f for f in findings if f.verdict != "not applicable"]
        return sum(f.verdict == "pass" for f in measured), len(measured)

    def summary(self, method: str) -> str:
        """Both verdicts on a method for each of its sides, in one line."""
        parts = []
        for side in self.sides(method):
            verdicts = [
                f"{claim}: {self.verdict(method, principle, side)} "
                f"({'{} of {}'.format(*self.passed(method, principle, side))})"
                for principle, claim in PRINCIPLES.items()
            ]
            parts.append(f"{side} side {', '.join(verdicts)}")
        return "; ".join(parts)

    @property
    def control(self) -> str:
        """The name of the random baseline."""
        return CONTROL

    def to_json(self) -> dict[str, Any]:
        """Describe the audit in plain JSON types; an interval is mean, low, high, n, groups."""
        plain = {part.name: getattr(self, part.name) for part in fields(AuditRecord)}
        return _plain(
            {
                "whyclip_audit": VERSION,
                "claims": {claim.name: asdict(claim) for claim in self.claims},
                **plain,
                "methods": {name: asdict(method) for name, method in self.methods.items()},
                "cells": [asdict(cell) for cell in self.cells],
                "findings": [
                    {
                        "method": f.method,
                        "check": f.check,
                        "side": f.side,
                        "verdict": f.verdict,
                        "value": f.value,
                        "figures": f.figures,
                        "why_not": f.why_not,
                    }
                    for f in self.findings
                ],
            }
        )


def fields_from_json(record: Mapping[str, Any]) -> dict[str, Any]:
    """Read the fields of an :class:`AuditRecord` from the result of ``to_json``.

    Findings of version 1 name a check but have no claim; the claim comes from the current checks.
    For a check that no longer exists, only its name and threshold are known.

    Raises:
        OutputError: the version is unknown, or a field is missing.
    """
    if record.get("whyclip_audit") not in {1, VERSION}:
        raise OutputError(
            f"audit of version {record.get('whyclip_audit')!r}; supported versions: 1, {VERSION}"
        )
    try:
        rest = {key: record[key] for key in record if key not in {"whyclip_audit", "claims"}}
        claims = {name: Claim(**claim) for name, claim in record.get("claims", {}).items()}
        rest["methods"] = {key: Audited(**value) for key, value in record["methods"].items()}
        rest["findings"] = tuple(_finding(one, claims) for one in record["findings"])
        rest["cells"] = tuple(map(_cell, record["cells"]))
        rest["notes"] = tuple(record["notes"])
        rest["failed"] = tuple((name, error) for name, error in record.get("failed", ()))
    except (KeyError, TypeError, ValueError) as error:
        raise OutputError(f"not an audit written by whyclip: {error!r}") from error
    return rest


def _finding(record: Mapping[str, Any], claims: Mapping[str, Claim]) -> Finding:
    name = record["check"]
    return Finding(
        claims[name] if name in claims else _earlier_claim(name, record["threshold"]),
        verdict_of(record["verdict"]),
        None if record["value"] is None else _interval(record["value"]),
        record["method"],
        record["side"],
        {key: _interval(figure) for key, figure in record["figures"].items()},
        record["why_not"],
    )


def _earlier_claim(name: str, threshold: float) -> Claim:
    """The claim of a finding of version 1."""
    if name in CHECKS:
        return CHECKS[name].claim(threshold)
    title = name.replace("_", " ").capitalize()
    return Claim(name=name, title=title, threshold=threshold, higher_is_better=True)


def _cell(record: Mapping[str, Any]) -> Cell:
    accuracy = record["accuracy"]
    return Cell(
        record["heads"],
        record["geometry"],
        _interval(record["gap"]),
        _interval(record["same"]),
        None if accuracy is None else _interval(accuracy),
    )


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
