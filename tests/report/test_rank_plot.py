"""The plot of mean ranks shows each rank at its place, and joins what does not differ."""

from __future__ import annotations

import random

import pytest

from whyclip.report.plots import GREY
from whyclip.report.rank_plot import rank_plot
from whyclip.stats.rankings import ranking


def test_lines_stand_at_the_ranks_and_bars_join_methods_that_do_not_differ() -> None:
    draw = random.Random(0)
    names = ["a", "b", "c", "d", "e", "f", "random"]
    result = ranking({n: [draw.gauss(-m / 2, 1) for _ in range(20)] for m, n in enumerate(names)})
    figure = rank_plot(result)
    [axes] = figure.axes
    elbows = [line for line in axes.lines if len(line.get_xdata()) == 3]
    drawn = [float(line.get_xdata()[0]) for line in elbows]
    assert drawn == pytest.approx(list(result.ranks.values()))
    labels = [text.get_text() for text in axes.texts]
    for place, (name, rank) in enumerate(result.ranks.items()):
        wanted = f"{name}  {rank:.2f}" if place < 4 else f"{rank:.2f}  {name}"
        assert wanted in labels
        # Label and end of the line are at one height, on the same side.
        [text] = [text for text in axes.texts if text.get_text() == wanted]
        assert text.get_position()[1] == pytest.approx(elbows[place].get_ydata()[2])
        assert (text.get_position()[0] < 1) == (place < 4)
    heights = [line.get_ydata()[2] for line in elbows]
    assert len(set(heights[:4])) == 4, "no two labels of a side are on each other"
    assert len(set(heights[4:])) == 3
    bars = [line for line in axes.lines if line.get_linewidth() == 3]
    assert len(bars) == len(result.cliques) > 0
    for bar, clique in zip(bars, result.cliques, strict=True):
        low, high = bar.get_xdata()
        inside = {name for name, rank in result.ranks.items() if low <= rank <= high}
        assert inside == set(clique)
    [measure] = [line for line in axes.lines if line.get_linewidth() == 1.6 and
                 len(set(line.get_ydata())) == 1]  # fmt: skip
    low, high = measure.get_xdata()
    assert high - low == pytest.approx(result.critical_difference)
    grey = [line for line in elbows if line.get_color() == GREY]
    assert [float(line.get_xdata()[0]) for line in grey] == [result.ranks["random"]]


def test_one_case_has_ranks_without_a_critical_difference() -> None:
    figure = rank_plot(ranking({"a": [1.0], "b": [0.0], "c": [0.5]}))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "a  1.00" in texts
    assert not any("critical" in text for text in texts)
