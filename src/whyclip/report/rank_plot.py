"""Mean ranks with their critical difference, as in Demšar 2006, figure 1."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from whyclip.report.plots import COLOURS, GREY, INK
from whyclip.stats.rankings import Ranking

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW = 0.24  # inches
_BAR = 0.13
_ACROSS = 7.0


def rank_plot(ranking: Ranking, *, baseline: str = "random") -> Figure:
    """Draw mean ranks on one axis, best on the left; bars join methods that do not differ.

    Labels with mean ranks are below the axis, the better half on the left and the others on the
    right. The length of the line above the axis is the critical difference. Demšar, Journal of
    Machine Learning Research 7, 2006, sec. 3.2.2.

    Args:
        ranking: result of :func:`whyclip.stats.rankings.ranking`.
        baseline: label drawn in grey.
    """
    from matplotlib.figure import Figure

    names, number = list(ranking.ranks), len(ranking.ranks)
    left = (number + 1) // 2
    cliques = ranking.cliques
    top = 0.75  # inches above the axis, for its numbers and the critical difference
    rows_from = 0.2 + _BAR * len(cliques)
    depth = rows_from + _ROW * left
    figure = Figure(figsize=(_ACROSS, top + depth + 0.1), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    span = number - 1
    axes.set_xlim(1 - 0.42 * span, number + 0.42 * span)
    axes.set_ylim(-depth, top)
    _scale(axes, ranking)
    for place, name in enumerate(names):
        on_left = place < left
        row = place if on_left else number - 1 - place
        height = -(rows_from + _ROW * (row + 0.5))
        colour = GREY if name == baseline else INK
        rank = ranking.ranks[name]
        end = 1 - 0.04 * span if on_left else number + 0.04 * span
        axes.plot([rank, rank, end], [0, height, height], color=colour, lw=0.8)
        text = f"{name}  {rank:.2f}" if on_left else f"{rank:.2f}  {name}"
        axes.text(
            end + (-0.012 if on_left else 0.012) * span,
            height,
            text,
            ha="right" if on_left else "left",
            va="center",
            fontsize=8,
            color=colour,
        )
    for place, clique in enumerate(cliques):
        ends = [ranking.ranks[clique[0]], ranking.ranks[clique[-1]]]
        # Extend the bar slightly beyond the outer ranks, so that the lines it joins are visible.
        ends = [ends[0] - 0.012 * span, ends[1] + 0.012 * span]
        height = -(0.12 + _BAR * place)
        axes.plot(ends, [height] * 2, color=COLOURS[0], lw=3, solid_capstyle="butt", zorder=3)
    return figure


def _scale(axes: Axes, ranking: Ranking) -> None:
    """Draw the axis of ranks and the critical difference above it."""
    number = len(ranking.ranks)
    axes.plot([1, number], [0, 0], color=INK, lw=1)
    step = max(1, math.ceil(number / 12))
    for rank in range(1, number + 1, step):
        axes.plot([rank, rank], [0, 0.06], color=INK, lw=1)
        axes.text(rank, 0.1, str(rank), ha="center", va="bottom", fontsize=8, color=INK)
    axes.text(number, 0.52, "mean rank (1 is best)", ha="right", va="bottom", fontsize=8, color=INK)
    if math.isnan(ranking.critical_difference):
        return
    ends = [1, 1 + ranking.critical_difference]
    axes.plot(ends, [0.42] * 2, color=COLOURS[0], lw=1.6)
    for end in ends:
        axes.plot([end] * 2, [0.38, 0.46], color=COLOURS[0], lw=1.6)
    axes.text(
        1,
        0.52,
        f"critical difference {ranking.critical_difference:.2f}, {ranking.cases} cases",
        ha="left",
        va="bottom",
        fontsize=8,
        color=INK,
    )
