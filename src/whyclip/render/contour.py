"""Contour at half of full strength: white with a dark outline, dashed for negative relevance."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from whyclip.render.colour import Floats

HALF = 0.5
DASH = 6
STROKES = ((2, 0.05), (1, 1.0))
"""Distance in pixels of outline and line from the edge, and their grey levels."""


def contoured(rgb: Floats, strength: Floats) -> Floats:
    """Draw the contours of a strength ``[h, w]`` (NaN if cropped) into pixels ``[h, w, 3]``."""
    rgb, visible = rgb.copy(), ~np.isnan(strength)
    rows, columns = np.indices(strength.shape)
    for sign in (1, -1):
        inside = np.nan_to_num(sign * strength) >= HALF
        for reach, level in STROKES:
            edge = _near(inside, reach) & ~_near(~visible, reach) & _near(~inside, reach)
            if sign < 0:
                # Dashes follow the axis that the line does not cross.
                above, below = (_shifted(inside, by) for by in (-reach, reach))
                edge &= np.where(above != below, columns, rows) // DASH % 2 == 0
            rgb[edge] = level
    return rgb


def _near(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Whether the mask has a pixel within a square around each pixel."""
    for axis in (0, 1):
        margin = [(0, 0), (0, 0)]
        margin[axis] = (reach, reach)
        windows = sliding_window_view(np.pad(mask, margin), 2 * reach + 1, axis=axis)
        mask = np.any(windows, axis=-1)
    return mask


def _shifted(mask: NDArray[np.bool_], rows: int) -> NDArray[np.bool_]:
    """The mask, shifted by ``rows``, with repeated edges."""
    at = np.clip(np.arange(len(mask)) + rows, 0, len(mask) - 1)
    return np.asarray(mask[at])
