"""Boxes, points and masks of heat maps, in pixels of the original image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from whyclip.errors import OptionError, quoted
from whyclip.types import Box, Geometry, Point

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Area:
    """A connected part of an image above a threshold.

    Attributes:
        box: its bounding box in pixels; right and bottom are exclusive.
        mask: bool ``[bottom − top, right − left]``, its pixels within the box.
        relevance: sum of the heat over its pixels.
        peak: largest heat in it.
    """

    box: Box
    mask: Mask
    relevance: float
    peak: float

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return int(self.mask.sum())


def check_share(threshold: object) -> float:
    """Check a threshold: a share of the peak, above 0 and at most 1.

    Raises:
        OptionError: another value.
    """
    value = threshold
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float, np.floating))
        or not 0 < value <= 1
    ):
        raise OptionError(
            f"threshold={quoted(threshold)}: give a share of the map's peak, above 0 and at most 1"
        )
    return float(value)  # type: ignore[arg-type]


def above(heat: NDArray[np.float32], threshold: float) -> Mask:
    """Mark pixels ``[H, W]`` whose heat is at least a share of the map's peak.

    Pixels outside the crop (NaN) are not marked. A map without positive values has no marked pixel.
    """
    peak = float(np.nanmax(heat, initial=0.0))
    if peak <= 0:
        return np.zeros(heat.shape, bool)
    # The peak itself counts at threshold 1, even if the product is rounded up.
    marked: Mask = heat >= np.float32(min(threshold * peak, peak))
    return marked


def areas(heat: NDArray[np.float32], threshold: float) -> list[Area]:
    """Split the pixels above a threshold into connected areas, largest relevance first.

    Pixels that touch at an edge or at a corner are connected.

    Args:
        heat: ``[H, W]``, NaN where the image was cropped away.
        threshold: share of the map's peak.
    """
    parts = []
    for runs in connected_runs(above(heat, threshold)):
        rows, starts, ends = runs.T
        top, bottom = int(rows.min()), int(rows.max()) + 1
        left, right = int(starts.min()), int(ends.max())
        mask = np.zeros((bottom - top, right - left), bool)
        for row, start, end in runs:
            mask[row - top, start - left : end - left] = True
        inside = heat[top:bottom, left:right][mask]
        box = Box(float(left), float(top), float(right), float(bottom))
        parts.append(Area(box, mask, float(inside.sum(dtype=np.float64)), float(inside.max())))
    return sorted(parts, key=lambda part: -part.relevance)


def connected_runs(mask: Mask) -> list[NDArray[np.int64]]:
    """Group a mask's horizontal runs into connected areas.

    Args:
        mask: bool ``[H, W]``.

    Returns:
        For each area an array ``[runs, 3]``: row, first column, column after the last.
    """
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    parent = list(range(len(rows)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first_of_row = np.searchsorted(rows, np.arange(len(mask) + 1))
    for row in range(1, len(mask)):
        upper, lower = int(first_of_row[row - 1]), int(first_of_row[row])
        while upper < first_of_row[row] and lower < first_of_row[row + 1]:
            # Exclusive ends: equal numbers touch at a corner.
            if starts[upper] <= ends[lower] and starts[lower] <= ends[upper]:
                parent[root(lower)] = root(upper)
            if ends[upper] < ends[lower]:
                upper += 1
            else:
                lower += 1
    roots = np.array([root(index) for index in range(len(rows))], dtype=np.int64)
    runs = np.stack([rows, starts, ends], 1).astype(np.int64)
    return [runs[roots == number] for number in np.unique(roots)]


def peaks(values: Tensor, geometry: Geometry, count: int) -> tuple[Point, ...]:
    """Find the strongest local maxima of one map, strongest first.

    A patch is a local maximum if its relevance is positive and no neighbour, diagonal ones
    included, has a larger one. Among equal neighbours the first in reading order counts.

    Args:
        values: ``[gh, gw]`` relevance of each patch.
        geometry: position of the grid on the image.
        count: largest number of points.

    Returns:
        Centres of patches, in pixels. Patches whose centre lies outside the image are skipped.
    """
    grid = np.pad(values.double().numpy(), 1, constant_values=-np.inf)
    rows, columns = values.shape
    centre = grid[1:-1, 1:-1]
    maximal = centre > 0
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            if (down, right) == (0, 0):
                continue
            beside = grid[1 + down : 1 + down + rows, 1 + right : 1 + right + columns]
            earlier = (down, right) < (0, 0)
            maximal &= centre > beside if earlier else centre >= beside
    box = geometry.box
    points = []
    for row, column in np.argwhere(maximal):
        x = box.left + (column + 0.5) * (box.right - box.left) / columns
        y = box.top + (row + 0.5) * (box.bottom - box.top) / rows
        if 0 <= x < geometry.width and 0 <= y < geometry.height:
            points.append(Point(float(x), float(y), float(values[row, column])))
    return tuple(sorted(points, key=lambda point: -point.relevance)[:count])
