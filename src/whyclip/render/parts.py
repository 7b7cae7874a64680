"""What figures are put together from: pictures, prompts, title, certificate, colour bar."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyclip.certificate import Certificate
from whyclip.explanation import Explanation
from whyclip.methods import METHODS
from whyclip.methods.method import label_of
from whyclip.render import seal
from whyclip.render.colour import Scale, opacity, scales
from whyclip.render.overlay import overlay
from whyclip.render.typeset import MUTED, Paper, clip, line_height, wrap
from whyclip.render.words import Segment, segments
from whyclip.types import Geometry

MARGIN = 0.3
GAP = 0.22
SMALL = 8.0
BAR_WIDTH = 2.5
TITLE_BAND = 0.62
_FOOT_BAND = 0.62
_FOOT_MARGIN = 0.2
_LONGEST_SIDE = 720
_BAR_GREY = 0.85


def asked(explanation: Explanation) -> str:
    """The method, with the options that are not its defaults; both where there are two."""
    if explanation.methods:
        titles = {"image": "image", "text": "words"}
        return ", ".join(f"{titles[side]}: {name}" for side, name in explanation.methods.items())
    method = METHODS.get(explanation.method)
    changed = method.changed(explanation.options) if method else explanation.options
    return label_of(explanation.method, changed)


def facts(explanation: Explanation) -> list[str]:
    """What is explained: method, model, and what the prompts are set against, if anything."""
    return [fact for fact in (asked(explanation), explanation.model, explanation.versus) if fact]


def contrast_of(explanation: Explanation, index: int) -> str:
    """The two scores whose difference is explained, such as ``"0.31 − 0.22"``; or nothing."""
    if not explanation.contrast:
        return ""
    own, other = explanation.contrast[index]
    return f"{own:.3f} − {other:.3f}"


def map_scales(
    explanation: Explanation, *, shared: bool = False, signed: bool | None = None
) -> list[Scale]:
    """The scale of each of an explanation's maps; none where it has no maps.

    Patches that lie beside the picture do not count: there is nothing of it to explain.
    """
    if explanation.maps is None:
        return []
    maps = explanation.maps.double().numpy()
    there = patches_on(explanation.geometry, *maps.shape[1:])
    return scales(np.where(there, maps, 0.0), shared=shared, signed=signed)


def patches_on(geometry: Geometry, rows: int, columns: int) -> NDArray[np.bool_]:
    """Which patches ``[gh, gw]`` of a grid lie on the picture, be it in part."""
    box = geometry.box
    x = np.linspace(box.left, box.right, columns + 1)
    y = np.linspace(box.top, box.bottom, rows + 1)
    # Edges of the picture often lie on edges of patches, where rounding must not decide.
    slack_x, slack_y = 1e-6 * (x[1] - x[0]), 1e-6 * (y[1] - y[0])
    across = (x[1:] > slack_x) & (x[:-1] < geometry.width - slack_x)
    down = (y[1:] > slack_y) & (y[:-1] < geometry.height - slack_y)
    return np.asarray(down[:, None] & across)


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


class Note(NamedTuple):
    """Wrapped lines of small print and how they are set."""

    lines: list[list[Segment]]
    colour: str
    weight: str


def verdict(certificate: Certificate, width: float) -> list[Note]:
    """The certificate as small print for a figure of this width: verdict, then details."""
    text = f"{seal.mark(certificate)} {certificate.verdict}"
    return [
        small_print(text, seal.colour(certificate), width, "bold"),
        small_print(seal.details(certificate), MUTED, width),
    ]


def small_print(text: str, colour: str, width: float, weight: str = "normal") -> Note:
    """Wrap small print to what the colour bar leaves of a figure's width."""
    room = width - 2 * MARGIN - BAR_WIDTH - GAP
    return Note(wrap([Segment(text)], room, SMALL, 3), colour, weight)


def foot_height(notes: list[Note]) -> float:
    """Height of the band at the bottom that holds the small print and the colour bar."""
    lines = sum(len(note.lines) for note in notes)
    return max(_FOOT_BAND, 0.1 + lines * line_height(SMALL) + _FOOT_MARGIN)


def foot(paper: Paper, notes: list[Note]) -> None:
    """Set the small print at the bottom left."""
    y = paper.height - foot_height(notes) + 0.1
    for note in notes:
        style = {"color": note.colour, "weight": note.weight}
        y = paper.words(MARGIN, y, None, note.lines, SMALL, **style)


def colour_bar(paper: Paper, scale: Scale, notes: list[Note], *, shared: bool = False) -> None:
    """The colour bar at the bottom right, with what its ends mean."""
    x = paper.width - MARGIN - BAR_WIDTH
    y = paper.height - foot_height(notes) + 0.14
    bar = paper.axes(x, y, BAR_WIDTH, 0.11)
    strength = scale.steps(256)
    alpha = opacity(strength)[:, None]
    seen = alpha * scale.rgb(strength) + (1 - alpha) * _BAR_GREY
    bar.imshow(seen[None], aspect="auto", interpolation="nearest")
    low, high = ("against", "for") if scale.signed else ("0", "peak")
    if shared:
        low, high = (f"{-scale.limit:.2g}" if scale.signed else "0"), f"{scale.limit:.2g}"
    middle = "all maps on one scale" if shared else "each map to its own peak"
    y += 0.13
    paper.text(x, y, low, SMALL, color=MUTED)
    paper.text(x + BAR_WIDTH / 2, y, middle, SMALL, color=MUTED, ha="center")
    paper.text(x + BAR_WIDTH, y, high, SMALL, color=MUTED, ha="right")
