"""Fine-tune one small model with different guidance, and measure each result on unseen scenes."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from whyclip.errors import WhyclipError
from whyclip.finetuning.batch import token_ids
from whyclip.finetuning.objective import Objective
from whyclip.finetuning.passes import run_with_gradients
from whyclip.finetuning.scene_table import CONCEPTS, PHRASE_TEMPLATE, SceneTable
from whyclip.finetuning.settings import Settings
from whyclip.models import ModelView
from whyclip.regions.counts import Counts, count
from whyclip.regions.dense import dense_features
from whyclip.regions.features import box_features, mask_features
from whyclip.scenes.captions import phrase
from whyclip.scenes.sprites import load_atlas
from whyclip.studies.experiments.minimise import minimise

TOP = (1, 5)
LEAST_AREA = 8**2
ORIGINAL, GLOBAL = "original", "global"
# Arms by name: the guidance of the local loss, or no local loss.
ARMS: Mapping[str, str] = {
    ORIGINAL: "no fine-tuning",
    GLOBAL: "global loss",
    "uniform": "+ local, uniform maps",
    "random": "+ local, random maps",
    "maskclip": "+ local, MaskCLIP",
    "grad_cam": "+ local, Grad-CAM",
    "decomposition": "+ local, decomposition",
    "contribution": "+ local, contribution",
    "attention_eclip": "+ local, Attention-ECLIP",
    "grad_eclip": "+ local, Grad-ECLIP",
    "true": "+ local, true masks",
}
BATCH = 128
# Number of scenes for fine-tuning and for measuring.
FINETUNED_ON, UNSEEN = 20_000, 600
SETTINGS = Settings(batch_size=BATCH, learning_rate=3e-4, weight_decay=0.1, warmup=20, clip=1.0)


@dataclass(frozen=True)
class Task:
    """One training with its start, share of the data, and arm."""

    start: str
    share: float
    arm: str
    seed: int


@dataclass(frozen=True)
class Measured:
    """Performance of a model on n unseen scenes with C concepts.

    Attributes:
        boxes: classification of regions by their boxes.
        masks: classification of regions by their masks.
        hits: ``[n]`` number of a scene's k objects among the k best concepts.
        objects: ``[n]`` number of objects.
    """

    boxes: Counts
    masks: Counts
    hits: NDArray[np.float64]
    objects: NDArray[np.float64]

    @property
    def recall(self) -> float:
        """Share of objects among the k best concepts of their scene."""
        return float(self.hits.sum() / self.objects.sum())


@dataclass(frozen=True)
class Record:
    """A task with its outcome.

    Attributes:
        task: the training task.
        measured: performance on unseen scenes.
        losses: mean of the last ten steps, by name.
        seconds: duration of training.
    """

    task: Task
    measured: Measured
    losses: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0


def train(
    view: ModelView,
    table: SceneTable,
    settings: Settings,
    rows: Iterator[Tensor],
    steps: int,
    *,
    local: bool,
    guidance: str = "grad_eclip",
    autocast: bool = False,
) -> dict[str, float]:
    """Train a model in place for some steps.

    Args:
        view: the model; it is in evaluation mode afterwards.
        table: scenes on the model's device.
        settings: learning rate, its schedule, weight decay and clipping.
        rows: scenes of each step, by number.
        steps: number of steps.
        local: whether to use the local loss.
        guidance: guidance of the local loss.
        autocast: whether to compute in bfloat16.

    Returns:
        Mean of each loss over the last ten steps.

    Raises:
        WhyclipError: a loss is not finite.
    """
    objective = Objective(view, local=1.0 if local else 0.0, guidance=guidance)
    batches = (table.batch(drawn) for drawn in rows)
    kept = minimise(objective, batches, steps, settings, autocast=autocast)
    means = {name: float(torch.stack([k[name] for k in kept]).mean()) for name in kept[0]}
    if not all(np.isfinite(value) for value in means.values()):
        raise WhyclipError(f"training ended with non-finite losses: {means}")
    return means


def row_batches(count: int, size: int, share: float, seed: int) -> Iterator[Tensor]:
    """Draw the scenes of each step: a fixed share of them, in a new order in each epoch.

    Args:
        count: number of scenes.
        size: scenes of one step.
        share: share of the scenes, 0 to 1, selected by the seed.
        seed: random seed of all draws.

    Raises:
        WhyclipError: the share is smaller than a batch.
    """
    generator = torch.Generator().manual_seed(seed)
    subset = torch.randperm(count, generator=generator)[: round(count * share)]
    if len(subset) < size:
        raise WhyclipError(f"{share:.0%} of {count} scenes are fewer than a batch of {size}")
    while True:
        order = subset[torch.randperm(len(subset), generator=generator)]
        yield from order[: len(order) // size * size].split(size)


def run_task(
    task: Task,
    start: ModelView,
    table: SceneTable,
    unseen: SceneTable,
    *,
    steps: int,
    settings: Settings = SETTINGS,
    autocast: bool = False,
) -> Record:
    """Fine-tune a copy of the start and measure it."""
    view = copy.deepcopy(start)
    if task.arm == ORIGINAL:
        return Record(task, measure(view, unseen))
    rows = row_batches(len(table), settings.batch_size, task.share, task.seed)
    begun = time.perf_counter()
    local = task.arm != GLOBAL
    losses = train(
        view,
        table,
        settings,
        rows,
        steps,
        local=local,
        guidance=task.arm if local else "grad_eclip",
        autocast=autocast,
    )
    return Record(task, measure(view, unseen), losses, time.perf_counter() - begun)


@torch.no_grad()
def measure(view: ModelView, unseen: SceneTable) -> Measured:
    """Classify the regions and the whole images of unseen scenes."""
    names = load_atlas().names[:CONCEPTS]
    prompts = [PHRASE_TEMPLATE.format(phrase(name)) for name in names]
    ids = token_ids(view, prompts).to(view.text.device)
    classes = run_with_gradients(view.text, ids).unit
    tower, n = view.image, len(unseen)
    rows, columns = tower.native_grid
    features, embeddings = [], []
    for part in torch.arange(n, device=unseen.images.device).split(256):
        run = run_with_gradients(tower, unseen.pixels(part))
        features.append(dense_features(tower, run.inputs[-1], rows * columns))
        embeddings.append(run.unit)
    dense = torch.cat(features).transpose(1, 2).unflatten(2, (rows, columns))
    sizes = unseen.boxes[..., 2:] - unseen.boxes[..., :2]
    image, slot = (sizes.prod(-1) >= LEAST_AREA).nonzero(as_tuple=True)
    labels = unseen.concepts[image, slot]
    by_box = box_features(dense, unseen.boxes[image, slot].float() / tower.patch, image)
    by_mask = mask_features(dense, unseen.shares[image, slot].float(), image)

    def counted(pooled: Tensor) -> Counts:
        scores = F.normalize(pooled, dim=-1) @ classes.T
        rank = (scores > scores.gather(1, labels[:, None])).sum(1)
        rows, true, places = (values.cpu().numpy() for values in (image, labels, rank))
        return count(rows, true, places, (n, CONCEPTS), TOP)

    present = unseen.concepts >= 0
    scores = torch.cat(embeddings) @ classes.T
    order = scores.argsort(dim=-1, descending=True).argsort(dim=-1)
    places = order.gather(1, unseen.concepts.clamp_min(0))
    hits = ((places < present.sum(1, keepdim=True)) & present).sum(1)
    return Measured(
        counted(by_box),
        counted(by_mask),
        hits.double().cpu().numpy(),
        present.sum(1).double().cpu().numpy(),
    )


def save_records(records: list[Record], path: Path) -> None:
    """Write records to a NumPy file, without pickle."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for number, record in enumerate(records):
        task, measured = record.task, record.measured
        arrays[f"{number}/task"] = np.array(
            [task.start, str(task.share), task.arm, str(task.seed), str(record.seconds)]
        )
        arrays[f"{number}/losses"] = np.array(
            [f"{name}={value!r}" for name, value in record.losses.items()]
        )
        for name, counts in (("boxes", measured.boxes), ("masks", measured.masks)):
            arrays[f"{number}/{name}/total"] = counts.total.astype(np.uint8)
            for k, correct in counts.correct.items():
                arrays[f"{number}/{name}/{k}"] = correct.astype(np.uint8)
        arrays[f"{number}/hits"] = measured.hits.astype(np.uint8)
        arrays[f"{number}/objects"] = measured.objects.astype(np.uint8)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def load_records(path: Path) -> list[Record]:
    """Read the file of :func:`save_records`."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    records = []
    for number in range(sum(name.endswith("/task") for name in arrays)):
        start, share, arm, seed, seconds = (str(part) for part in arrays[f"{number}/task"])
        pairs = (str(pair).split("=") for pair in arrays[f"{number}/losses"])

        def counts(name: str, number: int = number) -> Counts:
            total = arrays[f"{number}/{name}/total"].astype(float)
            correct = {k: arrays[f"{number}/{name}/{k}"].astype(float) for k in TOP}
            return Counts(total, correct)

        measured = Measured(
            counts("boxes"),
            counts("masks"),
            arrays[f"{number}/hits"].astype(float),
            arrays[f"{number}/objects"].astype(float),
        )
        losses = {name: float(value) for name, value in pairs}
        task = Task(start, float(share), arm, int(seed))
        records.append(Record(task, measured, losses, float(seconds)))
    return records
