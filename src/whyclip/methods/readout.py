"""Run blocks for the readout token alone, for methods that change their input."""

from __future__ import annotations

import torch
from torch import Tensor

from whyclip.models.tower import Block, Stream, Tower


def mask_of_readout(stream: Stream) -> Tensor | None:
    """Return the readout tokens' rows ``[b, 1 or h, t]`` of the attention mask, or None."""
    if stream.mask is None:
        return None
    every = torch.arange(len(stream.readout_index), device=stream.readout_index.device)
    return stream.mask.expand(len(every), -1, -1, -1)[every, :, stream.readout_index]


def readout_attention(
    block: Block, x: Tensor, row: Tensor, mask: Tensor | None, normed: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Run a block up to its attention, only for the readout tokens; differentiable.

    Args:
        block: any block of the tower.
        x: ``[m, t, w]`` input of the block.
        row: ``[m]`` index of each input's readout token.
        mask: ``[m, 1 or h, t]`` from :func:`mask_of_readout`, or None.
        normed: ``[m, t, w]`` output of the block's first norm, to continue from it.

    Returns:
        Post-softmax weights ``[m, h, t]`` of the readout row, and all values ``[m, h, t, d]``.
    """
    q, k, v = block.qkv(x) if normed is None else block.qkv_of(normed)
    q_row = q[torch.arange(len(x), device=x.device), :, row]
    logits = torch.einsum("bhd,bhtd->bht", q_row, k) * block.scale
    return (logits if mask is None or block.is_pooling_head else logits + mask).softmax(-1), v


def read_out(
    tower: Tower, x: Tensor, row: Tensor, mask: Tensor | None, normed: Tensor | None = None
) -> Tensor:
    """Run the last block and the projection for the readout tokens; differentiable.

    Args:
        tower: the encoder.
        x: ``[m, t, w]`` input of the last block.
        row: ``[m]`` index of each input's readout token.
        mask: ``[m, 1 or h, t]`` from :func:`mask_of_readout`, or None.
        normed: as for :func:`readout_attention`.

    Returns:
        ``[m, e]`` embeddings, in the precision of the weights.
    """
    block = tower.blocks[-1]
    a, v = readout_attention(block, x, row, mask, normed)
    o = torch.einsum("bht,bhtd->bhd", a, v).flatten(1)
    x_row = x[torch.arange(len(x), device=x.device), row]
    return tower.project(block.finish(x_row, block.merge(o)))
