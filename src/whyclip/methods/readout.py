"""Blocks run for the readout token alone, as methods that change their input need it."""

from __future__ import annotations

import torch
from torch import Tensor

from whyclip.models.tower import Block, Stream, Tower


def mask_of_readout(stream: Stream) -> Tensor | None:
    """The readout tokens' rows ``[b, 1 or h, t]`` of the attention mask, or None."""
    if stream.mask is None:
        return None
    every = torch.arange(len(stream.readout_index), device=stream.readout_index.device)
    return stream.mask.expand(len(every), -1, -1, -1)[every, :, stream.readout_index]


def readout_attention(
    block: Block, x: Tensor, row: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Run a block up to its attention for the readout tokens alone; differentiable.

    Args:
        block: any one of the tower.
        x: ``[m, t, w]`` its input.
        row: ``[m]`` the readout token of each.
        mask: ``[m, 1 or h, t]`` from :func:`mask_of_readout`, or None.

    Returns:
        Post-softmax weights ``[m, h, t]`` of the readout row, and all values ``[m, h, t, d]``.
    """
    q, k, v = block.qkv(x)
    q_row = q[torch.arange(len(x), device=x.device), :, row]
    logits = torch.einsum("bhd,bhtd->bht", q_row, k) * block.scale
    return (logits if mask is None or block.is_pooling_head else logits + mask).softmax(-1), v


def read_out(tower: Tower, x: Tensor, row: Tensor, mask: Tensor | None) -> Tensor:
    """Run the last block and the projection for the readout tokens; differentiable.

    Args:
        tower: the encoder.
        x: ``[m, t, w]`` input of the last block.
        row: ``[m]`` the readout token of each.
        mask: ``[m, 1 or h, t]`` from :func:`mask_of_readout`, or None.

    Returns:
        ``[m, e]`` embeddings, in the precision of the weights.
    """
    block = tower.blocks[-1]
    a, v = readout_attention(block, x, row, mask)
    o = torch.einsum("bht,bhtd->bhd", a, v).flatten(1)
    x_row = x[torch.arange(len(x), device=x.device), row]
    return tower.project(block.finish(x_row, block.merge(o)))
