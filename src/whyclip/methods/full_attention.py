"""Gradients of full attention matrices, block by block, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from whyclip.forward.forward_pass import ForwardPass
from whyclip.forward.products import vector_jacobian_products
from whyclip.models.tower import Block, after_attention, attend

# Maximum numbers in the attention matrices computed at once (32 MB), unless one target and one
# input have more. A backward pass needs about ten times as much.
VALUES_AT_ONCE = 2**23


@dataclass(frozen=True)
class BlockRun:
    """A block recomputed part by part, with a graph from its input to its output.

    Attributes:
        x: ``[b, t, w]`` input, which gets gradients.
        a: ``[b, h, t, t]`` post-softmax weights, without gradients; one row for a pooling head.
        probe: zeros added to the weights, whose gradient is the gradient of the weights.
        output: ``[b, t, w]``; one token for a pooling head.
    """

    x: Tensor
    a: Tensor
    probe: Tensor
    output: Tensor


@torch.enable_grad()
def run_block(
    forward_pass: ForwardPass, index: int, inputs: slice, block: Block | None = None
) -> BlockRun:
    """Recompute a kept block for some of the inputs, or any block on a given input."""
    block, mask = block or forward_pass.tower.blocks[index], forward_pass.stream.mask
    x = forward_pass.states[index][inputs].detach().to(block.dtype).requires_grad_()
    a, v = attend(block, x, mask if mask is None or len(mask) == 1 else mask[inputs])
    probe = torch.zeros_like(a, requires_grad=True)
    return BlockRun(x, a.detach().float(), probe, after_attention(block, x, a + probe, v))


def pull_back(output: Tensor, upstream: Tensor, *nodes: Tensor) -> tuple[Tensor, ...]:
    """Return gradients ``[n, ...]`` of nodes for n vectors ``[n, ...]`` at an output."""
    return vector_jacobian_products(output, nodes, upstream)


def portions(forward_pass: ForwardPass) -> tuple[list[slice], list[slice]]:
    """Split inputs and targets into chunks whose attention matrices fit in memory."""
    b, t = forward_pass.content_mask.shape
    matrices = max(block.heads for block in forward_pass.tower.blocks) * t * t
    targets = min(max(VALUES_AT_ONCE // matrices, 1), len(forward_pass.targets))
    inputs = max(VALUES_AT_ONCE // (matrices * targets), 1)
    return list(_parts(b, inputs)), list(_parts(len(forward_pass.targets), targets))


def _parts(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
