"""Products of many vectors with one Jacobian, in one backward pass."""

from __future__ import annotations

import torch
from torch import Tensor


def vector_jacobian_products(
    output: Tensor, nodes: tuple[Tensor, ...], vectors: Tensor
) -> tuple[Tensor, ...]:
    """Differentiate an output in many directions at once; the graph is kept.

    ``torch.func.vmap`` has batching rules that ``is_grads_batched`` of ``torch.autograd.grad``
    lacks. Without them, for example, the derivative of GELU would run once for each vector.

    Args:
        output: tensor of any shape, with a graph.
        nodes: tensors to differentiate with respect to.
        vectors: ``[n, *output.shape]``.

    Returns:
        ``[n, *node.shape]`` for each node.
    """

    def product(vector: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(output, nodes, vector, retain_graph=True)

    products: tuple[Tensor, ...] = torch.func.vmap(product)(vectors.to(output.dtype))
    return products
