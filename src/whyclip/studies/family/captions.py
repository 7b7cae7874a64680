"""Captions of scenes: phrases without a colour, and which captions are true of which images."""

from __future__ import annotations

import torch
from torch import Tensor

from whyclip.finetuning.scene_table import SceneTable
from whyclip.scenes.captions import phrase
from whyclip.scenes.drawing import COLOURS
from whyclip.scenes.sprites import load_atlas
from whyclip.studies.family.cues import CONCEPTS

BARE = 0.6
"""Share of the phrases for single objects that leave out the colour."""

COLOURLESS = -3
"""Stands for a phrase without a colour."""


def bare_phrases(table: SceneTable) -> tuple[Tensor, Tensor]:
    """Find the phrases without a colour.

    Returns:
        Bool ``[p]``, which they are; and ``[p]``, the row of each phrase without its colour.
    """
    names = load_atlas().names[:CONCEPTS]
    plain = {phrase(name, colour): phrase(name) for name in names for colour in (None, *COLOURS)}
    rows = torch.tensor([table.phrases.index(plain[text]) for text in table.phrases])
    return rows == torch.arange(len(rows)), rows


def some_named(named: Tensor, generator: torch.Generator) -> Tensor:
    """Choose one of the objects that each caption names: ``[b]`` slots.

    Args:
        named: ``[b, k]`` row of each object's phrase; -1 where the caption does not name it.
        generator: of the choice.
    """
    return torch.rand(named.shape, generator=generator).masked_fill(named < 0, -1).argmax(1)


def mostly_bare(phrases: Tensor, without_colour: Tensor, generator: torch.Generator) -> Tensor:
    """Leave out the colour of most phrases: ``[b]`` rows.

    A colour tells captions apart, so that nobody would have to look at a tinted shape.

    Args:
        phrases: ``[b]`` rows of phrases.
        without_colour: from :func:`bare_phrases`.
        generator: of the choice.
    """
    leave_out = torch.rand(len(phrases), generator=generator) < BARE
    return torch.where(leave_out, without_colour[phrases], phrases)


def captions_also_true(
    concepts: Tensor, named: Tensor, bare: Tensor, said: Tensor | None = None
) -> Tensor:
    """Say which captions are true of other images, or may be: bool ``[b, b]``, image by caption.

    A caption is, if every object that it names is in the image, and nothing says that it has
    another colour there. Positions are not compared.

    Args:
        concepts: ``[b, k]`` each object's number; -1 where there is none.
        named: ``[b, k]`` row of each object's phrase, as far as it is known; else -1.
        bare: bool ``[p]``, the phrases without a colour.
        said: ``[b, k]`` row of the phrase by which the caption names each object; -1 where it
            does not name it. By default all that is known.
    """
    absent, unnamed = -1, -2
    of_image = _claims(concepts, named, bare, unnamed)
    of_text = _claims(concepts, named if said is None else said, bare, absent)
    present = of_image[:, None] != absent
    fits = (of_image[:, None] < absent) | (of_text == COLOURLESS) | (of_image[:, None] == of_text)
    fits = (of_text == absent) | (present & fits)
    true = fits.all(-1)
    return true.fill_diagonal_(False)


def _claims(concepts: Tensor, named: Tensor, bare: Tensor, unnamed: int) -> Tensor:
    """What is said of each concept: ``[b, 16]``, a phrase's row, a negative number, or -1."""
    phrases = torch.where(named >= 0, named, unnamed)
    phrases = torch.where((named >= 0) & bare[named.clamp_min(0)], COLOURLESS, phrases)
    claims = torch.full((len(concepts), CONCEPTS + 1), -1)
    claims.scatter_(1, concepts.where(concepts >= 0, CONCEPTS), phrases)
    return claims[:, :CONCEPTS]
