"""Example images: scenes like ``mini``'s training images, drawn when the page starts."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any, NamedTuple

from whyclip.scenes import compose_scene
from whyclip.web.limits import Limits
from whyclip.web.uploads import Upload, read_upload

Item = tuple[str, "str | None", "str | None", tuple[float, float]]


class Example(NamedTuple):
    """A scene with its prompts."""

    title: str
    items: tuple[Item, ...]
    size: tuple[int, int]
    seed: int
    prompts: tuple[str, ...]


EXAMPLES = {
    "dog-and-red-car": Example(
        "A dog and a red car",
        (("dog", None, "twemoji", (0.28, 0.36)), ("car", "red", "twemoji", (0.70, 0.66))),
        (448, 448),
        12,
        ("a dog next to a red car", "a dog", "a red car"),
    ),
    "four-objects": Example(
        "Four objects",
        (
            ("apple", None, "fluent", (0.24, 0.25)),
            ("bicycle", None, "twemoji", (0.74, 0.24)),
            ("penguin", None, "noto", (0.26, 0.75)),
            ("guitar", None, "fluent", (0.75, 0.74)),
        ),
        (448, 448),
        11,
        ("a penguin", "a guitar", "an apple and a bicycle"),
    ),
    "two-houses": Example(
        "A green house and a blue umbrella",
        (("house", "green", "twemoji", (0.25, 0.5)), ("umbrella", "blue", "noto", (0.75, 0.5))),
        (448, 448),
        12,
        ("a green house", "a blue house"),
    ),
    "wide": Example(
        "A wide image, cropped to its centre",
        (
            ("rocket", None, "noto", (0.12, 0.5)),
            ("moon", None, "noto", (0.5, 0.3)),
            ("elephant", "pink", "fluent", (0.87, 0.62)),
        ),
        (672, 448),
        14,
        ("a moon", "a rocket"),
    ),
}


def draw_examples(limits: Limits) -> dict[str, Upload]:
    """Draw all examples; their ids are their names."""
    drawn = {}
    for name, example in EXAMPLES.items():
        scene = compose_scene(example.items, size=example.size, object_size=112, seed=example.seed)
        file = BytesIO()
        scene.image.save(file, "PNG")
        drawn[name] = replace(read_upload(file.getvalue(), limits), id=name)
    return drawn


def examples_json() -> list[dict[str, Any]]:
    """Describe the examples for the page."""
    return [
        {"id": name, "title": example.title, "prompts": list(example.prompts)}
        for name, example in EXAMPLES.items()
    ]
