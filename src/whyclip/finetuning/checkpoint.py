"""Checkpoints of a run: the last two, each folder written atomically."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from whyclip.errors import OutputError, quoted, reason
from whyclip.workers import death_behind

FOLDER = "checkpoints"
KEPT = 2
_STEP = "step-"
_PARTIAL = ".writing-"
_WEIGHTS, _AVERAGE = "model.safetensors", "ema.safetensors"
_OPTIMISER, _STATE = "optimizer.pt", "state.json"
_ENTRIES: Mapping[str, type | tuple[type, ...]] = {
    "step": int,
    "identity": dict,
    "processes": int,
    "faults": list,
    "seconds": (int, float),
    "losses": dict,
    "skipped": int,
}


@dataclass(frozen=True)
class Checkpoint:
    """State of a run after a step.

    Attributes:
        step: number of optimiser steps done.
        weights: state dict of the module.
        average: moving average of the trained weights; empty if there is none.
        optimiser: states of the optimiser, the loss scaler and the random generators.
        state: plain data: settings, fingerprint of the model, counts.
    """

    step: int
    weights: Mapping[str, Tensor]
    average: Mapping[str, Tensor]
    optimiser: Mapping[str, Any]
    state: Mapping[str, Any]


def checkpoints(out: Path) -> list[Path]:
    """List the complete checkpoints of a run, oldest first."""
    folders = (out / FOLDER).glob(f"{_STEP}*")
    named = (p for p in folders if p.name.removeprefix(_STEP).isdecimal())
    return sorted((p for p in named if (p / _STATE).is_file()), key=step_of)


def step_of(path: Path) -> int:
    """Read the step from a checkpoint's name."""
    return int(path.name.removeprefix(_STEP))


def save_checkpoint(out: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint, and then remove all but the last two.

    Raises:
        OutputError: it cannot be written, for example because the disk is full. Earlier
            checkpoints are untouched.
    """
    folder = out / FOLDER
    target = folder / f"{_STEP}{checkpoint.step:06d}"
    beside = folder / f"{_PARTIAL}{target.name}"
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        _write(beside, checkpoint)
        if target.exists():
            shutil.rmtree(target)
        beside.replace(target)
        _sync(folder)
    # torch reports a failed write as a RuntimeError.
    except (OSError, RuntimeError, SafetensorError) as error:
        shutil.rmtree(beside, ignore_errors=True)
        # torch can raise this error anywhere in the main process.
        if death := death_behind(error):
            raise death from None
        kept = checkpoints(out)
        last = f"step {step_of(kept[-1])} is kept" if kept else "there is no earlier one"
        why = getattr(error, "strerror", None) or reason(error)
        raise OutputError(
            f"cannot write the checkpoint of step {checkpoint.step} to {quoted(str(folder))}: "
            f"{why:.100}; free some space and run the same command again ({last})"
        ) from error
    for old in checkpoints(out)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def _write(folder: Path, checkpoint: Checkpoint) -> None:
    save_file(plain(checkpoint.weights), folder / _WEIGHTS)
    if checkpoint.average:
        save_file(plain(checkpoint.average), folder / _AVERAGE)
    with (folder / _OPTIMISER).open("wb") as file:
        torch.save(dict(checkpoint.optimiser), file)
    text = json.dumps({"step": checkpoint.step, **checkpoint.state}, indent=2)
    (folder / _STATE).write_text(text + "\n", encoding="utf-8")
    for path in folder.iterdir():
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    """Wait until a file or a folder's list of files is on the disk."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        return  # Windows opens no folders
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def plain(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors to the CPU, each with its own memory, as safetensors requires."""
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in weights.items()
    }


def load_state(path: Path) -> dict[str, Any]:
    """Read a checkpoint's plain data.

    Raises:
        OutputError: it cannot be read, or lacks an entry.
    """
    try:
        state = json.loads((path / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, error) from error
    for name, kind in _ENTRIES.items():
        if not isinstance(state, dict) or not isinstance(state.get(name), kind):
            raise _unreadable(path, ValueError(f"{_STATE} has no valid {name}"))
    return dict(state)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint. Nothing is unpickled.

    Raises:
        OutputError: one of its files is missing or damaged.
    """
    state = load_state(path)
    try:
        average = path / _AVERAGE
        return Checkpoint(
            step=int(state["step"]),
            weights=load_file(path / _WEIGHTS),
            average=load_file(average) if average.is_file() else {},
            optimiser=torch.load(path / _OPTIMISER, weights_only=True, map_location="cpu"),
            state=state,
        )
    # Damaged bytes can fail in any of these readers.
    except Exception as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> OutputError:
    why = getattr(error, "strerror", None) or reason(error)
    return OutputError(
        f"checkpoint {path.name} in {quoted(str(path.parent))} cannot be read ({why:.60}); remove "
        "this folder to resume from the checkpoint before it"
    )
