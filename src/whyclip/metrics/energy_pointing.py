"""Energy pointing game: share of the positive relevance on the object."""

from __future__ import annotations

import torch
from torch import Tensor

from whyclip.metrics.located import mask_maps
from whyclip.metrics.metric import Metric


def energy_pointing(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Share of the positive relevance that lies on the object. Higher is better.

    ``Σ_{p ∈ mask} max(map_p, 0) / Σ_p max(map_p, 0)``. Wang et al., Score-CAM, CVPR workshops
    2020 (arXiv 1910.01279), section 4.3. The value of a constant positive map is the
    object's share of the image; a map without positive values has 0.

    Args:
        heatmap: float ``[..., H, W]``, signed or not; NaN is ignored.
        mask: bool ``[..., H, W]``.

    Returns:
        float32 ``[...]``, 0 to 1; NaN if no pixel of the object is visible.

    Raises:
        InputError: shapes or types do not match.

    Example:
        >>> mask = torch.tensor([[True, False], [False, False]])
        >>> energy_pointing(torch.tensor([[3.0, 1.0], [-5.0, 0.0]]), mask)
        tensor(0.7500)
    """
    masked = mask_maps(heatmap, mask)
    energy = masked.values.double().masked_fill(~masked.visible, 0.0).clamp_min(0)
    inside, total = (energy * masked.mask).sum(-1), energy.sum(-1)
    return masked.defined(torch.where(total > 0, inside / total.where(total > 0, 1.0), 0.0))


METRICS = (
    Metric(
        name="energy_pointing",
        title="Energy pointing game",
        source="Wang et al., CVPR workshops 2020, arXiv 1910.01279",
        value=energy_pointing,
        higher_is_better=True,
        needs=("mask",),
    ),
)
