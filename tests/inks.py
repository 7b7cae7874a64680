"""The design's two inks in plain numbers, to compare every rendering with."""

from __future__ import annotations

# At |strength| 0, .25, .5, .75, 1: dark and light ink for, dark and light ink against.
TABLE = {
    (1, 0): "#0d0d0d #35120d #8c1806 #d44f0f #efa200",
    (1, 1): "#808080 #ab786f #ee755e #ffb285 #fff4ab",
    (-1, 0): "#0d0d0d #0f192d #1a3b8b #2c76e6 #4bc2f8",
    (-1, 1): "#808080 #7685a3 #6e96ea #83c9ff #befcff",
}


def ink(strength: float, light: int) -> list[float]:
    """One ink, linear between the table's colours, channel by channel."""
    stops = TABLE[1 if strength >= 0 else -1, light].split()
    low = min(int(abs(strength) * 4), 3)
    t = abs(strength) * 4 - low
    pair = [[int(hue[i : i + 2], 16) for i in (1, 3, 5)] for hue in stops[low : low + 2]]
    return [(a + t * (b - a)) / 255 for a, b in zip(*pair, strict=True)]


def plainly(grey: float, strength: float) -> list[float]:
    """The colour of a pixel, each channel in [0, 1]."""
    dark, light = ink(strength, 0), ink(strength, 1)
    return [(1 - grey) * d + grey * b for d, b in zip(dark, light, strict=True)]
