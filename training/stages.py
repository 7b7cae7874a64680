"""The stages of training in their order: what each one shows, how many pictures, what it asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.model import GRID
from whyclip.scenes.layout import TINTED_SHARE


def few(rng: np.random.Generator) -> int:
    """Show few patches of bare background: they teach as much for less.

    Now and then there are more, so that none of them comes as a surprise later.
    """
    return int(rng.integers(0, 12) if rng.random() < 0.85 else rng.integers(12, 80))


def some(rng: np.random.Generator) -> int:
    """Show up to a third of the grid as bare background."""
    return int(rng.integers(0, 60))


def every(rng: np.random.Generator) -> int:  # noqa: ARG001 - as the others are called
    """Show whole pictures."""
    return GRID * GRID


@dataclass(frozen=True)
class Stage:
    """One stage of training.

    Attributes:
        name: what the log calls it.
        pictures: how many it shows unless the command says otherwise.
        objects: the fewest objects of a picture in even batches, in odd ones, and the most:
            several are harder and learned later.
        crops: every object is shown as the 4 x 4 patches around it, without the others; if it has
            several, the sum of their embeddings stands for the picture.
        gathered: the crops are first all taken for the middle patches of the grid.
        portion: the share of a batch's pictures that is drawn; about as many crops then.
        tinted: the share of tinted objects.
        bare: how many patches of bare background a scene shows beside its objects.
        binding: the weight of whose colour is whose, at the begin and the end; None: not asked.
            With less at first the other losses drown it and it stays at chance, with as much later
            it drowns them.
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
        """Return how far, 0..1, crops are strewn over the grid when `done` 0..1 of it is over."""
        return min(max((done - 0.3) / 0.4, 0.0), 1.0) if self.gathered else 1.0

    def weight(self, done: float) -> float:
        """Return the weight of whose colour is whose when `done` 0..1 of the stage is over."""
        begin, end = self.binding or (0.0, 0.0)
        return begin + done * (end - begin)


STAGES = {
    stage.name: stage
    for stage in (
        Stage("crops", 250_000, (1, 1, 1), crops=True, gathered=True),
        Stage("scenes", 352_000, (1, 2, 4), bare=few),
        # Whose colour is whose can only be learned where two differ: hence more tinted ones.
        Stage(
            "colours", 60_000, (1, 2, 4), crops=True, portion=0.5, tinted=0.7, binding=(30.0, 4.0)
        ),
        Stage("ground", 420_000, (1, 3, 4), tinted=0.5, bare=some, binding=(4.0, 0.5)),
        Stage("full", 110_000, (1, 3, 4), binding=(0.5, 0.5)),
    )
}
