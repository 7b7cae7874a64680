"""An endless sequence of batches for one process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from whyclip.errors import InputError
from whyclip.finetuning.batch import Example


class Data(Protocol):
    """Data that yields its examples epoch by epoch."""

    name: str

    def epoch(self, number: int, *, seed: int, rank: int = 0, world: int = 1) -> Iterator[Any]:
        """Yield the examples of one process in the order of an epoch."""


class Feed:
    """Batches of one process, epoch after epoch.

    Args:
        data: where examples come from.
        size: examples of this process in a batch.
        seed: random seed of the order.
        rank: number of this process.
        world: number of processes.
        start: number of batches that an earlier run has used.
    """

    def __init__(self, data: Any, size: int, seed: int, rank: int, world: int, start: int) -> None:
        self.data, self.size, self.seed, self.rank, self.world = data, size, seed, rank, world
        self.skipped = 0
        self._batches = self._all()
        for _ in range(start):
            next(self._batches)

    def __next__(self) -> list[Example]:
        return next(self._batches)

    def _all(self) -> Iterator[list[Example]]:
        number = 0
        while True:
            batch: list[Example] = []
            some = False
            for item in self.data.epoch(number, seed=self.seed, rank=self.rank, world=self.world):
                if not isinstance(item, Example):
                    self.skipped += 1
                    continue
                batch.append(item)
                if len(batch) == self.size:
                    yield batch
                    batch, some = [], True
            if not some:
                raise InputError(
                    f"data {self.data.name!r:.60} has fewer examples than one batch of "
                    f"{self.size * self.world}; give a smaller batch_size"
                )
            number += 1
