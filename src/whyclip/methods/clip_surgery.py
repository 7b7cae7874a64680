"""CLIP Surgery: a second token path with value–value attention, minus shared features."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.errors import OptionError
from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods.method import Method, Relevance
from whyclip.methods.patch_text import alone
from whyclip.models.tower import Tower, join_heads

Redundant = Literal["auto", "prompts", "empty", "none"]

# The released code replaces the attention of the last six blocks.
SURGERY_LAYERS = 6
# The released code multiplies the CLS cosines by this before the softmax over prompts.
SHARPNESS = 2.0


@torch.no_grad()
def clip_surgery(
    forward_pass: ForwardPass, *, layers: int | None = None, redundant: Redundant = "auto"
) -> Relevance:
    """Compare patches of a second path with the prompts, minus features that all prompts share.

    Architecture surgery: in the last six blocks, a second path of tokens adds the projected
    ``softmax(v vᵀ·scale) v`` of the original path, without MLPs; CLS stays on the original path.
    Feature surgery, with unit features ``f_i`` and targets ``t_n``:
    ``w = softmax(2 f_cls·t) / its mean`` and ``H_in = w_n f_i·t_n − mean_m w_m f_i·t_m``. For a
    single prompt ``H_i = f_i·(t − t_empty)``. Li et al. 2023 (arXiv 2304.05653), sections 3.2
    and 3.3. Features are normalised over channels (the released demo does so over tokens), and
    the empty string is encoded without templates (the demo uses 85).

    A pooling head is left unchanged and pools each token of the second path separately.

    Args:
        forward_pass: the encoder's forward pass.
        layers: number of last blocks of the second path; 6, or all if there are fewer.
        redundant: subtracted term: ``"prompts"``, the mean over the prompts; ``"empty"``, the empty
            string's features; ``"none"``; ``"auto"``: ``"prompts"`` for several prompts,
            ``"empty"`` for one.

    Raises:
        OptionError: more layers than the encoder has.
    """
    features = F.normalize(_second_path(forward_pass, layers), dim=-1)
    targets = forward_pass.targets
    if redundant == "auto":
        redundant = "prompts" if len(targets) > 1 else "empty"
    likeness = (features @ targets.directions.T).transpose(1, 2)
    if redundant == "prompts":
        # Features are normalised even if the model's own score is a logit.
        unit = F.normalize(forward_pass.embedding, dim=-1)
        probability = (SHARPNESS * unit @ targets.directions.T).softmax(-1)
        weighted = likeness * (probability / probability.mean(-1, keepdim=True))[..., None]
        likeness = weighted - weighted.mean(1, keepdim=True)
    elif redundant == "empty" and targets.empty is not None:
        likeness = likeness - (features @ targets.empty)[:, None]
    depth = surgery_depth(forward_pass.tower, layers)
    change = f"patches of a second path: v–v attention and no MLP in the last {depth} blocks"
    return Relevance(likeness, forward_pass.embedding, (change,))


def _second_path(forward_pass: ForwardPass, layers: int | None) -> Tensor:
    """Embed the second path's tokens: ``[b, t, e]`` float32, not normalised."""
    tower = forward_pass.tower
    body = len(tower.blocks) - tower.has_pooling_head
    first = body - surgery_depth(tower, layers)
    x = forward_pass.states[first]
    for index in range(first, body):
        block = tower.blocks[index]
        _, _, v = block.qkv(forward_pass.states[index].to(block.dtype))
        mixed = F.scaled_dot_product_attention(v, v, v, scale=block.scale)
        x = x.to(block.dtype) + block.merge(join_heads(mixed))
    if not tower.has_pooling_head:
        return tower.project(x).float()
    head = tower.blocks[-1]
    return alone(forward_pass, head.qkv(x.to(head.dtype))[2], x.to(head.dtype)).float()


def surgery_depth(tower: Tower, layers: int | None) -> int:
    """Number of last blocks of the second path, without a pooling head.

    Raises:
        OptionError: the encoder has fewer.
    """
    blocks = len(tower.blocks) - tower.has_pooling_head
    if layers is None:
        return min(SURGERY_LAYERS, blocks)
    if not 1 <= layers <= blocks:
        raise OptionError(f"layers={layers!r}: the {tower.side} encoder has 1 to {blocks} blocks")
    return layers


METHOD = Method(
    name="clip_surgery",
    title="CLIP Surgery",
    source="Li et al. 2023, arXiv 2304.05653",
    relevance=clip_surgery,
    text_specific=True,
    signed=True,
    cost="1 + the values of the last 6 blocks",
    scope="features",
    explains="dense features of a second path; every map depends on the other prompts",
    sides=("image",),
    blocks_needed=lambda tower, options: max(
        surgery_depth(tower, options["layers"]) + tower.has_pooling_head, 1
    ),
    all_targets_at_once=True,
    needs_empty_prompt=True,
)
