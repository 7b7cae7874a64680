"""Batches of caption data by training step, optionally from worker processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from whyclip.errors import InputError, OptionError, WhyclipError
from whyclip.finetuning.batch import Example
from whyclip.finetuning.captions import CaptionData, Skipped, nothing_usable
from whyclip.workers import deaths_as, from_workers

T = TypeVar("T")


class WorkerError(WhyclipError):
    """A worker process that reads data stopped."""


def stopped(words: str) -> WorkerError:
    """Build the error for a dead worker."""
    return WorkerError(
        f"a data worker stopped ({words:.100}); memory may have run out: use fewer workers, or 0 "
        "to see its error, and run the same command again"
    )


@dataclass(frozen=True)
class Ready(Generic[T]):
    """One batch from a worker, or the reason why there is none."""

    batch: T | None
    skipped: tuple[Skipped, ...] = ()
    failure: str = ""


@dataclass(frozen=True)
class Plan:
    """Parameters that determine the batches: size, seed, rank and number of processes."""

    size: int
    seed: int
    rank: int
    world: int


class Loader(Generic[T]):
    """Iterate over the prepared batches of all steps, endlessly, epoch after epoch.

    Batch k of an epoch holds the positions ``k·B`` to ``(k + 1)·B - 1`` of the epoch's order, with
    ``B = batch_size · world``; each process gets every ``world``-th of them. The last incomplete
    batch of an epoch is dropped. Worker w prepares the batches w, w + workers, and so on. Batches
    thus depend only on the data, seed, step, ``batch_size · world`` and, for the share, the rank.

    Args:
        data: images with captions.
        batch_size: number of examples for this process.
        seed: of the order.
        rank: of this process.
        world: number of processes.
        workers: number of worker processes; 0 prepares batches in this process.
        prepare: function from examples to a batch; it runs in the workers, if there are any.

    Attributes:
        step: number of the next batch.

    Raises:
        OptionError: a number is out of its range.
        InputError: an epoch is smaller than one batch.
    """

    def __init__(
        self,
        data: CaptionData,
        batch_size: int,
        *,
        seed: int,
        prepare: Callable[[list[Example]], T],
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
    ) -> None:
        if batch_size < 1 or workers < 0:
            raise OptionError(
                f"batch size {batch_size}, {workers} workers; give at least 1 example and 0 workers"
            )
        if not 0 <= rank < world:
            raise OptionError(f"rank {rank} of {world} processes; give 0 to {world - 1}")
        self.data, self.prepare, self.workers = data, prepare, workers
        self.plan = Plan(batch_size, seed, rank, world)
        self.step = 0
        self._skipped: dict[str, Skipped] = {}
        if data.length is not None and data.length < batch_size * world:
            raise too_small(data, data.length, self.plan)

    @property
    def steps_per_epoch(self) -> int | None:
        """Number of whole batches in an epoch; None if the length of the data is unknown."""
        if self.data.length is None:
            return None
        return self.data.length // (self.plan.size * self.plan.world)

    @property
    def skipped(self) -> Mapping[str, int]:
        """Number of distinct examples that this process skipped so far, by reason."""
        return Counter(skipped.reason for skipped in self._skipped.values())

    @property
    def skipped_examples(self) -> tuple[Skipped, ...]:
        """The distinct examples that this process skipped so far."""
        return tuple(self._skipped.values())

    def start_at(self, step: int) -> None:
        """Continue with the batch that an uninterrupted run would get at this step."""
        if step < 0:
            raise OptionError(f"step {step}; give 0 or more")
        self.step = step

    def __iter__(self) -> Iterator[T]:
        """Yield prepared batches, starting at the current step.

        Raises:
            WorkerError: a worker process died.
            InputError: no example can be used.
        """
        source = _Batches(self.data, self.plan, self.prepare, self.step)
        for ready in source if not self.workers else self._from_workers(source):
            for skipped in ready.skipped:
                self._skipped.setdefault(skipped.id, skipped)
            if ready.failure:
                raise InputError(ready.failure)
            self.step += 1
            yield cast(T, ready.batch)

    def _from_workers(self, source: _Batches) -> Iterator[Ready[Any]]:
        loader: Any = DataLoader(
            source,
            batch_size=None,
            num_workers=self.workers,
            # Without a generator, the workers' seeds would be drawn from the training's generator.
            generator=torch.Generator(),
        )
        with deaths_as(stopped):
            yield from from_workers(loader)


class _Batches(IterableDataset[Ready[Any]]):
    """All batches from a given step on; in a worker process, only those of this worker."""

    def __init__(
        self,
        data: CaptionData,
        plan: Plan,
        prepare: Callable[[list[Example]], Any],
        start: int,
    ) -> None:
        self.data, self.plan, self.prepare, self.start = data, plan, prepare, start

    def __iter__(self) -> Iterator[Ready[Any]]:
        info = get_worker_info()
        try:
            yield from self._made(info.id if info else 0, info.num_workers if info else 1)
        except WhyclipError as error:
            if not info:
                raise
            # An exception would carry the worker's whole traceback in its message.
            # If a worker ended here, it would delay the end of the others.
            while True:
                yield Ready(None, failure=str(error))

    def _made(self, worker: int, workers: int) -> Iterator[Ready[Any]]:
        step, number = 0, 0
        per_epoch = None
        if self.data.length is not None:
            per_epoch = self.data.length // (self.plan.size * self.plan.world)
            number = self.start // per_epoch
            step = number * per_epoch
        while True:
            before = step
            for items in self._shares(number):
                if step >= self.start and (step - self.start) % workers == worker:
                    yield self._ready(items, number)
                step += 1
            if step == before:
                raise nothing_or_too_small(self.data, number, self.plan)
            # All epochs have the same length, so earlier ones need not be read.
            passed = max(0, self.start - step) // (step - before)
            number += 1 + passed
            step += passed * (step - before)

    def _shares(self, number: int) -> Iterator[list[tuple[int, Any]]]:
        """Yield this process's positions and items for each complete batch of all processes."""
        share: list[tuple[int, Any]] = []
        world, whole = self.plan.world, self.plan.size * self.plan.world
        for position, item in enumerate(self.data.order(number, self.plan.seed)):
            if position % world == self.plan.rank:
                share.append((position, item))
            if (position + 1) % whole == 0:
                yield share
                share = []

    def _ready(self, items: list[tuple[int, Any]], number: int) -> Ready[Any]:
        examples: list[Example] = []
        skipped: list[Skipped] = self.data.faults()
        for position, item in items:
            for got in self.data.usable(item, position, number, self.plan.seed):
                if isinstance(got, Skipped):
                    skipped.append(got)
                else:
                    examples.append(got)
        if not examples:
            raise nothing_usable(self.data.name, skipped[-1] if skipped else None)
        # If no replacement is usable, examples are repeated to keep the batch size.
        examples = [examples[i % len(examples)] for i in range(self.plan.size)]
        return Ready(self.prepare(examples), tuple(skipped))


def too_small(data: CaptionData, count: int, plan: Plan) -> InputError:
    """Build the error for data smaller than one batch."""
    batch = f"{plan.size * plan.world} ({plan.size} on each of {plan.world})"
    return InputError(
        f"{data.name} has {count} examples, fewer than one batch of {batch}; "
        "use a smaller batch or more data"
    )


def nothing_or_too_small(data: CaptionData, number: int, plan: Plan) -> InputError:
    """Build the error for an epoch without a batch."""
    count = sum(1 for _ in data.order(number, plan.seed))
    faults = data.faults()
    if not count:
        return nothing_usable(data.name, faults[-1] if faults else None)
    return too_small(data, count, plan)
