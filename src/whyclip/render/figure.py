"""One explanation as a figure: a panel for each prompt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from whyclip.explanation import Explanation
from whyclip.render.colour import Scale
from whyclip.render.parts import (
    GAP,
    MARGIN,
    SMALL,
    TITLE_BAND,
    Note,
    colour_bar,
    foot,
    foot_height,
    place,
    title,
    verdict,
)
from whyclip.render.reading import contrast_of, facts, map_scales, overlays, shares_scale, words_of
from whyclip.render.typeset import MUTED, Paper, line_height, text_width, wrap
from whyclip.render.words import Segment
from whyclip.resample import Interpolation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LARGE = 12.0
_PROMPT = 10.0
_WIDEST = 15.0
_NARROWEST = 7.0
_MANY = 9
_BESIDE = 2.4
_SCORE_COLUMN = 1.1


@dataclass(frozen=True)
class _Panel:
    """An image with the text below it."""

    image: Image.Image
    words: tuple[Segment, ...]
    note: str = ""


@dataclass(frozen=True)
class _Grid:
    """Number of columns, and width and height of an image's cell in inches."""

    columns: int
    cell: float
    tall: float

    @property
    def content(self) -> float:
        return self.columns * (self.cell + GAP) - GAP

    @property
    def width(self) -> float:
        return max(_NARROWEST, self.content + 2 * MARGIN)


def figure(
    explanation: Explanation,
    *,
    shared_scale: bool | None = None,
    interpolation: Interpolation = "catmull-rom",
    contour: bool = False,
) -> Figure:
    """Draw the image and, for each prompt, heat map, highlighted words and score.

    Args:
        explanation: the explanation to draw; without maps, prompts are drawn as lines of text.
        shared_scale: whether all maps and words share one colour scale; by default only for an
            interaction.
        interpolation: see :meth:`whyclip.Explanation.heatmap`; ``"nearest"`` shows the patches.
        contour: whether to draw the contour at half of the peak.

    Returns:
        A matplotlib figure, independent of pyplot.
    """
    shared = shares_scale(explanation, shared_scale)
    if explanation.maps is None:
        return _sheet(explanation, shared)
    chosen = map_scales(explanation, shared=shared)
    drawn = overlays(explanation, chosen, interpolation=interpolation, contour=contour)
    peaks = map_scales(explanation, shared=False)
    panels = [
        _Panel(
            image,
            words_of(explanation, index, shared),
            f"score {_score(explanation, index)}   {_peak(peaks[index])}",
        )
        for index, image in enumerate(drawn)
    ]
    if explanation.image is not None:
        panels.insert(0, _Panel(explanation.image, (Segment("image"),)))
    grid = _grid(panels)
    notes = verdict(explanation.certificate, grid.width)
    paper = _laid_out(panels, grid, notes)
    title(paper, _heading(explanation))
    if chosen:
        colour_bar(paper, chosen[0], notes, shared=shared)
    return paper.figure


def _score(explanation: Explanation, index: int) -> str:
    """Format the score; a difference is shown with its two scores."""
    score = f"{float(explanation.scores[index]):.3f}"
    contrast = contrast_of(explanation, index)
    return f"{score} ({contrast})" if contrast else score


def _peak(scale: Scale) -> str:
    return f"peak {scale.limit:.2g}" if scale.limit > 0 else "zero everywhere"


def _heading(explanation: Explanation) -> str:
    return " · ".join(facts(explanation))


def _laid_out(panels: list[_Panel], grid: _Grid, notes: list[Note]) -> Paper:
    """Lay out panels in rows as tall as their longest prompt, and the small print."""
    columns, cell, tall = grid.columns, grid.cell, grid.tall
    rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    wrapped = [[wrap(panel.words, cell, _PROMPT) for panel in row] for row in rows]
    under = [
        0.08 + line_height(_PROMPT) * max(map(len, lines)) + line_height(SMALL) for lines in wrapped
    ]
    height = MARGIN + TITLE_BAND + sum(under) + len(rows) * (tall + GAP) + foot_height(notes)
    paper = Paper(grid.width, height)
    foot(paper, notes)
    y = MARGIN + TITLE_BAND
    for row, texts, extra in zip(rows, wrapped, under, strict=True):
        x = (grid.width - grid.content) / 2
        for panel, lines in zip(row, texts, strict=True):
            place(paper, panel.image, x, y, cell, tall)
            below = paper.words(x, y + tall + 0.08, cell, lines, _PROMPT)
            paper.text(x + cell / 2, below, panel.note, SMALL, ha="center", color=MUTED)
            x += cell + GAP
        y += tall + extra + GAP
    return paper


def _grid(panels: list[_Panel]) -> _Grid:
    aspect = panels[0].image.width / panels[0].image.height
    base = 2.9 if len(panels) <= _MANY else 2.2
    cell = float(np.clip(base * math.sqrt(aspect), 2.3, 6.5))
    tall = float(np.clip(cell / aspect, 0.35, 4.2))
    most = max(1, int((_WIDEST - 2 * MARGIN + GAP) / (cell + GAP)))
    rows = math.ceil(len(panels) / most)
    return _Grid(math.ceil(len(panels) / rows), cell, tall)


def _sheet(explanation: Explanation, shared: bool) -> Figure:
    """Draw prompts as lines of text, with the image on the left if there is one."""
    prompts = [words_of(explanation, index, shared) for index in range(len(explanation))]
    side = _BESIDE if explanation.image is not None else 0.0
    left = MARGIN + (side + GAP if side else 0.0)
    widths = [text_width("".join(s.text for s in pieces), _LARGE) for pieces in prompts]
    column = float(np.clip(max(widths, default=0.0) * 1.05, 3.2, 7.0))
    width = max(_NARROWEST, left + column + _SCORE_COLUMN + MARGIN)
    column = width - left - _SCORE_COLUMN - MARGIN
    lines = [wrap(pieces, column, _LARGE, most=8) for pieces in prompts]
    text_height = sum(line_height(_LARGE) * len(text) + 0.12 for text in lines)
    top = MARGIN + TITLE_BAND
    notes = verdict(explanation.certificate, width)
    height = top + max(line_height(SMALL) + text_height, side) + GAP + foot_height(notes)
    paper = Paper(width, height)
    title(paper, _heading(explanation))
    if explanation.image is not None:
        aspect = explanation.image.width / explanation.image.height
        place(paper, explanation.image, MARGIN, top, side, min(side, side / aspect))
    right = width - MARGIN
    paper.text(left, top - 0.06, "prompt", SMALL, color=MUTED)
    paper.text(right, top - 0.06, "score", SMALL, color=MUTED, ha="right")
    y = top + line_height(SMALL)
    for text, score in zip(lines, explanation.scores.tolist(), strict=True):
        paper.text(right, y, f"{score:.3f}", _LARGE, ha="right")
        y = paper.words(left, y, None, text, _LARGE) + 0.12
    foot(paper, notes)
    return paper.figure
