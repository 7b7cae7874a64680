"""Area under a curve of scores."""

from __future__ import annotations

from torch import Tensor


def mean_of_points(amounts: Tensor, scores: Tensor) -> Tensor:
    """Mean of the scores over all points.

    Args:
        amounts: ``[m]``, not used.
        scores: ``[m, ...]``.

    Returns:
        ``[...]``.

    Example:
        >>> import torch
        >>> mean_of_points(torch.tensor([0.0, 0.05, 1.0]), torch.tensor([1.0, 0.0, 0.5]))
        tensor(0.5000)
    """
    del amounts
    return scores.float().mean(0)


def trapezoid(amounts: Tensor, scores: Tensor) -> Tensor:
    """Area under the curve by the trapezoidal rule, divided by its width.

    ``Σ_j (x_{j+1} − x_j)(s_j + s_{j+1})/2 / (x_m − x_1)``; the score itself for a single point.

    Args:
        amounts: ``[m]``, rising.
        scores: ``[m, ...]``.

    Returns:
        ``[...]``.

    Example:
        >>> import torch
        >>> trapezoid(torch.tensor([0.0, 0.5, 1.0]), torch.tensor([1.0, 0.5, 0.0]))
        tensor(0.5000)
    """
    scores = scores.float()
    if len(scores) < 2:
        return scores.mean(0)
    steps = amounts.diff().reshape(-1, *(1,) * (scores.ndim - 1))
    area = (steps * (scores[1:] + scores[:-1]) / 2).sum(0)
    return area / (amounts[-1] - amounts[0])
