"""Pointing game: whether the map's maximum is on the object."""

from __future__ import annotations

from torch import Tensor

from whyclip.metrics.located import mask_maps
from whyclip.metrics.metric import Metric


def pointing_game(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Share of the map's maxima that lie on the object. Higher is better.

    ``1[argmax_p map_p ∈ mask]``; if several pixels share the maximum, the share of them on the
    object. A constant map therefore has the chance level: the object's share of the image. Zhang et
    al., IJCV 2018 (arXiv 1608.00507), section 4.1, without their tolerance of 15 pixels, because
    the masks are exact.

    Args:
        heatmap: float ``[..., H, W]``; NaN is ignored.
        mask: bool ``[..., H, W]``.

    Returns:
        float32 ``[...]``, 0 to 1; NaN if no pixel of the object is visible.

    Raises:
        InputError: shapes or types do not match.

    Example:
        >>> import torch
        >>> mask = torch.tensor([[True, False], [False, False]])
        >>> pointing_game(torch.tensor([[3.0, 1.0], [2.0, 0.0]]), mask)
        tensor(1.)
        >>> pointing_game(torch.ones(2, 2), mask)
        tensor(0.2500)
    """
    masked = mask_maps(heatmap, mask)
    values = masked.values.masked_fill(~masked.visible, -float("inf"))
    highest = (values == values.amax(-1, keepdim=True)) & masked.visible
    return masked.defined((highest & masked.mask).sum(-1) / highest.sum(-1))


METRICS = (
    Metric(
        name="pointing_game",
        title="Pointing game",
        source="Zhang et al., IJCV 2018, arXiv 1608.00507",
        value=pointing_game,
        higher_is_better=True,
        needs=("mask",),
    ),
)
