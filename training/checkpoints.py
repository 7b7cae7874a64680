"""Checkpoints of a training run, for exact resumption after an interruption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from whyclip.errors import OutputError

CHECKPOINT, LOG = "checkpoint.pt", "log.jsonl"


def save(out: Path, rank: int, workers: int, step: int, momentum: Any, state: Any) -> None:
    """Write each worker's momentum, and then the checkpoint.

    The previous momentum is removed only after the next checkpoint is complete, so there is always
    a complete pair.

    Args:
        out: the folder.
        rank: number of this worker.
        workers: number of all workers.
        step: number of steps done.
        momentum: momentum of this worker's optimisers.
        state: weights, shared by all workers; written by the first worker.
    """
    own = _momentum(out, rank, step)
    _write(own, momentum)
    if workers > 1:
        dist.barrier()
    if rank == 0:
        _write(out / CHECKPOINT, {**state, "step": step})
    if workers > 1:
        dist.barrier()
    for old in out.glob(f"momentum-{rank}-*"):
        if old != own:
            old.unlink()


def load(out: Path, rank: int, device: torch.device) -> tuple[dict[str, Any], Any] | None:
    """Read the last checkpoint with this worker's momentum; None if there is no checkpoint.

    Raises:
        OutputError: the momentum is missing, so training cannot resume exactly.
    """
    if not (out / CHECKPOINT).exists():
        return None
    state = torch.load(out / CHECKPOINT, weights_only=True, map_location=device)
    own = _momentum(out, rank, state["step"])
    if not own.exists():
        raise OutputError(f"{str(out)!r} has a checkpoint but no {own.name}; give another --out")
    return state, torch.load(own, weights_only=True, map_location=device)


def trim_log(out: Path, step: int) -> None:
    """Remove an incomplete line and the lines after the checkpoint, which will be repeated."""
    log = out / LOG
    if not log.exists():
        return
    content = log.read_text(encoding="utf-8")
    lines = content[: content.rfind("\n") + 1].splitlines(keepends=True)
    kept = "".join(line for line in lines if json.loads(line).get("step", 0) <= step)
    if kept != content:
        temporary = log.with_suffix(".part")
        temporary.write_text(kept, encoding="utf-8")
        temporary.replace(log)


def log_line(out: Path, line: dict[str, Any]) -> None:
    """Append a line to the log."""
    with (out / LOG).open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")


def log_plan(out: Path, plan: dict[str, Any], step: int) -> None:
    """Trim the log to the checkpoint, and add the plan if it changed."""
    trim_log(out, step)
    log = out / LOG
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    plans = [line for line in lines if "plan" in json.loads(line)]
    if plans[-1:] != [json.dumps(plan)]:
        log_line(out, plan)


def step_of(out: Path) -> int:
    """The step of the last checkpoint; 0 if there is none."""
    checkpoint = out / CHECKPOINT
    if not checkpoint.exists():
        return 0
    return int(torch.load(checkpoint, weights_only=True, mmap=True)["step"])


def _momentum(out: Path, rank: int, step: int) -> Path:
    return out / f"momentum-{rank}-{step}.pt"


def _write(path: Path, state: Any) -> None:
    temporary = path.with_suffix(".part")
    torch.save(state, temporary)
    temporary.replace(path)
