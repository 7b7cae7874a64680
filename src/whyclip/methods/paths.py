"""The embedding as a sum of one vector for each token and of named remainders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
        tokens: ``[b, t, e]`` float32 or more, contribution of each token; the readout token's
            includes its input of the first layer.
        remainders: ``[b, e]`` by name, contributions that belong to no token; computed directly,
            not as a difference from the embedding.
        embedding: ``[b, e]``, the result of the model's own computation.
    """

    tokens: Tensor
    remainders: Mapping[str, Tensor]
    embedding: Tensor

    @property
    def gap(self) -> Tensor:
        """``[b]`` distance of the summands' sum from the embedding, divided by its length."""
        total = self.tokens.sum(1) + sum(self.remainders.values())
        return (total - self.embedding).norm(dim=-1) / self.embedding.norm(dim=-1)


@dataclass(frozen=True)
class _Layer:
    """One block's attention at the readout token, and the block's own computation there.

    Attributes:
        index: index of the block.
        block: the block.
        weights: ``[b, h, t]`` attention weights, in the precision of the summands.
        shared: ``[b, t, h·d]`` each token's share of the heads' output.
        row: ``[b, w]`` input of the block.
        update: ``[b, w]`` output of the attention.
        after: ``[b, w]`` output of the block.
        merge: output projection of the attention.
    """

    index: int
    block: Block
    weights: Tensor
    shared: Tensor
    row: Tensor
    update: Tensor
    after: Tensor
    merge: Affine


def _layers(forward_pass: ForwardPass, first: int) -> Iterator[_Layer]:
    tower, stream = forward_pass.tower, forward_pass.stream
    rows, mask = stream.readout_index, mask_of_readout(stream)
    every = torch.arange(len(rows), device=rows.device)
    kind = torch.promote_types(forward_pass.states[first].dtype, torch.float32)
    for index in range(first, len(tower.blocks)):
        block = tower.blocks[index]
        x = forward_pass.states[index].to(block.dtype)
        a, v = readout_attention(block, x, rows, mask)
        weights = a.to(kind)
        shared = (weights[..., None] * v.to(kind)).transpose(1, 2).flatten(2)
        o = shared.sum(1)
        row, update = x[every, rows], block.merge(o.to(block.dtype))
        after = block.finish(row, update)
        yield _Layer(index, block, weights, shared, row, update, after, block.frozen_merge(o))


def _first_summands(
    forward_pass: ForwardPass, first: int, remainders: int
) -> tuple[Tensor, Tensor]:
    """Summands ``[b, t + remainders, w]`` of the first layer's input, and that input ``[b, w]``."""
    x, rows = forward_pass.states[first], forward_pass.stream.readout_index
    every = torch.arange(len(rows), device=rows.device)
    kind = torch.promote_types(x.dtype, torch.float32)
    parts = x.new_zeros(len(x), x.shape[1] + remainders, x.shape[2], dtype=kind)
    parts[every, rows] = x[every, rows].to(kind)
    return parts, x[every, rows]


@torch.no_grad()
def readout_paths(forward_pass: ForwardPass, first: int = 0) -> Paths:
    """Trace each token through the readout token's stream, from layer ``first`` to the embedding.

    At every layer token j adds ``Σ_h A_j^h v_j^h W_O^h`` to the stream of the readout token, with
    the softmax weights A frozen. The summands then pass through the readout token's own value and
    through the MLP. Norms keep their deviations, and activations f their secants f(z)/z, so all
    steps are affine. The summands add up to the embedding, and the biases are the only remainder.

    Args:
        forward_pass: a forward pass that keeps the blocks from ``first`` on.
        first: index of the first layer; its input at the readout token counts for that token.

    Raises:
        UnsupportedModelError: a part of the model cannot be frozen.
        ScoreMismatchError: the sum differs from the model's result, for example because of a hook.
    """
    rows = forward_pass.stream.readout_index
    every = torch.arange(len(rows), device=rows.device)
    # The last summand holds the biases.
    parts, after = _first_summands(forward_pass, first, remainders=1)
    for layer in _layers(forward_pass, first):
        block, shared, after = layer.block, layer.shared, layer.after
        if block.is_pooling_head:
            # The head has a learned query, so the readout token's stream ends here.
            through = torch.cat([shared, torch.zeros_like(shared[:, :1])], 1)
            parts = layer.merge.split(through)
            finish = block.frozen_finish(layer.update.to(parts.dtype))
        else:
            through = _own_value(
                block, layer.row.to(parts.dtype), layer.weights[every, :, rows], parts
            )
            shared[every, rows] = 0
            through[:, :-1] += shared
            parts = parts + layer.merge.split(through)
            finish = block.frozen_finish((layer.row + layer.update).to(parts.dtype))
        parts = finish.split(parts)
        forward_pass.follow(layer.index, after)
        forward_pass.follow(layer.index, parts.sum(1))
    return _projected(forward_pass, parts, after)


def _own_value(block: Block, x_row: Tensor, weight: Tensor, parts: Tensor) -> Tensor:
    """Return the readout token's value in summands ``[b, p, h·d]``, times its weight ``[b, h]``."""
    value = block.frozen_value(x_row)
    return by_head(value, weight).split(parts)


def by_head(value: Affine, weight: Tensor) -> Affine:
    """Multiply the heads of a map to values ``[b, p, h·d]`` by weights ``[b, h]``."""
    heads = weight.shape[1]

    def weighed(v: Tensor) -> Tensor:
        by_head = v.unflatten(-1, (heads, -1)) * weight[:, None, :, None]
        return by_head.flatten(-2)

    constant = weighed(value.constant.expand(len(weight), -1)[:, None])[:, 0]
    return Affine(lambda parts: weighed(value.linear(parts)), constant)


def _projected(forward_pass: ForwardPass, parts: Tensor, last: Tensor) -> Paths:
    """Apply the norm, frozen at the sum, and the projection to summands ``[b, t + 1, w]``."""
    tower = forward_pass.tower
    embedding = tower.project(last.to(tower.blocks[-1].dtype)).detach().to(parts.dtype)
    projected = tower.frozen_project(last.to(parts.dtype)).split(parts)
    total = projected.sum(1).to(forward_pass.embedding)
    check_same(
        tower.side, forward_pass.targets, forward_pass.tolerance, total, forward_pass.embedding
    )
    return Paths(projected[:, :-1], {"biases": projected[:, -1]}, embedding)


@torch.no_grad()
def direct_paths(forward_pass: ForwardPass, first: int = 0) -> Paths:
    """Compute each token's direct contribution to the embedding, from layer ``first`` on.

    The remainders are the contributions of the MLPs, and the biases of attentions, norm and
    projection. Gandelsman et al., ICLR 2024 (arXiv 2310.05916), sections 3 to 5. Only for encoders
    whose output is a sum over their layers, see
    :func:`whyclip.methods.decomposition.decomposition`.

    Raises:
        ScoreMismatchError: the sum differs from the model's result, for example because of a hook.
    """
    parts, after = _first_summands(forward_pass, first, remainders=2)
    for layer in _layers(forward_pass, first):
        after = layer.after
        parts[:, :-2] += layer.merge.linear(layer.shared)
        parts[:, -2] += (after - (layer.row + layer.update)).to(parts.dtype)
        parts[:, -1] += layer.merge.constant
        forward_pass.follow(layer.index, after)
    paths = _projected(forward_pass, parts, after)
    mlps = paths.tokens[:, -1]
    return Paths(paths.tokens[:, :-1], {"MLPs": mlps, **paths.remainders}, paths.embedding)
