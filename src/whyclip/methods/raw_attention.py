"""Raw attention: the readout token's attention weights."""

from __future__ import annotations

from whyclip.forward.forward_pass import ForwardPass
from whyclip.forward.readout import Heads
from whyclip.methods.method import Method, Relevance


def raw_attention(forward_pass: ForwardPass, *, heads: Heads = "native") -> Relevance:
    """Average the readout token's attention weights in the last block over heads.

    Not text-specific: every target gets the same map. Weights lie in 0..1 and, with CLS or
    BOS and EOS, sum to 1.

    Args:
        forward_pass: the encoder's forward pass.
        heads: ``"single"`` uses the softmax of one head over the whole width, called self-attention
            in the figures of Grad-ECLIP (Zhao et al., ICML 2024).
    """
    readout = forward_pass.readout(1, heads)
    weights = readout.layers[0].a.float().mean(1)
    values = weights[:, None].expand(-1, len(forward_pass.targets), -1)
    return Relevance(values, readout.embedding, readout.changes)


METHOD = Method(
    name="raw_attention",
    title="Raw attention",
    source="the attention weights themselves",
    relevance=raw_attention,
    text_specific=False,
    signed=False,
    cost="1",
    scope="attention",
    explains='the model\'s attention, not its score; heads="single": a modified computation',
    sums_to="1, over all tokens",
    readout_weights=lambda forward_pass, options: raw_attention(forward_pass, **options).values[
        :, 0
    ],
)
