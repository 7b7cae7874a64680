"""Interventions: the same scene with one change, and the same prompt with one change.

A changed scene is drawn by the same code from the same numbers, so it has the same distribution
as other scenes. Hesse et al., FunnyBirds, ICCV 2023, and Arras et al., CLEVR-XAI, 2022 test
explanations of classifiers in this way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from whyclip.errors import check_choice
from whyclip.scenes.drawing import COLOURS, background, draw
from whyclip.scenes.layout import Layout
from whyclip.scenes.probes import Exchanges, Probe, probes_of
from whyclip.scenes.scene import Scene
from whyclip.scenes.sprites import load_atlas
from whyclip.scenes.wording import Noun, TextEdit, Wording

ImageEditKind = Literal[
    "removed", "recoloured", "restyled", "moved", "exchanged", "background", "uncued"
]
# Kinds for a plain scene; "uncued" is for scenes with a planted cue.
IMAGE_EDITS: tuple[ImageEditKind, ...] = get_args(ImageEditKind)[:-1]
_TRIES = 64

Pixels = NDArray[np.uint8]
Paint = Callable[[Pixels], Pixels]


@dataclass(frozen=True)
class ImageEdit:
    """One intervention on an image: the same scene, drawn with one change.

    Attributes:
        kind: kind of change.
        label: label of the changed object; empty for the background; the name of the cue for
            "uncued".
        image: the changed scene, of the same size.
        mask: bool `[H, W]`, visible pixels of the changed object (or cue) in the original image;
            for the background, those of all objects.
        clean: whether no visible pixel of another object changed.
    """

    kind: ImageEditKind
    label: str
    image: Image.Image
    mask: np.ndarray
    clean: bool


class Interventions(Protocol):
    """Interventions on one sample."""

    @property
    def background(self) -> Pixels:
        """The scene without any object, uint8 `[H, W, 3]`."""
        ...

    def images(self, kinds: Collection[ImageEditKind] = IMAGE_EDITS) -> Sequence[ImageEdit]:
        """Draw the changed images of these kinds, as one batch."""
        ...

    def texts(self, prompt_index: int) -> Sequence[TextEdit]:
        """Change one of the sample's prompts."""
        ...

    def probes(self) -> Sequence[Probe]:
        """Return more prompts about the same image, each with its changes."""
        ...


class SceneInterventions:
    """Interventions on a scene, drawn on access and determined by the seed.

    Example:
        >>> from whyclip.scenes import make_scene
        >>> edits = SceneInterventions(make_scene(3, objects=2)).images(["removed"])
        >>> [edit.label for edit in edits]
        ['tree', 'swan']
    """

    def __init__(
        self, scene: Scene, *, concepts: int | None = None, paint: Paint | None = None
    ) -> None:
        """Store a scene.

        Args:
            scene: scene to change.
            concepts: number of first concepts that replace objects and words; None for all.
            paint: function applied to every drawn image, for scenes with something painted on them.
        """
        self.scene, self.paint = scene, paint
        self._atlas = load_atlas()
        self._pool = np.arange(concepts or len(self._atlas.names))
        # Hidden objects are not labels.
        visible = [i for i, thing in enumerate(scene.objects) if thing.mask.any()]
        self._objects = [scene.objects[i] for i in visible]
        self._slots = [scene.slots[i] for i in visible]

    @cached_property
    def background(self) -> Pixels:
        """The scene without any object, uint8 `[H, W, 3]`."""
        [edit] = self.images(["background"])
        return np.asarray(edit.image)

    def images(self, kinds: Collection[ImageEditKind] = IMAGE_EDITS) -> tuple[ImageEdit, ...]:
        """Draw the changed scenes of these kinds, as one batch.

        Raises:
            OptionError: unknown kind.
        """
        for kind in kinds:
            check_choice("kind", kind, IMAGE_EDITS)
        chosen: list[tuple[ImageEditKind, int | None]] = [
            (kind, number)
            for kind in kinds
            for number in ([None] if kind == "background" else range(len(self._objects)))
        ]
        if not chosen:
            return ()
        # The original is drawn in the same batch, so that unchanged pixels are equal to the bit.
        layout = self.scene.layout.rows(np.zeros(1 + len(chosen), int))
        for row, (kind, number) in enumerate(chosen, 1):
            self._change(layout, row, kind, number)
        pixels, masks = self._drawn(layout)
        return tuple(
            self._edit(kind, number, pixels, masks, row)
            for row, (kind, number) in enumerate(chosen, 1)
        )

    def texts(self, prompt_index: int) -> tuple[TextEdit, ...]:
        """Change the phrase of one visible object: another colour, another noun, or no colour."""
        thing = self._objects[prompt_index]
        wording = Wording((Noun(thing.name, thing.colour),))
        return self._exchanges("text", prompt_index).of(wording, thing.name)

    def probes(self) -> tuple[Probe, ...]:
        """Return prompts whose noun is not always last, or that name something absent."""
        return probes_of(self._objects, self.scene, self._exchanges("probe", 0))

    def _exchanges(self, what: str, number: int) -> Exchanges:
        names = [self._atlas.names[concept] for concept in self._pool]
        here = {thing.name for thing in self.scene.objects}
        rng = self._rng(what, number)
        return Exchanges([name for name in names if name not in here], rng)

    def _rng(self, what: str, number: int) -> np.random.Generator:
        return np.random.default_rng((self.scene.seed, *what.encode(), number))

    def _change(self, layout: Layout, row: int, kind: ImageEditKind, number: int | None) -> None:
        """Change one row of a layout."""
        if number is None:
            layout.concept[row] = -1
            return
        at, rng = (row, self._slots[number]), self._rng(kind, number)
        concept, style = layout.concept[at], layout.style[at]
        if kind == "removed":
            layout.concept[at] = -1
        elif kind == "recoloured":
            others = [c for c in range(len(COLOURS)) if c != layout.colour[at]]
            layout.colour[at] = rng.choice(others)
        elif kind == "restyled":
            seen = np.flatnonzero(~self._atlas.held_out[concept])
            layout.style[at] = rng.choice(seen[seen != style])
        elif kind == "exchanged":
            seen = self._pool[~self._atlas.held_out[self._pool, style]]
            other = rng.choice(seen[~np.isin(seen, layout.concept[row])])
            drawn = int(rng.random() * self._atlas.count[other])
            layout.concept[at], layout.variant[at] = other, self._atlas.first[other] + drawn
        else:
            layout.x[at], layout.y[at] = self._place(layout, at, rng)

    def _place(
        self, layout: Layout, at: tuple[int, int], rng: np.random.Generator
    ) -> tuple[float, float]:
        """Choose another position, far from the old one and from other objects if possible."""
        row, slot = at
        half = layout.size[at] / 2
        room = np.array(self.scene.image.size) - 2 * half
        tried = half + rng.random((_TRIES, 2)) * room
        drawn = np.flatnonzero(layout.concept[row] >= 0)
        places = np.stack([layout.x[row, drawn], layout.y[row, drawn]], -1)
        sizes = (layout.size[row, drawn] + layout.size[at]) / 2
        gaps = np.abs(tried[:, None] - places).max(-1) / sizes
        # The old position is avoided less strictly than those of other objects.
        gaps[:, drawn == slot] *= 2
        nearest = gaps.min(1)
        fits = nearest >= 1
        x, y = tried[fits.argmax() if fits.any() else nearest.argmax()]
        return float(x), float(y)

    def _drawn(self, layout: Layout) -> tuple[Pixels, np.ndarray]:
        """Draw scenes with the same background: uint8 `[b, H, W, 3]`, masks bool `[b, k, H, W]`."""
        width, height = self.scene.image.size
        with torch.inference_mode():
            canvas = background(
                self.scene.layout, height, width, np.zeros((1, 2), int), (height, width),
                torch.device("cpu"),
            )  # fmt: skip
            images, masks = draw(self._atlas, layout, height, width, masks=True, canvas=canvas)
            assert masks is not None
            pixels = (images * 255).round().byte().permute(0, 2, 3, 1).numpy()
        if self.paint is not None:
            pixels = np.stack([self.paint(image) for image in pixels])
        return pixels, masks.numpy()

    def _edit(
        self,
        kind: ImageEditKind,
        number: int | None,
        pixels: Pixels,
        masks: np.ndarray,
        row: int,
    ) -> ImageEdit:
        image = Image.fromarray(pixels[row])
        if number is None:
            return ImageEdit(kind, "", image, masks[0].any(0), True)
        slot = self._slots[number]
        others = np.delete(masks, slot, 1)
        kept = bool((others[row] == others[0]).all())
        same = (pixels[row] == pixels[0]).all(-1)
        clean = kept and bool(same[others[0].any(0)].all())
        return ImageEdit(kind, self._objects[number].name, image, masks[0, slot], clean)
