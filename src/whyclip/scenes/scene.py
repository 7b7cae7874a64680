"""Synthetic scenes: images with exact masks, positions and colours of their objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from PIL import Image

from whyclip.errors import OptionError, check_choice
from whyclip.scenes.captions import Writer, phrase
from whyclip.scenes.drawing import COLOURS, draw
from whyclip.scenes.layout import (
    MAX_OBJECTS,
    SIDE,
    HeldOut,
    Layout,
    Split,
    keys_of,
    sample_layouts,
)
from whyclip.scenes.sprites import load_atlas

Item = tuple[str, "str | None", "str | None", tuple[float, float]]


@dataclass(frozen=True)
class SceneObject:
    """One object of a scene with its position.

    Attributes:
        name: its concept, for example ``"car"``.
        colour: its tint, one of `COLOURS`, or None for its own colours.
        style: its drawing style, for example ``"noto"``.
        box: (left, top, right, bottom) of its visible pixels; right and bottom are exclusive.
        mask: bool `[height, width]`, its visible pixels.
        phrase: its phrase in captions, for example ``"a red car"``.
    """

    name: str
    colour: str | None
    style: str
    box: tuple[int, int, int, int]
    mask: np.ndarray
    phrase: str


@dataclass(frozen=True)
class Scene:
    """An image with its objects and caption; later objects are in front of earlier ones.

    Attributes:
        layout: parameters of the scene, a batch of one; it can be changed and drawn again, see
            `interventions`.
        slots: for each object, its column in the layout.
    """

    image: Image.Image
    objects: tuple[SceneObject, ...]
    caption: str
    seed: int
    layout: Layout
    slots: tuple[int, ...]


def concepts() -> tuple[str, ...]:
    """Return the names of all objects that can appear in a scene."""
    return load_atlas().names


def scenes_of(layout: Layout, seeds: Sequence[int], height: int, width: int) -> list[Scene]:
    """Draw layouts, given with their seeds, at one size in pixels."""
    atlas = load_atlas()
    writer = Writer(atlas)
    images, masks = draw(atlas, layout, height, width, masks=True)
    assert masks is not None
    pixels = (images * 255).round().byte().permute(0, 2, 3, 1).numpy()
    scenes = []
    for row, seed in enumerate(seeds):
        objects = []
        slots = tuple(map(int, np.flatnonzero(layout.concept[row] >= 0)))
        for slot in slots:
            mask = masks[row, slot].numpy()
            ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            box = (
                (int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1) if ys.size else (0,) * 4
            )
            name = atlas.names[layout.concept[row, slot]]
            tint = int(layout.colour[row, slot])
            colour = tuple(COLOURS)[tint] if tint >= 0 else None
            style = atlas.styles[layout.style[row, slot]]
            objects.append(SceneObject(name, colour, style, box, mask, phrase(name, colour)))
        caption = writer.caption(layout, row)[0]
        alone = layout.rows(np.array([row]))
        image = Image.fromarray(pixels[row])
        scenes.append(Scene(image, tuple(objects), caption, int(seed), alone, slots))
    return scenes


def make_scene(
    seed: int,
    *,
    objects: int | tuple[int, int] = (1, MAX_OBJECTS),
    size: int = SIDE,
    split: Split = "val",
    held_out: HeldOut = "never",
    concepts: int | None = None,
) -> Scene:
    """Draw the scene of a seed; equal seeds and options give equal scenes.

    Args:
        seed: 0 .. 2**60 - 1.
        objects: number of objects, or minimum and maximum, 1..4.
        size: width and height in pixels; objects keep their own size (42 to 60 pixels).
        split: ``"train"``, ``"val"`` or ``"test"``; each split has other scenes for the same seed.
        held_out: ``"never"``, ``"only"`` or ``"any"`` object-style pairs that training excludes.
        concepts: number of first concepts to use; None for all.

    Raises:
        OptionError: an option is out of range or unknown.
    """
    if size < 2 * SIDE // MAX_OBJECTS:
        raise OptionError(f"a scene is at least {2 * SIDE // MAX_OBJECTS} pixels wide, got {size}")
    between = (objects, objects) if isinstance(objects, int) else objects
    layout = sample_layouts(
        load_atlas(),
        keys_of(np.array([seed]), split),
        objects=between,
        held_out=held_out,
        side=size,
        concepts=concepts,
    )
    return scenes_of(layout, [seed], size, size)[0]


class Scenes(Sequence[Scene]):
    """A collection of scenes, generated on access.

    Example:
        >>> scenes = Scenes(100, seed=3, objects=(2, 4))
        >>> len(scenes), scenes[7].image.size
        (100, (224, 224))
    """

    def __init__(
        self,
        n: int,
        seed: int = 0,
        *,
        objects: int | tuple[int, int] = (1, MAX_OBJECTS),
        size: int = SIDE,
        split: Split = "val",
        held_out: HeldOut = "never",
        concepts: int | None = None,
    ) -> None:
        """Create a collection of `n` scenes; `seed` selects a range of a million scene seeds.

        The options are those of `make_scene`.
        """
        if not 0 <= n <= 10**6:
            raise OptionError(f"a collection holds 0 to 1,000,000 scenes, got {n}")
        self.n, self.first = n, seed * 10**6
        self.objects, self.size, self.split, self.held_out = objects, size, split, held_out
        self.concepts = concepts

    def __len__(self) -> int:
        """Return the number of scenes."""
        return self.n

    @overload
    def __getitem__(self, index: int) -> Scene: ...
    @overload
    def __getitem__(self, index: slice) -> list[Scene]: ...
    def __getitem__(self, index: int | slice) -> Scene | list[Scene]:
        """Draw one scene, or several for a slice."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.n))]
        if not -self.n <= index < self.n:
            raise IndexError(f"scene {index} of {self.n}")
        return make_scene(
            self.first + index % self.n,
            objects=self.objects,
            size=self.size,
            split=self.split,
            held_out=self.held_out,
            concepts=self.concepts,
        )

    def __iter__(self) -> Iterator[Scene]:
        """Draw the scenes one after the other."""
        return (self[i] for i in range(self.n))


def compose_scene(
    items: Sequence[Item],
    *,
    size: tuple[int, int] = (SIDE, SIDE),
    object_size: float = 58.0,
    seed: int = 0,
) -> Scene:
    """Compose a scene; later items are in front.

    Args:
        items: list of (name, colour or None, style or None, (x, y)), with the centre relative to
            width and height, 0..1; the default style is Noto.
        size: (width, height) in pixels.
        object_size: side of the objects in pixels; `mini` was trained on 42 to 60 at 224 pixels.
        seed: random seed of the background.

    Raises:
        OptionError: an unknown object, colour or style, or more than four objects.
    """
    if not 1 <= len(items) <= MAX_OBJECTS:
        raise OptionError(f"a scene has 1 to {MAX_OBJECTS} objects, got {len(items)}")
    atlas = load_atlas()
    layout = sample_layouts(atlas, keys_of(np.array([seed]), "val"))
    layout.concept[:] = -1
    # The background is drawn for the width of this image, not for 224 pixels.
    layout.wave[:, 3:5] *= SIDE / max(size)
    for slot, (name, colour, style, (x, y)) in enumerate(items):
        if colour is not None:
            check_choice("colour", colour, COLOURS)
        concept = atlas.concept(name)
        layout.concept[0, slot] = concept
        layout.variant[0, slot] = atlas.first[concept]
        layout.style[0, slot] = atlas.style(style) if style else 0
        layout.colour[0, slot] = tuple(COLOURS).index(colour) if colour else -1
        layout.x[0, slot], layout.y[0, slot] = x * size[0], y * size[1]
        layout.size[0, slot] = object_size
        layout.angle[0, slot], layout.flip[0, slot] = 0.0, False
    with torch.inference_mode():
        return scenes_of(layout, [seed], size[1], size[0])[0]
