"""Conversion of relevance to colour; maps are scaled for display only here.

The grey level of the image mixes a dark and a light ink; relevance selects the pair of inks. At
relevance 0 both inks are grey, so any colour on a panel shows relevance. Warm inks are *for* the
match, cold inks *against* it. The lightness of both inks increases with the strength, which also
helps colour-blind readers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Colours at these strengths, interpolated linearly in sRGB.
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
DARK_FOR = ("#0d0d0d", "#35120d", "#8c1806", "#d44f0f", "#efa200")
LIGHT_FOR = ("#808080", "#ab786f", "#ee755e", "#ffb285", "#fff4ab")
DARK_AGAINST = ("#0d0d0d", "#0f192d", "#1a3b8b", "#2c76e6", "#4bc2f8")
LIGHT_AGAINST = ("#808080", "#7685a3", "#6e96ea", "#83c9ff", "#befcff")

FOR = DARK_FOR[3]
AGAINST = DARK_AGAINST[3]
ITSELF_COLOUR = "#0b7a4b"
CHANGED_COLOUR = "#b45f06"
NEUTRAL_COLOUR = "#55606a"

_ROUNDING = 1e-6


def _channels(colours: Iterable[str]) -> Floats:
    """Convert hexadecimal colours to ``[colours, 3]``, each channel in [0, 1]."""
    return np.array([[int(hue[i : i + 2], 16) / 255 for i in (1, 3, 5)] for hue in colours])


# Strengths −1 to 1; both halves share the grey ink at 0.
_AT = np.array([*(-s for s in reversed(STRENGTHS[1:])), *STRENGTHS])
_DARK = np.vstack([_channels(reversed(DARK_AGAINST[1:])), _channels(DARK_FOR)])
_LIGHT = np.vstack([_channels(reversed(LIGHT_AGAINST[1:])), _channels(LIGHT_FOR)])


def mixed(grey: Floats, strength: Floats) -> Floats:
    """Mix the two inks.

    Args:
        grey: grey level of the image in [0, 1], 0 for black.
        strength: relevance in [−1, 1], broadcast against ``grey``.

    Returns:
        ``[..., 3]``, each channel in [0, 1]: ``(1 − grey) · dark + grey · light``.
    """
    grey, strength = np.broadcast_arrays(grey, strength)
    channels = []
    for dark, light in zip(_DARK.T, _LIGHT.T, strict=True):
        ink = np.interp(strength, _AT, dark)
        channels.append(ink + grey * (np.interp(strength, _AT, light) - ink))
    return np.stack(channels, axis=-1)


@dataclass(frozen=True)
class Scale:
    """Scale of relevance: ``limit`` is the relevance at full strength.

    ``signed`` scales run from −limit to limit around 0, others from 0 to limit.
    """

    limit: float
    signed: bool

    def strength(self, relevance: Floats) -> Floats:
        """Scale relevance to [−1, 1] (signed) or [0, 1], same shape; NaN stays NaN."""
        values = np.asarray(relevance, dtype=np.float64)
        scaled = values / self.limit if self.limit > 0 else values * 0.0
        return cast(Floats, np.clip(scaled, -1.0 if self.signed else 0.0, 1.0))

    def steps(self, count: int) -> Floats:
        """Return strengths from the lowest to the highest, ``[count]``."""
        return np.linspace(-1.0 if self.signed else 0.0, 1.0, count)

    def bar(self, width: int, height: int) -> Floats:
        """Draw a colour bar ``[height, width, 3]``: strength horizontally, grey vertically."""
        return mixed(np.linspace(1.0, 0.0, height)[:, None], self.steps(width)[None])

    @property
    def ends(self) -> tuple[str, str]:
        """Return the rounded relevance at both ends of the scale."""
        return (f"{-self.limit:.2g}" if self.signed else "0"), f"{self.limit:.2g}"


def scales(
    maps: Iterable[Floats], *, shared: bool = False, signed: bool | None = None
) -> list[Scale]:
    """Choose the scale of each map.

    Either all maps of a figure are signed or none, so that they can share one colour bar.

    Args:
        maps: ``[gh, gw]`` each; NaN and infinity are ignored.
        shared: one limit for all, so that colours of different maps are comparable; otherwise
            each map reaches full strength at its own peak.
        signed: whether to centre on 0; by default, whether any map has negative values.

    Returns:
        One scale per map; limit 0 for a map that is zero or has no values.
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
