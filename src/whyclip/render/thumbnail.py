"""Images and heat maps as coloured characters of two pixels."""

from __future__ import annotations

import numpy as np
from PIL import Image
from rich.text import Text

from whyclip.explanation import Explanation
from whyclip.render.colour import Scale
from whyclip.render.grey import grey
from whyclip.render.overlay import painted

_FINE = 8
_UPPER_HALF = "▀"
_UNSEEN = "╱"


def thumbnails(
    explanation: Explanation, scales: list[Scale], rows: int, columns: int
) -> list[Text]:
    """Draw the image, if there is one, and each heat map, as ``rows`` lines of ``columns``.

    A character has two square pixels, each the mean of 8 × 8.
    """
    width, height = _FINE * columns, 2 * _FINE * rows
    base = grey(explanation.image, width, height)
    heat = explanation.heatmap((height, width)).double().numpy()
    drawn = []
    if explanation.image is not None:
        drawn.append(_characters(explanation.image.convert("RGB"), rows, columns))
    for values, scale in zip(heat, scales, strict=True):
        unseen = np.isnan(values).reshape(rows, 2 * _FINE, columns, _FINE).mean((1, 3)) > 0.5
        drawn.append(_characters(painted(base, values, scale), rows, columns, unseen))
    return drawn


def _characters(
    image: Image.Image, rows: int, columns: int, unseen: np.ndarray | None = None
) -> Text:
    small = np.asarray(image.resize((columns, 2 * rows), Image.Resampling.BOX))
    text = Text()
    for row in range(rows):
        text.append("\n" if row else "")
        for column in range(columns):
            if unseen is not None and unseen[row, column]:
                text.append(_UNSEEN, "dim")
                continue
            pair = small[2 * row], small[2 * row + 1]
            upper, lower = ("#{:02x}{:02x}{:02x}".format(*half[column]) for half in pair)
            text.append(_UPPER_HALF, f"{upper} on {lower}")
    return text
