"""The model's pooling attention with a method's spatial weights as attention weights."""

from __future__ import annotations

import torch
from torch import Tensor

from whyclip.forward.forward_pass import ForwardPass
from whyclip.variant import Variant


@torch.no_grad()
def read_with(forward_pass: ForwardPass, variant: Variant) -> Tensor | None:
    """Embeddings ``[b, e]`` if every head pools the tokens with the method's weights.

    ``o^h = Σ_i w_i v^h_i`` with ``w = max(λ, 0) / Σ max(λ, 0)``, then the
    unchanged rest of the last block and the projection. Cui & Fan 2026 (arXiv 2605.12952).

    Returns:
        None if the method has no spatial weights.
    """
    if variant.method.readout_weights is None:
        return None
    weights = variant.method.readout_weights(forward_pass, variant.settings)
    if weights is None:
        return None
    weights = weights.clamp_min(0)
    weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-12)
    tower, stream = forward_pass.tower, forward_pass.stream
    block = tower.blocks[-1]
    every = torch.arange(len(weights), device=weights.device)
    x = forward_pass.states[len(tower.blocks) - 1].to(block.dtype)
    _, _, v = block.qkv(x)
    o = torch.einsum("bt,bhtd->bhd", weights.to(v.dtype), v).flatten(1)
    return tower.project(block.finish(x[every, stream.readout_index], block.merge(o))).float()
