"""Fine-tune a model on captioned images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

from torch import nn

from whyclip.ambient import in_plain_state
from whyclip.errors import OptionError, OutputError, check_choice, quoted, warn
from whyclip.files import check_folder, make_folder, path_of, write_atomic
from whyclip.finetuning.batch import Batch, Example, make_batch
from whyclip.finetuning.captions import CaptionData
from whyclip.finetuning.checkpoint import checkpoints, load_state, step_of
from whyclip.finetuning.faults import Fault
from whyclip.finetuning.interrupt import stoppable
from whyclip.finetuning.loader import Loader
from whyclip.finetuning.machine import check_installed, machine
from whyclip.finetuning.objective import Objective
from whyclip.finetuning.openclip_config import Config
from whyclip.finetuning.parameters import module_of, prepared
from whyclip.finetuning.phrases import phrase_extractor
from whyclip.finetuning.randomness import own_generators
from whyclip.finetuning.run import Run
from whyclip.finetuning.save import MODEL, save_model, saver
from whyclip.finetuning.settings import Settings, changed
from whyclip.models import ModelView
from whyclip.types import Resume

RUN = "run.json"


@dataclass(frozen=True)
class Finetuned:
    """Result of a fine-tuning run.

    Attributes:
        folder: the model, which :func:`whyclip.load` and the model's own library open.
        steps: total number of optimiser steps.
        losses: mean losses of the last step, by name.
        skipped: number of examples that were skipped, such as broken images.
        seconds: time spent in training, over all runs.
        resumed: step at which this run resumed; 0 for a new run.
        faults: why examples were skipped, the most frequent reason first.
    """

    folder: Path
    steps: int
    losses: dict[str, float]
    skipped: int
    seconds: float
    resumed: int = 0
    faults: tuple[Fault, ...] = ()


@in_plain_state
def finetune(
    view: ModelView,
    data: CaptionData,
    out: str | Path,
    settings: Settings | None = None,
    *,
    resume: Resume = "auto",
    progress: bool = True,
    config: Config | None = None,
) -> Finetuned:
    """Train a model on captioned images, so that phrases match their regions.

    The weights of the view's module are changed in place. Afterwards they equal those of the saved
    model; after an error, those of the last step. The module keeps its mode (train or eval) and the
    ``requires_grad`` of its parameters.

    Args:
        view: the model, with float32 weights.
        data: captioned images, as from :func:`whyclip.finetuning.captions.open_captions`.
        out: folder of the run. It gets ``model/`` (the result), ``checkpoints/`` (the last two),
            ``metrics.csv``, ``tensorboard/`` and ``run.json``.
        settings: of the run.
        resume: ``"auto"`` resumes from the last checkpoint in ``out`` if there is one;
            ``"never"`` raises an error then.
        progress: show a progress bar on a terminal.
        config: configuration of an OpenCLIP model that was wrapped in memory: the name of its
            architecture, its ``model_cfg``, or a folder with ``open_clip_config.json``.

    Raises:
        OptionError: a setting does not fit the model, the data or the checkpoint.
        UnsupportedModelError: the model cannot be trained or saved.
        InputError: a loss is not finite, or the data has no full batch.
        OutputError: a folder or file cannot be used.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint was written.
    """
    check_installed()
    settings = settings if settings is not None else Settings()
    module = module_of(view)
    check_marked(data, settings)
    total = settings.total(data.length)
    identity = {
        **settings.as_json(),
        "total_steps": total,
        "data": data.name,
        "selection": data.selection,
        "examples": data.length,
        "model": view.name,
        "architecture": _architecture(module),
    }
    folder = path_of(out)
    last = last_checkpoint(folder, identity, resume)
    with ExitStack() as stack:
        accelerator = stack.enter_context(machine(settings, view.image.device, folder))
        rank, world = accelerator.process_index, accelerator.num_processes
        stack.enter_context(own_generators(settings.seed + rank))
        save = saver(view, config)
        objective = objective_of(view, settings)
        loader: Loader[Batch] = Loader(
            data,
            settings.batch_size // world,
            seed=settings.seed,
            prepare=preparing(view, settings),
            rank=rank,
            world=world,
            workers=settings.workers,
        )
        with prepared(view, settings), stoppable() as stop:
            if accelerator.is_main_process:
                _make(folder, identity)
            accelerator.wait_for_everyone()
            run = Run(accelerator, view, objective, settings, identity, folder, total, loader, stop)
            if last is not None:
                _note_processes(last, world)
                run.resume(last)
            resumed = run.step
            faults: tuple[Fault, ...] = ()
            if run.step < total:
                run.train(progress)
                faults = run.faults()
            if run.average is not None:
                run.average.apply()
        # After the run, when adapters are merged.
        if accelerator.is_main_process:
            save_model(save, folder / MODEL)
        accelerator.wait_for_everyone()
    return Finetuned(
        folder / MODEL, run.step, run.losses, run.skipped, run.seconds, resumed, faults
    )


def check_marked(data: CaptionData, settings: Settings) -> None:
    """Check that a shortcut loss has masks.

    Raises:
        OptionError: it has none.
    """
    for name in ("removal", "relevance"):
        if getattr(settings, name) and not data.may_be_marked:
            raise OptionError(
                f"{name}={getattr(settings, name):g} needs masks, and {data.name} has none; name "
                "them in a column 'mask', or in another one given as mask (--mask-column)"
            )


def objective_of(view: ModelView, settings: Settings) -> Objective:
    """Build the losses of a run.

    Raises:
        OptionError: an unknown guidance.
        UnsupportedModelError: the model's encoders do not support a loss.
    """
    return Objective(
        view,
        local=settings.local,
        guidance=settings.guidance,
        weigh=settings.weigh,
        removal=settings.removal,
        relevance=settings.relevance,
        checkpoint_blocks=settings.checkpoint_blocks,
    )


def preparing(view: ModelView, settings: Settings) -> Callable[[list[Example]], Batch]:
    """Build the function from examples to a batch, which also runs in worker processes.

    Raises:
        OptionError: an unknown extractor, or spaCy without its model.
    """
    return partial(
        make_batch,
        view,
        extract=phrase_extractor(settings.extractor, settings.phrases),
        template=settings.template,
        limit=settings.phrases,
    )


def last_checkpoint(out: Path, identity: dict[str, Any], resume: Resume) -> Path | None:
    """Find the checkpoint that a run resumes from.

    Raises:
        OptionError: the earlier run had other settings, or an unknown ``resume``.
        OutputError: the folder holds other files, or a run that must not be resumed.
    """
    name = quoted(str(out))
    check_choice("resume", resume, get_args(Resume))
    check_folder(out, "out")
    saved = checkpoints(out)
    if out.is_dir() and not (out / RUN).is_file() and any(out.iterdir()):
        raise OutputError(f"folder {name} is not empty and holds no run; name another folder")
    if not saved:
        return None
    if resume == "never":
        raise OutputError(
            f"folder {name} holds a run at step {step_of(saved[-1])}; name another folder, or "
            "resume it"
        )
    differing = changed(load_state(saved[-1])["identity"], identity)
    if differing:
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise OptionError(
            f"the run in {name} had other settings: {', '.join(differing[:3])}{more}; give the "
            "same ones to resume it, or another folder"
        )
    return saved[-1]


def _make(folder: Path, identity: dict[str, Any]) -> None:
    make_folder(folder)
    write_atomic(folder / RUN, (json.dumps(identity, indent=2) + "\n").encode)


def _note_processes(last: Path, world: int) -> None:
    before = load_state(last)["processes"]
    if before != world:
        warn(
            f"this run has {world} processes and the one it resumes had {before}: the results are "
            "equal within rounding, not digit for digit"
        )


def _architecture(module: nn.Module) -> str:
    """Hash the names and shapes of all weights."""
    shapes = [f"{name} {tuple(tensor.shape)}" for name, tensor in module.state_dict().items()]
    return hashlib.blake2b("\n".join(shapes).encode(), digest_size=8).hexdigest()
