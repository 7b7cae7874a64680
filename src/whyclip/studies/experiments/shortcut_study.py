"""Train models on badged scenes, and fine-tune them with each shortcut loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from whyclip.errors import OptionError
from whyclip.finetuning.batch import Batch
from whyclip.finetuning.loader import WorkerError
from whyclip.finetuning.objective import Objective
from whyclip.finetuning.scene_table import draw_table
from whyclip.finetuning.settings import Settings
from whyclip.finetuning.small_clip import small_clip
from whyclip.models import ModelView
from whyclip.studies.experiments.badges import BadgedScenes, place_badges
from whyclip.studies.experiments.minimise import minimise
from whyclip.studies.experiments.shortcut_measures import Measured, measure

BEFORE = "no fine-tuning"
CONTROL = "global loss"
RELEVANCE = "+ relevance penalty"
REMOVAL = "+ removal loss"
BOTH = "+ both losses"
CLEAN = "global loss, no badges"
ARMS = (BEFORE, CONTROL, RELEVANCE, REMOVAL, BOTH, CLEAN)
SWEPT = (RELEVANCE, REMOVAL, BOTH)

_OBJECTS = (1, 3)


@dataclass(frozen=True)
class Setup:
    """Sizes of the study.

    Attributes:
        train_scenes: number of training scenes.
        test_scenes: number of test scenes, and of validation scenes.
        train_steps: steps from scratch on badged scenes.
        steps: steps of each fine-tuning.
        weights: candidate weights of the shortcut losses.
        seeds: number of models trained from scratch.
        scenes_seed: random seed of the scenes.
        device: device for training.
        batch: fresh images per step.
        marked: number of images with a marked badge.
        marked_per_step: number of marked images added to each step.
        train_rate: highest learning rate from scratch.
        rate: highest learning rate of fine-tuning.
    """

    train_scenes: int
    test_scenes: int
    train_steps: int
    steps: int
    weights: tuple[float, ...]
    seeds: tuple[int, ...]
    scenes_seed: int = 0
    device: str = "cpu"
    batch: int = 128
    marked: int = 200
    marked_per_step: int = 32
    train_rate: float = 1e-3
    rate: float = 2e-4


@dataclass(frozen=True)
class Run:
    """One model with its measures.

    Attributes:
        arm: one of ``ARMS``.
        weight: weight of its shortcut losses; 0 in arms without them.
        seed: random seed of its weights and training.
        without_badge: accuracy without the badge on the validation scenes, 0 to 1.
        others: accuracy for the other concepts on the validation scenes, 0 to 1.
        seconds: duration of training and measuring; the first run includes drawing the scenes.
        test: measures on the test scenes.
    """

    arm: str
    weight: float
    seed: int
    without_badge: float
    others: float
    seconds: float
    test: Measured

    def to_json(self) -> dict[str, Any]:
        """Convert to plain data."""
        return {**vars(self), "test": self.test.as_lists()}

    @staticmethod
    def from_json(kept: dict[str, Any]) -> Run:
        """Read the result of ``to_json``."""
        return Run(**{**kept, "test": Measured.from_lists(kept["test"])})


def draw_scenes(view: ModelView, n: int, split: Any, seed: int) -> BadgedScenes:
    """Draw scenes of 1 to 3 objects with positions for their badges, on the model's device."""
    device = view.image.device
    table = draw_table(view, n, split=split, seed=seed, objects=_OBJECTS, device=device)
    return place_badges(table, view.image.patch, seed)


def run_seed(setup: Setup, seed: int) -> list[Run]:
    """Train one model from scratch, and fine-tune a copy of it in each arm.

    Raises:
        OptionError: there are too few scenes with a badge to train on or to measure.
    """
    begun = perf_counter()
    view = small_clip(seed, setup.device)
    scenes = draw_scenes(view, setup.train_scenes, "train", setup.scenes_seed + seed)
    validation = draw_scenes(view, setup.test_scenes, "val", setup.scenes_seed)
    test = draw_scenes(view, setup.test_scenes, "test", setup.scenes_seed)
    worn = scenes.worn.nonzero()[:, 0]
    if len(worn) < setup.marked_per_step:
        raise OptionError(
            f"{setup.train_scenes} training scenes show {len(worn)} badges; "
            f"at least {setup.marked_per_step} are needed; increase train_scenes"
        )
    for split in (validation, test):
        if not len(split.carriers) or not len(split.others):
            raise OptionError(
                f"limit={setup.test_scenes}: a split has only scenes with or only scenes without a "
                "badge; give 20 or more"
            )
    marked = worn[: setup.marked]
    fresh = scenes.usable.nonzero()[:, 0]

    def batches(salt: int, *, badges: bool = True, marks: bool = False) -> Iterator[Batch]:
        """Mix fresh and marked images; ``salt`` 0 is training from scratch, without marked ones."""
        first = _endless(fresh, setup.batch, 2 * seed + salt)
        more = _endless(marked, setup.marked_per_step if salt else 0, 2 * seed + salt + 10**6)
        for rows, again in zip(first, more, strict=True):
            everything = torch.cat([rows, again])
            shown = scenes.worn[everything] & badges
            is_marked = torch.arange(len(everything), device=rows.device) >= len(rows)
            yield scenes.batch(everything, shown, is_marked & marks)

    def finish(arm: str, weight: float) -> Run:
        nonlocal begun
        chosen_by = measure(view, validation, maps=False)
        tested = measure(view, test)
        now = perf_counter()
        begun, seconds = now, now - begun
        return Run(
            arm, weight, seed, float(chosen_by.without_badge.mean()),
            float(chosen_by.others.mean()), round(seconds, 1), tested,
        )  # fmt: skip

    module = view.module
    assert module is not None
    minimise(
        Objective(view, local=0), batches(0), setup.train_steps,
        Settings(learning_rate=setup.train_rate, warmup=setup.train_steps // 20),
        label=f"training on badges, seed {seed}",
    )  # fmt: skip
    runs = [finish(BEFORE, 0.0)]
    start = {name: value.clone() for name, value in module.state_dict().items()}
    for arm, weight in arms(setup):
        module.load_state_dict(start)
        objective = Objective(
            view,
            local=0,
            removal=weight if arm in (REMOVAL, BOTH) else 0,
            relevance=weight if arm in (RELEVANCE, BOTH) else 0,
        )
        minimise(
            objective, batches(1, badges=arm != CLEAN, marks=arm in SWEPT), setup.steps,
            Settings(learning_rate=setup.rate, warmup=min(20, setup.steps // 4)),
            label=f"{arm} {weight:g}, seed {seed}",
        )  # fmt: skip
        runs.append(finish(arm, weight))
    return runs


def arms(setup: Setup) -> list[tuple[str, float]]:
    """List the fine-tuning runs with the arm and the weight of the shortcut losses."""
    swept = [(arm, weight) for arm in SWEPT for weight in setup.weights]
    return [(CONTROL, 0.0), *swept, (CLEAN, 0.0)]


def run_study(setup: Setup, processes: int = 1) -> list[Run]:
    """Run all seeds, each in a separate process if ``processes`` is above 1.

    Raises:
        WorkerError: a process died.
    """
    work = partial(run_seed, setup)
    if processes == 1 or len(setup.seeds) == 1:
        return [run for seed in setup.seeds for run in work(seed)]
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    # Spawn, because a forked process cannot use a GPU that its parent has used.
    try:
        with ProcessPoolExecutor(min(processes, len(setup.seeds)), get_context("spawn")) as pool:
            return [run for runs in pool.map(work, setup.seeds) for run in runs]
    except BrokenProcessPool:
        raise WorkerError(
            f"one of {processes} processes died, possibly out of memory; use fewer processes"
        ) from None


def _endless(rows: Tensor, size: int, seed: int) -> Iterator[Tensor]:
    """Draw batches of ``size`` from rows endlessly, in a new order in each epoch."""
    generator = torch.Generator().manual_seed(seed)
    left = rows[:0]
    while True:
        while len(left) < size:
            order = torch.randperm(len(rows), generator=generator).to(rows.device)
            left = torch.cat([left, rows[order]])
        yield left[:size]
        left = left[size:]
