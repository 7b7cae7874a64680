"""The loss of one training step: global, local and shortcut losses of one forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from whyclip.errors import OptionError, UnsupportedModelError
from whyclip.finetuning.batch import Batch, token_ids
from whyclip.finetuning.gathering import (
    gather_rows,
    gathered_max,
    gathered_sum,
    pad_rows,
    rank,
    without_repeats,
    world_size,
)
from whyclip.finetuning.guidance import Guidance
from whyclip.finetuning.losses import (
    info_nce,
    may_both_be_true,
    phrase_region_terms,
    region_features,
    relevance_penalty,
    removal_loss,
    sigmoid_loss,
)
from whyclip.finetuning.passes import (
    TrainingPass,
    attention_for_training,
    embed_without,
    readout_contribution,
    run_with_gradients,
)
from whyclip.models import ModelView
from whyclip.models.tower import Stream
from whyclip.regions.dense import dense_features

# CLIP's limit; larger scales make training unstable.
LARGEST_SCALE = 100.0


class Objective(nn.Module):
    """A user's model with its training losses.

    ``loss = global + local · L_local + removal · L_removal + relevance · L_relevance``. The
    parameters of this module are the model's.

    Args:
        view: the model; its module is trained.
        local: weight of the phrase–region loss; 0 turns it off.
        guidance: method that computes the maps of the local loss, ``"uniform"``, or ``"true"``
            for the true masks of the data.
        options: options of that method.
        weigh: whether to weight each phrase by the largest value of its map, divided by the mean
            over the batch.
        removal: weight of the removal loss on marked images.
        relevance: weight of the relevance penalty on marked images.
        checkpoint_blocks: recompute the activations of blocks in the backward pass.

    Raises:
        OptionError: a weight is below 0.
        UnsupportedModelError: a loss needs blocks, but the encoder exposes none.
    """

    def __init__(
        self,
        view: ModelView,
        *,
        local: float = 1.0,
        guidance: str = "grad_eclip",
        options: Mapping[str, Any] | None = None,
        weigh: bool = False,
        removal: float = 0.0,
        relevance: float = 0.0,
        checkpoint_blocks: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("local", local), ("removal", removal), ("relevance", relevance)):
            if not value >= 0:
                raise OptionError(f"{name}={value!r}; a weight of a loss is 0 or more")
        if view.module is None or view.classes is not None:
            raise UnsupportedModelError(f"{view.name} has no pair of encoders to fine-tune")
        if view.image.opaque and (local or removal or relevance):
            raise UnsupportedModelError(
                f"{view.name}: the losses over patches need a last attention over patches, but "
                f"{view.image.opaque}; train with the global loss alone (local 0)"
            )
        self.view, self.model = view, view.module
        self.local, self.removal, self.relevance = local, removal, relevance
        self.weigh, self.checkpoint_blocks = weigh, checkpoint_blocks
        self.guidance = Guidance(view, guidance, options) if local else None

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the losses of this process's batch.

        Returns:
            Scalars by name: ``"loss"``, the sum to differentiate, and its parts before weighting:
            ``"global"``, and ``"local"``, ``"removal"`` and ``"relevance"`` if their weight is not
            0. Their mean over processes is the loss of the joint batch.
        """
        with attention_for_training(batch.pixels.device):
            return self._losses(batch)

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        images = self._run(self.view.image, batch.pixels)
        texts = self._run(self.view.text, batch.captions)
        parts = {"global": self._global(images.unit, texts.unit)}
        total = parts["global"]
        if self.local:
            parts["local"] = self._local(batch, images, texts)
            total = total + self.local * parts["local"]
        if self.removal or self.relevance:
            for name, weight, value in self._shortcut(batch, images, texts):
                parts[name] = value
                total = total + weight * value
        return {"loss": total, **parts}

    @property
    def scale(self) -> Tensor:
        """The model's factor from cosine to logit, at most ``LARGEST_SCALE``."""
        scale = getattr(self.model, "logit_scale", None)
        if scale is None:
            return torch.tensor(1.0, device=self.view.image.device)
        return scale.float().exp().clamp(max=LARGEST_SCALE)

    def _run(self, tower: Any, inputs: Tensor) -> TrainingPass:
        return run_with_gradients(tower, inputs, checkpoint_blocks=self.checkpoint_blocks)

    def _global(self, images: Tensor, texts: Tensor) -> Tensor:
        images, texts = gather_rows(images), gather_rows(texts)
        bias = getattr(self.model, "logit_bias", None)
        if bias is None:
            return info_nce(images, texts, self.scale)
        return sigmoid_loss(images, texts, self.scale, bias.float())

    def _local(self, batch: Batch, images: TrainingPass, texts: TrainingPass) -> Tensor:
        assert self.guidance is not None
        # Every process takes part in the same collectives, whatever its batch contains.
        anchor = texts.unit.sum() * 0 + images.unit.sum() * 0
        device = batch.pixels.device
        pairs_in_all = gathered_sum(len(batch.pairs), device)
        most_phrases = gathered_max(len(batch.phrases), device)
        if pairs_in_all == 0:
            return anchor
        if len(batch.phrases):
            phrases = self._run(self.view.text, batch.phrases).unit
        else:
            phrases = texts.unit[:0]
        everyones = gather_rows(pad_rows(phrases, most_phrases) + anchor)
        words = without_repeats(gather_rows(pad_rows(batch.words, most_phrases)))
        if len(batch.pairs) == 0:
            return anchor + everyones.sum() * 0
        image, phrase = batch.pairs.T
        maps = self.guidance.maps(
            images, batch.pixels, phrases, batch.pairs, batch.true_maps, self._empty()
        )
        features = dense_features(self.view.image, images.inputs[-1], maps.shape[1])
        regions = region_features(maps, features[image])
        terms = phrase_region_terms(
            regions,
            everyones,
            phrase + _first_row(most_phrases),
            may_both_be_true(batch.words[phrase], words),
            self.scale.detach(),
        )
        if self.weigh:
            peak = maps.amax(-1)
            terms = terms * peak / peak.mean()
        return terms.sum() * world_size() / pairs_in_all + anchor

    @torch.no_grad()
    def _empty(self) -> Tensor | None:
        assert self.guidance is not None
        variant = self.guidance.variant
        if variant is None or not variant.method.needs_empty_prompt:
            return None
        ids = token_ids(self.view, [""]).to(self.view.text.device)
        return run_with_gradients(self.view.text, ids).unit[0]

    def _shortcut(
        self, batch: Batch, images: TrainingPass, texts: TrainingPass
    ) -> list[tuple[str, float, Tensor]]:
        """Return the active shortcut losses: name, weight and value."""
        marked = torch.zeros(len(batch), dtype=torch.bool, device=batch.pixels.device)
        if batch.hidden is not None:
            marked = batch.hidden.any(-1)
        in_all = gathered_sum(int(marked.sum()), batch.pixels.device)
        nothing = images.unit.sum() * 0
        rows = marked.nonzero()[:, 0]
        share = world_size() / in_all if in_all else 0.0
        values = []
        if self.removal:
            value = nothing
            if len(rows):
                assert batch.hidden is not None
                stream = _rows_of(images.stream, rows)
                without = embed_without(self.view.image, stream, batch.hidden[rows])
                target = texts.unit[rows]
                before = (images.unit[rows] * target).sum(-1)
                after = (nn.functional.normalize(without.float(), dim=-1) * target).sum(-1)
                value = nothing + removal_loss(before, after).sum() * share
            values.append(("removal", self.removal, value))
        if self.relevance:
            value = nothing
            if len(rows):
                assert batch.hidden is not None
                hidden = batch.hidden[rows]
                relevance = readout_contribution(
                    self.view.image,
                    _rows_of(images.stream, rows),
                    images.inputs[-1][rows],
                    texts.unit[rows],
                    hidden.shape[1],
                )
                value = nothing + relevance_penalty(relevance, hidden).sum() * share
            values.append(("relevance", self.relevance, value))
        return values


def _rows_of(stream: Stream, rows: Tensor) -> Stream:
    """Select images of the residual stream."""
    return replace(
        stream,
        x=stream.x[rows],
        readout_index=stream.readout_index[rows],
        content_mask=stream.content_mask[rows],
    )


def _first_row(phrases_each: int) -> int:
    """Index of this process's first phrase among those of all processes."""
    return rank() * phrases_each
