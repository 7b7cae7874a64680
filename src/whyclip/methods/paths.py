"""The embedding as a sum of vectors, one for each token, and of named remainders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from whyclip.forward.fidelity import check_same
from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods.readout import mask_of_readout, readout_attention
from whyclip.models.frozen import Affine
from whyclip.models.tower import Block

PathsName = Literal["direct", "readout"]


@dataclass(frozen=True)
class Paths:
    """Summands of the embeddings of b inputs.

    Attributes:
        tokens: ``[b, t, e]`` float32 or more, what came from each token; the readout token's own
            first input is part of its own.
        remainders: ``[b, e]`` by name, what came from no token; computed, never the difference.
        embedding: ``[b, e]`` where the model's own computation ended.
    """

    tokens: Tensor
    remainders: Mapping[str, Tensor]
    embedding: Tensor

    @property
    def gap(self) -> Tensor:
        """``[b]`` how far all summands together are from the embedding, as a share of it."""
        total = self.tokens.sum(1) + sum(self.remainders.values())
        return (total - self.embedding).norm(dim=-1) / self.embedding.norm(dim=-1)


@torch.no_grad()
def readout_paths(forward_pass: ForwardPass, first: int = 0) -> Paths:
    """Follow each token through the readout token's stream, from layer ``first`` to the embedding.

    At every layer token j adds ``Σ_h A_j^h v_j^h W_O^h`` to the stream of the readout token, the
    softmax weights A as they are. What is in the stream goes on as a sum: through the readout
    token's own value and through the MLP, whose norms keep their deviations and whose activations
    f keep their secants f(z)/z. Everything is then affine and the sum is the embedding, the biases
    being the only remainder.

    Args:
        forward_pass: a forward pass that keeps the blocks from ``first`` on.
        first: index of the first layer; what entered it at the readout token is that token's own.

    Raises:
        UnsupportedModelError: a part of the model cannot be frozen.
        ScoreMismatchError: the sum is not what the model computes, as with a hook on a part of it.
    """
    tower, stream = forward_pass.tower, forward_pass.stream
    mask, depth = mask_of_readout(stream), len(tower.blocks)
    every = torch.arange(len(stream.readout_index), device=stream.readout_index.device)
    x = forward_pass.states[first]
    kind = torch.promote_types(x.dtype, torch.float32)
    # The last summand is that of the biases.
    parts = x.new_zeros(len(x), x.shape[1] + 1, x.shape[2], dtype=kind)
    parts[every, stream.readout_index] = x[every, stream.readout_index].to(kind)
    after = x[every, stream.readout_index]
    for index in range(first, depth):
        block = tower.blocks[index]
        x = forward_pass.states[index].to(block.dtype)
        a, v = readout_attention(block, x, stream.readout_index, mask)
        shared = (a[..., None].to(kind) * v.to(kind)).transpose(1, 2).flatten(2)
        o = shared.sum(1)
        x_row = x[every, stream.readout_index]
        update = block.merge(o.to(block.dtype))
        after = block.finish(x_row, update)
        merge = block.frozen_merge(o)
        if block.is_pooling_head:
            # Its query is its own: nothing of the readout token's stream goes on.
            through = torch.cat([shared, torch.zeros_like(shared[:, :1])], 1)
            parts = merge.split(through)
            finish = block.frozen_finish(update.to(kind))
        else:
            through = _own_value(
                block, x_row.to(kind), a[every, :, stream.readout_index].to(kind), parts
            )
            shared[every, stream.readout_index] = 0
            through[:, :-1] += shared
            parts = parts + merge.split(through)
            finish = block.frozen_finish((x_row + update).to(kind))
        parts = finish.split(parts)
        forward_pass.follow(index, after)
        forward_pass.follow(index, parts.sum(1))
    return _projected(forward_pass, parts, after.to(kind))


def _own_value(block: Block, x_row: Tensor, weight: Tensor, parts: Tensor) -> Tensor:
    """The readout token's value in summands ``[b, p, h·d]``, times its own weight ``[b, h]``."""
    value = block.frozen_value(x_row)
    return by_head(value, weight).split(parts)


def by_head(value: Affine, weight: Tensor) -> Affine:
    """Weigh the heads of a map to values ``[b, p, h·d]``, by ``[b, h]``."""
    heads = weight.shape[1]

    def weighed(v: Tensor) -> Tensor:
        by_head = v.unflatten(-1, (heads, -1)) * weight[:, None, :, None]
        return by_head.flatten(-2)

    constant = weighed(value.constant.expand(len(weight), -1)[:, None])[:, 0]
    return Affine(lambda parts: weighed(value.linear(parts)), constant)


def _projected(forward_pass: ForwardPass, parts: Tensor, last: Tensor) -> Paths:
    """Final norm and projection of summands ``[b, t + 1, w]``, the norm frozen at their sum."""
    tower = forward_pass.tower
    embedding = tower.project(last.to(tower.blocks[-1].dtype)).detach().to(parts.dtype)
    projected = tower.frozen_project(last).split(parts)
    total = projected.sum(1).to(forward_pass.embedding)
    check_same(
        tower.side, forward_pass.targets, forward_pass.tolerance, total, forward_pass.embedding
    )
    return Paths(projected[:, :-1], {"biases": projected[:, -1]}, embedding)


@torch.no_grad()
def direct_paths(forward_pass: ForwardPass, first: int = 0) -> Paths:
    """Sum what each token wrote straight into the embedding, from layer ``first`` on.

    The remainders are what the MLPs wrote, and the biases of attentions, norm and projection.
    Gandelsman et al., ICLR 2024 (arXiv 2310.05916), sections 3 to 5; only for towers that are such
    a sum, see :func:`whyclip.methods.decomposition.decomposition`.

    Raises:
        ScoreMismatchError: the sum is not what the model computes, as with a hook on a part of it.
    """
    tower, stream = forward_pass.tower, forward_pass.stream
    mask, depth = mask_of_readout(stream), len(tower.blocks)
    every = torch.arange(len(stream.readout_index), device=stream.readout_index.device)
    x = forward_pass.states[first]
    kind = torch.promote_types(x.dtype, torch.float32)
    parts = x.new_zeros(len(x), x.shape[1] + 2, x.shape[2], dtype=kind)
    parts[every, stream.readout_index] = x[every, stream.readout_index].to(kind)
    after = x[every, stream.readout_index]
    for index in range(first, depth):
        block = tower.blocks[index]
        x = forward_pass.states[index].to(block.dtype)
        a, v = readout_attention(block, x, stream.readout_index, mask)
        shared = (a[..., None].to(kind) * v.to(kind)).transpose(1, 2).flatten(2)
        o = shared.sum(1)
        x_row = x[every, stream.readout_index]
        update = block.merge(o.to(block.dtype))
        after = block.finish(x_row, update)
        merge = block.frozen_merge(o)
        parts[:, :-2] += merge.linear(shared)
        parts[:, -2] += (after - (x_row + update)).to(kind)
        parts[:, -1] += merge.constant
        forward_pass.follow(index, after)
    projected = _projected(forward_pass, parts, after.to(kind))
    mlps = projected.tokens[:, -1]
    return Paths(
        projected.tokens[:, :-1], {"MLPs": mlps, **projected.remainders}, projected.embedding
    )
