"""Size and type of a figure for a paper."""

from __future__ import annotations

import math
from dataclasses import dataclass

from whyclip.errors import OptionError, quoted

WIDTHS = {"column": 3.25, "page": 6.875}
"""Widths of one and two columns in inches, as in most conference templates."""

DPI = 300
_LEAST, _MOST = 1.0, 60.0
_SIZES = (3.0, 40.0)
_RESOLUTIONS = (30, 2400)


@dataclass(frozen=True)
class Layout:
    """Layout of a figure for a paper, for example for :func:`whyclip.methods_figure`.

    Attributes:
        width: width of the whole figure, which has no margin: ``"column"`` (3.25 inches),
            ``"page"`` (6.875 inches), or a number of inches.
        columns: number of panels in a row; by default as many as are readable.
        font_size: font size of prompts and titles, in points.
        bare: whether to omit header, scores, certificate and colour bar.
        dpi: pixels per inch of the images, and of a PNG or JPEG file.

    Raises:
        OptionError: a value out of range.
    """

    width: str | float = "page"
    columns: int | None = None
    font_size: float = 8.0
    bare: bool = True
    dpi: int = DPI

    def __post_init__(self) -> None:
        if isinstance(self.width, str) and self.width not in WIDTHS:
            raise OptionError(
                f"width {quoted(self.width)} is neither {' nor '.join(WIDTHS)} nor a number of "
                "inches"
            )
        _check("width", self.inches, _LEAST, _MOST)
        _check("font size", self.font_size, *_SIZES)
        _check("dpi", self.dpi, *_RESOLUTIONS)
        if self.columns is not None and self.columns < 1:
            raise OptionError(f"columns={self.columns}: give 1 or more")

    @property
    def inches(self) -> float:
        """The width in inches."""
        return WIDTHS[self.width] if isinstance(self.width, str) else float(self.width)

    @property
    def small(self) -> float:
        """Font size of scores and small print."""
        return max(_SIZES[0], 0.85 * self.font_size)


def _check(name: str, value: float, low: float, high: float) -> None:
    if not math.isfinite(value) or not low <= value <= high:
        raise OptionError(f"{name} {value:g} is out of range; use {low:g} to {high:g}")
