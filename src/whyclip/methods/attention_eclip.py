"""Attention-ECLIP: gradient at the attention weights, times λ."""

from __future__ import annotations

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


def attention_eclip(
    forward_pass: ForwardPass,
    *,
    heads: Heads = "native",
    qk: QK = "raw",
    spatial: Spatial = "loosened",
    layers: int | None = None,
    norm_over: NormOver = "words",
    relu: bool = True,
) -> Relevance:
    """Weight each token by the score's gradient at its attention weights.

    ``H_i = ReLU(λ_i Σ_h ∂S/∂A^h_i)`` with A the post-softmax weights of the readout token.
    Cui & Fan 2026 (arXiv 2605.12952). Because ``o^h = Σ_i A^h_i v^h_i``, this equals Grad-ECLIP;
    here it is computed from gradients at the weights instead of from the values.

    Args:
        forward_pass: the encoder's forward pass.
        heads: as in :func:`~whyclip.methods.grad_eclip.grad_eclip`, like all options.
        qk: query and key.

        spatial: spatial weights λ.

        layers: number of last blocks.

        norm_over: tokens that set the range of λ.

        relu: keep only positive relevance.


    Raises:
        OptionError: more layers than the encoder has.
    """
    readout = forward_pass.readout(forward_pass.depth(layers), heads)
    over = normalised_over(forward_pass.content_mask, forward_pass.side, norm_over)
    maps = [
        spatial_weights(attention, over, spatial=spatial, qk=qk)[:, None] * at_weights.sum(2)
        for attention, at_weights in zip(
            readout.layers, forward_pass.gradient(readout, "a"), strict=True
        )
    ]
    return Relevance(sum_layers(maps, forward_pass.side, relu), readout.embedding, readout.changes)


METHOD = Method(
    name="attention_eclip",
    title="Attention-ECLIP",
    source="Cui & Fan 2026, arXiv 2605.12952",
    relevance=attention_eclip,
    text_specific=True,
    by_image=True,
    signed=False,
    cost="1 + n readout gradients",
    scope="score",
    explains='the model itself; heads="single": a modified computation',
    blocks_needed=lambda tower, options: depth(tower, options["layers"]),
    readout_weights=readout_weights,
)
