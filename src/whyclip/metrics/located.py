"""Alignment of maps and masks for the localisation metrics."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from whyclip.errors import InputError


class MaskedMaps(NamedTuple):
    """Maps and masks as rows of pixels, ``[..., p]``.

    ``visible`` is False where the map is NaN: for pixels outside the crop or without a label. These
    are neither object nor background, and ``mask`` is False there.
    """

    values: Tensor
    mask: Tensor
    visible: Tensor

    @property
    def has_object(self) -> Tensor:
        """Bool ``[...]``: whether any pixel of the object is visible."""
        return self.mask.any(-1)

    def defined(self, result: Tensor) -> Tensor:
        """Set values without a visible object to NaN."""
        return result.float().masked_fill(~self.has_object, float("nan"))


def mask_maps(heatmap: Tensor, mask: Tensor) -> MaskedMaps:
    """Align masks with maps.

    Args:
        heatmap: float ``[..., H, W]``; NaN outside the crop.
        mask: bool ``[..., H, W]``, True on the object.

    Raises:
        InputError: the shapes differ, the mask is not of type bool, or the map is infinite.
    """
    heatmap, mask = torch.as_tensor(heatmap), torch.as_tensor(mask)
    if heatmap.shape != mask.shape or heatmap.ndim < 2:
        raise InputError(
            f"heat map of shape {tuple(heatmap.shape)} and mask of {tuple(mask.shape)}; "
            "both must be [..., H, W]"
        )
    if mask.dtype != torch.bool:
        raise InputError(f"mask of type {mask.dtype}; give bool, True on the object")
    if heatmap.isinf().any():
        raise InputError(f"heat map of shape {tuple(heatmap.shape)} has infinite values")
    values = heatmap.float().flatten(-2)
    visible = ~values.isnan()
    return MaskedMaps(values, mask.flatten(-2) & visible, visible)
