"""Attention rollout: attention multiplied through the layers, including residual paths."""

from __future__ import annotations

import torch.nn.functional as F

from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods.method import Method, Relevance, every_block, first_layer


def rollout(forward_pass: ForwardPass, *, start_layer: int = 0) -> Relevance:
    """Multiply attention from the readout token down to a lower layer.

    ``Â_l = (mean_h A_l + I) / 2`` and the readout row of ``Â_L ⋯ Â_start``; the identity represents
    the residual path, which a pooling head does not have. Not text-specific: every target
    gets the same map. Weights lie in 0..1 and, with CLS or BOS and EOS, sum to 1. Abnar &
    Zuidema, ACL 2020 (arXiv 2005.00928), eq. 1.

    Args:
        forward_pass: the encoder's forward pass.
        start_layer: first layer; counted from the end if negative. -1 uses only the last layer, as
            in the comparison released by Grad-ECLIP's authors.

    Raises:
        OptionError: the encoder does not have that layer.
    """
    first, depth = first_layer(forward_pass.tower, start_layer), len(forward_pass.tower.blocks)
    row = F.one_hot(forward_pass.stream.readout_index, forward_pass.content_mask.shape[1]).float()
    # From the last layer backwards, one row is enough, without products of matrices.
    for index in reversed(range(first, depth)):
        mean = forward_pass.attention(index).mean(1)
        if forward_pass.tower.blocks[index].is_pooling_head:
            row = mean[:, 0]
        else:
            row = (row + (row[:, None] @ mean)[:, 0]) / 2
    values = row[:, None].expand(-1, len(forward_pass.targets), -1)
    return Relevance(values, forward_pass.embedding)


METHOD = Method(
    name="rollout",
    title="Attention rollout",
    source="Abnar & Zuidema, ACL 2020, arXiv 2005.00928",
    relevance=rollout,
    text_specific=False,
    signed=False,
    cost="2",
    scope="attention",
    explains="the model's attention, not its score",
    sums_to="1, over all tokens",
    readout_weights=lambda forward_pass, options: rollout(forward_pass, **options).values[:, 0],
    blocks_needed=every_block,
)
