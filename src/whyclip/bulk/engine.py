"""Cut a source into parts, explain their tasks with an engine, and write each part."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from whyclip.bulk.answer import Answer, Explain
from whyclip.bulk.decode import Decoder, Task, decoded, died
from whyclip.bulk.folder import Folder
from whyclip.bulk.progress import Progress
from whyclip.bulk.request import Explainer
from whyclip.bulk.schema import MapType
from whyclip.bulk.source import Item, Part, Source, parts_of
from whyclip.errors import OptionError
from whyclip.workers import deaths_as

Answers = Callable[["Job", Iterator[Task]], Iterator[Answer]]
"""Function that explains the tasks of a job, in any order."""


@dataclass(frozen=True)
class Share:
    """Rank of this process and number of processes of a launch.

    Attributes:
        rank: number of this process, 0 to ``world - 1``.
        world: number of processes.
    """

    rank: int = 0
    world: int = 1

    @classmethod
    def of_environment(cls) -> Share:
        """Read ``RANK`` and ``WORLD_SIZE``, which torchrun and ``accelerate launch`` set.

        Raises:
            OptionError: they are not whole numbers with 0 ≤ rank < world size.
        """
        rank, world = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
        if not (rank.isdecimal() and world.isdecimal() and int(rank) < int(world)):
            raise OptionError(f"RANK={rank!r} and WORLD_SIZE={world!r} do not fit; unset them")
        return cls(int(rank), int(world))


@dataclass(frozen=True)
class Job:
    """Input of an engine.

    Attributes:
        explainer: the batch function.
        source: source of the images.
        folder: folder of the results.
        part_size: images per part.
        batch_size: images per batch.
        workers: decoding processes; 0 decodes in this one.
        map_type: number type of the maps.
        limit: number of images from the start of the source, or None.
        retry_errors: whether images with an error are tried again.
    """

    explainer: Explainer
    source: Source
    folder: Folder
    part_size: int
    batch_size: int
    workers: int
    map_type: MapType = "float32"
    limit: int | None = None
    retry_errors: bool = False

    @property
    def explain(self) -> Explain:
        """The function that turns decoded images into rows."""
        return Explain(self.explainer, self.map_type)

    @property
    def decoder(self) -> Decoder:
        """Decoder that prepares images for this model."""
        return Decoder(self.source, self.explainer.model, self.explainer.request.geometry)

    def slices(self, part: Part, faulty: set[int] | None = None) -> list[tuple[Item, ...]]:
        """Cut a part into batches; only those with faulty images, if these are given.

        The cuts do not depend on which images can be read. The same images therefore share a batch
        in every run, and rows are identical to the last bit.
        """
        items = part.items
        cuts = [items[i : i + self.batch_size] for i in range(0, len(items), self.batch_size)]
        if faulty is None:
            return cuts
        return [cut for cut in cuts if any(item.number in faulty for item in cut)]


def run_job(
    job: Job, share: Share, report: Callable[[Progress], None], answers: Answers
) -> Progress:
    """Explain the missing parts of this process, and write each part when it is complete.

    Args:
        job: the job.
        share: this process; it explains every ``world``-th part.
        report: called after each task.
        answers: the engine.

    Raises:
        OutputError: a part cannot be written, for example because the disk is full. Earlier parts
            are kept.
    """
    progress = Progress(total=_own_images(job, share))
    kept: dict[int, list[pa.Table]] = {}
    tasks = _tasks(job, share, progress, kept)
    # The signal of a dead process can raise this error anywhere, not only while images are read.
    with deaths_as(died):
        _collect(job, answers(job, tasks), progress, kept, report)
    return progress


def _collect(
    job: Job,
    answers: Iterator[Answer],
    progress: Progress,
    kept: dict[int, list[pa.Table]],
    report: Callable[[Progress], None],
) -> None:
    """Write each part when all of its tasks are explained."""
    left: dict[int, int] = {}
    for answer in answers:
        part = answer.task.part
        kept.setdefault(part, []).append(answer.rows)
        left[part] = left.get(part, answer.task.tasks) - 1
        progress.images += answer.images
        progress.errors += answer.errors
        if not left[part]:
            del left[part]
            table = pa.concat_tables(kept.pop(part))
            progress.rows += table.num_rows
            job.folder.write(part, sorted_rows(table))
        report(progress)


def answers_here(job: Job, tasks: Iterator[Task]) -> Iterator[Answer]:
    """Local engine: decode images in worker processes and explain them in this one."""
    explain = job.explain
    for task, ready in decoded(job.decoder, tasks, job.workers):
        yield explain(task, ready)


def _tasks(
    job: Job, share: Share, progress: Progress, kept: dict[int, list[pa.Table]]
) -> Iterator[Task]:
    present = job.folder.numbers()
    images = parts = 0
    for part in parts_of(job.source, job.part_size, job.limit):
        images, parts = images + len(part.items), parts + 1
        if part.number % share.world != share.rank:
            continue
        faulty: set[int] | None = None
        if part.number in present:
            faulty = job.folder.with_errors(part.number) if job.retry_errors else set()
        cuts = job.slices(part, faulty)
        progress.skipped += len(part.items) - sum(map(len, cuts))
        if faulty and cuts:
            again = [item.number for cut in cuts for item in cut]
            kept[part.number] = [without(job.folder.read(part.number), again)]
        for cut in cuts:
            yield Task(part.number, len(cuts), cut)
    # Every process lists the whole source, so all of them write the same file.
    job.folder.write_total(images, parts)


def without(table: pa.Table, numbers: list[int]) -> pa.Table:
    """Remove the rows of some images from a part."""
    return table.filter(pc.invert(pc.is_in(table["number"], pa.array(numbers, pa.int64()))))


def sorted_rows(table: pa.Table) -> pa.Table:
    """Sort rows by image and prompt."""
    return table.sort_by([("number", "ascending"), ("prompt_number", "ascending")])


def _own_images(job: Job, share: Share) -> int | None:
    length: Any = job.source.length
    if length is None:
        return None
    length = length if job.limit is None else min(length, job.limit)
    starts = range(share.rank * job.part_size, length, share.world * job.part_size)
    return sum(min(job.part_size, length - start) for start in starts)
