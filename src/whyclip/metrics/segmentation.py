"""The map thresholded at its mean, compared with the object: pixel accuracy, IoU, mIoU."""

from __future__ import annotations

import torch
from torch import Tensor

from whyclip.metrics.located import MaskedMaps, mask_maps
from whyclip.metrics.metric import Metric

SOURCE = "Chefer et al., CVPR 2021, arXiv 2012.09838"


def above_mean(heatmap: Tensor) -> Tensor:
    """Threshold maps at the mean of visible pixels; nothing of a constant map is above.

    Args:
        heatmap: float ``[..., H, W]``; NaN is left out of the mean, and is not above it.

    Returns:
        bool ``[..., H, W]``.

    Example:
        >>> above_mean(torch.tensor([[0.0, 1.0], [5.0, float("nan")]]))
        tensor([[False, False],
                [ True, False]])
    """
    # In float64 the mean of equal float32 values is that value exactly.
    values = heatmap.double()
    return values > values.nanmean((-2, -1), keepdim=True)


def pixel_accuracy(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Pixel accuracy of the map thresholded at its mean. Higher is better.

    ``mean_p 1[(map_p > mean map) = mask_p]``, as in Chefer et al., CVPR 2021. A constant map
    has the background's share of the image.

    Args:
        heatmap: float ``[..., H, W]``; NaN is left out.
        mask: bool ``[..., H, W]``.

    Returns:
        float32 ``[...]``, 0 to 1; NaN if no part of the object was seen.

    Raises:
        InputError: shapes or types do not fit.

    Example:
        >>> mask = torch.tensor([[True, True], [False, False]])
        >>> pixel_accuracy(torch.tensor([[9.0, 1.0], [0.0, 0.0]]), mask)
        tensor(0.7500)
    """
    laid, above = _cut(heatmap, mask)
    right = (above == laid.mask) & laid.seen
    return laid.defined(right.sum(-1) / laid.seen.sum(-1))


def iou(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Intersection over union of the object and the map above its mean. Higher is better.

    ``|above ∩ mask| / |above ∪ mask|``; 0 for a constant map.

    Args:
        heatmap: float ``[..., H, W]``; NaN is left out.
        mask: bool ``[..., H, W]``.

    Returns:
        float32 ``[...]``, 0 to 1; NaN if no part of the object was seen.

    Raises:
        InputError: shapes or types do not fit.

    Example:
        >>> mask = torch.tensor([[True, True], [False, False]])
        >>> iou(torch.tensor([[9.0, 1.0], [8.0, 0.0]]), mask)
        tensor(0.3333)
    """
    laid, above = _cut(heatmap, mask)
    return laid.defined(_overlap(above, laid.mask))


def miou(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Mean of the IoU of the object and that of the background. Higher is better.

    Both at the map's mean, as in Chefer et al., CVPR 2021. If neither mask nor map has any
    background, the object's IoU alone.

    Args:
        heatmap: float ``[..., H, W]``; NaN is left out.
        mask: bool ``[..., H, W]``.

    Returns:
        float32 ``[...]``, 0 to 1; NaN if no part of the object was seen.

    Raises:
        InputError: shapes or types do not fit.

    Example:
        >>> mask = torch.tensor([[True, True], [False, False]])
        >>> miou(torch.tensor([[9.0, 8.0], [0.0, 0.0]]), mask)
        tensor(1.)
    """
    laid, above = _cut(heatmap, mask)
    background = _overlap(~above & laid.seen, ~laid.mask & laid.seen)
    return laid.defined(torch.stack([_overlap(above, laid.mask), background]).nanmean(0))


def _cut(heatmap: Tensor, mask: Tensor) -> tuple[MaskedMaps, Tensor]:
    laid = mask_maps(heatmap, mask)
    return laid, above_mean(laid.values[..., None, :]).squeeze(-2)


def _overlap(a: Tensor, b: Tensor) -> Tensor:
    return (a & b).sum(-1) / (a | b).sum(-1)


METRICS = tuple(
    Metric(name, title, SOURCE, value, higher_is_better=True, needs=("mask",))
    for name, title, value in (
        ("pixel_accuracy", "Pixel accuracy", pixel_accuracy),
        ("iou", "IoU", iou),
        ("miou", "mIoU", miou),
    )
)
