"""Pixel accuracy, IoU and mIoU of the map thresholded at its mean."""

from __future__ import annotations

import torch
from torch import Tensor

from whyclip.metrics.located import MaskedMaps, mask_maps
from whyclip.metrics.metric import Metric

SOURCE = "Chefer et al., CVPR 2021, arXiv 2012.09838"


def above_mean(heatmap: Tensor) -> Tensor:
    """Threshold maps at the mean of visible pixels; a constant map has no pixel above it.

    Args:
        heatmap: float ``[..., H, W]``; NaN does not count in the mean and is not above it.

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

    ``mean_p 1[(map_p > mean map) = mask_p]``, as in Chefer et al., CVPR 2021. The value of a
    constant map is the background's share of the image.

    Args:
        heatmap: float ``[..., H, W]``; NaN is ignored.
        mask: bool ``[..., H, W]``.

    Returns:
        float32 ``[...]``, 0 to 1; NaN if no pixel of the object is visible.

    Raises:
        InputError: shapes or types do not match.

    Example:
        >>> mask = torch.tensor([[True, True], [False, False]])
        >>> pixel_accuracy(torch.tensor([[9.0, 1.0], [0.0, 0.0]]), mask)
        tensor(0.7500)
    """
    masked, above = _cut(heatmap, mask)
    right = (above == masked.mask) & masked.visible
    return masked.defined(right.sum(-1) / masked.visible.sum(-1))


def iou(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Intersection over union of the object and the map above its mean. Higher is better.

    ``|above ∩ mask| / |above ∪ mask|``; 0 for a constant map.

    Args:
        heatmap: float ``[..., H, W]``; NaN is ignored.
        mask: bool ``[..., H, W]``.

    Returns:
        float32 ``[...]``, 0 to 1; NaN if no pixel of the object is visible.

    Raises:
        InputError: shapes or types do not match.

    Example:
        >>> mask = torch.tensor([[True, True], [False, False]])
        >>> iou(torch.tensor([[9.0, 1.0], [8.0, 0.0]]), mask)
        tensor(0.3333)
    """
    masked, above = _cut(heatmap, mask)
    return masked.defined(_overlap(above, masked.mask))


def miou(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Mean of the object's IoU and the background's IoU. Higher is better.

    The map is thresholded at its mean, as in Chefer et al., CVPR 2021. If neither mask nor map has
    any background, this is the object's IoU.

    Args:
        heatmap: float ``[..., H, W]``; NaN is ignored.
        mask: bool ``[..., H, W]``.

    Returns:
        float32 ``[...]``, 0 to 1; NaN if no pixel of the object is visible.

    Raises:
        InputError: shapes or types do not match.

    Example:
        >>> mask = torch.tensor([[True, True], [False, False]])
        >>> miou(torch.tensor([[9.0, 8.0], [0.0, 0.0]]), mask)
        tensor(1.)
    """
    masked, above = _cut(heatmap, mask)
    background = _overlap(~above & masked.visible, ~masked.mask & masked.visible)
    return masked.defined(torch.stack([_overlap(above, masked.mask), background]).nanmean(0))


def _cut(heatmap: Tensor, mask: Tensor) -> tuple[MaskedMaps, Tensor]:
    masked = mask_maps(heatmap, mask)
    return masked, above_mean(masked.values[..., None, :]).squeeze(-2)


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
