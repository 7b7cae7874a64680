"""The verdict matrix: one row per check, one column per method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from whyclip.stats.verdict import Verdict
from whyclip.studies.audit.check import OTHERS, PRINCIPLES
from whyclip.studies.audit.record import AuditRecord
from whyclip.studies.claims import Claim, Finding
from whyclip.types import SIDES, Side

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Dark enough for white text; also distinguishable by sign and lightness.
COLOURS: dict[Verdict, str] = {
    "pass": "#0b7a4b",
    "fail": "#a51d2d",
    "inconclusive": "#e9b94e",
    "not applicable": "#eceff1",
}
SIGNS: dict[Verdict, str] = {"pass": "✓", "fail": "✗", "inconclusive": "?", "not applicable": "–"}
INK: dict[Verdict, str] = {
    "pass": "white",
    "fail": "white",
    "inconclusive": "#222222",
    "not applicable": "#9aa4aa",
}
_CELL = (0.82, 0.3)
_LABELS = 3.3


def rows_of(audit: AuditRecord) -> list[tuple[Claim, Side]]:
    """Claims and sides that were measured for at least one method, ordered by principle."""
    there = {(finding.check, finding.side) for finding in audit.findings}
    return [(c, side) for c in audit.claims for side in SIDES if (c.name, side) in there]


def matrix(audit: AuditRecord) -> Figure:
    """Draw the verdicts with their numbers."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    methods, rows = list(audit.methods), rows_of(audit)
    wide, high = _CELL
    heads = 0.1 + 0.075 * max(map(len, methods))
    groups = len({claim.principle for claim, _ in rows})
    width = _LABELS + wide * len(methods) + 0.1
    height = heads + high * (len(rows) + 1.2 * groups) + 0.55
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    for column, name in enumerate(methods):
        x = _LABELS + wide * (column + 0.5)
        axes.text(x, heads - 0.05, name, rotation=60, ha="left", va="bottom", fontsize=8.5,
                  rotation_mode="anchor")  # fmt: skip
    y, principle = heads, None
    for claim, side in rows:
        if claim.principle != principle:
            principle = claim.principle
            y += 0.35 * high
            title = PRINCIPLES.get(principle, OTHERS).capitalize()
            axes.text(0.1, y + high / 2, title, fontsize=9.5, weight="bold", va="center")
            y += 0.85 * high
        axes.text(0.2, y + high / 2, f"{claim.title} · {side}", fontsize=8.5, va="center")
        for column, name in enumerate(methods):
            finding = audit.finding(name, claim.name, side)
            if finding is None:
                continue
            x = _LABELS + wide * column
            axes.add_patch(
                Rectangle((x + 0.02, y + 0.015), wide - 0.04, high - 0.03,
                          color=COLOURS[finding.verdict], lw=0)
            )  # fmt: skip
            axes.text(x + wide / 2, y + high / 2, cell_text(finding), fontsize=8, va="center",
                      ha="center", color=INK[finding.verdict])  # fmt: skip
        y += high
    _legend(axes, y + 0.5 * high, list(COLOURS))
    return figure


def cell_text(finding: Finding) -> str:
    """Symbol of the verdict, and the value."""
    sign = SIGNS[finding.verdict]
    if finding.value is None:
        return sign
    return f"{sign} {finding.number.partition(' ')[0]}"


def _legend(axes: object, y: float, verdicts: Sequence[Verdict]) -> None:
    from matplotlib.axes import Axes
    from matplotlib.patches import Rectangle

    assert isinstance(axes, Axes)
    x = 0.2
    for verdict in verdicts:
        axes.add_patch(Rectangle((x, y + 0.03), 0.24, 0.2, color=COLOURS[verdict], lw=0))
        axes.text(x + 0.12, y + 0.13, SIGNS[verdict], color=INK[verdict], fontsize=8,
                  ha="center", va="center")  # fmt: skip
        axes.text(x + 0.32, y + 0.13, verdict, fontsize=8.5, va="center")
        x += 0.55 + 0.085 * len(verdict)
