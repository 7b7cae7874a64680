"""The three ways in which COCO writes down regions: run lengths, polygons, coloured segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.path import Path as Outline
from numpy.typing import NDArray

from whyclip.errors import InputError

Region = NDArray[np.bool_]


def decode_region(region: Any, height: int, width: int) -> Region:
    """Decode a COCO ``segmentation``: polygons, or run lengths in either form.

    Args:
        region: a list of polygons ``[x1, y1, x2, y2, …]``, or ``{"size", "counts"}``.
        height: of the image.
        width: of the image.

    Returns:
        bool ``[height, width]``.

    Raises:
        InputError: it is of another kind, or does not fit the image.
    """
    try:
        return _decoded(region, height, width)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"segmentation {region!r:.60} cannot be decoded: {error!s:.60}") from None


def _decoded(region: Any, height: int, width: int) -> Region:
    if isinstance(region, Mapping):
        if list(region.get("size", ())) != [height, width]:
            raise InputError(
                f"run lengths for {region.get('size')} on an image of {[height, width]}"
            )
        counts = region["counts"]
        return decode_runs(uncompress(counts) if isinstance(counts, str) else counts, height, width)
    if isinstance(region, list):
        found = np.zeros((height, width), bool)
        for polygon in region:
            found |= fill_polygon(polygon, height, width)
        return found
    raise InputError(f"segmentation {region!r:.60} is neither polygons nor run lengths")


def decode_runs(counts: Sequence[int], height: int, width: int) -> Region:
    """Lay runs of background and object, in turn, down the columns of an image.

    Raises:
        InputError: the runs do not fill the image.

    Example:
        >>> decode_runs([1, 2, 1], 2, 2).tolist()
        [[False, True], [True, False]]
    """
    runs = np.asarray(counts, dtype=np.int64)
    if runs.sum() != height * width or (runs < 0).any():
        raise InputError(f"run lengths of {runs.sum()} pixels for {height * width}")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(width, height).T


def uncompress(text: str) -> list[int]:
    """Read the run lengths that COCO writes as a string.

    Each number is in groups of 5 bits, the lowest first, a character each (from "0" on) whose
    sixth bit says that more follow; the last group's fifth bit is the sign. From the fourth
    number on they are differences to the number two before.

    Raises:
        InputError: a character that cannot be, or an end in the middle of a number.

    Example:
        >>> uncompress("52203")
        [5, 2, 2, 2, 5]
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise InputError(f"run lengths {text!r:.40} have the character {character!r}")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise InputError(f"run lengths {text!r:.40} end in the middle of a number")
    return counts


def fill_polygon(polygon: Sequence[float], height: int, width: int) -> Region:
    """Fill a polygon: a pixel is inside where its centre is.

    COCO's own code differs by about half a pixel along the outline.

    Args:
        polygon: ``[x1, y1, x2, y2, …]`` in pixels; the image goes from 0 to its width.
        height: of the image.
        width: of the image.

    Raises:
        InputError: it has fewer than three corners, or half of one.

    Example:
        >>> fill_polygon([0, 0, 2, 0, 2, 1, 0, 1], 2, 3).tolist()
        [[True, True, False], [False, False, False]]
    """
    if len(polygon) < 6 or len(polygon) % 2:
        raise InputError(f"polygon {list(polygon)!r:.60} has not three or more corners")
    corners = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
    if not np.isfinite(corners).all():
        raise InputError(f"polygon {list(polygon)!r:.60} has a corner that is no number")
    found = np.zeros((height, width), bool)
    left, top = np.clip(np.floor(corners.min(0)).astype(int), 0, [width, height])
    right, bottom = np.clip(np.ceil(corners.max(0)).astype(int), 0, [width, height])
    ys, xs = np.mgrid[top:bottom, left:right] + 0.5
    if ys.size:
        centres = np.stack([xs.ravel(), ys.ravel()], 1)
        inside = Outline(np.vstack([corners, corners[:1]]), closed=True).contains_points(centres)
        found[top:bottom, left:right] = inside.reshape(ys.shape)
    return found


def decode_segments(pixels: NDArray[Any]) -> NDArray[np.int64]:
    """Turn the colours of a panoptic PNG into segment ids, ``R + 256 G + 256² B``.

    Args:
        pixels: uint8 ``[H, W, 3]``.

    Returns:
        ``[H, W]``; 0 is left open.

    Example:
        >>> decode_segments(np.array([[[1, 2, 3]]], np.uint8)).tolist()
        [[197121]]
    """
    codes = pixels.astype(np.int64)
    return codes[..., 0] + 256 * codes[..., 1] + 65536 * codes[..., 2]
