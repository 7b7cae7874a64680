"""The loop over optimiser steps of one run."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import nn

from whyclip.errors import InputError, warn
from whyclip.finetuning.batch import Batch
from whyclip.finetuning.checkpoint import (
    Checkpoint,
    checkpoints,
    load_checkpoint,
    save_checkpoint,
    step_of,
)
from whyclip.finetuning.ema import Average
from whyclip.finetuning.faults import Fault, Seen, joined
from whyclip.finetuning.interrupt import Interrupted, Stop
from whyclip.finetuning.loader import Loader, stopped
from whyclip.finetuning.logs import BOARD, FILE, PARTS, Log, bar
from whyclip.finetuning.parameters import parameter_groups
from whyclip.finetuning.randomness import generator_states, set_generator_states
from whyclip.finetuning.settings import Settings
from whyclip.models import ModelView
from whyclip.workers import deaths_as

if TYPE_CHECKING:
    from accelerate import Accelerator

# After this many consecutive steps without a usable gradient, an fp16 run fails.
_MOST_OVERFLOWS = 50


@dataclass
class Run:
    """State of a run during training.

    Attributes:
        accelerator: devices and processes.
        view: the model.
        objective: its losses.
        settings: of the run.
        identity: plain data that must not change between runs.
        out: folder of the run.
        total: number of optimiser steps.
        loader: batches of this process.
        stop: request to stop, set by a signal.
        step: number of steps done.
        seconds: time spent in training, over all runs.
        losses: mean losses of the last step.
        skipped: number of examples skipped so far, by all processes.
        seen: faults and marked images that this process found in the data.
    """

    accelerator: Accelerator
    view: ModelView
    objective: nn.Module
    settings: Settings
    identity: Mapping[str, Any]
    out: Path
    total: int
    loader: Loader[Batch]
    stop: Stop
    step: int = 0
    seconds: float = 0.0
    losses: dict[str, float] = field(default_factory=dict)
    skipped: int = 0
    seen: Seen = field(default_factory=Seen)
    average: Average | None = None

    def __post_init__(self) -> None:
        """Build optimiser and average."""
        settings = self.settings
        optimiser = torch.optim.AdamW(
            parameter_groups(self.objective, settings.weight_decay),
            lr=settings.learning_rate,
            betas=settings.betas,
        )
        if settings.ema:
            trained = [(n, p) for n, p in self.module.named_parameters() if p.requires_grad]
            self.average = Average(trained, settings.ema)
        self.trained, self.optimiser = self.accelerator.prepare(self.objective, optimiser)
        if self.average is not None:
            self.average.to(self.accelerator.device)

    @property
    def module(self) -> nn.Module:
        """The user's module."""
        assert self.view.module is not None
        return self.view.module

    def resume(self, path: Path) -> None:
        """Restore the state of a checkpoint.

        Raises:
            OutputError: the checkpoint cannot be read.
        """
        saved = load_checkpoint(path)
        self.module.load_state_dict(dict(saved.weights))
        self.optimiser.load_state_dict(saved.optimiser["optimiser"])
        if self.average is not None:
            self.average.load(saved.average)
        scaler = self.accelerator.scaler
        if scaler is not None and saved.optimiser["scaler"]:
            scaler.load_state_dict(saved.optimiser["scaler"])
        generators, rank = saved.optimiser["generators"], self.accelerator.process_index
        # New processes have no state to restore.
        if rank < len(generators):
            set_generator_states(generators[rank])
            self.seen.faults = dict(saved.state["faults"][rank])
        self.loader.start_at(saved.step * self.settings.accumulate)
        self.step, self.seconds = saved.step, float(saved.state["seconds"])
        self.losses = dict(saved.state["losses"])
        self.skipped = int(saved.state["skipped"])

    def save(self) -> None:
        """Write a checkpoint from the main process.

        Raises:
            OutputError: it cannot be written.
        """
        from accelerate.utils import gather_object

        generators = gather_object([generator_states()])
        faults = gather_object([self.seen.faults])
        scaler = self.accelerator.scaler
        if self.accelerator.is_main_process:
            save_checkpoint(
                self.out,
                Checkpoint(
                    step=self.step,
                    weights=self.module.state_dict(),
                    average=self.average.shadow if self.average is not None else {},
                    optimiser={
                        "optimiser": self.optimiser.state_dict(),
                        "scaler": scaler.state_dict() if scaler is not None else {},
                        "generators": generators,
                    },
                    state={
                        "identity": dict(self.identity),
                        "processes": self.accelerator.num_processes,
                        "faults": faults,
                        "seconds": self.seconds,
                        "losses": self.losses,
                        "skipped": self.skipped,
                    },
                ),
            )
        self.accelerator.wait_for_everyone()

    def train(self, progress: bool) -> None:
        """Train to the last step.

        Raises:
            WorkerError: a data worker died.
            InputError: a loss or gradient is not finite.
            OutputError: a log or checkpoint cannot be written.
            Interrupted: a signal; a checkpoint was written.
        """
        # The signal of a dead worker can raise this error anywhere, not only while reading data.
        with deaths_as(stopped):
            self._train(progress)

    def faults(self) -> tuple[Fault, ...]:
        """Count the examples that all processes skipped; warn if a shortcut loss found no mask."""
        from accelerate.utils import gather_object

        everywhere: list[Seen] = gather_object([self.seen])
        settings = self.settings
        if (settings.removal or settings.relevance) and not any(s.marked for s in everywhere):
            warn(
                "no training image had a usable mask, so the shortcut loss was 0; "
                "check the column of masks"
            )
        return joined(everywhere)

    def _train(self, progress: bool) -> None:
        main = self.accelerator.is_main_process
        log = Log(self.out / FILE, self.step) if main else None
        self.accelerator.init_trackers(
            BOARD, init_kwargs={"tensorboard": {"purge_step": self.step + 1}}
        )
        saved, overflows, before = self.step, 0, time.monotonic()
        batches = iter(self.loader)
        logged, since = self.step, before
        with bar(self.total, self.step, progress and main) as shown:
            while self.step < self.total:
                rate = self.settings.rate(self.step, self.total)
                norm, stop = self._one_step(batches, rate)
                self.step += 1
                if self.average is not None:
                    self.average.update(self.step)
                overflows = overflows + 1 if self.optimiser.step_was_skipped else 0
                if overflows > _MOST_OVERFLOWS:
                    self._fail("gradient", "too large for fp16")
                now = time.monotonic()
                self.seconds, before = self.seconds + now - before, now
                last = stop or self.step == self.total
                if last or self.step % self.settings.log_every == 0:
                    each = self.settings.batch_size * self.settings.accumulate
                    speed = (self.step - logged) * each / max(now - since, 1e-9)
                    logged, since = self.step, now
                    self._log(log, rate, norm, speed)
                    shown.step(self.step, self.losses["loss"], speed)
                if last or self.step % self.settings.checkpoint_every == 0:
                    self.save()
                    saved = self.step
                if stop and self.step < self.total:
                    raise Interrupted(
                        saved, f"stopped after step {saved} of {self.total}; checkpoint written"
                    )

    def _one_step(self, batches: Iterator[Batch], rate: float) -> tuple[float, bool]:
        """Run one optimiser step and return the gradient's norm and whether to stop."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        accelerator, settings = self.accelerator, self.settings
        sums: dict[str, float] = {}
        norm, stop = 0.0, False
        for _ in range(settings.accumulate):
            batch = next(batches).to(accelerator.device)
            self.seen.note(self.loader.skipped_examples)
            self.seen.marked += int(batch.hidden.any(1).sum()) if batch.hidden is not None else 0
            with accelerator.accumulate(self.trained):
                parts = self.trained(batch)
                names = [name for name in PARTS if name in parts]
                # The flag is shared, so that every process makes the same decision.
                state = parts["loss"].new_tensor([len(self.seen.faults), self.stop.wanted]).float()
                losses = torch.stack([parts[name].detach().float() for name in names])
                here = torch.cat([losses, state])
                *values, skipped, wanted = accelerator.reduce(here, "mean").tolist()
                for name, value in zip(names, values, strict=True):
                    if not math.isfinite(value):
                        self._fail(f"{name} loss" if name != "loss" else "loss", value)
                    sums[name] = sums.get(name, 0.0) + value / settings.accumulate
                self.skipped = round(skipped * accelerator.num_processes)
                stop = wanted > 0
                accelerator.backward(parts["loss"])
                if accelerator.sync_gradients:
                    norm = self._clip()
                self.optimiser.step()
                self.optimiser.zero_grad()
        self.losses = sums
        return norm, stop

    def _clip(self) -> float:
        limit = self.settings.clip or math.inf
        norm = float(self.accelerator.clip_grad_norm_(self.trained.parameters(), limit))
        # In fp16 the loss scaler skips such a step and lowers its scale.
        if not math.isfinite(norm) and self.settings.precision != "fp16":
            self._fail("norm of the gradient", norm)
        return norm

    def _fail(self, what: str, value: object) -> NoReturn:
        kept = checkpoints(self.out)
        last = f"checkpoint of step {step_of(kept[-1])} is kept" if kept else "no checkpoint yet"
        advice = "" if self.settings.precision == "fp32" else " or use precision fp32"
        raise InputError(
            f"step {self.step + 1}: the {what} is {value}; lower learning_rate (now "
            f"{self.settings.learning_rate:g}){advice} and start again in another folder ({last})"
        )

    def _log(self, log: Log | None, rate: float, norm: float, speed: float) -> None:
        row = {
            **self.losses,
            "learning_rate": rate,
            "gradient_norm": norm,
            "examples_per_second": round(speed, 2),
            "skipped": self.skipped,
        }
        if log is not None:
            log.write({"step": self.step, **row})
        self.accelerator.log(row, step=self.step)
