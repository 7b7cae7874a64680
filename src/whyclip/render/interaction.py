"""An interaction as a figure and as a page: lines from words to patches, and the sums."""

from __future__ import annotations

import math
from html import escape
from string import Template
from typing import TYPE_CHECKING, Any

from PIL import Image

from whyclip.render import colour
from whyclip.render.page import asset, framed, harmless_json, image_uri, page
from whyclip.render.parts import (
    GAP,
    MARGIN,
    SMALL,
    TITLE_BAND,
    colour_bar,
    foot,
    foot_height,
    place,
    title,
    verdict,
)
from whyclip.render.reading import facts, map_scales, overlays
from whyclip.render.typeset import MUTED, Paper, clip, line_height, text_width
from whyclip.resample import Interpolation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from whyclip.interactions import Interaction, Pair

ASSETS = "table_viewer"
PAIRS = 8
"""Number of pairs drawn as lines."""
_WIDTH = 10.0
_WORD = 11.0
_COLUMNS = (("with the regions", 1.35), ("rest of image", 1.2), ("sum", 0.75))


def interaction_figure(
    interaction: Interaction, *, pairs: int = PAIRS, interpolation: Interpolation = "catmull-rom"
) -> Figure:
    """Draw the strongest pairs as lines, the words' sums, and a map for each word on one scale.

    Args:
        interaction: the word–region relevance to draw.
        pairs: number of pairs to draw as lines; 0 draws none.
        interpolation: see :meth:`whyclip.Explanation.heatmap`.

    Returns:
        A new matplotlib figure, not registered with pyplot.
    """
    explanation = interaction.explanation
    chosen = map_scales(explanation, shared=True)
    drawn = overlays(explanation, chosen, interpolation=interpolation)
    notes = verdict(explanation.certificate, _WIDTH)
    half = (_WIDTH - 2 * MARGIN - GAP) / 2
    aspect = interaction.geometry.width / interaction.geometry.height
    tall = min(half / aspect, 4.4)
    names = [word.text for word in interaction.words]
    table = line_height(SMALL) * (4 + len(interaction.rows))
    top = MARGIN + TITLE_BAND
    upper = max(2 * line_height(_WORD) + tall, table) + GAP
    columns = max(4, math.ceil(math.sqrt(1.6 * len(drawn))))
    cell = (_WIDTH - 2 * MARGIN + GAP) / columns - GAP
    high = min(cell / aspect, 3.0)
    rows = math.ceil(len(drawn) / columns)
    step = high + line_height(SMALL) + GAP
    paper = Paper(_WIDTH, top + upper + rows * step + foot_height(notes))
    title(paper, " · ".join([f"“{interaction.prompt}”", *facts(explanation)[1:]]))
    _lines(paper, interaction, top, half, tall, pairs)
    _sums(paper, interaction, MARGIN + half + GAP, top, half)
    for index, (image, name) in enumerate(zip(drawn, names, strict=True)):
        y = top + upper + index // columns * step
        x = MARGIN + index % columns * (cell + GAP)
        place(paper, image, x, y, cell, high)
        amount = f"{name}  {interaction.words[index].relevance:+.3f}"
        paper.text(x + cell / 2, y + high + 0.04, clip(amount, cell, SMALL), SMALL, ha="center")
    foot(paper, notes)
    colour_bar(paper, chosen[0], notes, shared=True)
    return paper.figure


def _lines(
    paper: Paper, interaction: Interaction, top: float, width: float, tall: float, pairs: int
) -> None:
    """Draw the prompt's words above the image, and lines from words to patches."""
    words, places, x = interaction.words, [], MARGIN
    widths = [text_width(word.text, _WORD) for word in words]
    gap = min(0.12, max(0.02, (width - sum(widths)) / max(1, len(words))))
    # A long prompt has a smaller font.
    size = _WORD * min(1.0, width / (sum(widths) + gap * len(words)))
    for word, natural in zip(words, widths, strict=True):
        scaled = natural * size / _WORD
        places.append(x + scaled / 2)
        paper.text(x, top, word.text, size)
        x += scaled + gap
    below = top + 2 * line_height(_WORD)
    aspect = interaction.geometry.width / interaction.geometry.height
    wide, high = min(width, tall * aspect), min(tall, width / aspect)
    image = interaction.image or Image.new("RGB", (8, 8), "#dddddd")
    place(paper, image.resize((round(150 * wide), round(150 * high))), MARGIN, below, wide, high)
    panel = paper.axes(0, 0, paper.width, paper.height)
    panel.set_xlim(0, paper.width)
    panel.set_ylim(paper.height, 0)
    scale = wide / interaction.geometry.width
    strongest = interaction.pairs(pairs) if pairs else ()
    most = max((abs(pair.value) for pair in strongest), default=1.0) or 1.0
    for pair in strongest:
        ink = colour.FOR if pair.value > 0 else colour.AGAINST
        box, strength = pair.box, abs(pair.value) / most
        x, y = (
            MARGIN + scale * (box.left + box.right) / 2,
            below + scale * (box.top + box.bottom) / 2,
        )
        start = places[_index(interaction, pair)], top + line_height(_WORD)
        dash = "-" if pair.value > 0 else (0, (3, 2))
        width = 0.6 + 2.4 * strength
        for outline, thick in (("white", width + 1.6), (ink, width)):
            panel.plot((start[0], x), (start[1], y), color=outline, lw=thick, ls=dash, alpha=0.9)
        panel.plot([x], [y], "o", ms=3 + 3 * strength, color=ink, mec="white", mew=0.8)


def _index(interaction: Interaction, pair: Pair) -> int:
    return interaction.words.index(pair.word)


def _sums(paper: Paper, interaction: Interaction, x: float, y: float, width: float) -> None:
    """Draw a line for each row of the table, and the score below."""
    ends: list[tuple[str, float]] = []
    right = x + width
    for name, wide in reversed(_COLUMNS):
        ends.insert(0, (name, right))
        right -= wide
    for name, end in ends:
        paper.text(end, y, name, SMALL, color=MUTED, ha="right")
    y += line_height(SMALL)
    for name, *values in sums_of(interaction):
        muted = {"color": MUTED} if values[0] is None else {}
        paper.text(x, y, clip(name, right - x, SMALL), SMALL, **muted)
        for (_, end), value in zip(ends, values, strict=True):
            if value is not None:
                paper.text(end, y, f"{value:+.3f}", SMALL, ha="right", **muted)
        y += line_height(SMALL)
    paper.rule(x, y + 0.03, width)
    paper.text(x, y + 0.06, "score, the sum of all", SMALL, weight="bold")
    paper.text(x + width, y + 0.06, f"{interaction.score:+.3f}", SMALL, ha="right", weight="bold")


def sums_of(interaction: Interaction) -> list[tuple[str, float | None, float | None, float]]:
    """Return the name and sums of each table row; remainders of the text have only the total."""
    words = [(row.word.text, row.regions, row.remainder, row.total) for row in interaction.sums]
    rest = [(name, None, None, value) for name, value in interaction.remainders.items()]
    return [*words, *rest]


def interaction_page(interaction: Interaction) -> str:
    """Write an interaction to one self-contained HTML page.

    Readers select words to see where they match, and draw a box to see which words match it.
    """
    section = Template(asset("interaction.html", ASSETS)).substitute(
        prompt=escape(interaction.prompt),
        style=asset("interaction.css", ASSETS),
        script=asset("interaction.js", ASSETS),
        rows="".join(map(_row, sums_of(interaction))),
        score=f"{interaction.score:+.4f}",
        total=f"{float(interaction.table.double().sum()):+.4f}",
        data=harmless_json(_data(interaction)),
    )
    return page([interaction.explanation], before=section)


def interaction_fragment(interaction: Interaction) -> str:
    """Return HTML for a notebook; see :func:`interaction_page`."""
    return framed(interaction_page(interaction), "whyclip interaction")


def _row(row: tuple[str, float | None, float | None, float]) -> str:
    name, *values = row
    cells = "".join(f"<td>{'' if v is None else f'{v:+.4f}'}</td>" for v in values)
    return f'<tr><th scope="row">{escape(name)}</th>{cells}<td class="boxed"></td></tr>'


def _data(interaction: Interaction) -> dict[str, Any]:
    box, geometry = interaction.geometry.box, interaction.geometry
    _, rows, columns = interaction.matrix.shape
    return {
        "words": [word.text for word in interaction.words],
        "matrix": [[round(v, 7) for v in m.flatten().tolist()] for m in interaction.matrix],
        "grid": [rows, columns],
        "box": list(box),
        "size": [geometry.width, geometry.height],
        "picture": None if interaction.image is None else image_uri(interaction.image),
        "pairs": [
            [_index(interaction, pair), pair.row, pair.column, round(pair.value, 7)]
            for pair in interaction.pairs(PAIRS)
        ],
        "for": colour.FOR,
        "against": colour.AGAINST,
    }
