"""Read and prepare images in worker processes, ahead of the model."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyclip.batches import Batch, prepare_batch
from whyclip.bulk.source import Item, Loaded, Mask, Source
from whyclip.errors import InputError, WhyclipWarning, reason
from whyclip.models import ModelView
from whyclip.types import Geometry, GeometryName
from whyclip.workers import deaths_as, from_workers

PREFETCH = 2
"""Batches that each worker process prepares ahead."""


@dataclass(frozen=True)
class Task:
    """Consecutive items of one part that form one batch.

    Attributes:
        part: number of the part.
        tasks: number of tasks that the part has.
        items: the images, not yet read.
    """

    part: int
    tasks: int
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Ready:
    """One preprocessed image, or its fault.

    Attributes:
        number: of the item.
        id: of the item.
        batch: batch that contains only this image; None if it has a fault.
        prompts: the image's own prompts, or None.
        coverage: for each prompt, or once for all prompts, the share of each patch that the object
            covers, ``[gh, gw]``; None if no object is annotated.
        fault: why the image cannot be used, one line.
    """

    number: int
    id: str
    batch: Batch | None
    prompts: tuple[str, ...] | None = None
    coverage: tuple[NDArray[np.float32] | None, ...] = ()
    fault: str = ""


class Decoder:
    """Read the images of a task; a map-style dataset of torch whose indices are tasks.

    Args:
        source: opens the items.
        model: model whose preprocessing is used; only the preprocessing is kept, not the weights.
        geometry: input mode of the images.
    """

    def __init__(self, source: Source, model: ModelView, geometry: GeometryName) -> None:
        tower = model.image
        sizes = SimpleNamespace(
            patch=tower.patch,
            native_grid=tower.native_grid,
            native_size=tower.native_size,
            input_size=tower.input_size,
            opaque=tower.opaque,
        )
        stand_in = SimpleNamespace(name=model.name, preprocess=model.preprocess, image=sizes)
        self.source, self.geometry = source, geometry
        self.model = cast(ModelView, stand_in)

    def __getitem__(self, task: Task) -> tuple[Task, list[Ready]]:
        """Prepare one batch."""
        with warnings.catch_warnings():
            # One warning per odd image would bury the progress of a long run.
            warnings.simplefilter("ignore", WhyclipWarning)
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            ready = [self.prepare(item) for item in task.items]
        # The items may hold encoded images, which are not needed again.
        return replace(task, items=()), ready

    def prepare(self, item: Item) -> Ready:
        """Prepare one image; any error becomes its fault."""
        if item.fault:
            return Ready(item.number, item.id, None, fault=item.fault)
        try:
            loaded = self.source.load(item)
            batch = prepare_batch(self.model, [loaded.image], self.geometry, display=False)
            coverage = self._coverage(item, loaded, batch)
        except Exception as error:  # noqa: BLE001 - a decoder may raise anything on a damaged file
            return Ready(item.number, item.id, None, fault=reason(error))
        return Ready(item.number, item.id, batch, loaded.prompts, coverage)

    def _coverage(
        self, item: Item, loaded: Loaded, batch: Batch
    ) -> tuple[NDArray[np.float32] | None, ...]:
        geometry, patch = batch.geometries[0], self.model.image.patch
        rows, columns = (int(side) // patch for side in batch.pixels.shape[-2:])
        if item.box is not None:
            return (coverage(box_mask(item.box, geometry), geometry, (rows, columns)),)
        return tuple(
            None if mask is None else coverage(mask, geometry, (rows, columns))
            for mask in loaded.masks
        )


def box_mask(box: tuple[float, float, float, float], geometry: Geometry) -> Mask:
    """Fill a box in an image: bool ``[H, W]``."""
    mask = np.zeros((geometry.height, geometry.width), bool)
    left, top, right, bottom = (max(0, round(side)) for side in box)
    mask[top:bottom, left:right] = True
    return mask


def coverage(mask: Mask, geometry: Geometry, grid: tuple[int, int]) -> NDArray[np.float32]:
    """Compute the share of each patch that a mask ``[H, W]`` covers: ``[gh, gw]``, 0 to 1."""
    left, top, right, bottom = (round(side) for side in geometry.box)
    canvas = Image.new("L", (max(1, right - left), max(1, bottom - top)))
    canvas.paste(Image.fromarray(np.asarray(mask, bool).astype(np.uint8) * 255), (-left, -top))
    rows, columns = grid
    small = canvas.convert("F").resize((columns, rows), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / np.float32(255)


def decoded(
    decoder: Decoder, tasks: Iterable[Task], workers: int
) -> Iterator[tuple[Task, list[Ready]]]:
    """Prepare tasks in their order, in worker processes or in this one.

    Args:
        decoder: prepares each.
        tasks: read as far ahead as the workers need.
        workers: number of processes; 0 prepares in this one.

    Raises:
        InputError: a process died, for example because memory ran out.
    """
    if not workers:
        for task in tasks:
            yield decoder[task]
        return
    from torch.utils.data import DataLoader

    loader: Any = DataLoader(
        decoder,  # type: ignore[arg-type]
        batch_size=None,
        sampler=tasks,
        num_workers=workers,
        collate_fn=_as_it_is,
        prefetch_factor=PREFETCH,
    )
    with deaths_as(died):
        yield from from_workers(loader)


def died(words: str) -> InputError:
    """Build the error for a dead process."""
    return InputError(
        f"a decoding process died ({words}); the same call resumes, and fewer workers need less "
        "memory"
    )


def _as_it_is(prepared: Any) -> Any:
    return prepared
