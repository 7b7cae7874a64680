"""What figures are put together from: pictures, prompts, title, certificate, colour bar."""

from __future__ import annotations

import numpy as np
from PIL import Image

from whyclip.explanation import Certificate, Explanation
from whyclip.render import seal
from whyclip.render.colour import Scale, scales
from whyclip.render.overlay import overlay
from whyclip.render.typeset import MUTED, Paper, clip, line_height
from whyclip.render.words import Segment, segments

MARGIN = 0.3
GAP = 0.22
SMALL = 8.0
BAR_WIDTH = 2.5
TITLE_BAND = 0.62
FOOT_BAND = 0.62
_LONGEST_SIDE = 720


def map_scales(
    explanation: Explanation, *, shared: bool = False, signed: bool | None = None
) -> list[Scale]:
    """The scale of each of an explanation's maps; none where it has no maps."""
    if explanation.maps is None:
        return []
    return scales(explanation.maps.double().numpy(), shared=shared, signed=signed)


def overlays(explanation: Explanation, chosen: list[Scale]) -> list[Image.Image]:
    """Each prompt's heat map over the picture, at display size."""
    if explanation.maps is None:
        return []
    width, height = display_size(explanation)
    heat = explanation.heatmap((height, width)).numpy()
    return [
        overlay(explanation.image, values, scale=scale)
        for values, scale in zip(heat, chosen, strict=True)
    ]


def display_size(explanation: Explanation) -> tuple[int, int]:
    """Width and height in pixels to draw at: small pictures enlarged, large ones reduced."""
    width, height = explanation.geometry.width, explanation.geometry.height
    factor = _LONGEST_SIDE / max(width, height)
    return max(1, round(width * factor)), max(1, round(height * factor))


def words_of(explanation: Explanation, index: int) -> tuple[Segment, ...]:
    """The prompt with its words; an ensemble shows its first template and counts the others."""
    prompt = explanation.prompts[index]
    words = explanation.words[index] if index < len(explanation.words) else ()
    pieces = segments(prompt, words)
    if isinstance(prompt, str) or len(prompt) == 1:
        return pieces
    return (*pieces, Segment(f" (+{len(prompt) - 1} templates)"))


def place(
    paper: Paper, picture: Image.Image, x: float, y: float, width: float, height: float
) -> None:
    """Fit a picture into a rectangle, centred, its proportions kept."""
    factor = min(width / picture.width, height / picture.height)
    wide, high = factor * picture.width, factor * picture.height
    panel = paper.axes(x + (width - wide) / 2, y + (height - high) / 2, wide, high)
    panel.imshow(np.asarray(picture), aspect="auto", interpolation="antialiased")


def title(paper: Paper, text: str) -> None:
    """A line at the top, and a rule below it."""
    room = paper.width - 2 * MARGIN
    paper.text(MARGIN, MARGIN, clip(text, room, 11, "bold"), 11, weight="bold")
    paper.rule(MARGIN, MARGIN + 0.34, room)


def verdict(paper: Paper, certificate: Certificate) -> None:
    """The certificate, at the bottom left: its verdict, and under it the details."""
    y = paper.height - FOOT_BAND + 0.1
    room = paper.width - 2 * MARGIN - BAR_WIDTH - GAP
    text = f"{seal.mark(certificate)} {certificate.verdict}"
    paper.text(MARGIN, y, text, 9, weight="bold", color=seal.colour(certificate))
    line = clip(seal.details(certificate), room, SMALL)
    paper.text(MARGIN, y + line_height(9), line, SMALL, color=MUTED)


def colour_bar(paper: Paper, scale: Scale, *, shared: bool = False) -> None:
    """The colour bar at the bottom right, with what its ends mean."""
    x = paper.width - MARGIN - BAR_WIDTH
    y = paper.height - FOOT_BAND + 0.14
    bar = paper.axes(x, y, BAR_WIDTH, 0.11)
    bar.imshow(scale.ramp(256)[None], aspect="auto", interpolation="nearest")
    low, high = ("against", "for") if scale.signed else ("0", "peak")
    if shared:
        low, high = (f"{-scale.limit:.2g}" if scale.signed else "0"), f"{scale.limit:.2g}"
    middle = "all maps on one scale" if shared else "each map to its own peak"
    y += 0.13
    paper.text(x, y, low, SMALL, color=MUTED)
    paper.text(x + BAR_WIDTH / 2, y, middle, SMALL, color=MUTED, ha="center")
    paper.text(x + BAR_WIDTH, y, high, SMALL, color=MUTED, ha="right")
