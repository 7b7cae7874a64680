"""Grey levels of the image, which mix the inks of the heat map."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from PIL import Image

from whyclip.render.colour import Floats

LUMA = (0.299, 0.587, 0.114)
BLANK = 0.5
"""Grey level without an image."""

_LARGEST_GAIN = 1.5
_POWERS = (0.55, 1.2)
_MEASURED_AT = 512


class Levels(NamedTuple):
    """Stretch of an image's luma: ``((luma − low) / span) ** power``, clipped to [0, 1]."""

    low: float
    span: float
    power: float


def levels(image: Image.Image) -> Levels:
    """Choose the stretch of an image: its range, at most 1.5-fold, with the median in the middle.

    The range is between the 1 % and 99 % quantiles, measured on at most 512 pixels per side.
    """
    small = image.convert("RGB")
    if max(small.size) > _MEASURED_AT:
        factor = _MEASURED_AT / max(small.size)
        width, height = (max(1, round(side * factor)) for side in small.size)
        small = small.resize((width, height), Image.Resampling.BOX)
    luma = _luma(small)
    low, high = np.quantile(luma, (0.01, 0.99))
    half = max(high - low, 1 / _LARGEST_GAIN) / 2
    start = (low + high) / 2 - half
    median = float(np.clip(np.median((luma - start) / (2 * half)), 1e-6, 1 - 1e-6))
    power = float(np.clip(math.log(0.5) / math.log(median), *_POWERS))
    return Levels(float(start), float(2 * half), power)


def grey(image: Image.Image | None, width: int, height: int) -> Floats:
    """Return the grey level ``[height, width]`` in [0, 1] of an image, at the given size."""
    if image is None:
        return np.full((height, width), BLANK)
    chosen = levels(image)
    sized = image.convert("RGB")
    if sized.size != (width, height):
        sized = sized.resize((width, height), Image.Resampling.LANCZOS)
    stretched = np.clip((_luma(sized) - chosen.low) / chosen.span, 0.0, 1.0)
    return np.asarray(stretched**chosen.power)


def _luma(image: Image.Image) -> Floats:
    return np.asarray(np.asarray(image, dtype=np.float64) @ np.array(LUMA) / 255)
