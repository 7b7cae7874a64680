"""Figures of studies: curves, means with intervals, histograms."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from whyclip.stats.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colour-blind-safe colours of Okabe and Ito, then the same colours with dashes.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5c00")
STROKES = ("-", "--", "-.")
GREY = "#777777"
INK = "#1c1f24"
ACROSS = 3


@dataclass(frozen=True)
class Curve:
    """Points of one line ``[m]``, optionally with the bounds of their intervals."""

    x: ArrayLike
    y: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None


@dataclass(frozen=True)
class Panel:
    """Curves of one panel, by label."""

    curves: Mapping[str, Curve] = field(default_factory=dict)
    title: str = ""
    x: str = ""
    y: str = ""


def styles(labels: Sequence[str], baseline: str = "random") -> Mapping[str, dict[str, Any]]:
    """Colour and line style of each label; the baseline is dotted grey."""
    pairs = cycle([(colour, stroke) for stroke in STROKES for colour in COLOURS])
    chosen: dict[str, dict[str, Any]] = {}
    for label in labels:
        if label == baseline:
            chosen[label] = {"color": GREY, "linestyle": ":"}
        else:
            colour, stroke = next(pairs)
            chosen[label] = {"color": colour, "linestyle": stroke}
    return chosen


def curve_plot(panels: Sequence[Panel], *, height: float = 2.9) -> Figure:
    """Draw curves, with the same colour for the same label in every panel.

    Args:
        panels: at least one panel.
        height: height of each panel in inches.
    """
    figure, drawn = _panels(len(panels), height)
    labels = list(dict.fromkeys(label for panel in panels for label in panel.curves))
    look = styles(labels)
    for axes, panel in zip(drawn, panels, strict=True):
        for label, curve in panel.curves.items():
            axes.plot(curve.x, curve.y, label=label, lw=1.6, **look[label])
            if curve.low is not None and curve.high is not None:
                colour = look[label]["color"]
                axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.2, lw=0)
        axes.set_title(panel.title, fontsize=10)
        axes.set_xlabel(panel.x, fontsize=9)
        axes.set_ylabel(panel.y, fontsize=9)
    _legend(figure, drawn)
    return figure


def interval_plot(
    panels: Mapping[str, Mapping[str, Mapping[str, Interval]]],
    *,
    best: Collection[tuple[str, str]] = (),
    baseline: str = "random",
) -> Figure:
    """Draw means as dots and 95 % intervals as lines.

    Args:
        panels: series by panel title and series name; each series has intervals by row label. A
            panel may lack rows.
        best: (panel title, row label) pairs whose mean is drawn as a diamond.
        baseline: row whose mean is drawn as a dotted line in panels with one series.
    """
    every = [series for panel in panels.values() for series in panel.values()]
    rows = list(dict.fromkeys(row for series in every for row in series))
    # Offset the series of one row, so that their lines do not overlap.
    most = max(map(len, panels.values()))
    figure, drawn = _panels(len(panels), 0.7 + (0.22 + 0.1 * (most - 1)) * len(rows))
    for number, (axes, (title, series)) in enumerate(zip(drawn, panels.items(), strict=True)):
        for place, (name, values) in enumerate(series.items()):
            shift = 0.22 * (place - (len(series) - 1) / 2)
            for row, value in values.items():
                colour = GREY if row == baseline and len(series) == 1 else COLOURS[place]
                _dot(axes, rows.index(row) + shift, value, colour, (title, row) in best)
            if len(series) > 1:
                axes.plot([], [], "o", color=COLOURS[place], ms=5, label=name)
            elif baseline in values:
                axes.axvline(values[baseline].mean, color=GREY, lw=1, ls=":", zorder=0)
        axes.set_title(title, fontsize=10)
        axes.set_yticks(range(len(rows)), rows if number % ACROSS == 0 else [])
        axes.set_ylim(len(rows) - 0.4, -0.6)
    _legend(figure, drawn)
    return figure


def histogram(
    series: Mapping[str, Sequence[float]], bins: Sequence[float], *, x: str, y: str, mark: float
) -> Figure:
    """Draw overlaid histograms.

    Args:
        series: values by label.
        bins: bin edges.
        x: label of the horizontal axis.
        y: label of the vertical axis.
        mark: value at which to draw a dotted line; NaN for none.
    """
    figure, [axes] = _panels(1, 2.7, width=5.8)
    for number, (label, values) in enumerate(series.items()):
        if values:
            axes.hist(values, bins, label=label, alpha=0.7, color=COLOURS[number])
    if not math.isnan(mark):
        axes.axvline(mark, color=INK, ls=":")
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _dot(axes: Axes, height: float, value: Interval, colour: str, best: bool) -> None:
    if math.isnan(value.mean):
        return
    if not math.isnan(value.low):
        axes.plot([value.low, value.high], [height, height], color=colour, lw=1.6)
    axes.plot(value.mean, height, "D" if best else "o", color=colour, ms=7 if best else 5)


def _panels(number: int, height: float, width: float = 3.1) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    across = min(number, ACROSS)
    down = -(-number // across)
    figure = Figure(figsize=(1.2 + width * across, height * down + 0.5), layout="constrained")
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
    if not named:
        return
    place: Any = "outside lower center"
    values = list(named.values())
    # As many columns as fit: long names would be cut off at both sides.
    for columns in range(5, 0, -1):
        legend = figure.legend(
            values, list(named), loc=place, ncols=columns, frameon=False, fontsize=8
        )
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()
