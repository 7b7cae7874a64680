"""Raw attention: where the readout token looks, whatever the target."""

from __future__ import annotations

from whyclip.forward.forward_pass import Capture
from whyclip.forward.readout import Heads
from whyclip.methods.method import Method, Relevance


def raw_attention(capture: Capture, *, heads: Heads = "native") -> Relevance:
    """Take the readout token's attention weights in the last block, mean over heads.

    Not text-specific: every target gets the same map. Weights lie in 0..1 and, with CLS or
    BOS and EOS, sum to 1.

    Args:
        capture: the tower's forward pass.
        heads: ``"single"`` is the softmax of one head over the whole width, which the figures
            of Grad-ECLIP (Zhao et al., ICML 2024) call self-attention.
    """
    replay = capture.replay(1, heads)
    weights = replay.layers[0].a.float().mean(1)
    values = weights[:, None].expand(-1, len(capture.targets), -1)
    return Relevance(values, replay.embedding, replay.changes)


METHOD = Method(
    name="raw_attention",
    title="Raw attention",
    source="the attention weights themselves",
    relevance=raw_attention,
    text_specific=False,
    signed=False,
    cost="1",
    scope="attention",
    explains='the model\'s attention, not its score; heads="single": a changed model',
    additive="1, over all tokens",
    spatial=lambda capture, options: raw_attention(capture, **options).values[:, 0],
)
