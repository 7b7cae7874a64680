"""Deletion: how fast the score falls when the most relevant pixels are removed first."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from whyclip.metrics.metric import Metric
from whyclip.metrics.protocol import GRAD_ECLIP, RISE, Protocol, pixel_edits
from whyclip.perturbation.fills import Fill, Pixels, as_pixels, filled
from whyclip.perturbation.order import falling_order
from whyclip.perturbation.perturbations import Perturbations


def deletion_edits(
    image: Any,
    heatmap: Any,
    *,
    protocol: Protocol = GRAD_ECLIP,
    fill: Fill | None = None,
    seed: int = 0,
    background: Pixels | None = None,
) -> Perturbations[Pixels]:
    """Replace pixels in order of falling relevance, at the image's own resolution.

    Args:
        image: a PIL image, or uint8 ``[H, W, 3]``.
        heatmap: float ``[H, W]``; NaN (outside the crop) is deleted last. If the map is constant,
            pixels are removed in random order.
        protocol: ``GRAD_ECLIP`` replaces 0, 5, …, 50 % of the pixels with random colours; ``RISE``
            replaces 0, 224, 448, … all pixels with black.
        fill: replacement of the pixels, see :func:`~whyclip.perturbation.fills.filled`; default:
            the protocol's fill.
        seed: random seed of the colours and of the order of equally relevant pixels.
        background: uint8 ``[H, W, 3]``, for ``fill="background"``.

    Raises:
        InputError: the map does not match the image or has infinite values, or the background is
            missing.

    Example:
        >>> import numpy as np
        >>> image = np.full((2, 2, 3), 200, np.uint8)
        >>> edits = deletion_edits(image, np.array([[1.0, 4.0], [3.0, 2.0]]), protocol=RISE)
        >>> [edited[..., 0].tolist() for edited in edits]
        [[[200, 200], [200, 200]], [[0, 0], [0, 0]]]
        >>> edits.amounts
        tensor([0., 1.])
    """
    pixels, values = as_pixels(image, heatmap)
    order = falling_order(values, seed)
    end = filled(pixels, fill or protocol.fill, seed, background)
    return pixel_edits(pixels, end, order, protocol.counts(order.size))


def deletion_edits_rise(image: Any, heatmap: Any, *, seed: int = 0) -> Perturbations[Pixels]:
    """Replace pixels by the protocol of RISE; see :func:`deletion_edits`."""
    return deletion_edits(image, heatmap, protocol=RISE, seed=seed)


def deletion(amounts: Tensor, scores: Tensor) -> Tensor:
    """Mean accuracy or score with up to half of the pixels deleted, 11 points. Lower is better.

    ``(1/11) Σ_j S(x_j)`` with 0, 5, …, 50 % of the pixels in random colours, or in the fill named
    at the end of the metric's name. The release prints the 11 accuracies without an area; we take
    their mean. Zhao et al., ICML 2024.

    Args:
        amounts: ``[m]`` shares of deleted pixels.
        scores: ``[m, ...]``, usually 1 if the true class is the top class and 0 otherwise.

    Returns:
        ``[...]``.

    Example:
        >>> import torch
        >>> deletion(torch.linspace(0, 0.5, 11), torch.tensor([1.0] * 3 + [0.0] * 8))
        tensor(0.2727)
    """
    return GRAD_ECLIP.area(amounts, scores)


def deletion_rise(amounts: Tensor, scores: Tensor) -> Tensor:
    """Area under the score while all pixels are removed, most relevant first. Lower is better.

    Trapezoidal rule over the share of deleted pixels; the score is the softmax probability of the
    explained class. Petsiuk et al., BMVC 2018, section 4.2.

    Args:
        amounts: ``[m]`` shares of deleted pixels.
        scores: ``[m, ...]``.

    Returns:
        ``[...]``.

    Example:
        >>> import torch
        >>> deletion_rise(torch.tensor([0.0, 0.5, 1.0]), torch.tensor([1.0, 0.0, 0.0]))
        tensor(0.2500)
    """
    return RISE.area(amounts, scores)


METRICS = (
    Metric(
        name="deletion",
        title="Deletion",
        source=GRAD_ECLIP.source,
        value=deletion,
        higher_is_better=False,
        needs=("image", "score", "label"),
        edits=deletion_edits,
        readings=("top1", "top5", "top10", "score"),
        curve_points=11,
    ),
    Metric(
        name="deletion_rise",
        title="Deletion (RISE)",
        source=RISE.source,
        value=deletion_rise,
        higher_is_better=False,
        needs=("image", "score", "label"),
        edits=deletion_edits_rise,
        readings=("probability", "score"),
        curve_points=51,
    ),
)
