"""Decode COCO's masks: polygons and run lengths by pycocotools, and coloured segments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyclip.errors import InputError

Region = NDArray[np.bool_]

# Numbers in groups of 5 bits, one character per group; a sixth bit marks that more follow.
_RUN_STRING = re.compile(r"(?:[P-o]{0,6}[0-O])+")
_MOST_PIXELS = 2**31


def pycocotools_mask() -> Any:
    """Import pycocotools.

    Raises:
        InputError: it is not installed.
    """
    try:
        from pycocotools import mask
    except ImportError:
        raise InputError(
            "COCO's polygons and run lengths need pycocotools: pip install 'whyclip[coco]'"
        ) from None
    return mask


def decode_region(region: Any, height: int, width: int) -> Region:
    """Decode a COCO ``segmentation``: polygons, or run lengths in either form.

    Args:
        region: a list of polygons ``[x1, y1, x2, y2, …]``, or ``{"size", "counts"}``.
        height: height of the image in pixels.
        width: width of the image in pixels.

    Returns:
        bool ``[height, width]``.

    Raises:
        InputError: it has another form, does not fit the image, or pycocotools is not installed.

    Example:
        >>> decode_region([[0, 0, 2, 0, 2, 1, 0, 1]], 2, 3).tolist()
        [[True, True, False], [False, False, False]]
        >>> decode_region({"size": [2, 2], "counts": [1, 2, 1]}, 2, 2).tolist()
        [[False, True], [True, False]]
    """
    mask = pycocotools_mask()
    try:
        if height < 1 or width < 1 or height * width >= _MOST_PIXELS:
            raise InputError(f"an image of {width}×{height} pixels cannot have masks")
        if isinstance(region, Mapping):
            return _decode_runs(mask, region, height, width)
        if isinstance(region, list):
            return _fill(mask, region, height, width)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"segmentation {region!r:.60} cannot be decoded: {error!s:.60}") from None
    raise InputError(f"segmentation {region!r:.60} is neither polygons nor run lengths")


# pycocotools is C code that does not check its input: short run lengths leave memory
# uninitialised, and corners that are not finite crash the process.


def _decode_runs(mask: Any, region: Mapping[str, Any], height: int, width: int) -> Region:
    if list(region.get("size", ())) != [height, width]:
        raise InputError(f"run lengths for {region.get('size')} on an image of {[height, width]}")
    counts = region["counts"]
    if isinstance(counts, str):
        if not _RUN_STRING.fullmatch(counts):
            raise InputError(f"run lengths {counts!r:.40} are not a string that COCO writes")
        pixels = mask.decode({"size": [height, width], "counts": counts.encode()})
        # The output of COCO's encoder always fills the image.
        if mask.encode(pixels)["counts"].decode() != counts:
            raise InputError(f"run lengths {counts!r:.40} do not fill an image of {width}×{height}")
        return pixels.astype(bool)
    runs = np.asarray(counts, dtype=np.int64)
    if runs.sum() != height * width or (runs < 0).any():
        raise InputError(f"run lengths of {runs.sum()} pixels for {height * width}")
    plain = {"size": [height, width], "counts": runs.tolist()}
    return mask.decode(mask.frPyObjects(plain, height, width)).astype(bool)


def _fill(mask: Any, polygons: Sequence[Any], height: int, width: int) -> Region:
    limit = 10 * max(height, width)
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            raise InputError(f"polygon {list(polygon)!r:.60} needs three corners or more")
        if not (np.abs(np.asarray(polygon, dtype=np.float64)) <= limit).all():
            raise InputError(f"polygon {list(polygon)!r:.60} has a corner far outside the image")
    if not polygons:
        return np.zeros((height, width), bool)
    plain = [list(map(float, polygon)) for polygon in polygons]
    return mask.decode(mask.merge(mask.frPyObjects(plain, height, width))).astype(bool)


def decode_segments(pixels: NDArray[Any]) -> NDArray[np.int64]:
    """Turn the colours of a panoptic PNG into segment ids, ``R + 256 G + 256² B``.

    Args:
        pixels: uint8 ``[H, W, 3]``.

    Returns:
        ``[H, W]``; 0 is unlabelled.

    Example:
        >>> decode_segments(np.array([[[1, 2, 3]]], np.uint8)).tolist()
        [[197121]]
    """
    codes = pixels.astype(np.int64)
    return codes[..., 0] + 256 * codes[..., 1] + 65536 * codes[..., 2]
