"""Confidence drop and increase: the model's output for the relevant part alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whyclip.metrics.metric import Metric
from whyclip.perturbation.fills import Pixels, as_pixels
from whyclip.perturbation.perturbations import Perturbations

SOURCE = "Chattopadhay et al., WACV 2018, arXiv 1710.11063"


def relevant_part(image: Any, heatmap: Any, *, seed: int = 0) -> Perturbations[Pixels]:
    """Multiply an image by its normalised map.

    ``image_p · max(map_p, 0) / max map``; a constant positive map keeps the image. Pixels
    without positive relevance, or with NaN (outside the crop), become black.

    Args:
        image: a PIL image, or uint8 ``[H, W, 3]``.
        heatmap: float ``[H, W]``.
        seed: not used.

    Returns:
        The image and its relevant part; ``amounts`` are 0 and 1.

    Raises:
        InputError: the map does not match the image.

    Example:
        >>> image = np.full((1, 3, 3), 200, np.uint8)
        >>> edits = relevant_part(image, np.array([[4.0, 1.0, -3.0]]))
        >>> [edited[0, :, 0].tolist() for edited in edits]
        [[200, 200, 200], [200, 50, 0]]
    """
    del seed
    pixels, values = as_pixels(image, heatmap)
    weights = np.nan_to_num(values, nan=0.0).clip(min=0)
    weights = weights / (weights.max(initial=0.0) or 1.0)

    def make() -> Iterator[Pixels]:
        yield pixels
        yield np.rint(pixels * weights[..., None]).astype(np.uint8)

    return Perturbations(torch.tensor([0.0, 1.0]), make)


def confidence_drop(amounts: Tensor, scores: Tensor) -> Tensor:
    """Share of the confidence lost when only the relevant part is shown. Lower is better.

    ``max(0, y − o) / y`` with y for the image and o for its relevant part. Chattopadhay et al.,
    WACV 2018, section 4.1 ("average drop %" is its mean times 100).

    Args:
        amounts: ``[2]``, not used.
        scores: ``[2, ...]`` y and o, probabilities.

    Returns:
        ``[...]``, 0 to 1; NaN if y is not positive.

    Example:
        >>> confidence_drop(torch.tensor([0.0, 1.0]), torch.tensor([0.8, 0.6]))
        tensor(0.2500)
    """
    del amounts
    full, part = scores.float()
    drop = (full - part).clamp_min(0) / full
    return drop.masked_fill(~(full > 0), float("nan"))


def confidence_increase(amounts: Tensor, scores: Tensor) -> Tensor:
    """Whether the confidence rises when only the relevant part is shown. Higher is better.

    ``1[o > y]`` with y for the image and o for its relevant part. Chattopadhay et al., WACV 2018,
    section 4.1 ("% increase in confidence" is its mean times 100).

    Args:
        amounts: ``[2]``, not used.
        scores: ``[2, ...]`` y and o.

    Returns:
        ``[...]``, 0 or 1; NaN if a score is NaN.

    Example:
        >>> confidence_increase(torch.tensor([0.0, 1.0]), torch.tensor([0.8, 0.9]))
        tensor(1.)
    """
    del amounts
    full, part = scores.float()
    return (part > full).float().masked_fill(full.isnan() | part.isnan(), float("nan"))


METRICS = tuple(
    Metric(
        name,
        title,
        SOURCE,
        value,
        higher_is_better=higher,
        needs=("image", "score", "label"),
        edits=relevant_part,
        readings=("probability",),
    )
    for name, title, value, higher in (
        ("confidence_drop", "Confidence drop", confidence_drop, False),
        ("confidence_increase", "Confidence increase", confidence_increase, True),
    )
)
