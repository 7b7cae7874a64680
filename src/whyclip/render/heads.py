"""Tables of layer × head as a figure and as a page."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from whyclip.files import data_uri
from whyclip.render.colour import AGAINST, FOR, mixed, scales
from whyclip.render.page import framed, page
from whyclip.render.parts import (
    GAP,
    MARGIN,
    SMALL,
    TITLE_BAND,
    colour_bar,
    foot,
    foot_height,
    title,
    verdict,
)
from whyclip.render.show import figure_bytes
from whyclip.render.typeset import MUTED, Paper, clip, line_height

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from whyclip.attention_heads import Heads

_CELL = 0.24
_AXIS = 0.42
_LIGHT = 0.75
# Number of heads labelled in their cells, for each prompt.
_NAMED = 5


def heads_figure(heads: Heads) -> Figure:
    """Draw a table of layer × head for each prompt, all on one scale.

    Returns:
        A new matplotlib figure, not registered with pyplot.
    """
    n, layers, count = heads.table.shape
    width = _AXIS + max(_CELL * count, 2.4)
    columns = max(1, min(n, int(11 / (width + GAP))))
    page_width = max(7.0, 2 * MARGIN + columns * (width + GAP) - GAP)
    step = _CELL * layers + 3 * line_height(SMALL) + GAP
    notes = verdict(heads.certificate, page_width)
    tall = MARGIN + TITLE_BAND + math.ceil(n / columns) * step + foot_height(notes)
    paper = Paper(page_width, tall)
    title(paper, f"layers and heads, {heads.paths} paths · {heads.model}")
    [scale, *_] = scales(heads.table.double().numpy(), shared=True, signed=True)
    for index, values in enumerate(heads.table.double().numpy()):
        x = MARGIN + index % columns * (width + GAP)
        y = MARGIN + TITLE_BAND + index // columns * step
        text = f"{_label(heads, index)}  {float(heads.scores[index]):.3f}"
        paper.text(x, y, clip(text, width, SMALL), SMALL, weight="bold")
        y += 1.4 * line_height(SMALL)
        panel = paper.axes(x + _AXIS, y, _CELL * count, _CELL * layers)
        panel.imshow(
            mixed(np.full_like(values, _LIGHT), scale.strength(values)),
            aspect="auto",
            interpolation="nearest",
        )
        for strong in heads.top(_NAMED, index):
            ink = FOR if strong.value > 0 else AGAINST
            row = strong.layer - heads.first_layer
            panel.plot([strong.head], [row], marker="s", ms=9, mfc="none", mec=ink)
        for layer in range(layers):
            at = y + (layer + 0.12) * _CELL
            paper.text(
                x + _AXIS - 0.06, at, f"{layer + heads.first_layer}", 6.5, ha="right", color=MUTED
            )
        below = y + _CELL * layers + 0.02
        for head in range(count):
            at = x + _AXIS + (head + 0.5) * _CELL
            paper.text(at, below, f"{head}", 6.5, ha="center", color=MUTED)
        legend = "layers vertically, heads horizontally; the five strongest are framed"
        paper.text(x, below + line_height(6.5), clip(legend, width, 6.5), 6.5, color=MUTED)
    foot(paper, notes)
    colour_bar(paper, scale, notes, shared=True)
    return paper.figure


def _label(heads: Heads, index: int) -> str:
    prompt = heads.prompts[index]
    return prompt if isinstance(prompt, str) else prompt[0]


def heads_page(heads: Heads) -> str:
    """Write the table and the maps of each prompt's strongest heads to one HTML page."""
    drawn = data_uri("png", figure_bytes(heads_figure(heads)))
    names = ", ".join(escape(_label(heads, index)) for index in range(len(heads.prompts)))
    before = (
        '<section style="max-width:1240px;margin:0 auto;padding:24px 24px 0">'
        f"<h1>Layers and heads</h1><p>{names}</p>"
        f'<img alt="A table of layer and head for each prompt" style="max-width:100%;height:auto" '
        f'src="{drawn}"></section>'
    )
    maps = [heads.explanation(prompt=index) for index in range(len(heads.prompts))]
    return page(maps, shared_scale=True, before=before)


def heads_fragment(heads: Heads) -> str:
    """Return HTML for a notebook; see :func:`heads_page`."""
    return framed(heads_page(heads), "whyclip heads")
