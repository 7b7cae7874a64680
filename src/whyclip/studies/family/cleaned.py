"""CLIP's loss on scenes: a true caption of another image is no negative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.finetuning.batch import Batch
from whyclip.finetuning.objective import Objective
from whyclip.finetuning.scene_table import normalised
from whyclip.models import ModelView


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
