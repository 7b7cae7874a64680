"""Figures for papers: panels on a grid of exactly the given width, with text at its true size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from whyclip.errors import InputError
from whyclip.explanation import Explanation
from whyclip.render import seal
from whyclip.render.colour import Scale
from whyclip.render.embedded import embed
from whyclip.render.layout import Layout
from whyclip.render.parts import place
from whyclip.render.reading import contrast_of, display_size, facts, map_scales, overlays, words_of
from whyclip.render.typeset import INK, MUTED, Paper, line_height, wrap
from whyclip.render.words import Segment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAP = 0.06
_READABLE = 0.9
_TALLEST = 1.6
_MOST_LINES = 4
_BAR = (1.6, 0.09)
_NO_MAP = "no map"


@dataclass(frozen=True)
class Panel:
    """A cell of the grid.

    Attributes:
        image: image in the cell, or None.
        title: text above the image.
        caption: text below the image, with highlighted words.
        note: small text below the caption.
    """

    image: Image.Image | None
    title: str = ""
    caption: tuple[Segment, ...] = ()
    note: str = ""


def methods_figure(
    rows: Sequence[Mapping[str, Explanation]], layout: Layout | None = None, *, words: bool = False
) -> Figure:
    """Draw images and prompts as rows and methods as columns, as in papers.

    A row has the image with its prompt, and one map per method, each scaled to its own peak. Method
    names are shown above a row if they differ from those of the previous row.

    Args:
        rows: for each row, explanations of the same prompts by column title. Explanations of n
            prompts give n rows.
        layout: width, columns (methods in a row), font size, dpi; by default a page's width,
            without header and footer.
        words: whether to show the words below each map, highlighted by their relevance.

    Raises:
        InputError: there are no rows, or the prompts of one row differ.
    """
    layout = layout or Layout()
    if not rows or not all(rows):
        raise InputError("a figure needs at least one row with at least one method")
    every = [explanation for row in rows for explanation in row.values()]
    most = layout.columns or max(map(len, rows))
    cell = _cell(layout, 1 + most)
    signed = any(scale.signed for one in every for scale in map_scales(one))
    grid: list[list[Panel]] = []
    titles: list[str] = []
    for row in rows:
        first = next(iter(row.values()))
        if any(one.labels != first.labels for one in row.values()):
            raise InputError(f"row {list(row)}: all methods of a row need the same prompts")
        bands = [list(row.items())[i : i + most] for i in range(0, len(row), most)]
        longest = _pixels(first, cell, layout)
        drawn = {
            name: overlays(one, map_scales(one, signed=signed), longest=longest)
            for name, one in row.items()
        }
        shown = _reduced(first, longest)
        for index, label in enumerate(first.labels):
            for band in bands:
                names = [name for name, _ in band]
                fresh, titles = names != titles, names
                note = "" if layout.bare else _score(first, index)
                grid.append([Panel(shown, "", (Segment(label),), note)])
                for name, one in band:
                    maps = drawn[name]
                    grid[-1].append(
                        Panel(
                            maps[index] if maps else None,
                            name if fresh else "",
                            words_of(one, index) if words and one.words[index] else (),
                            "" if maps else _NO_MAP,
                        )
                    )
    notes = {} if layout.bare else _verdicts(rows)
    head = "" if layout.bare else " · ".join(dict.fromkeys(one.model for one in every))
    return _draw(grid, 1 + most, layout, head, notes, Scale(1.0, signed))


def prompts_figure(explanation: Explanation, layout: Layout | None = None) -> Figure:
    """Draw the image and the map of each prompt, with highlighted words below them.

    Args:
        explanation: the explanation to draw.
        layout: width, columns (panels in a row), font size, dpi; by default a page's width,
            without header and footer.
    """
    layout = layout or Layout()
    count = len(explanation) + 1
    fitting = max(1, int((layout.inches + GAP) / (_READABLE + GAP)))
    columns = min(count, layout.columns or math.ceil(count / math.ceil(count / fitting)))
    longest = _pixels(explanation, _cell(layout, columns), layout)
    chosen = map_scales(explanation)
    drawn = overlays(explanation, chosen, longest=longest)
    panels = [Panel(_reduced(explanation, longest), "", (Segment("image"),))]
    if explanation.image is None:
        panels = []
    for index in range(len(explanation)):
        note = "" if layout.bare else f"score {_score(explanation, index)}"
        image = drawn[index] if drawn else None
        panels.append(Panel(image, "", words_of(explanation, index), note))
    grid = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    noted = explanation.certificate
    verdict = f"{seal.mark(noted)} {noted.verdict}: {seal.details(noted)}"
    notes = {} if layout.bare else {verdict: seal.colour(noted)}
    head = "" if layout.bare else " · ".join(facts(explanation))
    return _draw(grid, columns, layout, head, notes, chosen[0] if chosen else None)


def _cell(layout: Layout, columns: int) -> float:
    return (layout.inches - (columns - 1) * GAP) / columns


def _pixels(explanation: Explanation, cell: float, layout: Layout) -> int:
    """Return the longest side of a panel in pixels at the layout's dpi."""
    aspect = explanation.geometry.width / explanation.geometry.height
    return max(1, math.ceil(layout.dpi * cell * max(1.0, min(1 / aspect, _TALLEST))))


def _reduced(explanation: Explanation, longest: int) -> Image.Image | None:
    """Return the image, at most as large as its overlays."""
    if explanation.image is None:
        return None
    image = explanation.image.copy()
    image.thumbnail(display_size(explanation, longest), Image.Resampling.LANCZOS)
    return image


def _score(explanation: Explanation, index: int) -> str:
    score = f"{float(explanation.certificate.score_model[index]):.3f}"
    contrast = contrast_of(explanation, index)
    return f"{score} ({contrast})" if contrast else score


def _verdicts(rows: Sequence[Mapping[str, Explanation]]) -> dict[str, str]:
    """Return each method's certificate with its colour, without duplicates."""
    return {
        f"{seal.mark(one.certificate)} {' '.join(name.split())}: {one.certificate.verdict}": (
            seal.colour(one.certificate)
        )
        for row in rows
        for name, one in row.items()
    }


def _draw(
    grid: Sequence[Sequence[Panel]],
    columns: int,
    layout: Layout,
    head: str,
    notes: Mapping[str, str],
    scale: Scale | None,
) -> Figure:
    cell, size, small = _cell(layout, columns), layout.font_size, layout.small
    wrapped = [[_Wrapped(panel, cell, size) for panel in row] for row in grid]
    talls = [_tall(row, cell) for row in grid]
    header = wrap([Segment(head)], layout.inches, size) if head else []
    prints = [
        (wrap([Segment(text)], layout.inches, small), colour) for text, colour in notes.items()
    ]
    top = line_height(size) * len(header)
    heights = [
        max(one.above(size) for one in texts) + tall + max(one.below(size, small) for one in texts)
        for texts, tall in zip(wrapped, talls, strict=True)
    ]
    bar = _BAR[1] + line_height(small) + GAP if scale and not layout.bare else 0.0
    foot = sum(line_height(small) * len(lines) for lines, _ in prints) + bar
    paper = Paper(layout.inches, top + sum(heights) + GAP * len(grid) + foot, layout.dpi)
    paper.words(0.0, 0.0, None, header, size)
    y = top
    for row, texts, tall, height in zip(grid, wrapped, talls, heights, strict=True):
        above = max(one.above(size) for one in texts)
        for at, (panel, one) in enumerate(zip(row, texts, strict=True)):
            x = at * (cell + GAP)
            paper.words(x, y + above - one.above(size), cell, one.title, size)
            if panel.image is not None:
                place(paper, panel.image, x, y + above, cell, tall)
            below = paper.words(x, y + above + tall + 0.02, cell, one.caption, size)
            if panel.note:
                paper.text(x + cell / 2, below, panel.note, small, ha="center", color=MUTED)
        y += height + GAP
    for lines, colour in prints:
        y = paper.words(0.0, y, None, lines, small, color=colour)
    if scale and bar:
        _colour_bar(paper, scale, y + GAP, small)
    return paper.figure


class _Wrapped:
    """The lines above and below a panel."""

    def __init__(self, panel: Panel, cell: float, size: float) -> None:
        # A variant's options are below the name of its method.
        parts = panel.title.split("\n") if panel.title else []
        self.title = [line for part in parts for line in wrap([Segment(part)], cell, size, 2)]
        self.caption = wrap(panel.caption, cell, size, _MOST_LINES) if panel.caption else []
        self.note = bool(panel.note)

    def above(self, size: float) -> float:
        return line_height(size) * len(self.title)

    def below(self, size: float, small: float) -> float:
        text = line_height(size) * len(self.caption) + line_height(small) * self.note
        return text + 0.02 if text else 0.0


def _tall(row: Sequence[Panel], cell: float) -> float:
    """Return the height of a row's images: the tallest fills its width, unless it is very tall."""
    tallest = [one.image.height / one.image.width for one in row if one.image is not None]
    return cell * min(max(tallest, default=0.0), _TALLEST)


def _colour_bar(paper: Paper, scale: Scale, y: float, size: float) -> None:
    """Draw the colour bar with the values of its ends at the right."""
    width = min(_BAR[0], paper.width)
    x = paper.width - width
    pixels = Image.fromarray((scale.bar(256, 24) * 255).round().astype("uint8"))
    embed(paper.axes(x, y, width, _BAR[1]), paper.pixels(pixels))
    low, high = ("against", "for") if scale.signed else ("0", "peak")
    paper.text(x, y + _BAR[1], low, size, color=INK)
    paper.text(paper.width, y + _BAR[1], high, size, ha="right", color=INK)
