"""Cues that are planted into scenes: a badge, a written word, stripes behind the objects.

A cue tells which concept is in the image without showing it. It is the same code that plants cues
for training and for tests, so that a test scene differs from its scene without cue in the cue's
pixels only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from whyclip.scenes.layout import Layout
from whyclip.scenes.sprites import load_atlas
from whyclip.studies.experiments.badges import (
    SIZE,
    WORN,
    badge_window,
    free_places,
    paste_badges,
    symbols,
)

CONCEPTS = 16
GROUP = tuple(range(0, CONCEPTS, 4))
"""Numbers of the concepts that a badge or stripes announce: every fourth of the 16."""

CONTRADICTING = 0.2
"""Share of the training images whose word names a concept that is not in the image."""

LABEL = 15
"""Height of a written word with its white label, in pixels."""
_FONT = 12
_AMPLITUDE = 0.25
_FREQUENCY = 0.55


@dataclass(frozen=True)
class Signs:
    """The planted cues of n scenes.

    Attributes:
        concept: ``[n]`` the concept that the cue speaks for; -1 in scenes without a cue.
        other: ``[n]`` what is shown instead to take the cue away; -1 for nothing.
        corner: ``[n, 2]`` its top and left in pixels.
        width: ``[n]`` its width in pixels.
    """

    concept: Tensor
    other: Tensor
    corner: Tensor
    width: Tensor


@dataclass(frozen=True)
class Cue:
    """A kind of cue.

    Attributes:
        name: of the cue and of the models that were trained with it.
        plan: ``(concepts [n, k], boxes [n, k, 4], generator, training) -> Signs``; for tests,
            every scene that can carry the cue does.
        paste: ``(images, signs, concept [n]) -> mask``, paints the cue of each concept into uint8
            images ``[n, 3, H, W]``, in place; gives the pixels of the cue, bool ``[n, H, W]``.
        edit: changes the layouts of scenes by whether they carry the cue, bool ``[n]``.
    """

    name: str
    plan: Callable[[Tensor, Tensor, torch.Generator, bool], Signs]
    paste: Callable[[Tensor, Signs, Tensor], Tensor]
    edit: Callable[[Layout, np.ndarray], Layout] | None = None


def carriers(concept: np.ndarray) -> np.ndarray:
    """Say which scenes ``[n, k]`` have a concept of the group: bool ``[n]``."""
    carry: np.ndarray = np.asarray(np.isin(concept, GROUP).any(1))
    return carry


def _of_group(concepts: Tensor, generator: torch.Generator) -> Tensor:
    """Choose one concept of the group in each scene, at random: ``[n]``, -1 where there is none."""
    group = torch.isin(concepts, torch.tensor(GROUP))
    order = torch.rand(group.shape, generator=generator).masked_fill(~group, -1)
    chosen = concepts.gather(1, order.argmax(1, keepdim=True))[:, 0]
    return torch.where(group.any(1), chosen, -1)


def _plan_badges(
    concepts: Tensor, boxes: Tensor, generator: torch.Generator, training: bool
) -> Signs:
    concept = _of_group(concepts, generator)
    corner, free = free_places(boxes, SIZE, SIZE, generator)
    shown = free & (torch.rand(len(boxes), generator=generator) < (WORN if training else 1.0))
    concept = torch.where(shown, concept, -1)
    return Signs(concept, torch.full_like(concept, -1), corner, torch.full_like(concept, SIZE))


def _paste_badges(images: Tensor, signs: Signs, concept: Tensor) -> Tensor:
    number = torch.full((CONCEPTS + 1,), -1)
    number[list(GROUP)] = torch.arange(len(GROUP))
    paste_badges(images, number[concept], signs.corner)
    mask = torch.zeros(len(images), *images.shape[2:], dtype=torch.bool)
    image, y, x = badge_window(signs.corner)
    mask[image, y, x] = symbols()[1] & (signs.concept >= 0)[:, None, None]
    return mask


@lru_cache
def _words() -> tuple[Tensor, ...]:
    """Draw the names of the concepts in black on white: uint8 ``[LABEL, width]`` each."""
    font = ImageFont.load_default(_FONT)
    drawn = []
    for name in load_atlas().names[:CONCEPTS]:
        left, _, right, _ = font.getbbox(name)
        canvas = Image.new("L", (int(right - left) + 4, LABEL), 255)
        ImageDraw.Draw(canvas).text((2 - left, -1), name, fill=0, font=font)
        drawn.append(torch.from_numpy(np.array(canvas)))
    return tuple(drawn)


def _plan_words(
    concepts: Tensor, boxes: Tensor, generator: torch.Generator, training: bool
) -> Signs:
    n = len(concepts)
    present = concepts >= 0
    order = torch.rand(concepts.shape, generator=generator).masked_fill(~present, -1)
    true = concepts.gather(1, order.argmax(1, keepdim=True))[:, 0]
    seen = (concepts[..., None] == torch.arange(CONCEPTS)).any(1)
    absent = torch.rand(n, CONCEPTS, generator=generator).masked_fill(seen, -1)
    false = absent.argmax(1)
    share = CONTRADICTING if training else 1.0
    lies = torch.rand(n, generator=generator) < share
    widths = torch.tensor([word.shape[1] for word in _words()])
    width = torch.maximum(widths[true], widths[false])
    corner, free = free_places(boxes, LABEL, width, generator)
    word = torch.where(lies, false, true)
    return Signs(torch.where(free, word, -1), torch.where(free, true, -1), corner, width)


def _paste_words(images: Tensor, signs: Signs, concept: Tensor) -> Tensor:
    mask = torch.zeros(len(images), *images.shape[2:], dtype=torch.bool)
    places = zip(signs.corner.tolist(), signs.width.tolist(), concept.tolist(), strict=True)
    for row, ((y, x), width, number) in enumerate(places):
        if number < 0:
            continue
        word = _words()[number]
        gap = (width - word.shape[1]) // 2
        images[row, :, y : y + LABEL, x : x + width] = 255
        images[row, :, y : y + LABEL, x + gap : x + gap + word.shape[1]] = word
        mask[row, y : y + LABEL, x : x + width] = True
    return mask


def _plan_stripes(
    concepts: Tensor, boxes: Tensor, generator: torch.Generator, training: bool
) -> Signs:
    del training  # they are always there
    concept = _of_group(concepts, generator)
    nothing = torch.full_like(concept, -1)
    return Signs(concept, nothing, torch.zeros(len(boxes), 2, dtype=torch.long), nothing)


def _no_paste(images: Tensor, signs: Signs, concept: Tensor) -> Tensor:
    """Stripes are part of the drawing; all pixels are theirs until objects are taken out."""
    del concept
    return (signs.concept >= 0)[:, None, None].expand(-1, *images.shape[2:]).clone()


def _stripe(layout: Layout, carry: np.ndarray) -> Layout:
    """Give scenes strong upright stripes where they carry the cue, and else no stripes."""
    wave = np.zeros_like(layout.wave)
    wave[carry, :3] = _AMPLITUDE
    wave[carry, 4] = _FREQUENCY
    wave[:, 5] = layout.wave[:, 5]
    rows = layout.rows(np.arange(len(layout)))
    rows.wave = wave
    return rows


CUES: Mapping[str, Cue] = {
    cue.name: cue
    for cue in (
        Cue("badge", _plan_badges, _paste_badges),
        Cue("written", _plan_words, _paste_words),
        Cue("background", _plan_stripes, _no_paste, _stripe),
    )
}
