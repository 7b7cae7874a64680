"""The last block for the readout token alone, as methods that change its input need it."""

from __future__ import annotations

import torch
from torch import Tensor

from whyclip.model.view import Stream, Tower


def mask_of_readout(stream: Stream) -> Tensor | None:
    """The readout tokens' rows ``[b, 1 or h, t]`` of the attention mask, or None."""
    if stream.mask is None:
        return None
    every = torch.arange(len(stream.row), device=stream.row.device)
    return stream.mask.expand(len(every), -1, -1, -1)[every, :, stream.row]


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
    every = torch.arange(len(x), device=x.device)
    q, k, v = block.qkv(x)
    logits = torch.einsum("bhd,bhtd->bht", q[every, :, row], k) * block.scale
    if mask is not None and not block.pools:
        logits = logits + mask
    o = torch.einsum("bht,bhtd->bhd", logits.softmax(-1), v).flatten(1)
    return tower.project(block.finish(x[every, row], block.merge(o)))
