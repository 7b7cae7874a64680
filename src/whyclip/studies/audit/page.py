"""Report of an audit: the matrix, a description of each method, and reading instructions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from whyclip.report import Column, Picture, Report, Table
from whyclip.report.document import Section
from whyclip.report.facts import duration
from whyclip.stats.verdict import MIN_GROUPS
from whyclip.studies.audit.answer import answers
from whyclip.studies.audit.check import PRINCIPLES
from whyclip.studies.audit.matrix import COLOURS, matrix
from whyclip.studies.audit.record import AuditRecord
from whyclip.studies.claims import Finding
from whyclip.types import SIDES

HOW_TO_READ = f"""## How to read it

Each check measures one value per sample and reports their mean with its 95 % interval (over images;
exact for proportions), or one correlation over all samples (a jackknife over images). A method
**passes** a check only if the whole interval is on the good side of the threshold, and **fails**
only if the whole interval is on the bad side. Otherwise the check is **inconclusive**; more samples
may help (`--limit`, `--edited`). Fewer than {MIN_GROUPS} images are always inconclusive. Facts \
(derived from the score, computation unchanged) pass or fail without an interval.

A method passes *model fidelity* or *performance consistency* if it passes every applicable check \
of that principle. A failed check is a reason to look at its numbers, not a proof that every map \
is wrong. A method that passes every check may still be wrong in other ways. The random baseline \
shows the values of a method without any information about the model.

Both principles are from Cui & Fan 2026 (arXiv 2605.12952).
"""


def report_of(audit: AuditRecord) -> Report:
    """Return the report; see :meth:`whyclip.Audit.report`."""
    trusted = "\n".join(f"- {answer}" for answer in answers(audit))
    sections: list[Section] = [f"## Which method?\n\n{trusted}"] if trusted else []
    sections.append(_opening(audit))
    sections.append(
        Picture(
            matrix(audit),
            alt="Verdict matrix",
            caption="One row per check and side, one column per method. Values are means; their "
            "intervals are below.",
        )
    )
    sections.append(verdict_table(audit))
    if audit.cells:
        sections += [_cells_words(audit), cells_table(audit)]
    sections.append("## Results by method")
    sections += [_method_words(audit, name) for name in audit.methods]
    sections += [HOW_TO_READ, _checks_words(audit)]
    if audit.failed:
        sections.append(failed_table(audit))
    return Report("Can these explanations be trusted?", audit.command, sections, _facts(audit))


def verdict_table(audit: AuditRecord) -> Table:
    """One row per method and side, with the verdicts on both principles and the failed checks."""
    rows = []
    for name in audit.methods:
        for side in audit.sides(name):
            row: dict[str, Any] = {"method": name, "side": side}
            for principle in PRINCIPLES:
                passed, measured = audit.passed(name, principle, side)
                verdict = audit.verdict(name, principle, side)
                row[principle] = f"{verdict} ({passed} of {measured})" if measured else None
            failed = [f.check for f in audit.of(name) if f.side == side and f.verdict == "fail"]
            row["failed"] = ", ".join(failed) or None
            rows.append(row)
    return Table(
        "Verdicts",
        (
            Column("method"),
            Column("side"),
            Column("fidelity", "model fidelity"),
            Column("consistency", "performance consistency"),
            Column("failed", "failed checks"),
        ),
        tuple(rows),
        note="In brackets: checks passed, of those that apply.",
    )


def failed_table(audit: AuditRecord) -> Table:
    """The samples that could not be audited, with their errors."""
    rows = tuple({"sample": name, "error": error} for name, error in audit.failed)
    return Table("Failed samples", (Column("sample"), Column("error")), rows)


def cells_table(audit: AuditRecord) -> Table:
    """The 2 x 2 table of heads and geometry."""
    rows = [
        {"heads": c.heads, "geometry": c.geometry, "gap": c.gap, "same": c.same,
         "accuracy": c.accuracy}
        for c in audit.cells
    ]  # fmt: skip
    return Table(
        "Effect of the two published changes on the model",
        (
            Column("heads", help="last attention layer: the model's own heads, or a single head"),
            Column("geometry", help="the model's own input, or the image with its aspect ratio"),
            Column("gap", "score gap", digits=4, better="lower"),
            Column("same", "same best prompt", digits=2, better="higher"),
            Column("accuracy", digits=2, better="higher"),
        ),
        tuple(rows),
    )


def findings_table(audit: AuditRecord) -> Table:
    """All findings with their intervals, in machine-readable form."""
    rows = [
        {
            "method": f.method,
            "principle": f.claim.principle,
            "check": f.check,
            "side": f.side,
            "verdict": f.verdict,
            "value": f.value,
            "threshold": f.threshold,
            "better": "higher" if f.claim.higher_is_better else "lower",
            "why_not": f.why_not,
        }
        for f in audit.findings
    ]
    names = ("method", "principle", "check", "side", "verdict", "value", "threshold", "better",
             "why_not")  # fmt: skip
    return Table("Findings", tuple(Column(name, digits=4) for name in names), tuple(rows))


def figures_table(audit: AuditRecord) -> Table:
    """All additional values of the checks, in machine-readable form."""
    rows = [
        {"method": f.method, "check": f.check, "side": f.side, "figure": name, "value": value}
        for f in audit.findings
        for name, value in f.figures.items()
    ]
    columns = ("method", "check", "side", "figure", "value")
    return Table("Figures", tuple(Column(name, digits=4) for name in columns), tuple(rows))


def _opening(audit: AuditRecord) -> str:
    lines = []
    for principle, claim in PRINCIPLES.items():
        for side in SIDES:
            named: dict[str, list[str]] = {}
            for name in audit.methods:
                if name != audit.control and side in audit.sides(name):
                    verdict = audit.verdict(name, principle, side)
                    named.setdefault(verdict, []).append(f"`{name}`")
            verdicts = "; ".join(
                f"**{verdict}**: {', '.join(named[verdict])}"
                for verdict in COLOURS
                if verdict in named
            )
            if verdicts:
                lines.append(f"- {claim.capitalize()}, {side} side: {verdicts}")
    notes = [f"Note: {note}." for note in audit.notes]
    return "\n\n".join(["\n".join(lines), *notes])


def _method_words(audit: AuditRecord, name: str) -> str:
    title = audit.methods[name].title
    parts = [f"### {title} (`{name}`)"]
    if name == audit.control:
        parts.append("The random baseline.")
    for side in audit.sides(name):
        for principle, claim in PRINCIPLES.items():
            findings = [f for f in audit.of(name, principle) if f.side == side]
            if findings:
                verdict = audit.verdict(name, principle, side)
                parts.append(f"**{claim.capitalize()}, {side} side: {verdict}.**")
                parts.append("\n".join(_line(finding) for finding in findings))
    return "\n\n".join(parts)


def _line(finding: Finding) -> str:
    line = f"- **{finding.verdict}**: {finding.words}"
    if finding.figures:
        column = Column("", digits=finding.claim.digits)
        figures = (f"{name} {column.text(value)}" for name, value in finding.figures.items())
        line += f" ({'; '.join(figures)})"
    return line


def _cells_words(audit: AuditRecord) -> str:
    single = [c for c in audit.cells if c.heads == "single" and c.geometry == "model"]
    native = {c.geometry: c for c in audit.cells if c.heads == "native"}
    # The two geometries coincide for images with the model's aspect ratio.
    other = [c for c in native.values() if c.gap != native["model"].gap]
    text = (
        "## The two published changes, separately\n\nThe code released with Grad-ECLIP recomputes "
        "the last attention layer with a single head, and keeps the aspect ratio of the image. "
        "This table measures each change alone, and both together."
    )
    for cells, what in ((single, "a single head"), (other, "the kept aspect ratio")):
        if cells:
            text += (
                f" With {what} alone, the best prompt stays the same for "
                f"{100 * cells[0].same.mean:.0f} % of the samples."
            )
    return text


def _checks_words(audit: AuditRecord) -> str:
    lines = [
        f"- **{claim.title}** (`{claim.name}`): {claim.question} {claim.formula}; "
        f"{claim.side_of_threshold} {claim.threshold:g} passes. {claim.reason}"
        + (f" Caveat: {claim.caveat}" if claim.caveat else "")
        for claim in audit.claims
    ]
    return "### The checks\n\n" + "\n".join(lines)


def _facts(audit: AuditRecord) -> Mapping[str, str]:
    return {
        "model": audit.model,
        "fingerprint": audit.fingerprint,
        "dataset": audit.dataset,
        "samples": f"{audit.samples}, {audit.edited} of them edited",
        "seed": str(audit.seed),
        "versions": audit.software,
        "date": audit.date[:10],
        "took": duration(audit.seconds),
    }
