"""Renderings of explanations: overlays, figures, pages, terminal summaries.

Renderings do not modify an Explanation. Maps are normalised, clipped and coloured only here.
"""

from __future__ import annotations

from whyclip.render.comparison import comparison
from whyclip.render.figure import figure
from whyclip.render.overlay import overlay
from whyclip.render.page import fragment, framed, page
from whyclip.render.show import figure_bytes, png_bytes, save_png, show
from whyclip.render.terminal import summary

__all__ = [
    "comparison",
    "figure",
    "figure_bytes",
    "fragment",
    "framed",
    "overlay",
    "page",
    "png_bytes",
    "save_png",
    "show",
    "summary",
]
