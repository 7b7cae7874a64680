"""Energy pointing game: how much of the map is on the object?"""

from __future__ import annotations

import torch
from torch import Tensor

from whyclip.metrics.located import mask_maps
from whyclip.metrics.metric import Metric


def energy_pointing(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Share of the positive relevance that lies on the object. Higher is better.

    ``Σ_{p ∈ mask} max(map_p, 0) / Σ_p max(map_p, 0)``. Wang et al., Score-CAM, CVPR workshops
    2020 (arXiv 1910.01279), section 4.3. A constant positive map has the object's share of the
    image; a map without positive values has 0.

    Args:
        heatmap: float ``[..., H, W]``, signed or not; NaN is left out.
        mask: bool ``[..., H, W]``.

    Returns:
        float32 ``[...]``, 0 to 1; NaN if no part of the object was seen.

    Raises:
        InputError: shapes or types do not fit.

    Example:
        >>> mask = torch.tensor([[True, False], [False, False]])
        >>> energy_pointing(torch.tensor([[3.0, 1.0], [-5.0, 0.0]]), mask)
        tensor(0.7500)
    """
    laid = mask_maps(heatmap, mask)
    energy = laid.values.double().masked_fill(~laid.seen, 0.0).clamp_min(0)
    inside, whole = (energy * laid.mask).sum(-1), energy.sum(-1)
    return laid.defined(torch.where(whole > 0, inside / whole.where(whole > 0, 1.0), 0.0))


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
