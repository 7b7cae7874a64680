"""Pearson and Spearman correlation."""

from __future__ import annotations

import torch
from torch import Tensor


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """Pearson correlation along the last axis.

    ``Σ (a − ā)(b − b̄) / sqrt(Σ (a − ā)² Σ (b − b̄)²)``

    Args:
        a: ``[..., m]``.
        b: ``[..., m]``.

    Returns:
        float32 ``[...]``, −1 to 1; NaN if a or b is constant, or m is below 2.

    Example:
        >>> pearson(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([-1.0, -2.0, -4.0]))
        tensor(-1.)
    """
    from_a, from_b = _from_mean(a), _from_mean(b)
    product = (from_a * from_b).sum(-1)
    norms = (from_a.square().sum(-1) * from_b.square().sum(-1)).sqrt()
    return (product / norms).clamp(-1, 1).masked_fill(norms == 0, float("nan")).float()


def _from_mean(a: Tensor) -> Tensor:
    a = a.double()
    centred = a - a.mean(-1, keepdim=True)
    # Treat a row that varies only by rounding errors as constant.
    rounding = 1e-7 * a.abs().amax(-1, keepdim=True)
    return centred * (centred.abs().amax(-1, keepdim=True) > rounding)


def ranks(a: Tensor) -> Tensor:
    """Ranks along the last axis, from 1; equal values share their mean rank.

    Example:
        >>> ranks(torch.tensor([5.0, 1.0, 5.0, 7.0]))
        tensor([2.5000, 1.0000, 2.5000, 4.0000])
    """
    a = a.contiguous()
    ordered = a.sort(-1).values
    below = torch.searchsorted(ordered, a)
    up_to = torch.searchsorted(ordered, a, right=True)
    return (below + up_to + 1).float() / 2


def spearman(a: Tensor, b: Tensor) -> Tensor:
    """Spearman correlation along the last axis: Pearson correlation of the ranks.

    Args:
        a: ``[..., m]``.
        b: ``[..., m]``.

    Returns:
        float32 ``[...]``, −1 to 1; NaN if a or b is constant, or m is below 2.

    Example:
        >>> spearman(torch.tensor([1.0, 2.0, 30.0]), torch.tensor([0.1, 0.2, 0.3]))
        tensor(1.)
    """
    return pearson(ranks(a), ranks(b))
