"""Average precision of the map as a ranking of pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from whyclip.metrics.located import mask_maps
from whyclip.metrics.metric import Metric


def average_precision(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Mean precision over all recalls, with the map as a ranking of pixels. Higher is better.

    ``Σ_k (R_k − R_{k−1}) P_k`` over the distinct values of the map as thresholds, in falling order.
    Pixels with equal relevance enter together, so a constant map scores the fraction of the image
    that the object covers. Source: Chefer et al., CVPR 2021 (arXiv 2012.09838).

    Args:
        heatmap: float ``[..., H, W]``; NaN is ignored.
        mask: bool ``[..., H, W]``.

    Returns:
        float32 ``[...]``, 0 to 1; NaN if no pixel of the object is visible.

    Raises:
        InputError: shapes or types do not match.

    Example:
        >>> mask = torch.tensor([[True, False], [True, False]])
        >>> average_precision(torch.tensor([[9.0, 8.0], [7.0, 6.0]]), mask)
        tensor(0.8333)
    """
    masked = mask_maps(heatmap, mask)
    # Invisible pixels rank last, where they do not change the value.
    values, order = masked.values.masked_fill(~masked.visible, -float("inf")).sort(
        -1, descending=True
    )
    cumulative = masked.mask.gather(-1, order).double().cumsum(-1)
    ranks = torch.arange(1, values.shape[-1] + 1, device=values.device)
    last = torch.ones_like(values, dtype=torch.bool)
    last[..., :-1] = values[..., 1:] != values[..., :-1]
    # Tied pixels all take the precision at the end of their group.
    ends = torch.where(last, ranks, values.shape[-1]).flip(-1).cummin(-1).values.flip(-1)
    precision = cumulative.gather(-1, ends - 1) / ends
    hits = cumulative.diff(dim=-1, prepend=torch.zeros_like(cumulative[..., :1]))
    return masked.defined((hits * precision).sum(-1) / cumulative[..., -1])


METRICS = (
    Metric(
        name="average_precision",
        title="Average precision",
        source="Chefer et al., CVPR 2021, arXiv 2012.09838",
        value=average_precision,
        higher_is_better=True,
        needs=("mask",),
    ),
)
