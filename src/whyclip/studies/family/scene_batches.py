"""Steps of training on whole scenes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

import torch
from torch import Tensor

from whyclip.finetuning.scene_table import SceneTable
from whyclip.studies.family.captions import (
    bare_phrases,
    captions_also_true,
    mostly_bare,
    some_named,
)
from whyclip.studies.family.cleaned import Labelled


def scene_batches(
    table: SceneTable,
    rows: Iterator[Tensor],
    *,
    kept: int | None = None,
    short: float = 0.0,
    seed: int = 0,
) -> Iterator[Labelled]:
    """Whole scenes with their captions.

    Args:
        table: scenes.
        rows: ``[b]`` numbers of scenes of each step.
        kept: number of patches that are kept, those that show most of the objects and cues, then
            any others; None for all.
        short: share of the captions that are replaced by a phrase for one of the named objects.
        seed: of those others, and of the choice of captions and objects.
    """
    generator = torch.Generator().manual_seed(seed)
    bare, without_colour = bare_phrases(table)
    for drawn in rows:
        batch, named = table.batch(drawn), table.named[drawn]
        if kept is not None:
            shares = table.shares[drawn].float().sum(1)
            shares = shares + 0.1 * torch.rand(shares.shape, generator=generator)
            hidden = torch.ones_like(shares, dtype=torch.bool)
            hidden.scatter_(1, shares.topk(kept, 1).indices, False)
            batch = replace(batch, pixels=table.images[drawn], hidden=hidden)
        captions, said = batch.captions, named
        if short:
            replaced = torch.rand(len(drawn), 1, generator=generator) < short
            slot = some_named(named, generator)[:, None]
            phrases = mostly_bare(named.gather(1, slot)[:, 0], without_colour, generator)
            only = torch.full_like(named, -1).scatter(1, slot, phrases[:, None])
            said = torch.where(replaced, only, named)
            captions = torch.where(replaced, table.phrase_ids[phrases], captions)
        given = {part.name: getattr(batch, part.name) for part in fields(batch)}
        true = captions_also_true(table.concepts[drawn], named, bare, said)
        yield Labelled(**{**given, "captions": captions}, also_true=true)
