"""The last blocks of an encoder, recomputed part by part, with gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.forward.products import vector_jacobian_products
from whyclip.forward.targets import Targets
from whyclip.models.tower import Block, Stream, Tower, split_heads

Heads = Literal["native", "single"]
Node = Literal["o", "a"]

SINGLE_HEAD = "attention recomputed with one head over the whole width"

# Number of targets per backward pass; more would only need more memory.
TARGETS_AT_ONCE = 64


@dataclass(frozen=True)
class ReadoutAttention:
    """The readout token's row of one block's attention, without gradients.

    Attributes:
        block: the block it belongs to.
        q: ``[b, h, d]`` query of the readout token.
        k: ``[b, h, t, d]`` keys of all tokens.
        v: ``[b, h, t, d]`` values of all tokens.
        a: ``[b, h, t]`` post-softmax weights of the readout row.
    """

    block: Block
    q: Tensor
    k: Tensor
    v: Tensor
    a: Tensor


@dataclass(frozen=True)
class Readout:
    """Recomputed last blocks, and their gradients.

    Attributes:
        layers: readout attentions, first to last.
        embedding: ``[b, e]`` float32, their output.
        changes: differences from the model's own computation; empty if there are none.
    """

    layers: tuple[ReadoutAttention, ...]
    embedding: Tensor
    changes: tuple[str, ...]
    _output: Tensor = field(repr=False)
    _probes: dict[Node, tuple[Tensor, ...]] = field(repr=False)
    _jacobians: dict[Node, tuple[Tensor, ...]] = field(default_factory=dict, repr=False)

    def gradient(
        self, node: Node, targets: Targets, *, use_jacobian: bool = False
    ) -> tuple[Tensor, ...]:
        """Differentiate every target's score with respect to each layer's readout row.

        Args:
            node: ``"o"`` for the heads' concatenated output before out_proj, which gives
                ``[b, n, h·d]`` per layer; ``"a"`` for the post-softmax attention weights, which
                gives ``[b, n, h, t]`` per layer.
            targets: n directions.
            use_jacobian: whether to use ∂F/∂node, computed once and cached.
        """
        upstream = targets.gradient(self.embedding)
        if not use_jacobian:
            layers = self._backward(node, len(upstream), lambda part: upstream[part])
            return tuple(g.transpose(0, 1) for g in layers)
        return tuple(
            (upstream.transpose(0, 1) @ jacobian.flatten(2)).unflatten(-1, jacobian.shape[2:])
            for jacobian in self.jacobian(node)
        )

    def jacobian(self, node: Node) -> tuple[Tensor, ...]:
        """∂F/∂node at the readout row of every layer, ``[b, e, ...]``; computed once and cached."""
        if node not in self._jacobians:
            b, e = self._output.shape
            axes = torch.arange(e, device=self._output.device)

            def unit_vectors(part: slice) -> Tensor:
                return F.one_hot(axes[part], e).float()[:, None].expand(-1, b, -1)

            columns = self._backward(node, e, unit_vectors)
            self._jacobians[node] = tuple(column.transpose(0, 1) for column in columns)
        return self._jacobians[node]

    def _backward(
        self, node: Node, count: int, upstream: Callable[[slice], Tensor]
    ) -> tuple[Tensor, ...]:
        """Compute vector–Jacobian products of ``count`` vectors ``[count, b, e]``, in chunks."""
        probes = self._probes[node]
        products = tuple(probe.new_empty(count, *probe.shape) for probe in probes)
        for start in range(0, count, TARGETS_AT_ONCE):
            part = slice(start, start + TARGETS_AT_ONCE)
            gradients = vector_jacobian_products(self._output, probes, upstream(part))
            for product, gradient in zip(products, gradients, strict=True):
                product[part] = gradient
        return tuple(product.float() for product in products)


@torch.enable_grad()
def rerun_readout(tower: Tower, stream: Stream, x: Tensor, layers: int, heads: Heads) -> Readout:
    """Recompute the last ``layers`` blocks from their input ``x`` ``[b, t, w]``.

    Zeros are added to the readout row's attention weights and to its output. The gradient of these
    zeros is the gradient of the weights and the output, even if the model's parameters require no
    gradients.
    """
    b = len(x)
    every = torch.arange(b, device=x.device)
    attentions: list[ReadoutAttention] = []
    probes: dict[Node, list[Tensor]] = {"o": [], "a": []}
    for index, block in enumerate(tower.blocks[-layers:]):
        x = x.to(block.dtype)
        q, k, v = block.qkv(x)
        scale = block.scale
        if heads == "single":
            q, k, v = (split_heads(part.transpose(1, 2).flatten(2), 1) for part in (q, k, v))
            scale = q.shape[-1] ** -0.5
        q_row = q[every, :, stream.readout_index]
        logits = torch.einsum("bhd,bhtd->bht", q_row, k) * scale
        if stream.mask is not None and not block.is_pooling_head:
            logits = logits + stream.mask.expand(b, -1, -1, -1)[every, :, stream.readout_index]
        probe_a = torch.zeros_like(logits, requires_grad=True)
        a = logits.softmax(-1) + probe_a
        o_row = torch.einsum("bht,bhtd->bhd", a, v).flatten(1)
        probe_o = torch.zeros_like(o_row, requires_grad=True)
        o_row = o_row + probe_o
        probes["a"].append(probe_a)
        probes["o"].append(probe_o)
        attentions.append(ReadoutAttention(block, *(part.detach() for part in (q_row, k, v, a))))
        if index == layers - 1:
            x = block.finish(x[every, stream.readout_index], block.merge(o_row))
        else:
            weights = q @ k.transpose(-1, -2) * scale
            if stream.mask is not None:
                weights = weights + stream.mask
            o = (weights.softmax(-1) @ v).transpose(1, 2).flatten(2)
            o = o.index_put((every, stream.readout_index), o_row)
            x = block.finish(x, block.merge(o))
    output = tower.project(x)
    return Readout(
        tuple(attentions),
        output.detach().float(),
        (SINGLE_HEAD,) if heads == "single" else (),
        output,
        {node: tuple(layer) for node, layer in probes.items()},
    )
