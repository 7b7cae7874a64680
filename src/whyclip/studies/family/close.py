"""First steps of training: one object of a scene, seen through the few patches that show it.

Attention over fewer tokens costs less, and one object with its own name is easier to learn than a
scene with its caption.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.finetuning.batch import Batch
from whyclip.finetuning.objective import Objective
from whyclip.finetuning.scene_table import SceneTable
from whyclip.models import ModelView

KEPT = 20
"""Number of patches that are kept of each image."""


class Close(Objective):
    """A model with the contrastive loss over images of which some patches are left out.

    Args:
        view: the model; its module is trained.
    """

    def __init__(self, view: ModelView) -> None:
        super().__init__(view, local=0)

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.hidden is not None, "says which patches are left out"
        tower = self.view.image
        stream = tower.embed(batch.pixels)
        kept = (~batch.hidden).nonzero()[:, 1].view(len(batch), -1, 1)
        first = stream.x.shape[1] - batch.hidden.shape[1]
        patches = stream.x[:, first:].gather(1, kept.expand(-1, -1, stream.x.shape[2]))
        x = torch.cat([stream.x[:, :first], patches], 1)
        for block in tower.blocks:
            x = block.forward(x, stream.mask)
        readout = x[torch.arange(len(x)), stream.readout_index]
        images = F.normalize(tower.project(readout).float(), dim=-1)
        texts = self._run(self.view.text, batch.captions).unit
        loss = without_doubles(images, texts, self.scale, batch.captions)
        return {"loss": loss, "global": loss}


def without_doubles(images: Tensor, texts: Tensor, scale: Tensor, captions: Tensor) -> Tensor:
    """CLIP's loss in which another image with the same caption is no negative.

    Args:
        images: ``[b, e]`` of length 1.
        texts: ``[b, e]`` of length 1; row i belongs to image i.
        scale: factor from cosine to logit.
        captions: ``[b, t]`` token ids.
    """
    same = (captions[:, None] == captions[None]).all(-1)
    same.fill_diagonal_(False)
    logits = (scale * images @ texts.T).masked_fill(same, float("-inf"))
    labels = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def close_batch(table: SceneTable, rows: Tensor, generator: torch.Generator) -> Batch:
    """Choose one named object of each scene, and keep the patches that show most of it.

    Args:
        table: scenes.
        rows: ``[b]`` numbers of scenes.
        generator: of the choices.
    """
    named = table.named[rows]
    order = torch.rand(named.shape, generator=generator).masked_fill(named < 0, -1)
    slot = order.argmax(1)
    at = torch.arange(len(rows))
    shares = table.shares[rows][at, slot].float()
    # Patches without anything are chosen at random.
    shares = shares + 0.01 * torch.rand(shares.shape, generator=generator)
    hidden = torch.ones_like(shares, dtype=torch.bool)
    hidden.scatter_(1, shares.topk(KEPT, 1).indices, False)
    empty = rows[:0]
    return Batch(
        pixels=table.pixels(rows),
        captions=table.phrase_ids[named[at, slot]],
        phrases=table.phrase_ids[empty],
        words=table.words[empty],
        pairs=empty.new_zeros(0, 2),
        hidden=hidden,
    )
