"""The heat map and the image in one panel."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyclip.errors import InputError
from whyclip.render.colour import Floats, Scale, mixed, scales
from whyclip.render.contour import contoured
from whyclip.render.grey import grey

_HATCH = (0.36, 0.16)


def overlay(
    image: Image.Image | None,
    heatmap: Any,
    *,
    scale: Scale | None = None,
    contour: bool = False,
) -> Image.Image:
    """Draw one heat map and its image in two colours.

    The grey level of the image mixes a dark and a light ink, selected by relevance. Both are grey
    at relevance 0, so any colour shows relevance. Cropped areas are hatched.

    Args:
        image: the image, any size; None for plain grey.
        heatmap: ``[height, width]`` signed relevance (array or tensor), NaN where cropped away.
        scale: scale of relevance; by default the map's own peak.
        contour: whether to draw the contour at half of the peak, dashed for negative relevance.

    Returns:
        RGB image of the heat map's size.

    Raises:
        InputError: the heat map does not have two axes.
    """
    values = _array(heatmap)
    if values.ndim != 2 or 0 in values.shape:
        raise InputError(
            f"heat map of shape {tuple(values.shape)}; overlay takes one map [height, width]"
        )
    height, width = values.shape
    return painted(grey(image, width, height), values, scale or scales([values])[0], contour)


def painted(base: Floats, values: Floats, scale: Scale, contour: bool = False) -> Image.Image:
    """Paint a map on grey levels of the same size; see :func:`overlay`."""
    unseen = ~np.isfinite(values)
    strength = scale.strength(np.where(unseen, 0.0, values))
    rgb = mixed(base, strength)
    if contour:
        rgb = contoured(rgb, np.where(unseen, np.nan, strength))
    if unseen.any():
        rgb = np.where(unseen[..., None], _hatched(base), rgb)
    return Image.fromarray(_bytes(rgb))


def _array(heatmap: Any) -> Floats:
    """Convert an array, or a tensor on any device, with or without a graph."""
    if hasattr(heatmap, "detach"):
        heatmap = heatmap.detach().cpu().double().numpy()
    return np.asarray(heatmap, dtype=np.float64)


def _hatched(base: Floats) -> Floats:
    """Fade the image and draw diagonal lines, spaced by about 1/40 of its size."""
    height, width = base.shape
    pitch = max(6, round(max(height, width) / 40))
    rows, columns = np.ogrid[:height, :width]
    line = (rows + columns) % pitch < max(1, pitch // 5)
    light, dark = _HATCH
    return cast(Floats, np.where(line, dark, 0.3 * base + 0.7 * light)[..., None])


def _bytes(rgb: Floats) -> NDArray[np.uint8]:
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
