"""Parts of an explanation that all renderings share: facts, scales, words, overlays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyclip.explanation import Explanation
from whyclip.match import Match
from whyclip.methods import METHODS
from whyclip.options import spelled
from whyclip.render.colour import Scale, scales
from whyclip.render.grey import grey
from whyclip.render.overlay import painted
from whyclip.render.words import Segment, segments
from whyclip.resample import Interpolation
from whyclip.types import INTERACTION, Geometry

_LONGEST_SIDE = 720


def method_title(explanation: Explanation) -> str:
    """Name the method with its non-default options; both methods if there are two."""
    if explanation.methods:
        titles = {"image": "image", "text": "words"}
        return ", ".join(f"{titles[side]}: {name}" for side, name in explanation.methods.items())
    method = METHODS.get(explanation.method)
    changed = method.changed(explanation.options) if method else explanation.options
    return spelled(explanation.method, changed)


def facts(explanation: Explanation) -> list[str]:
    """Return method, model and contrast prompts."""
    return [
        fact for fact in (method_title(explanation), explanation.model, explanation.versus) if fact
    ]


def contrast_of(explanation: Explanation, index: int) -> str:
    """Return the two scores of an explained difference, such as ``"0.31 − 0.22"``; else empty."""
    if not explanation.contrast:
        return ""
    score, other = explanation.contrast[index]
    return f"{score:.3f} − {other:.3f}"


def match_lines(match: Match) -> list[str]:
    """Describe details of a match: z-scores, competing prompts, threshold and probability."""
    places = (("this image's prompts", match.among_prompts), ("images", match.among_images))
    scores = [
        f"z {place.z:+.1f} among {name}" for name, place in places if place and place.z is not None
    ]
    lines = [", ".join(scores)]
    if match.competitors:
        pairs = ", ".join(f"{text} {score:.3f}" for text, score in match.competitors)
        lines.append(f"competing prompts: {pairs}")
    if match.probability is not None:
        lines.append(f"probability of a match {match.probability:.3g}")
    if match.verdict:
        lines.append(f"score {match.score:.3f} is {match.verdict}")
    return [line for line in lines if line]


def shares_scale(explanation: Explanation, shared: bool | None = None) -> bool:
    """Whether all prompts share one scale; ``shared`` overrides the default.

    The words of an interaction are parts of one sum, so they are comparable.
    """
    return explanation.method == INTERACTION if shared is None else shared


def map_scales(
    explanation: Explanation, *, shared: bool | None = None, signed: bool | None = None
) -> list[Scale]:
    """Return the scales of an explanation's maps; empty without maps.

    Patches outside the image are ignored.
    """
    if explanation.maps is None:
        return []
    maps = explanation.maps.double().numpy()
    there = patches_on(explanation.geometry, *maps.shape[1:])
    shared = shares_scale(explanation, shared)
    return scales(np.where(there, maps, 0.0), shared=shared, signed=signed)


def patches_on(geometry: Geometry, rows: int, columns: int) -> NDArray[np.bool_]:
    """Mark the patches ``[gh, gw]`` of a grid that are at least partly on the image."""
    box = geometry.box
    x = np.linspace(box.left, box.right, columns + 1)
    y = np.linspace(box.top, box.bottom, rows + 1)
    # Edges of the image often coincide with edges of patches up to rounding.
    slack_x, slack_y = 1e-6 * (x[1] - x[0]), 1e-6 * (y[1] - y[0])
    across = (x[1:] > slack_x) & (x[:-1] < geometry.width - slack_x)
    down = (y[1:] > slack_y) & (y[:-1] < geometry.height - slack_y)
    return np.asarray(down[:, None] & across)


def overlays(
    explanation: Explanation,
    chosen: list[Scale],
    *,
    interpolation: Interpolation = "catmull-rom",
    contour: bool = False,
    longest: int = _LONGEST_SIDE,
) -> list[Image.Image]:
    """Draw each prompt's overlay at display size, or with a longest side of ``longest`` pixels."""
    if explanation.maps is None:
        return []
    width, height = display_size(explanation, longest)
    base = grey(explanation.image, width, height)
    heat = explanation.heatmap((height, width), interpolation=interpolation).double().numpy()
    return [
        painted(base, values, scale, contour) for values, scale in zip(heat, chosen, strict=True)
    ]


def display_size(explanation: Explanation, longest: int = _LONGEST_SIDE) -> tuple[int, int]:
    """Return the display size in pixels; small images are enlarged, large ones reduced."""
    width, height = explanation.geometry.width, explanation.geometry.height
    factor = longest / max(width, height)
    return max(1, round(width * factor)), max(1, round(height * factor))


def words_of(
    explanation: Explanation, index: int, shared: bool | None = None
) -> tuple[Segment, ...]:
    """Split a prompt at its words; for an ensemble, the first template and the number of others."""
    prompt = explanation.prompts[index]
    words = explanation.words[index] if index < len(explanation.words) else ()
    largest = largest_word(explanation) if shares_scale(explanation, shared) else None
    pieces = segments(prompt, words, largest=largest)
    if isinstance(prompt, str) or len(prompt) == 1:
        return pieces
    return (*pieces, Segment(f" (+{len(prompt) - 1} templates)"))


def largest_word(explanation: Explanation) -> float:
    """Return the largest |relevance| of all words of all prompts."""
    return max((abs(word.relevance) for words in explanation.words for word in words), default=0.0)
