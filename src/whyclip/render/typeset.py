"""Layout in inches from the top left corner, with matplotlib's object API.

Text is measured before it is placed, so that it does not overlap and is not cut off. pyplot and the
user's backend are not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from whyclip.render.embedded import Pixels
from whyclip.render.fonts import (
    font,
    matplotlib_settings,
    warn_of_boxes,
    without_glyph_warnings,
)
from whyclip.render.words import Segment

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

INK = "#1c1f24"
MUTED = "#646b75"
RULE = "#d9dce1"

_LEADING = 1.5
_MEASURING_DPI = 150
_SAFETY = 0.98


@cache
def _sheet() -> type[Figure]:
    """Make the class of figures whose ``savefig`` embeds fonts as TrueType, as publishers require.

    Matplotlib's own default for PDF and PostScript is Type 3.
    """
    from matplotlib.figure import Figure

    class Sheet(Figure):
        """A figure of whyclip."""

        def savefig(self, *args: Any, **kwargs: Any) -> None:
            with matplotlib_settings({"pdf.fonttype": 42, "ps.fonttype": 42}):
                super().savefig(*args, **kwargs)

    return Sheet


class Paper:
    """A figure with manually placed parts; all lengths in inches, y downwards."""

    def __init__(self, width: float, height: float, dpi: int = 150) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        self.width = width
        self.height = height
        self.figure = _sheet()(figsize=(width, height), dpi=dpi, facecolor="white")
        FigureCanvasAgg(self.figure)
        # Stored with the image, so that its id is not reused.
        self._pixels: dict[int, tuple[Image.Image, Pixels]] = {}

    def pixels(self, image: Image.Image) -> Pixels:
        """Return the pixels of an image; the same object for the same image."""
        if id(image) not in self._pixels:
            self._pixels[id(image)] = (image, Pixels(image))
        return self._pixels[id(image)][1]

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Add a panel without frame."""
        box = (
            x / self.width,
            1 - (y + height) / self.height,
            width / self.width,
            height / self.height,
        )
        panel = self.figure.add_axes(box)
        panel.set_axis_off()
        return panel

    def text(self, x: float, y: float, text: str, size: float = 9, **style: Any) -> None:
        """Draw one line of text from (x, y); style as for matplotlib's Text."""
        weight = style.pop("weight", "normal")
        text = one_line(text)
        warn_of_boxes(text)
        self.figure.text(
            x,
            self.height - y - 0.72 * line_height(size),
            text,
            transform=self.figure.dpi_scale_trans,
            fontproperties=font(text, size, weight),
            parse_math=False,
            va="baseline",
            **{"color": INK, **style},
        )

    def rule(self, x: float, y: float, width: float) -> None:
        """Draw a thin horizontal line."""
        self._line(x, y, width, RULE, 0.8, "-")

    def words(
        self,
        x: float,
        y: float,
        width: float | None,
        lines: Sequence[Sequence[Segment]],
        size: float,
        **style: Any,
    ) -> float:
        """Draw wrapped segments with their highlights; return the y below.

        Lines are centred within ``width``, or start at x if it is None.
        """
        for line in lines:
            text = "".join(piece.text for piece in line)
            left = x if width is None else x + (width - text_width(text.rstrip(), size)) / 2
            so_far = ""
            for piece in _joined(line):
                start = left + text_width(so_far, size)
                so_far += piece.text
                self._highlight(start, y, left + text_width(so_far, size) - start, piece, size)
                # Each piece separately, because hinting would shift a line relative to its
                # highlights.
                self.text(start, y, piece.text, size, **style)
            y += line_height(size)
        return y

    def _highlight(self, x: float, y: float, width: float, piece: Segment, size: float) -> None:
        if not piece.strength:
            return
        from matplotlib.patches import FancyBboxPatch

        high = 0.84 * line_height(size)
        self.figure.add_artist(
            FancyBboxPatch(
                (x, self.height - y - 0.94 * line_height(size)),
                width,
                high,
                boxstyle="round,pad=0.008,rounding_size=0.03",
                facecolor=piece.colour,
                alpha=piece.opacity,
                linewidth=0,
                transform=self.figure.dpi_scale_trans,
            )
        )
        if piece.strength < 0:
            self._line(x, y + 0.93 * line_height(size), width, piece.colour, 0.9, (0, (2, 1.2)))

    def _line(self, x: float, y: float, width: float, colour: str, thick: float, dash: Any) -> None:
        from matplotlib.lines import Line2D

        self.figure.add_artist(
            Line2D(
                (x, x + width),
                (self.height - y, self.height - y),
                transform=self.figure.dpi_scale_trans,
                color=colour,
                linewidth=thick,
                linestyle=dash,
            )
        )


def line_height(size: float) -> float:
    """Return the height in inches of a line of text, for a size in points."""
    return _LEADING * size / 72


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Return the width of one line in inches, including trailing spaces."""
    return _measure(one_line(text) + "|", size, weight) - _measure("|", size, weight)


def wrap(
    pieces: Sequence[Segment], width: float, size: float, most: int = 4
) -> list[list[Segment]]:
    """Break segments into lines of a width in inches; truncate after ``most`` lines with "…"."""
    width *= _SAFETY
    lines: list[list[Segment]] = [[]]
    for piece in pieces:
        for chunk in _chunks(piece, width, size):
            if lines[-1] and _wide([*lines[-1], chunk], size) > width:
                lines.append([])
            if lines[-1] or chunk.text.strip():
                lines[-1].append(chunk)
    if len(lines) > most:
        lines = lines[:most]
        while lines[-1] and _wide([*lines[-1], Segment("…")], size) > width:
            lines[-1].pop()
        lines[-1].append(Segment("…"))
    return lines


def clip(text: str, width: float, size: float, weight: str = "normal") -> str:
    """Shorten one line to a width in inches, with "…" if it is truncated."""
    if text_width(text, size, weight) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if text_width(text[:middle].rstrip() + "…", size, weight) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…"


def one_line(text: str) -> str:
    """Replace line breaks and control characters by spaces, one for one."""
    return "".join(character if character.isprintable() else " " for character in text)


def _chunks(piece: Segment, width: float, size: float) -> list[Segment]:
    """Split a segment at possible line breaks: spaces, and within words wider than a line."""
    cut: list[str] = []
    for character in one_line(piece.text):
        after_space = bool(cut) and cut[-1].endswith(" ") and character != " "
        if not cut or after_space or text_width(cut[-1] + character, size) > width:
            cut.append(character)
        else:
            cut[-1] += character
    return [Segment(text, piece.strength, piece.relevance) for text in cut]


def _joined(line: Sequence[Segment]) -> list[Segment]:
    """Join adjacent plain text, so that it is drawn as one piece."""
    joined: list[Segment] = []
    for piece in line:
        if joined and piece.strength is None and joined[-1].strength is None:
            joined[-1] = Segment(joined[-1].text + piece.text)
        else:
            joined.append(piece)
    return joined


def _wide(line: Sequence[Segment], size: float) -> float:
    return text_width("".join(piece.text for piece in line).rstrip(), size)


@cache
def _renderer() -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    return FigureCanvasAgg(Figure(dpi=_MEASURING_DPI)).get_renderer()


@lru_cache(maxsize=4096)
def _measure(text: str, size: float, weight: str) -> float:
    with without_glyph_warnings():
        width, _, _ = _renderer().get_text_width_height_descent(
            text, font(text, size, weight), ismath=False
        )
    return float(width) / _MEASURING_DPI
