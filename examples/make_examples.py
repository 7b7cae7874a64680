"""Make the example pictures anew: python examples/make_examples.py [FOLDER]."""

from __future__ import annotations

import sys
from pathlib import Path

from whyclip.scenes import compose_scene

Place = tuple[float, float]
Wish = tuple[list[tuple[str, "str | None", "str | None", Place]], tuple[int, int], float, int]

# Items, size, side of an object (mini sees the shorter side as 224 pixels), background.
EXAMPLES: dict[str, Wish] = {
    "dog_and_red_car": (
        [("dog", None, "twemoji", (0.28, 0.36)), ("car", "red", "twemoji", (0.70, 0.66))],
        (448, 448),
        112,
        12,
    ),
    "four_objects": (
        [
            ("apple", None, "fluent", (0.24, 0.25)),
            ("bicycle", None, "twemoji", (0.74, 0.24)),
            ("penguin", None, "noto", (0.26, 0.75)),
            ("guitar", None, "fluent", (0.75, 0.74)),
        ],
        (448, 448),
        112,
        11,
    ),
    "off_centre": ([("owl", None, "fluent", (0.82, 0.80))], (448, 448), 104, 12),
    "green_and_blue_house": (
        [("house", "green", "twemoji", (0.25, 0.5)), ("umbrella", "blue", "noto", (0.75, 0.5))],
        (448, 448),
        112,
        12,
    ),
    "wide_rocket_and_moon": (
        [
            ("rocket", None, "noto", (0.12, 0.5)),
            ("moon", None, "noto", (0.5, 0.3)),
            ("elephant", "pink", "fluent", (0.87, 0.62)),
        ],
        (672, 448),
        112,
        14,
    ),
}


def main(folder: Path) -> None:
    """Write every example as a PNG into a folder."""
    for name, (items, size, object_size, background) in EXAMPLES.items():
        scene = compose_scene(items, size=size, object_size=object_size, seed=background)
        scene.image.save(folder / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
