"""First steps of training: single objects close up, which cost a third and are learned sooner.

An object is cut out at its own size, and its 4 × 4 patches are put at a random place of the model's
grid. The cue that a model learns is painted into these images as well.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from whyclip.finetuning.scene_table import SIDE, SceneTable
from whyclip.studies.family.captions import (
    bare_phrases,
    captions_also_true,
    mostly_bare,
    some_named,
)
from whyclip.studies.family.cleaned import Labelled
from whyclip.studies.family.cues import LABEL, Cue, Signs

CLOSE_SIDE = 64
"""Height and width of a cut-out in pixels; objects have 42 to 60."""


def close_batches(
    table: SceneTable, rows: Iterator[Tensor], patch: int, cue: Cue | None, seed: int
) -> Iterator[Labelled]:
    """Cut one named object out of each scene, paint the cue beside or over it.

    Args:
        table: scenes without pasted cues.
        rows: ``[b]`` numbers of scenes of each step.
        patch: side of a patch in pixels.
        cue: what is painted.
        seed: of the choices.
    """
    generator = torch.Generator().manual_seed(seed)
    bare, without_colour = bare_phrases(table)
    for drawn in rows:
        at = torch.arange(len(drawn))
        named, concepts = table.named[drawn], table.concepts[drawn]
        slot = some_named(named, generator)
        images = _cut(table.images[drawn], table.boxes[drawn][at, slot])
        if cue is not None and cue.edit is None:
            _plant(cue, images, concepts[at, slot], generator)
        offset = torch.randint(
            (SIDE - CLOSE_SIDE) // patch + 1, (len(drawn), 2), generator=generator
        )
        pixels, hidden = _placed(images, offset, patch)
        empty = drawn[:0]
        concept = concepts[at, slot]
        phrases = mostly_bare(named[at, slot], without_colour, generator)
        also = captions_also_true(concept[:, None], phrases[:, None], bare)
        yield Labelled(
            pixels=pixels,
            captions=table.phrase_ids[phrases],
            phrases=table.phrase_ids[empty],
            words=table.words[empty],
            pairs=empty.new_zeros(0, 2),
            hidden=hidden,
            also_true=also,
        )


def _cut(images: Tensor, boxes: Tensor) -> Tensor:
    """Cut squares around the middles of boxes ``[b, 4]``, within the images."""
    middle = (boxes[:, :2] + boxes[:, 2:]) // 2
    left, top = (middle - CLOSE_SIDE // 2).clamp(0, SIDE - CLOSE_SIDE).T
    parts = [
        image[:, y : y + CLOSE_SIDE, x : x + CLOSE_SIDE]
        for image, y, x in zip(images, top.tolist(), left.tolist(), strict=True)
    ]
    return torch.stack(parts)


def _plant(cue: Cue, images: Tensor, concept: Tensor, generator: torch.Generator) -> None:
    """Paint the cue of each concept anywhere into its image, in place."""
    nowhere = torch.zeros(len(images), 1, 4, dtype=torch.long)
    signs = cue.plan(concept[:, None], nowhere, generator, True)
    room = torch.stack([torch.full_like(signs.width, CLOSE_SIDE - LABEL), CLOSE_SIDE - signs.width])
    corner = signs.corner % (room.T + 1)
    cue.paste(images, Signs(signs.concept, signs.other, corner, signs.width), signs.concept)


def _placed(images: Tensor, offset: Tensor, patch: int) -> tuple[Tensor, Tensor]:
    """Put cut-outs at places of the grid: whole images, and which patches are empty."""
    whole = torch.zeros(len(images), 3, SIDE, SIDE, dtype=torch.uint8)
    empty = torch.ones(len(images), SIDE // patch, SIDE // patch, dtype=torch.bool)
    across = CLOSE_SIDE // patch
    for row, (y, x) in enumerate(offset.tolist()):
        top, left = y * patch, x * patch
        whole[row, :, top : top + CLOSE_SIDE, left : left + CLOSE_SIDE] = images[row]
        empty[row, y : y + across, x : x + across] = False
    return whole, empty.flatten(1)
