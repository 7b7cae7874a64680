"""From relevance to colour: the one place where a map is scaled for display.

Two colour maps, both perceptually uniform and safe for colour-blind readers, and made to
agree: warm always speaks *for* the match, blue *against* it.

- ``inferno`` for maps that are nowhere negative, from 0 to the largest value;
- ``managua`` reversed (Crameri's scientific colour maps) for signed maps, centred on 0.

Relevance also sets the opacity, so that the picture stays readable where nothing happens, and
the picture below turns nearly grey, so that every strong colour is the map's. The dark middle
of either colour map is left out: it would draw lines where a signed map passes through 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import matplotlib
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SEQUENTIAL = "inferno"
DIVERGING = "managua_r"
FOR = "#009e73"
AGAINST = "#d0342c"
ITSELF_COLOUR = "#0b7a4b"
CHANGED_COLOUR = "#b45f06"
NEUTRAL_COLOUR = "#55606a"

FADE = 0.9
"""Opacity grows with relevance to this power: just below 1, so that weak relevance shows."""

GREYNESS = 0.8
"""Share of the picture's colour taken away under a heat map."""

_FIRST = 0.22
_FIRST_SIGNED = 0.28
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Scale:
    """How relevance becomes a strength: ``limit`` is the relevance shown at full strength.

    ``signed`` scales run from −limit to limit around 0, others from 0 to limit.
    """

    limit: float
    signed: bool

    def strength(self, relevance: Floats) -> Floats:
        """Scale relevance to [−1, 1] (signed) or [0, 1], same shape; NaN stays NaN."""
        values = np.asarray(relevance, dtype=np.float64)
        scaled = values / self.limit if self.limit > 0 else values * 0.0
        return np.clip(scaled, -1.0 if self.signed else 0.0, 1.0)

    def rgb(self, strength: Floats) -> Floats:
        """Colour of a strength: shape ``[..., 3]``, each channel in [0, 1]."""
        if self.signed:
            away = np.copysign(_FIRST_SIGNED + (1 - _FIRST_SIGNED) * np.abs(strength), strength)
            rgba = matplotlib.colormaps[DIVERGING]((away + 1) / 2)
        else:
            rgba = matplotlib.colormaps[SEQUENTIAL](_FIRST + (1 - _FIRST) * strength)
        return np.asarray(rgba, dtype=np.float64)[..., :3]

    def steps(self, count: int) -> Floats:
        """Strengths from the lowest to the highest, ``[count]``."""
        return np.linspace(-1.0 if self.signed else 0.0, 1.0, count)


def opacity(strength: Floats) -> Floats:
    """Opacity of a strength, in [0, 1], same shape: none where there is no relevance."""
    return np.abs(strength) ** FADE


def scales(
    maps: Iterable[Floats], *, shared: bool = False, signed: bool | None = None
) -> list[Scale]:
    """Choose the scale of each map.

    All maps of one picture are signed or none is, so that one colour bar serves them all.

    Args:
        maps: ``[gh, gw]`` each; NaN and infinity are left out of account.
        shared: one limit for all, so that colours compare between maps; otherwise each
            map reaches full strength at its own peak.
        signed: whether to centre on 0; by default, whether any map is negative somewhere.

    Returns:
        One scale for each map; limit 0 for a map that is zero everywhere or has no values.
    """
    finite = [values[np.isfinite(values)] for values in map(np.asarray, maps)]
    limits = [float(np.abs(values).max(initial=0.0)) for values in finite]
    if signed is None:
        signed = any(
            values.min(initial=0.0) < -_ROUNDING * limit
            for values, limit in zip(finite, limits, strict=True)
        )
    if shared:
        limits = [max(limits, default=0.0)] * len(limits)
    return [Scale(limit, signed) for limit in limits]


def hexadecimal(rgb: Iterable[float]) -> str:
    """Write a colour as ``#rrggbb``; channels in [0, 1]."""
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in rgb)
