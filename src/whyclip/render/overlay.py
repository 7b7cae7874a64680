"""The heat map over the picture."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyclip.errors import InputError
from whyclip.render.colour import GREYNESS, Floats, Scale, opacity, scales

UNSEEN_GREY = 0.62
BLANK_GREY = 0.88


def overlay(
    image: Image.Image | None,
    heatmap: Any,
    *,
    scale: Scale | None = None,
    strongest: float = 0.85,
    greyness: float = GREYNESS,
) -> Image.Image:
    """Lay one heat map over its picture.

    The picture turns nearly grey, so that strong colours are the map's, and stays visible
    where relevance is low; what the model never saw turns into hatching.

    Args:
        image: the picture, any size; None draws on plain grey.
        heatmap: ``[height, width]`` signed relevance (array or tensor), NaN where unseen.
        scale: how relevance becomes colour; by default the map's own peak.
        strongest: opacity of the heat map at full strength, 0 to 1.
        greyness: share of the picture's own colour taken away, 0 to 1.

    Returns:
        RGB, of the heat map's size.

    Raises:
        InputError: the heat map does not have two axes.
    """
    values = _array(heatmap)
    if values.ndim != 2 or 0 in values.shape:
        raise InputError(
            f"heat map of shape {tuple(values.shape)}; overlay takes one map [height, width]"
        )
    unseen = ~np.isfinite(values)
    scale = scale or scales([values])[0]
    strength = scale.strength(np.where(unseen, 0.0, values))
    base = _picture(image, values.shape)
    calm = _calm(base, greyness) if image is not None else base
    alpha = (strongest * opacity(strength))[..., None]
    mixed = (1 - alpha) * calm + alpha * scale.rgb(strength)
    if unseen.any():
        mixed = np.where(unseen[..., None], _hatched(base), mixed)
    return Image.fromarray(_bytes(mixed))


def _array(heatmap: Any) -> Floats:
    """Take an array, or a tensor from any device and graph."""
    if hasattr(heatmap, "detach"):
        heatmap = heatmap.detach().cpu().double().numpy()
    return np.asarray(heatmap, dtype=np.float64)


def _picture(image: Image.Image | None, shape: tuple[int, ...]) -> Floats:
    height, width = shape
    if image is None:
        return np.full((height, width, 3), BLANK_GREY)
    picture = image.convert("RGB")
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(picture, dtype=np.float64) / 255


def _calm(picture: Floats, greyness: float) -> Floats:
    grey = picture @ np.array([0.299, 0.587, 0.114])
    return cast(Floats, (1 - greyness) * picture + greyness * grey[..., None])


def _hatched(picture: Floats) -> Floats:
    """Fade to grey and draw diagonal lines about 1/40 of the picture apart."""
    height, width = picture.shape[:2]
    pitch = max(6, round(max(height, width) / 40))
    rows, columns = np.ogrid[:height, :width]
    line = (rows + columns) % pitch < max(1, pitch // 5)
    grey = picture.mean(axis=-1, keepdims=True)
    faded = 0.3 * grey + 0.7 * UNSEEN_GREY
    return cast(Floats, np.where(line[..., None], 0.42, np.repeat(faded, 3, axis=-1)))


def _bytes(rgb: Floats) -> NDArray[np.uint8]:
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
