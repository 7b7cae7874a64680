"""Figures of an evaluation: curves of deletion and insertion, and means with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from whyclip.report.plots import Curve, Panel, curve_plot, interval_plot
from whyclip.stats.intervals import Interval
from whyclip.studies.evaluation.record import EvaluationRecord
from whyclip.studies.evaluation.summary import Line, Measure, usual

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curves(evaluation: EvaluationRecord) -> Figure | None:
    """Mean curves of every metric with a curve, one panel each; None if there is none."""
    measures = [m for m in usual(evaluation.metrics) if m.metric.curve_points]
    return curve_plot([_panel(evaluation, measure) for measure in measures]) if measures else None


def _panel(evaluation: EvaluationRecord, measure: Measure) -> Panel:
    metric, read = measure.metric, measure.read
    lines = {}
    for method in evaluation.methods:
        if read in evaluation.reads(method, metric):
            amounts, scores = evaluation.curve(method, metric.name, read)
            lines[method] = Curve(100 * amounts, scores)
    what = "words" if metric.side == "text" else "pixels"
    done = "revealed" if "insertion" in metric.name else "removed"
    return Panel(lines, _title(measure), f"% of {what} {done}")


def dots(lines: Sequence[Line]) -> Figure:
    """Every mean with its interval, one panel per measure; a line marks the baseline's mean."""
    panels: dict[str, dict[str, dict[str, Interval]]] = {}
    for line in lines:
        panels.setdefault(_title(line.measure), {"": {}})[""][line.method] = line.value
    best = {(_title(line.measure), line.method) for line in lines if line.best}
    return interval_plot(panels, best=best)


def _title(measure: Measure) -> str:
    return f"{measure.title} {'↑' if measure.metric.higher_is_better else '↓'}"
