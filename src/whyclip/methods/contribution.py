"""Contribution: each token's first-order contribution at the pooling attention."""

from __future__ import annotations

import torch

from whyclip.forward.forward_pass import ForwardPass, depth
from whyclip.methods.method import Method, Relevance


def contribution(
    forward_pass: ForwardPass, *, layers: int | None = None, relu: bool = False
) -> Relevance:
    """Project each token's attention-weighted value on the score's gradient.

    ``H_i = Σ_h A^h_i (g^h · v^h_i)`` with ``g = ∂S/∂o`` at the readout token. The sum over
    all tokens of a layer is exactly ``g·o``. Derived for whyclip. GAME on the last layer also clips
    each head; Grad-ECLIP uses λ instead of A.

    Args:
        forward_pass: the encoder's forward pass.
        layers: number of last blocks to sum; 1 for images and 8 for texts by default.
        relu: keep only positive relevance.

    Raises:
        OptionError: more layers than the encoder has.
    """
    readout = forward_pass.readout(forward_pass.depth(layers))
    total = torch.zeros(())
    for attention, g in zip(readout.layers, forward_pass.gradient(readout, "o"), strict=True):
        per_head = g.unflatten(-1, (attention.a.shape[1], -1))
        shared = attention.a[..., None].float() * attention.v.float()
        total = total.to(g.device) + torch.einsum("bnhd,bhtd->bnt", per_head, shared)
    return Relevance(total.relu() if relu else total, readout.embedding)


METHOD = Method(
    name="contribution",
    title="Contribution",
    source="whyclip; first-order, cf. GAME (Chefer et al., ICCV 2021)",
    relevance=contribution,
    text_specific=True,
    by_image=True,
    signed=True,
    cost="1 + n readout gradients",
    scope="score",
    explains="the model itself",
    sums_to="g·o of each layer, over all its tokens",
    blocks_needed=lambda tower, options: depth(tower, options["layers"]),
)
