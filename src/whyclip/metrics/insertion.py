"""Insertion: how fast the score rises when the most relevant pixels are revealed first."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from whyclip.metrics.metric import Metric
from whyclip.metrics.protocol import GRAD_ECLIP, RISE, Protocol, pixel_edits
from whyclip.perturbation.fills import Fill, Pixels, as_pixels, filled
from whyclip.perturbation.order import falling_order
from whyclip.perturbation.perturbations import Perturbations


def insertion_edits(
    image: Any,
    heatmap: Any,
    *,
    protocol: Protocol = GRAD_ECLIP,
    fill: Fill | None = None,
    seed: int = 0,
    background: Pixels | None = None,
) -> Perturbations[Pixels]:
    """Reveal pixels in order of falling relevance, at the image's own resolution.

    Args:
        image: a PIL image, or uint8 ``[H, W, 3]``.
        heatmap: float ``[H, W]``; NaN (outside the crop) is revealed last. If the map is constant,
            pixels are revealed in random order.
        protocol: ``GRAD_ECLIP`` reveals 0, 5, …, 45 % of a black canvas and then the whole image;
            ``RISE`` reveals 0, 224, 448, … all pixels of the blurred image.
        fill: the canvas, see :func:`~whyclip.perturbation.fills.filled`; default: the protocol's
            canvas.
        seed: random seed of the order of equally relevant pixels.
        background: uint8 ``[H, W, 3]``, for ``fill="background"``.

    Raises:
        InputError: the map does not match the image or has infinite values, or the background is
            missing.

    Example:
        >>> import numpy as np
        >>> image = np.full((20, 20, 3), 200, np.uint8)
        >>> edits = insertion_edits(image, np.arange(400.0).reshape(20, 20))
        >>> [int((edited[..., 0] == 200).sum()) for edited in edits]
        [0, 20, 40, 60, 80, 100, 120, 140, 160, 180, 400]
    """
    pixels, values = as_pixels(image, heatmap)
    order = falling_order(values, seed)
    counts = protocol.counts(order.size)
    if protocol.clean_last:
        counts[-1] = order.size
    start = filled(pixels, fill or protocol.canvas, seed, background)
    return pixel_edits(start, pixels, order, counts)


def insertion_edits_rise(image: Any, heatmap: Any, *, seed: int = 0) -> Perturbations[Pixels]:
    """Reveal pixels by the protocol of RISE; see :func:`insertion_edits`."""
    return insertion_edits(image, heatmap, protocol=RISE, seed=seed)


def insertion(amounts: Tensor, scores: Tensor) -> Tensor:
    """Mean accuracy or score with up to half of the pixels revealed, 11 points. Higher is better.

    ``(1/11) Σ_j S(x_j)`` with 0, 5, …, 45 % of the pixels on black, or on the fill named at
    the end of the metric's name, and the whole image. The release prints the accuracies without an
    area; we take their mean. Zhao et al., ICML 2024.

    Args:
        amounts: ``[m]`` shares of revealed pixels.
        scores: ``[m, ...]``, usually 1 if the true class is the top class and 0 otherwise.

    Returns:
        ``[...]``.

    Example:
        >>> import torch
        >>> insertion(torch.linspace(0, 0.5, 11), torch.tensor([0.0] * 8 + [1.0] * 3))
        tensor(0.2727)
    """
    return GRAD_ECLIP.area(amounts, scores)


def insertion_rise(amounts: Tensor, scores: Tensor) -> Tensor:
    """Area under the score while all pixels sharpen, the most relevant first. Higher is better.

    Trapezoidal rule over the share of revealed pixels; the score is the softmax probability of the
    explained class. Petsiuk et al., BMVC 2018, section 4.2.

    Args:
        amounts: ``[m]`` shares of revealed pixels.
        scores: ``[m, ...]``.

    Returns:
        ``[...]``.

    Example:
        >>> import torch
        >>> insertion_rise(torch.tensor([0.0, 0.5, 1.0]), torch.tensor([0.0, 1.0, 1.0]))
        tensor(0.7500)
    """
    return RISE.area(amounts, scores)


METRICS = (
    Metric(
        name="insertion",
        title="Insertion",
        source=GRAD_ECLIP.source,
        value=insertion,
        higher_is_better=True,
        needs=("image", "score", "label"),
        edits=insertion_edits,
        readings=("top1", "top5", "top10", "score"),
        curve_points=11,
    ),
    Metric(
        name="insertion_rise",
        title="Insertion (RISE)",
        source=RISE.source,
        value=insertion_rise,
        higher_is_better=True,
        needs=("image", "score", "label"),
        edits=insertion_edits_rise,
        readings=("probability", "score"),
        curve_points=51,
    ),
)
