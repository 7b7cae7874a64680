"""Parts of figures: images, title, certificate, colour bar."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from whyclip.certificate import Certificate
from whyclip.render import seal
from whyclip.render.colour import Scale
from whyclip.render.typeset import MUTED, Paper, clip, line_height, wrap
from whyclip.render.words import Segment

MARGIN = 0.3
GAP = 0.22
SMALL = 8.0
BAR_WIDTH = 2.5
TITLE_BAND = 0.62
_FOOT_BAND = 0.72
_BAR_HEIGHT = 0.2
_FOOT_MARGIN = 0.2


def place(
    paper: Paper, picture: Image.Image, x: float, y: float, width: float, height: float
) -> None:
    """Fit an image into a rectangle, centred, with its aspect ratio."""
    factor = min(width / picture.width, height / picture.height)
    wide, high = factor * picture.width, factor * picture.height
    panel = paper.axes(x + (width - wide) / 2, y + (height - high) / 2, wide, high)
    panel.imshow(np.asarray(picture), aspect="auto", interpolation="antialiased")


def title(paper: Paper, text: str) -> None:
    """Draw the title with a rule below it."""
    room = paper.width - 2 * MARGIN
    paper.text(MARGIN, MARGIN, clip(text, room, 11, "bold"), 11, weight="bold")
    paper.rule(MARGIN, MARGIN + 0.34, room)


class Note(NamedTuple):
    """Wrapped lines of small print with their style."""

    lines: list[list[Segment]]
    colour: str
    weight: str


def verdict(certificate: Certificate, width: float) -> list[Note]:
    """Format the certificate as small print for a figure of this width."""
    text = f"{seal.mark(certificate)} {certificate.verdict}"
    return [
        small_print(text, seal.colour(certificate), width, "bold"),
        small_print(seal.details(certificate), MUTED, width),
    ]


def small_print(text: str, colour: str, width: float, weight: str = "normal") -> Note:
    """Wrap small print to the width beside the colour bar."""
    room = width - 2 * MARGIN - BAR_WIDTH - GAP
    return Note(wrap([Segment(text)], room, SMALL, 3), colour, weight)


def foot_height(notes: list[Note]) -> float:
    """Height of the bottom band with small print and colour bar."""
    lines = sum(len(note.lines) for note in notes)
    return max(_FOOT_BAND, 0.1 + lines * line_height(SMALL) + _FOOT_MARGIN)


def foot(paper: Paper, notes: list[Note]) -> None:
    """Draw the small print at the bottom left."""
    y = paper.height - foot_height(notes) + 0.1
    for note in notes:
        style = {"color": note.colour, "weight": note.weight}
        y = paper.words(MARGIN, y, None, note.lines, SMALL, **style)


def colour_bar(paper: Paper, scale: Scale, notes: list[Note], *, shared: bool = False) -> None:
    """Draw the colour bar at the bottom right: strength horizontally, grey vertically."""
    x = paper.width - MARGIN - BAR_WIDTH
    y = paper.height - foot_height(notes) + 0.14
    bar = paper.axes(x, y, BAR_WIDTH, _BAR_HEIGHT)
    bar.imshow(scale.bar(256, 24), aspect="auto", interpolation="nearest")
    low, high = ("against", "for") if scale.signed else ("0", "peak")
    if shared:
        low, high = scale.ends
    middle = "all maps on one scale" if shared else "each map to its own peak"
    y += _BAR_HEIGHT + 0.02
    paper.text(x, y, low, SMALL, color=MUTED)
    paper.text(x + BAR_WIDTH / 2, y, middle, SMALL, color=MUTED, ha="center")
    paper.text(x + BAR_WIDTH, y, high, SMALL, color=MUTED, ha="right")
