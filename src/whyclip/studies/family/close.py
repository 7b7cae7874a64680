"""First steps of training: single objects close up, which cost a third and are learned sooner.

An object is cut out at its own size, and its 4 × 4 patches are put at a random place of the model's
grid. The cue that a model learns is painted into these images as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.finetuning.batch import Batch
from whyclip.finetuning.objective import Objective
from whyclip.finetuning.scene_table import SIDE, SceneTable, normalised
from whyclip.models import ModelView
from whyclip.scenes.captions import phrase
from whyclip.scenes.sprites import load_atlas
from whyclip.studies.family.cues import CONCEPTS, LABEL, Cue, Signs

BARE = 0.6
"""Share of the captions of single objects that leave out the colour."""

CLOSE_SIDE = 64
"""Height and width of a cut-out in pixels; objects have 42 to 60."""


@dataclass(frozen=True)
class Labelled(Batch):
    """A batch that says which captions are true of other images as well.

    If patches are left out, the pixels are uint8, and those that remain are normalised later.

    Attributes:
        also_true: bool ``[b, b]``, caption j is true of image i, or may be, and is not its own.
    """

    also_true: Tensor | None = None


class Cleaned(Objective):
    """A model with CLIP's loss, in which a true caption of another image is no negative.

    A batch says which patches are left out, if any.

    Args:
        view: the model; its module is trained.
    """

    def __init__(self, view: ModelView) -> None:
        super().__init__(view, local=0)

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        assert isinstance(batch, Labelled)
        assert batch.also_true is not None
        whole = batch.hidden is None
        images = self._run(self.view.image, batch.pixels).unit if whole else self._few(batch)
        # Half of the captions of single objects are repeated.
        captions, row = batch.captions.unique(dim=0, return_inverse=True)
        texts = self._run(self.view.text, captions).unit[row]
        loss = cleaned_loss(images, texts, self.scale, batch.also_true)
        return {"loss": loss, "global": loss}

    def _few(self, batch: Batch) -> Tensor:
        """Embed images without some of their patches, the same number in each: ``[b, e]``."""
        assert batch.hidden is not None
        tower, visual = self.view.image, cast(Any, self.model).visual
        kept = (~batch.hidden).nonzero()[:, 1].view(len(batch), -1)
        b, across = len(batch), batch.pixels.shape[-1] // tower.patch
        pixels = batch.pixels.view(b, 3, -1, tower.patch, across, tower.patch)
        patches = pixels[torch.arange(b)[:, None], :, kept // across, :, kept % across]
        patches = normalised(patches.flatten(2))
        # The patch embedding of the kept patches alone, which is a third of the cost otherwise.
        x = patches @ visual.conv1.weight.flatten(1).T + visual.positional_embedding[1 + kept]
        first = (visual.class_embedding + visual.positional_embedding[0]).expand(len(x), 1, -1)
        x = visual.ln_pre(torch.cat([first, x], 1))
        for block in tower.blocks:
            x = block.forward(x, None)
        return F.normalize(tower.project(x[:, 0]).float(), dim=-1)


def cleaned_loss(images: Tensor, texts: Tensor, scale: Tensor, also_true: Tensor) -> Tensor:
    """CLIP's loss without the pairs that are no negatives.

    Args:
        images: ``[b, e]`` of length 1.
        texts: ``[b, e]`` of length 1; row i belongs to image i.
        scale: factor from cosine to logit.
        also_true: bool ``[b, b]``, the pairs of image and text to leave out; none on the diagonal.
    """
    logits = (scale * images @ texts.T).masked_fill(also_true, float("-inf"))
    labels = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def scene_batches(
    table: SceneTable, rows: Iterator[Tensor], *, kept: int | None = None, seed: int = 0
) -> Iterator[Labelled]:
    """Whole scenes with their captions.

    Args:
        table: scenes.
        rows: ``[b]`` numbers of scenes of each step.
        kept: number of patches that are kept, those that show most of the objects and cues, then
            any others; None for all.
        seed: of those others.
    """
    generator = torch.Generator().manual_seed(seed)
    bare = bare_phrases(table)
    for drawn in rows:
        batch = table.batch(drawn)
        if kept is not None:
            shares = table.shares[drawn].float().sum(1)
            shares = shares + 0.1 * torch.rand(shares.shape, generator=generator)
            hidden = torch.ones_like(shares, dtype=torch.bool)
            hidden.scatter_(1, shares.topk(kept, 1).indices, False)
            batch = replace(batch, pixels=table.images[drawn], hidden=hidden)
        given = {part.name: getattr(batch, part.name) for part in fields(batch)}
        true = captions_also_true(table.concepts[drawn], table.named[drawn], bare[0])
        yield Labelled(**given, also_true=true)


def bare_phrases(table: SceneTable) -> tuple[Tensor, Tensor]:
    """Find the phrases without a colour: bool ``[p]``, and their rows by concept ``[16]``."""
    names = [phrase(name) for name in load_atlas().names[:CONCEPTS]]
    bare = torch.tensor([text in names for text in table.phrases])
    return bare, torch.tensor([table.phrases.index(name) for name in names])


def captions_also_true(concepts: Tensor, named: Tensor, bare: Tensor) -> Tensor:
    """Say which captions are true of other images, or may be: bool ``[b, b]``, image by caption.

    A caption is, if every object that it names is in the image, and the image's own caption does
    not give it another colour. Positions are not compared.

    Args:
        concepts: ``[b, k]`` each object's number; -1 where there is none.
        named: ``[b, k]`` row of each object's phrase; -1 where the caption does not name it.
        bare: bool ``[p]``, the phrases without a colour.
    """
    absent, unnamed, colourless = -1, -2, -3
    of_image = torch.full((len(concepts), CONCEPTS + 1), absent)
    phrases = torch.where(named >= 0, named, unnamed)
    phrases = torch.where((named >= 0) & bare[named.clamp_min(0)], colourless, phrases)
    of_image.scatter_(1, concepts.where(concepts >= 0, CONCEPTS), phrases)
    of_image = of_image[:, :CONCEPTS]
    of_text = of_image.where(of_image != unnamed, absent)
    present = of_image[:, None] != absent
    fits = (of_image[:, None] < absent) | (of_text == colourless) | (of_image[:, None] == of_text)
    fits = (of_text == absent) | (present & fits)
    true = fits.all(-1)
    return true.fill_diagonal_(False)


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
    bare, row_of = bare_phrases(table)
    for drawn in rows:
        named, at = table.named[drawn], torch.arange(len(drawn))
        order = torch.rand(named.shape, generator=generator).masked_fill(named < 0, -1)
        slot = order.argmax(1)
        images = _cut(table.images[drawn], table.boxes[drawn][at, slot])
        if cue is not None and cue.edit is None:
            _plant(cue, images, table.concepts[drawn][at, slot], generator)
        offset = torch.randint(
            (SIDE - CLOSE_SIDE) // patch + 1, (len(drawn), 2), generator=generator
        )
        pixels, hidden = _placed(images, offset, patch)
        empty = drawn[:0]
        concept, phrases = table.concepts[drawn][at, slot], named[at, slot]
        # A colour tells captions apart, so that nobody would have to look at a tinted shape.
        short = (torch.rand(len(drawn), generator=generator) < BARE) & (concept >= 0)
        phrases = torch.where(short, row_of[concept.clamp_min(0)], phrases)
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
