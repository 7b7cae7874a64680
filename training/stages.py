"""The stages of training, in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.model import GRID
from whyclip.scenes.layout import TINTED_SHARE


def few(rng: np.random.Generator) -> int:
    """Return a small number of background patches, which is cheaper and as effective.

    Occasionally the number is larger, so that the model is also trained on background.
    """
    return int(rng.integers(0, 12) if rng.random() < 0.85 else rng.integers(12, 80))


def some(rng: np.random.Generator) -> int:
    """Return up to a third of the grid."""
    return int(rng.integers(0, 60))


def every(rng: np.random.Generator) -> int:  # noqa: ARG001 - same signature as the others
    """Return the number that gives whole images."""
    return GRID * GRID


@dataclass(frozen=True)
class Stage:
    """One stage of training.

    Attributes:
        name: name of the stage in the log.
        pictures: default number of images.
        objects: minimum number of objects per image in even batches, minimum in odd batches, and
            maximum; scenes with several objects are harder.
        crops: whether every object is shown alone, as the 4 x 4 patches around it; an image's
            embedding is the sum over its objects.
        gathered: whether all crops first get the positions of the central patches.
        portion: share of a batch's images that is drawn, to limit the number of crops.
        tinted: share of tinted objects.
        bare: function that returns the number of background patches of a scene.
        binding: weight of the colour loss at the start and the end of the stage, or None. With a
            small weight at the start, colour accuracy stays at chance; with a large weight at the
            end, the other losses increase.
    """

    name: str
    pictures: int
    objects: tuple[int, int, int]
    crops: bool = False
    gathered: bool = False
    portion: float = 1.0
    tinted: float = TINTED_SHARE
    bare: Callable[[np.random.Generator], int] = every
    binding: tuple[float, float] | None = None

    def spread(self, done: float) -> float:
        """Return how far, 0..1, crops are spread over the grid at progress `done` 0..1."""
        return min(max((done - 0.3) / 0.4, 0.0), 1.0) if self.gathered else 1.0

    def weight(self, done: float) -> float:
        """Return the weight of the colour loss at progress `done` 0..1 of the stage."""
        begin, end = self.binding or (0.0, 0.0)
        return begin + done * (end - begin)


STAGES = {
    stage.name: stage
    for stage in (
        Stage("crops", 250_000, (1, 1, 1), crops=True, gathered=True),
        Stage("scenes", 352_000, (1, 2, 4), bare=few),
        # Colour binding needs scenes with two different colours, hence more tinted objects.
        Stage(
            "colours", 60_000, (1, 2, 4), crops=True, portion=0.5, tinted=0.7, binding=(30.0, 4.0)
        ),
        Stage("ground", 420_000, (1, 3, 4), tinted=0.5, bare=some, binding=(4.0, 0.5)),
        Stage("full", 110_000, (1, 3, 4), binding=(0.5, 0.5)),
    )
}
