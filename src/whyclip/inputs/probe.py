"""Measure an unknown preprocessing with pictures whose every pixel says where it stands.

Black and white pictures give the normalisation of each channel, and the part of the model's
input that is picture rather than padding; ramps from left to right and from top to bottom give
the rectangle that it shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyclip.errors import UnsupportedModelError
from whyclip.inputs.geometry import Canvas
from whyclip.inputs.preprocessing import Normalisation, Preprocess, describe, run_preprocess
from whyclip.types import Box

Plane = NDArray[np.float64]

# A ramp has 256 steps. The first covers the whole picture; the others the rectangle found by
# the one before and a little more on either side, by shares that keep the steps of the ramp
# and the pixels of the input from falling into one rhythm. The mean of those is the result.
_WIDENINGS = ((0.0, 0.0), (0.07, 0.11), (0.13, 0.24))
# In units of the model's input pixels: above it, the picture is not merely moved and scaled.
_LARGEST_MISFIT = 1.5
_PROBE_SIDE = 64


def probe_normalisation(preprocess: Preprocess) -> Normalisation:
    """Measure mean and standard deviation; see :func:`normalisation_of`."""
    low, middle, high = (
        np.median(_run_flat(preprocess, level, _PROBE_SIDE, _PROBE_SIDE), axis=(1, 2))
        for level in (0, 51, 255)
    )
    std = 1.0 / np.where(high == low, np.nan, high - low)
    straight = np.allclose(middle, low + (high - low) * (51 / 255), rtol=1e-3, atol=1e-4)
    if not (np.isfinite(std).all() and straight):
        raise UnsupportedModelError(
            f"preprocess {describe(preprocess)} does not treat pixels as (value - mean) / std; "
            'use geometry="model"'
        )
    mean = -low * std
    return Normalisation(tuple(mean.tolist()), tuple(std.tolist()))


def probe_canvas(preprocess: Preprocess, width: int, height: int) -> Canvas:
    """Measure which rectangle of a picture of this size the model's input shows.

    Raises:
        UnsupportedModelError: it is no upright rectangle, or changes from call to call.
    """
    black = _run_flat(preprocess, 0, width, height)
    gain = _run_flat(preprocess, 255, width, height) - black
    strength = np.abs(gain).sum(0)
    picture = strength > 0.5 * strength.max()
    columns, rows = picture.any(0), picture.any(1)
    if strength.max() == 0 or not picture[np.ix_(rows, columns)].all():
        raise _not_a_rectangle(preprocess)
    x_span, y_span = (0.0, float(width)), (0.0, float(height))
    fits = []
    for before, after in _WIDENINGS:
        x_range, y_range = _widen(x_span, before, after), _widen(y_span, before, after)
        ramp = _ramps(width, height, x_range, y_range)
        value = _invert(preprocess, ramp, black, gain, picture)
        x_fit = _fit(np.median(value[0][rows], 0), columns, x_range, width)
        y_fit = _fit(np.median(value[1][:, columns], 1), rows, y_range, height)
        if x_fit is None or y_fit is None:
            raise _not_a_rectangle(preprocess)
        fits.append((x_fit[0], y_fit[0], x_fit[1], y_fit[1]))
        x_span, y_span = _inside(x_fit, width), _inside(y_fit, height)
    again = _invert(preprocess, ramp, black, gain, picture)
    if not np.allclose(value, again, atol=1e-3, equal_nan=True):
        raise UnsupportedModelError(
            f"preprocess {describe(preprocess)} is random; give the one for evaluation"
        )
    box = Box(*np.mean(fits[1:], axis=0).tolist())
    return Canvas(picture.shape[1], picture.shape[0], box)


def _run_flat(preprocess: Preprocess, level: int, width: int, height: int) -> Plane:
    image = Image.new("RGB", (width, height), (level,) * 3)
    return np.asarray(run_preprocess(preprocess, image).numpy(), np.float64)


def _ramps(
    width: int, height: int, x_range: tuple[float, float], y_range: tuple[float, float]
) -> Image.Image:
    """Red rises from left to right, green from top to bottom, blue is black."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for channel, (side, (low, high)) in enumerate(((width, x_range), (height, y_range))):
        rise = np.clip((np.arange(side) + 0.5 - low) / (high - low), 0, 1)
        levels = np.rint(rise * 255).astype(np.uint8)
        pixels[:, :, channel] = levels[None, :] if channel == 0 else levels[:, None]
    return Image.fromarray(pixels)


def _invert(
    preprocess: Preprocess, ramp: Image.Image, black: Plane, gain: Plane, picture: NDArray[Any]
) -> Plane:
    """Undo the normalisation: ramp values from 0 to 1, NaN on padding."""
    seen = np.asarray(run_preprocess(preprocess, ramp).numpy(), np.float64)
    value = np.full(seen.shape, np.nan)
    np.divide(seen - black, gain, out=value, where=picture[None] & (gain != 0))
    return value


def _fit(
    value: Plane, used: NDArray[Any], span: tuple[float, float], side: int
) -> tuple[float, float] | None:
    """Fit a line through (input pixel, position in the picture); its ends are the box.

    The ends of the ramp are left out: resampling kernels bend them there, over two or three
    pixels of whichever of the two pictures has the larger ones.
    """
    low, high = span
    at = np.flatnonzero(used)
    at = at[min(3, len(at) // 3) : len(at) - min(3, len(at) // 3)]
    margin = min(2.5 / (high - low), 0.3)
    inside = value[at]
    at = at[(inside > margin) & (inside < 1 - margin)]
    if len(at) < 2:
        return None
    position = low + value[at] * (high - low)
    slope, start = np.polyfit(at + 0.5, position, 1)
    misfit = np.abs(position - (slope * (at + 0.5) + start)).max()
    if slope <= 0 or misfit > _LARGEST_MISFIT * max(slope, 1.0) + (high - low) / 255:
        return None
    if not used[0] and not used[-1]:
        # Padding on both sides: the whole side of the picture is there, and its ends are exact.
        slope = side / used.sum()
        start = -slope * np.flatnonzero(used)[0]
    return float(start), float(start + slope * len(value))


def _widen(span: tuple[float, float], before: float, after: float) -> tuple[float, float]:
    length = span[1] - span[0]
    return span[0] - before * length, span[1] + after * length


def _inside(span: tuple[float, float], side: int) -> tuple[float, float]:
    return max(0.0, span[0]), min(float(side), span[1])


def _not_a_rectangle(preprocess: Preprocess) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"preprocess {describe(preprocess)} does not show an upright rectangle of the picture; "
        "maps could not be laid back on it"
    )
