"""Grad-ECLIP: gradient at the attention's output, times the values, times λ."""

from __future__ import annotations

import torch

from whyclip.forward.forward_pass import ForwardPass, depth
from whyclip.forward.readout import Heads
from whyclip.methods.loosened import (
    QK,
    NormOver,
    Spatial,
    normalised_over,
    readout_weights,
    spatial_weights,
    sum_layers,
)
from whyclip.methods.method import Method, Relevance


def grad_eclip(
    forward_pass: ForwardPass,
    *,
    heads: Heads = "native",
    qk: QK = "raw",
    spatial: Spatial = "loosened",
    layers: int | None = None,
    norm_over: NormOver = "words",
    relu: bool = True,
) -> Relevance:
    """Project each token's value on the score's gradient at the attention's output, times λ.

    ``H_i = ReLU(λ_i Σ_c g_c v_ic)`` with ``g = ∂S/∂o`` at the readout token, ``o`` before
    out_proj. Zhao et al., ICML 2024 (arXiv 2502.18816), eqs. 5 to 8 for images, section 3.4
    for texts.

    Args:
        forward_pass: the encoder's forward pass.
        heads: ``"native"`` explains the model's own multi-head attention; ``"single"``
            recomputes it with one head over the whole width, as the published code does.
        qk: see :func:`~whyclip.methods.loosened.spatial_weights`.
        spatial: see :func:`~whyclip.methods.loosened.spatial_weights`.

        layers: number of last blocks; 1 for images and 8 for texts by default.
        norm_over: tokens that set the range of λ on the text side; the published code uses all
            positions of the context, including padding.
        relu: keep only positive relevance.

    Raises:
        OptionError: more layers than the encoder has.
    """
    readout = forward_pass.readout(forward_pass.depth(layers), heads)
    over = normalised_over(forward_pass.content_mask, forward_pass.side, norm_over)
    maps = []
    for attention, g in zip(readout.layers, forward_pass.gradient(readout, "o"), strict=True):
        v = attention.v.transpose(1, 2).flatten(2).float()
        weights = spatial_weights(attention, over, spatial=spatial, qk=qk)
        maps.append(weights[:, None] * torch.einsum("bnc,btc->bnt", g, v))
    return Relevance(sum_layers(maps, forward_pass.side, relu), readout.embedding, readout.changes)


METHOD = Method(
    name="grad_eclip",
    title="Grad-ECLIP",
    source="Zhao et al., ICML 2024, arXiv 2502.18816",
    relevance=grad_eclip,
    text_specific=True,
    by_image=True,
    signed=False,
    cost="1 + n readout gradients",
    scope="score",
    explains='the model itself; heads="single": a modified computation',
    blocks_needed=lambda tower, options: depth(tower, options["layers"]),
    readout_weights=readout_weights,
)
