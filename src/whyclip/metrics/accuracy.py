"""Numbers computed from a model's output: score, probability, top-k accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import torch
from torch import Tensor

from whyclip.errors import InputError


def top_k(scores: Tensor, labels: Tensor | int, k: int = 1) -> Tensor:
    """Whether the true class is among the k with the highest scores.

    A tie counts against the true class, so a model that gives all classes the same score is wrong
    (unless k covers all classes).

    Args:
        scores: ``[..., c]``; a row with NaN counts as wrong.
        labels: int ``[...]`` or one for all, 0 to c − 1.
        k: at least 1.

    Returns:
        float32 ``[...]``, 1 if correct, 0 otherwise; the mean is the top-k accuracy. Higher means
        that more of the class remains.

    Raises:
        InputError: a label is not one of the c classes.

    Example:
        >>> top_k(torch.tensor([[0.1, 0.3, 0.2], [0.5, 0.5, 0.5]]), 2, k=2)
        tensor([1., 0.])
    """
    true_scores = of_class(scores, labels)
    before = (~(scores < true_scores[..., None])).sum(-1) - 1
    return (before < k).float() * (~scores.isnan().any(-1)).float()


def of_class(scores: Tensor, labels: Tensor | int) -> Tensor:
    """Pick the score of the true class.

    Args:
        scores: ``[..., c]``.
        labels: int ``[...]`` or one for all, 0 to c − 1.

    Returns:
        ``[...]``.

    Raises:
        InputError: a label is not one of the c classes.

    Example:
        >>> of_class(torch.tensor([[0.1, 0.3], [0.5, 0.4]]), torch.tensor([1, 0]))
        tensor([0.3000, 0.5000])
    """
    index = torch.as_tensor(labels, device=scores.device)
    if (index < 0).any() or (index >= scores.shape[-1]).any():
        raise InputError(f"labels {index.tolist()!s:.60} of {scores.shape[-1]} classes")
    return scores.gather(-1, index.expand(scores.shape[:-1])[..., None])[..., 0]


def probability(scores: Tensor, labels: Tensor | int, scale: float = 100.0) -> Tensor:
    """Softmax probability of the true class.

    ``softmax(scale · scores)``; the scale is the model's own, 100 for the released CLIP models.

    Args:
        scores: cosines ``[..., c]``.
        labels: int ``[...]`` or one for all, 0 to c − 1.
        scale: factor of the cosines.

    Returns:
        ``[...]``, 0 to 1.

    Example:
        >>> probability(torch.tensor([0.25, 0.25]), 0)
        tensor(0.5000)
    """
    return of_class((scale * scores.float()).softmax(-1), labels)


READINGS: Mapping[str, Callable[[Tensor, Tensor | int], Tensor]] = MappingProxyType(
    {
        "score": of_class,
        "probability": probability,
        "top1": partial(top_k, k=1),
        "top5": partial(top_k, k=5),
        "top10": partial(top_k, k=10),
    }
)
