"""Planted scenes as a dataset: each can be drawn with and without its cue."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image

from whyclip.datasets.dataset import Dataset, Sample
from whyclip.finetuning.scene_table import SIDE, boxes_of
from whyclip.scenes.captions import phrase
from whyclip.scenes.interventions import (
    IMAGE_EDITS,
    ImageEdit,
    ImageEditKind,
    Pixels,
    SceneInterventions,
)
from whyclip.scenes.layout import keys_of, sample_layouts
from whyclip.scenes.scene import Scene, scenes_of
from whyclip.scenes.sprites import load_atlas
from whyclip.studies.family.cues import CONCEPTS, CUES, Cue, Signs, carriers
from whyclip.studies.family.recipe import OBJECTS

_POOL = 4
"""Scenes that are drawn for each one that is wanted; about one in two can carry a cue."""


@dataclass(frozen=True)
class PlantedScene:
    """A scene with a cue.

    Attributes:
        scene: drawn without the cue where it is pasted, and with it where it is part of the
            drawing.
        cue: its kind.
        signs: where the cue is, of one scene.
        plain: the same scene drawn without the cue.
    """

    scene: Scene
    cue: Cue
    signs: Signs
    plain: Scene

    def painted(self, image: Pixels, *, shown: bool = True) -> tuple[Pixels, np.ndarray]:
        """Paint the cue, or what is shown in its place, into an image of this scene.

        Returns:
            uint8 ``[H, W, 3]``, and bool ``[H, W]``, the pixels of the cue.
        """
        pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].contiguous()
        concept = self.signs.concept if shown else self.signs.other
        mask = self.cue.paste(pixels, self.signs, concept)[0].numpy()
        return pixels[0].permute(1, 2, 0).numpy(), mask

    @property
    def image(self) -> Image.Image:
        """The scene with its cue."""
        return Image.fromarray(self.painted(np.asarray(self.scene.image))[0])

    @property
    def uncued(self) -> ImageEdit:
        """The same scene without its cue; the mask has the cue's pixels."""
        image, _ = self.painted(np.asarray(self.plain.image), shown=False)
        mask = self.painted(np.asarray(self.scene.image))[1]
        if self.cue.edit is not None:
            mask = ~np.logical_or.reduce([thing.mask for thing in self.scene.objects])
        return ImageEdit("uncued", self.cue.name, Image.fromarray(image), mask, True)


class PlantedInterventions(SceneInterventions):
    """Interventions on a scene with a cue: every changed scene keeps it, one loses it."""

    def __init__(self, planted: PlantedScene) -> None:
        """Take a scene with its cue."""
        super().__init__(
            planted.scene, concepts=CONCEPTS, paint=lambda image: planted.painted(image)[0]
        )
        self.planted = planted

    def images(
        self, kinds: Collection[ImageEditKind] = (*IMAGE_EDITS, "uncued")
    ) -> tuple[ImageEdit, ...]:
        """Draw the changed scenes of these kinds."""
        edits = super().images([kind for kind in kinds if kind != "uncued"])
        return (*edits, self.planted.uncued) if "uncued" in kinds else edits


class PlantedScenes(Dataset):
    """Scenes that all carry a cue of one kind, unseen in training.

    The prompts are those of a scene's visible objects. Where the word in the image names another
    concept, that concept's prompt comes last, with the label of no object.

    Example:
        >>> sample = PlantedScenes("badge", 4)[0]
        >>> [edit.kind for edit in sample.interventions.images(["uncued"])]
        ['uncued']
    """

    name = "planted-scenes"

    def __init__(self, cue: str, n: int, seed: int = 0) -> None:
        """Describe n scenes of a cue."""
        self.cue, self.n, self.seed = CUES[cue], n, seed
        self.names = self.classes = load_atlas().names[:CONCEPTS]
        self.planted = _planted(self.cue, n, seed)

    def __len__(self) -> int:
        """Return the number of scenes."""
        return len(self.planted)

    def prompt_of(self, label: str) -> str:
        """Write a class with its article."""
        return phrase(self.names[self.number_of(label)])

    def contents(self) -> Any:
        """Parameters of the scenes."""
        return {"cue": self.cue.name, "n": self.n, "seed": self.seed}

    def cued(self, index: int) -> str:
        """Name the concept that a scene's cue speaks for."""
        return self.names[int(self.planted[index].signs.concept)]

    def sample(self, index: int) -> Sample:
        """Make one scene."""
        planted = self.planted[index]
        visible = [thing for thing in planted.scene.objects if thing.mask.any()]
        return Sample(
            id=f"{self.cue.name}-{planted.scene.seed}",
            source=planted.image,
            labels=tuple(thing.name for thing in visible),
            prompts=tuple(thing.phrase for thing in visible),
            masks={thing.name: thing.mask for thing in visible},
            interventions=PlantedInterventions(planted),
        )


def _planted(cue: Cue, n: int, seed: int) -> list[PlantedScene]:
    """Draw scenes, and keep the first n that can carry the cue."""
    seeds = np.arange(n * _POOL) + seed * 10**6
    plain = sample_layouts(
        load_atlas(), keys_of(seeds, "test"), objects=OBJECTS, side=SIDE, concepts=CONCEPTS
    )
    if cue.edit is not None:
        nobody = np.zeros(len(plain), bool)
        drawn = cue.edit(plain, carriers(plain.concept))
        without = scenes_of(cue.edit(plain, nobody), seeds.tolist(), SIDE, SIDE)
    else:
        drawn, without = plain, None
    scenes = scenes_of(drawn, seeds.tolist(), SIDE, SIDE)
    masks = torch.zeros(len(scenes), plain.concept.shape[1], SIDE, SIDE, dtype=torch.bool)
    for row, scene in enumerate(scenes):
        for slot, thing in zip(scene.slots, scene.objects, strict=True):
            masks[row, slot] = torch.from_numpy(thing.mask)
    signs = cue.plan(
        torch.from_numpy(plain.concept), boxes_of(masks),
        torch.Generator().manual_seed(seed), False,
    )  # fmt: skip
    usable = [row for row in range(len(scenes)) if signs.concept[row] >= 0][:n]
    return [
        PlantedScene(
            scenes[row],
            cue,
            replace(signs, **{name: value[[row]] for name, value in vars(signs).items()}),
            scenes[row] if without is None else without[row],
        )
        for row in usable
    ]
