"""Several explanations of the same prompts side by side, as in papers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from whyclip.errors import InputError
from whyclip.explanation import Explanation
from whyclip.render import seal
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
    small_print,
    title,
)
from whyclip.render.reading import contrast_of, display_size, map_scales, overlays, words_of
from whyclip.render.typeset import MUTED, Paper, clip, line_height, wrap
from whyclip.render.words import Segment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TEXT = 9.0
_MOST_COLUMNS = 6
_HEADER = 0.3
_BETWEEN = 0.12
_NARROWEST = 7.0
_NO_MAP = "words only"


@dataclass(frozen=True)
class _Column:
    """One method: its panels and highlighted words, prompt by prompt."""

    name: str
    explanation: Explanation
    images: list[Image.Image]
    words: list[list[list[Segment]]]


def comparison(explanations: Mapping[str, Explanation]) -> Figure:
    """Draw methods as columns and prompts as rows, each map scaled to its own peak.

    A mark next to each method's name shows whether it explains the model's score. The legend lists
    the modifications of other methods.

    Args:
        explanations: explanations of the same prompts, by column title.

    Raises:
        InputError: there are none, or their prompts differ.
    """
    if not explanations:
        raise InputError("comparison of {}: give at least one explanation by name")
    reference, first = next(iter(explanations.items()))
    for name, other in explanations.items():
        if other.labels != first.labels:
            raise InputError(
                f"comparison: {name!r} explains {list(other.labels)} while {reference!r} "
                f"explains {list(first.labels)}; the prompts must be the same"
            )
    natural = [map_scales(explanation) for explanation in explanations.values()]
    signed = any(scale.signed for chosen in natural for scale in chosen)
    cell, tall = _cell(first)
    if not any(natural):
        tall = 0.0
    columns = [
        _column(name, explanation, cell, signed) for name, explanation in explanations.items()
    ]
    return _draw(columns, first, cell, tall, Scale(1.0, signed))


def _column(name: str, explanation: Explanation, cell: float, signed: bool) -> _Column:
    prompts = [words_of(explanation, row) for row in range(len(explanation))]
    lines = [
        wrap(pieces, cell, SMALL, 3) if any(p.strength is not None for p in pieces) else []
        for pieces in prompts
    ]
    images = overlays(explanation, map_scales(explanation, signed=signed))
    return _Column(name, explanation, images, lines)


def _cell(explanation: Explanation) -> tuple[float, float]:
    aspect = explanation.geometry.width / explanation.geometry.height
    cell = float(np.clip(1.9 * math.sqrt(aspect), 1.6, 4.0))
    return cell, float(np.clip(cell / aspect, 0.5, 3.2))


def _draw(
    columns: Sequence[_Column], first: Explanation, cell: float, tall: float, scale: Scale
) -> Figure:
    per_band = math.ceil(len(columns) / math.ceil(len(columns) / _MOST_COLUMNS))
    bands = [columns[i : i + per_band] for i in range(0, len(columns), per_band)]
    labels = [wrap([Segment(label)], cell, _TEXT) for label in first.labels]
    rows = [
        tall + 0.05 + GAP + max(_deepest(columns, row), _label_height(lines))
        for row, lines in enumerate(labels)
    ]
    lead = cell + GAP
    content = lead + per_band * (cell + _BETWEEN) - _BETWEEN
    width = max(_NARROWEST, 2 * MARGIN + content)
    legend = _legend(columns, width)
    # A variant's options are below the name of its method.
    second = line_height(SMALL) if any("\n" in column.name for column in columns) else 0.0
    header = _HEADER + second
    height = MARGIN + TITLE_BAND + len(bands) * (header + sum(rows)) + foot_height(legend)
    paper = Paper(width, height)
    methods = f"{len(columns)} method{'s' * (len(columns) > 1)}"
    title(paper, " · ".join(filter(None, (methods, first.model, first.versus))))
    shown = None
    if first.image is not None:
        # At display size, because every row and band keeps a copy until the figure is written.
        shown = first.image.copy()
        shown.thumbnail(display_size(first), Image.Resampling.LANCZOS)
    left = (width - content) / 2
    y = MARGIN + TITLE_BAND
    for band in bands:
        _headers(paper, band, left + lead, y, cell)
        y += header
        for row, high in enumerate(rows):
            below = y
            if shown is not None and tall:
                place(paper, shown, left, y, cell, tall)
                below = y + tall + 0.05
            below = paper.words(left, below, cell, labels[row], _TEXT)
            score = clip(_score(first, row), cell, SMALL)
            paper.text(left + cell / 2, below, score, SMALL, ha="center", color=MUTED)
            for at, column in enumerate(band):
                x = left + lead + at * (cell + _BETWEEN)
                if column.images:
                    place(paper, column.images[row], x, y, cell, tall)
                elif tall:
                    at_middle = y + (tall - line_height(SMALL)) / 2
                    paper.text(x + cell / 2, at_middle, _NO_MAP, SMALL, ha="center", color=MUTED)
                paper.words(x, y + tall + 0.05, cell, column.words[row], SMALL)
            y += high
    foot(paper, legend)
    if any(column.images for column in columns):
        colour_bar(paper, scale, legend)
    return paper.figure


def _score(explanation: Explanation, row: int) -> str:
    """Format the model's score of a prompt; a difference is shown with its two scores."""
    score = f"{explanation.certificate.score_model[row]:.3f}"
    contrast = contrast_of(explanation, row)
    return f"{contrast} = {score}" if contrast else f"score {score}"


def _deepest(columns: Sequence[_Column], row: int) -> float:
    return line_height(SMALL) * max(len(column.words[row]) for column in columns)


def _label_height(lines: Sequence[object]) -> float:
    return line_height(_TEXT) * len(lines) + line_height(SMALL)


def _headers(paper: Paper, band: Sequence[_Column], x: float, y: float, cell: float) -> None:
    for column in band:
        certificate = column.explanation.certificate
        paper.text(x, y, seal.mark(certificate), _TEXT, color=seal.colour(certificate))
        name, _, options = column.name.partition("\n")
        paper.text(x + 0.17, y, clip(name, cell - 0.2, _TEXT, "bold"), _TEXT, weight="bold")
        if options:
            below = y + line_height(_TEXT)
            paper.text(x + 0.17, below, clip(options, cell - 0.2, SMALL), SMALL, color=MUTED)
        x += cell + _BETWEEN


def _legend(columns: Sequence[_Column], width: float) -> list[Note]:
    """Make one line for all methods that explain the model's score, and one per other method."""
    certificates = {
        column.name.replace("\n", ", "): column.explanation.certificate for column in columns
    }
    green = [noted for noted in certificates.values() if noted.explains_score]
    lines = []
    if green:
        gap = max(noted.gap for noted in green)
        text = (
            f"{seal.mark(green[0])} {green[0].verdict} "
            f"(largest score difference {gap:.1e}, {green[0].checked_on})"
        )
        lines.append(small_print(text, seal.colour(green[0]), width))
    for name, noted in certificates.items():
        if not noted.explains_score:
            # Of other methods, the details state the scope.
            verdict = f" {noted.verdict}" if seal.tone(noted) == "modified" else ""
            text = f"{seal.mark(noted)} {name}{verdict}: {seal.details(noted)}"
            lines.append(small_print(text, seal.colour(noted), width))
    return lines
