"""Contribution of each head of each layer to the score, token by token."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from whyclip.forward.forward_pass import ForwardPass
from whyclip.forward.products import vector_jacobian_products
from whyclip.methods.decomposition import check_sum
from whyclip.methods.paths import PathsName, by_head
from whyclip.methods.readout import mask_of_readout, readout_attention
from whyclip.models.frozen import Affine


def head_contributions(
    forward_pass: ForwardPass, paths: PathsName = "direct"
) -> tuple[Tensor, Tensor]:
    """Split the score by layer, head and token, starting from the embedding.

    With G the direction of the score in the readout token's stream after a layer, token j adds
    ``A_j^h v_j^h W_O^h · G`` through head h. Direct paths use the G of the final norm for all
    layers; their sum over layers and heads is the method ``decomposition``. Readout paths propagate
    G back through each MLP and through the readout token's own value, so this value is not assigned
    to a head.

    Args:
        forward_pass: a forward pass that keeps all blocks.
        paths: see :func:`whyclip.methods.decomposition.decomposition`.

    Returns:
        Contributions ``[b, n, l, h, t]``, and the embeddings ``[b, e]`` of this computation. A
        encoder with a pooling head has one layer, the pooling head.

    Raises:
        OptionError: the encoder is not a sum of its layers (direct).
        UnsupportedModelError: a part of the model cannot be frozen (readout).
    """
    tower, stream = forward_pass.tower, forward_pass.stream
    if paths == "direct":
        check_sum(tower)
    mask, depth = mask_of_readout(stream), len(tower.blocks)
    every = torch.arange(len(stream.readout_index), device=stream.readout_index.device)
    direction, embedding = torch.empty(0), forward_pass.embedding
    layers: list[Tensor] = []
    for index in reversed(range(depth - 1 if tower.has_pooling_head else 0, depth)):
        block = tower.blocks[index]
        x = forward_pass.states[index].to(block.dtype)
        kind = torch.promote_types(x.dtype, torch.float32)
        with torch.no_grad():
            a, v = (
                part.to(kind) for part in readout_attention(block, x, stream.readout_index, mask)
            )
            o = torch.einsum("bht,bhtd->bhd", a, v).flatten(1)
            x_row = x[every, stream.readout_index]
            update = block.merge(o.to(block.dtype))
            after = block.finish(x_row, update)
            merge = block.frozen_merge(o)
            if index == depth - 1:
                embedding = tower.project(after).float()
                direction = _at_the_end(forward_pass, after.to(kind), embedding.to(kind))
            if paths == "readout":
                summed = update if block.is_pooling_head else x_row + update
                finish = block.frozen_finish(summed.to(kind))
        forward_pass.follow(index, after)
        if paths == "readout":
            direction = transpose(finish.linear, direction, update.shape[-1])
        at_output = transpose(merge.linear, direction, o.shape[-1])
        per_head = at_output.unflatten(-1, (block.heads, -1))
        contributions = torch.einsum("bnhd,bhtd->bnht", per_head, a[..., None] * v)
        if paths == "readout" and not block.is_pooling_head:
            value_map = by_head(
                block.frozen_value(x_row.to(kind)), a[every, :, stream.readout_index]
            )
            direction = direction + transpose(value_map.linear, at_output, x.shape[-1])
            contributions[every, ..., stream.readout_index] = 0
        layers.insert(0, contributions.float())
    return torch.stack(layers, 2), embedding


def _at_the_end(forward_pass: ForwardPass, after: Tensor, embedding: Tensor) -> Tensor:
    """Return the score per unit of the stream after the last block: ``[b, n, w]``."""
    targets, project = forward_pass.targets, forward_pass.tower.frozen_project(after)
    # A logit is not divided by the embedding's length.
    length = embedding.norm(dim=-1) if targets.bias is None else torch.ones_like(embedding[:, 0])
    upstream = targets.directions.to(after)[None] / length[:, None, None]
    return transpose(project.linear, upstream, after.shape[-1])


@torch.enable_grad()
def transpose(linear: Callable[[Tensor], Tensor], upstream: Tensor, width: int) -> Tensor:
    """Apply the transpose of a frozen map from ``width`` numbers to ``[b, n, w']``."""
    zero = upstream.new_zeros(len(upstream), 1, width).requires_grad_()
    out = linear(zero)
    vectors = upstream.transpose(0, 1)[:, :, None]
    [gradients] = vector_jacobian_products(out, (zero,), vectors)
    return gradients[:, :, 0].transpose(0, 1)


@torch.no_grad()
def head_vectors(forward_pass: ForwardPass) -> Tensor:
    """Compute each head's direct contribution to the embedding, ``[b, l, h, e]``, over all tokens.

    Gandelsman et al., ICLR 2024 (arXiv 2310.05916), section 3.2, equation 5.

    Raises:
        OptionError: the encoder is not a sum of its layers.
    """
    tower, stream = forward_pass.tower, forward_pass.stream
    check_sum(tower)
    every = torch.arange(len(stream.readout_index), device=stream.readout_index.device)
    mask, project = mask_of_readout(stream), None
    written: list[Tensor] = []
    for index in reversed(range(len(tower.blocks))):
        block = tower.blocks[index]
        x = forward_pass.states[index].to(block.dtype)
        kind = torch.promote_types(x.dtype, torch.float32)
        a, v = (part.to(kind) for part in readout_attention(block, x, stream.readout_index, mask))
        o = torch.einsum("bht,bhtd->bhd", a, v)
        if project is None:
            update = block.merge(o.flatten(1).to(block.dtype))
            after = block.finish(x[every, stream.readout_index], update)
            forward_pass.follow(index, after)
            project = tower.frozen_project(after.to(kind))
        alone = torch.eye(block.heads, device=x.device, dtype=kind)[None, :, :, None] * o[:, None]
        written.insert(0, _written(block.frozen_merge(o.flatten(1)), project, alone.flatten(2)))
    return torch.stack(written, 1).float()


def _written(merge: Affine, project: Affine, heads: Tensor) -> Tensor:
    return project.linear(merge.linear(heads))
