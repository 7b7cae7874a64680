"""Heat maps of phrases from the training step's own forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from whyclip.errors import OptionError, UnsupportedModelError, unknown
from whyclip.finetuning.passes import TrainingPass
from whyclip.forward.forward_pass import ForwardPass
from whyclip.forward.readout import Heads, Readout, rerun_readout
from whyclip.forward.targets import Targets
from whyclip.methods import METHODS, Method
from whyclip.models import ModelView
from whyclip.models.tower import ImageTower, Tower
from whyclip.variant import Variant

UNIFORM, TRUE_MASKS = "uniform", "true"
"""Guidance without a method: uniform maps, and the true masks of the data."""


@dataclass(frozen=True)
class StepForwardPass(ForwardPass):
    """A training step's forward pass in the form that methods use, without fidelity checks.

    Under autocast, recomputed blocks differ from the forward pass by rounding. This must not
    stop a training run.
    """

    def readout(self, layers: int = 1, heads: Heads = "native") -> Readout:
        """Recompute the last blocks part by part, once for each number of them."""
        key = (layers, heads)
        if key not in self._readouts:
            first = len(self.tower.blocks) - layers
            self._readouts[key] = rerun_readout(
                self.tower, self.stream, self.states[first], layers, heads
            )
        return self._readouts[key]

    def follow(self, index: int, after: Tensor, inputs: slice = slice(None)) -> None:
        """Skip the comparison of a block's parts with the forward pass."""


@dataclass(frozen=True)
class TargetsByImage(Targets):
    """n target embeddings for each image, ``[n, b, e]``: only those of its own phrases."""

    def score(self, embedding: Tensor) -> Tensor:
        """Score embeddings ``[b, ..., e]`` against the targets of their own image: ``[b, ..., n]``.

        Not used for ``[1, b, e]``, the shape for a target that all images share.
        """
        unit = torch.nn.functional.normalize(embedding.float(), dim=-1)
        return torch.einsum("b...e,nbe->b...n", unit, self.directions)

    def gradient(self, embedding: Tensor) -> Tensor:
        """∂S/∂F at embeddings ``[b, e]``: ``[n, b, e]``."""
        length = embedding.float().norm(dim=-1, keepdim=True)
        unit = embedding.float() / length
        along = torch.einsum("nbe,be->nb", self.directions, unit)
        return (self.directions - along[..., None] * unit) / length

    def __getitem__(self, part: slice) -> Targets:
        return TargetsByImage(self.directions[part], self.scale, self.empty)


class Guidance:
    """Compute the heat maps of each image's own phrases by one method.

    Raises:
        OptionError: an unknown method or option.
        UnsupportedModelError: the method does not support the model's image encoder.
    """

    def __init__(
        self, view: ModelView, name: str, options: Mapping[str, Any] | None = None
    ) -> None:
        self.view, self.name = view, name
        self.variant: Variant | None = None
        self.blocks_needed = 0
        if name in (UNIFORM, TRUE_MASKS):
            if options:
                raise OptionError(f"guidance {name!r} has no options, got {dict(options)!r}")
            return
        if name not in METHODS:
            raise unknown("guidance", name, [*METHODS, UNIFORM, TRUE_MASKS])
        method = METHODS[name]
        if "image" not in method.sides:
            raise OptionError(f"guidance {name!r} computes no maps of images")
        self.variant = Variant(method, options or {}, sides=("image",))
        obstacle = self.variant.obstacle(view.image)
        if obstacle:
            raise UnsupportedModelError(f"guidance {name!r}: {obstacle}")
        self.blocks_needed = self.variant.blocks_needed(view.image)

    def maps(
        self,
        run: TrainingPass,
        pixels: Tensor,
        phrases: Tensor,
        pairs: Tensor,
        true_maps: Tensor | None = None,
        empty: Tensor | None = None,
    ) -> Tensor:
        """Compute the map of each pair of an image and a phrase, without gradients to parameters.

        Args:
            run: the step's forward pass over the images.
            pixels: ``[b, 3, H, W]``, its input.
            phrases: ``[p, e]`` of length 1.
            pairs: ``[m, 2]`` image and phrase.
            true_maps: ``[m, patches]``, true masks for the guidance ``"true"``.
            empty: ``[e]`` of length 1, the empty string, for methods that need it.

        Returns:
            ``[m, patches]``, 0 or more, none all zero.

        Raises:
            OptionError: the guidance is ``"true"``, and the data has no masks.
        """
        grid = run.stream.grid or (1, int(run.stream.content_mask[0].sum()))
        patches = grid[0] * grid[1]
        if self.name == TRUE_MASKS:
            if true_maps is None:
                raise OptionError("guidance 'true' needs true masks, but this data has none")
            return _not_all_zero(true_maps)
        if self.variant is None:
            return torch.ones(len(pairs), patches, device=pixels.device)
        # Autocast off: recomputed parts are cheap, and in full precision they give the same map as
        # whyclip.explain.
        with torch.autocast(pixels.device.type, enabled=False):
            forward_pass = _captured(self.view.image, run, pixels, self.blocks_needed)
            raw = _of_pairs(self.variant, forward_pass, phrases.detach().float(), pairs, empty)
        return _not_all_zero(_positive(self.variant.method, raw.detach()))


def _captured(tower: ImageTower, run: TrainingPass, pixels: Tensor, blocks: int) -> StepForwardPass:
    """Convert a training step's forward pass into a detached one that methods can use."""
    depth = len(tower.blocks)
    stream = replace(run.stream, x=run.stream.x[:, :0].detach())
    states = {index: run.inputs[index].detach() for index in range(depth - blocks, depth)}
    nothing = Targets(torch.zeros(0, run.embedding.shape[-1], device=pixels.device))
    return StepForwardPass(tower, stream, states, run.embedding.detach().float(), nothing, pixels)


def _of_pairs(
    variant: Variant,
    forward_pass: StepForwardPass,
    phrases: Tensor,
    pairs: Tensor,
    empty: Tensor | None,
) -> Tensor:
    """Run a method for each image's own phrases: ``[m, patches]``."""
    if not variant.method.by_image:
        relevance = variant.relevance(
            forward_pass.with_targets(Targets(phrases, empty=empty))
        ).values
        return relevance[pairs[:, 0], pairs[:, 1]]
    slots = _slots(pairs[:, 0])
    directions = phrases.new_zeros(int(slots.max()) + 1, len(forward_pass.inputs), phrases.shape[1])
    directions[slots, pairs[:, 0]] = phrases[pairs[:, 1]]
    relevance = variant.method.relevance(
        forward_pass.with_targets(TargetsByImage(directions)), **variant.options
    ).values
    return relevance[:, :, forward_pass.content_mask[0]][pairs[:, 0], slots]


def _slots(images: Tensor) -> Tensor:
    """Number the pairs of each image from 0: ``[m]`` from ``[m]``."""
    same = images[:, None] == images[None]
    return same.tril(-1).sum(1)


def _positive(method: Method, maps: Tensor) -> Tensor:
    """Keep positive relevance.

    A cosine of dense features has no meaningful zero, so such maps are stretched from 0 to 1.
    """
    if method.scope != "features":
        return maps.relu()
    return maps - maps.amin(-1, keepdim=True)


def _not_all_zero(maps: Tensor) -> Tensor:
    """Replace maps that are zero everywhere by uniform ones."""
    nothing = (maps <= 0).all(-1, keepdim=True)
    return torch.where(nothing, torch.ones_like(maps), maps)


def supports(tower: Tower, name: str) -> bool:
    """Whether a method can guide the training of a model with this image encoder."""
    if name in (UNIFORM, TRUE_MASKS):
        return not tower.opaque
    method = METHODS[name]
    variant = Variant(method, sides=("image",))
    return "image" in method.sides and not tower.opaque and not variant.obstacle(tower)
