"""An evaluation as pictures: curves of deletion and insertion, and dots with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

from whyclip.evaluation.plan import CONTROL
from whyclip.evaluation.result import Evaluation
from whyclip.evaluation.summary import Line, usual

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers tell apart; then the same with dashes.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5c00")
STROKES = ("-", "--", "-.")
GREY = "#777777"
ACROSS = 3
INK = "#1c1f24"


def styles(methods: Sequence[str]) -> Mapping[str, dict[str, Any]]:
    """A colour and stroke for each method; the control is dotted grey."""
    pairs = cycle([(colour, stroke) for stroke in STROKES for colour in COLOURS])
    found: dict[str, dict[str, Any]] = {}
    for method in methods:
        if method == CONTROL:
            found[method] = {"color": GREY, "linestyle": ":"}
        else:
            colour, stroke = next(pairs)
            found[method] = {"color": colour, "linestyle": stroke}
    return found


def curves(evaluation: Evaluation) -> Figure | None:
    """Mean curves of every metric that has one, a panel for each; None where there is none."""
    measures = [m for m in usual(evaluation.metrics) if m.metric.curve_points]
    if not measures:
        return None
    figure, panels = _panels(len(measures), 2.9)
    look = styles(evaluation.methods)
    for panel, measure in zip(panels, measures, strict=True):
        metric, read = measure.metric, measure.read
        for method in evaluation.methods:
            if read in evaluation.reads(method, metric):
                amounts, scores = evaluation.curve(method, metric.name, read)
                panel.plot(100 * amounts, scores, label=method, lw=1.6, **look[method])
        panel.set_title(f"{measure.title} {_arrow(metric.higher_is_better)}", fontsize=10)
        what = "words" if metric.side == "text" else "pixels"
        done = "in" if "insertion" in metric.name else "out"
        panel.set_xlabel(f"% of {what} {done}", fontsize=9)
    _legend(figure, panels)
    return figure


def dots(lines: Sequence[Line]) -> Figure:
    """Every mean with its interval, a panel for each measure; a line marks the control's mean."""
    measures = list(dict.fromkeys(line.measure for line in lines))
    methods = list(dict.fromkeys(line.method for line in lines))
    figure, panels = _panels(len(measures), 0.7 + 0.22 * len(methods))
    for number, (panel, measure) in enumerate(zip(panels, measures, strict=True)):
        own = {line.method: line for line in lines if line.measure == measure}
        for place, method in enumerate(methods):
            if method in own:
                _dot(panel, place, own[method])
        if CONTROL in own:
            panel.axvline(own[CONTROL].value.mean, color=GREY, lw=1, ls=":", zorder=0)
        panel.set_title(f"{measure.title} {_arrow(measure.metric.higher_is_better)}", fontsize=10)
        panel.set_yticks(range(len(methods)), methods if number % ACROSS == 0 else [])
        panel.set_ylim(len(methods) - 0.4, -0.6)
    return figure


def _dot(panel: Axes, place: int, line: Line) -> None:
    value, colour = line.value, GREY if line.method == CONTROL else COLOURS[0]
    if math.isnan(value.mean):
        return
    if not math.isnan(value.low):
        panel.plot([value.low, value.high], [place, place], color=colour, lw=1.6)
    panel.plot(value.mean, place, "D" if line.best else "o", color=colour, ms=7 if line.best else 5)


def _panels(number: int, height: float) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    across = min(number, ACROSS)
    down = -(-number // across)
    figure = Figure(figsize=(1.2 + 3.1 * across, height * down + 0.5), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    panels = list(grid.flat)
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8, colors=INK)
        panel.grid(axis="x", color="#e4e7eb", lw=0.6)
        panel.set_axisbelow(True)
    for panel in panels[number:]:
        panel.set_visible(False)
    return figure, panels[:number]


def _legend(figure: Figure, panels: Sequence[Axes]) -> None:
    named: dict[str, Any] = {}
    for panel in panels:
        handles, labels = panel.get_legend_handles_labels()
        named |= dict(zip(labels, handles, strict=True))
    place: Any = "outside lower center"
    figure.legend(list(named.values()), list(named), loc=place, ncols=5, frameon=False, fontsize=8)


def _arrow(higher: bool) -> str:
    return "↑" if higher else "↓"
