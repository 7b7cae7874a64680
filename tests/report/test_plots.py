"""Plots show the numbers that they are given, each at its row and in its panel."""

from __future__ import annotations

import math

import numpy as np
import pytest

from whyclip.report.plots import Curve, Panel, curve_plot, histogram, interval_plot
from whyclip.stats.intervals import Interval


def test_means_and_bounds_stand_at_their_rows() -> None:
    right = {"a": Interval(0.5, 0.4, 0.7, 9, 9), "random": Interval(0.1, 0.0, 0.2, 9, 9)}
    wrong = {"a": Interval(0.3, math.nan, math.nan, 1, 1)}
    figure = interval_plot({"Energy": {"right": right, "wrong": wrong}, "IoU": {"": right}})
    both, one = figure.axes[:2]
    assert [label.get_text() for label in both.get_yticklabels()] == ["a", "random"]
    # Two series lie a little above and below their row; an interval without bounds is a dot.
    marks = [line for line in both.lines if line.get_marker() == "o" and len(line.get_xdata())]
    assert [float(line.get_xdata()[0]) for line in marks] == [0.5, 0.1, 0.3]
    assert [round(float(line.get_ydata()[0])) for line in marks] == [0, 1, 0]
    bars = [list(line.get_xdata()) for line in both.lines if line.get_marker() == "None"]
    assert [bar for bar in bars if len(bar) == 2] == [[0.4, 0.7], [0.0, 0.2]]
    # The baseline's mean is marked where there is one series alone.
    assert [0.1, 0.1] in [list(line.get_xdata()) for line in one.lines]


def test_curves_of_one_label_have_one_colour_and_the_baseline_is_dotted() -> None:
    line = Curve([0, 1], [0.2, 0.4])
    band = Curve([0, 1], [0.3, 0.1], [0.2, 0.0], [0.4, 0.2])
    panels = [Panel({"a": line, "random": band}, x="step"), Panel({"b": line, "a": band})]
    first, second = curve_plot(panels).axes[:2]
    of_a = [axes.lines[k].get_color() for axes, k in ((first, 0), (second, 1))]
    assert of_a[0] == of_a[1] != second.lines[0].get_color()
    assert first.lines[1].get_linestyle() == ":"
    assert first.get_xlabel() == "step"
    [area] = first.collections
    assert area.get_paths()[0].get_extents().ymax == pytest.approx(0.4)


def test_a_histogram_counts_its_values() -> None:
    values = [0.1, 0.1, 0.9]
    figure = histogram({"x": values, "none": []}, [0, 0.5, 1], x="v", y="n", mark=0.5)
    heights = [patch.get_height() for patch in figure.axes[0].patches]
    assert heights == np.histogram(values, [0, 0.5, 1])[0].tolist()
    assert list(figure.axes[0].lines[0].get_xdata()) == [0.5, 0.5]


@pytest.mark.parametrize("long", [False, True])
def test_a_legend_lies_within_the_figure(long: bool) -> None:
    names = [f"m{i}" + " as published, signed" * long for i in range(12)]
    line = Curve([0.0, 1.0], [0.0, 1.0])
    figure = curve_plot([Panel(dict.fromkeys(names, line))])
    figure.canvas.draw()
    [legend] = figure.legends
    box, whole = legend.get_window_extent(), figure.bbox
    assert whole.x0 <= box.x0 < box.x1 <= whole.x1
    assert [text.get_text() for text in legend.get_texts()] == names
    assert (legend._ncols == 5) is not long
