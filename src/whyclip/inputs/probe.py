"""Measure an unknown preprocessing with images whose pixel values encode their position.

Images of one colour give the normalisation, the mix of the channels, and the part of the model's
input that is not padding. Horizontal and vertical grey ramps locate the image's rectangle within
that part, whatever the channel mix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyclip.errors import UnsupportedModelError
from whyclip.inputs.canvas import Canvas
from whyclip.inputs.preprocessing import Normalisation, Preprocess, describe, run_preprocess
from whyclip.types import Box

Plane = NDArray[np.float64]
Colour = tuple[int, int, int]

_BLACK, _WHITE, _MIXED = (0, 0, 0), (255, 255, 255), (204, 51, 102)
_COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))

# A ramp has 256 steps. The first ramp covers the whole image. The others cover the previous result
# and a margin, whose shares avoid aliasing between ramp steps and input pixels; the result is their
# mean.
_WIDENINGS = ((0.0, 0.0), (0.07, 0.11), (0.13, 0.24))
# In pixels of the model's input; a larger deviation means that the image is not only shifted and
# scaled.
_LARGEST_MISFIT = 1.5
_PROBE_SIDE = 64


def probe_normalisation(preprocess: Preprocess) -> Normalisation:
    """Measure the mix of channels, the mean and the standard deviation.

    See :func:`~whyclip.inputs.geometry.normalisation_of`.
    """
    low, middle, high, colour = (
        _flat_values(preprocess, rgb) for rgb in (_BLACK, (51, 51, 51), _WHITE, _MIXED)
    )
    mix = np.stack([_flat_values(preprocess, rgb) - low for rgb in _COLOURS], axis=1)
    gain = np.where(high == low, np.nan, high - low)
    share = mix / gain[:, None]
    straight = np.allclose(middle, low + (high - low) * (51 / 255), rtol=1e-3, atol=1e-4)
    # Conversions to grey round to one of 256 levels, here three times.
    rounding = 1.5 / 255 * np.abs(mix).sum(1).max()
    straight = straight and np.allclose(colour, low + mix @ (np.array(_MIXED) / 255), atol=rounding)
    if not (np.isfinite(share).all() and straight):
        raise UnsupportedModelError(
            f"preprocess {describe(preprocess)} does not normalise pixels by (value - mean) / std; "
            'use geometry="model"'
        )
    mixing = None if np.allclose(share, np.eye(3), atol=5e-3) else tuple(map(tuple, share.tolist()))
    mean, std = -low / gain, 1.0 / gain
    return Normalisation(tuple(mean.tolist()), tuple(std.tolist()), mix=mixing)


def probe_canvas(preprocess: Preprocess, width: int, height: int) -> Canvas:
    """Measure the rectangle of an image of this size that the model's input shows.

    Raises:
        UnsupportedModelError: it is not an upright rectangle, or differs between calls.
    """
    black = _run_flat(preprocess, _BLACK, width, height)
    # White first; a preprocessing of channel differences may not respond to white.
    for colour in (_WHITE, *_COLOURS):
        gain = _run_flat(preprocess, colour, width, height) - black
        if np.abs(gain).max(initial=0) > 0:
            break
    strength = np.abs(gain).sum(0)
    image = strength > 0.5 * strength.max()
    columns, rows = image.any(0), image.any(1)
    if strength.max() == 0 or not image[np.ix_(rows, columns)].all():
        raise _not_a_rectangle(preprocess)
    x_span, y_span = (0.0, float(width)), (0.0, float(height))
    fits = []
    for before, after in _WIDENINGS:
        x_range, y_range = _widen(x_span, before, after), _widen(y_span, before, after)
        values = []
        for axis, span in ((1, x_range), (0, y_range)):
            ramp = _ramp((height, width), axis, span, colour)
            values.append(_invert(preprocess, ramp, black, gain, image))
        x_fit = _fit(np.median(values[0][rows], 0), columns, x_range, width)
        y_fit = _fit(np.median(values[1][:, columns], 1), rows, y_range, height)
        if x_fit is None or y_fit is None:
            raise _not_a_rectangle(preprocess)
        fits.append((x_fit[0], y_fit[0], x_fit[1], y_fit[1]))
        x_span, y_span = _inside(x_fit, width), _inside(y_fit, height)
    # Colours that vary over the image, because a random hue shift does not change grey.
    coloured = Image.merge(
        "RGB",
        [
            _ramp((height, width), axis, span, _WHITE).getchannel(0)
            for axis, span in ((1, (0, width)), (0, (0, height)), (1, (width, 0)))
        ],
    )
    first, *others = (_run(preprocess, coloured) for _ in range(3))
    if not all(np.allclose(first, again, atol=1e-3) for again in others):
        raise UnsupportedModelError(
            f"preprocess {describe(preprocess)} is random; give the one for evaluation"
        )
    box = Box(*np.mean(fits[1:], axis=0).tolist())
    return Canvas(image.shape[1], image.shape[0], box)


def _flat_values(preprocess: Preprocess, rgb: Colour) -> Plane:
    """Return the value of each channel ``[3]`` for an image of one colour."""
    values = _run_flat(preprocess, rgb, _PROBE_SIDE, _PROBE_SIDE)
    return np.asarray(np.median(values, axis=(1, 2)), np.float64)


def _run_flat(preprocess: Preprocess, rgb: Colour, width: int, height: int) -> Plane:
    return _run(preprocess, Image.new("RGB", (width, height), rgb))


def _run(preprocess: Preprocess, image: Image.Image) -> Plane:
    return np.asarray(run_preprocess(preprocess, image).numpy(), np.float64)


def _ramp(
    size: tuple[int, int], axis: int, span: tuple[float, float], colour: Colour
) -> Image.Image:
    """Make an image with a gradient from black to a colour, top to bottom or left to right."""
    side, (low, high) = size[axis], span
    rise = np.clip((np.arange(side) + 0.5 - low) / (high - low), 0, 1)
    levels = np.broadcast_to(rise[None, :] if axis else rise[:, None], size)
    return Image.fromarray(np.rint(levels[..., None] * np.array(colour)).astype(np.uint8))


def _invert(
    preprocess: Preprocess, ramp: Image.Image, black: Plane, gain: Plane, inside: NDArray[Any]
) -> Plane:
    """Undo the normalisation and the mix of channels: levels ``[H, W]``, NaN on padding."""
    values = _run(preprocess, ramp)
    strength = (gain**2).sum(0)
    level = np.full(strength.shape, np.nan)
    rise = ((values - black) * gain).sum(0)
    np.divide(rise, strength, out=level, where=inside & (strength > 0))
    return level


def _fit(
    value: Plane, used: NDArray[Any], span: tuple[float, float], side: int
) -> tuple[float, float] | None:
    """Fit a line through (input pixel, position in the image); its ends are the box.

    The ends of the ramp are ignored, because resampling kernels distort two or three pixels there.
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
        # With padding on both sides, the whole side of the image is visible, so its ends are exact.
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
        f"preprocess {describe(preprocess)} does not show an upright rectangle of the image, "
        "so maps have no position on it"
    )
