"""Killed fifty times at random moments, a run gives what it gives when nobody interrupts it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import killed_runs
from killing import killed, whole

# What says when and how long, and not what was found.
CLOCK = {"seconds", "date"}


def lines(file: Path, but: set[str] = CLOCK) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in row.items() if key not in but} for row in rows]


def evaluation(folder: Path) -> dict[str, Any]:
    return {
        "rows": (folder / "rows.txt").read_bytes(),
        "samples": lines(folder / "samples.jsonl"),
        "plan": (folder / "plan.json").read_bytes(),
        "classes": (folder / "classes.safetensors").read_bytes(),
    }


def auditing(folder: Path) -> dict[str, Any]:
    record = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    measured = sorted(folder.glob("measured-*.jsonl"))
    assert len(measured) == 1
    return {
        "audit": {key: value for key, value in record.items() if key not in CLOCK},
        "measured": measured[0].read_bytes(),
    }


def training(folder: Path) -> dict[str, Any]:
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    assert state["step"] == sum(killed_runs.PICTURES) // killed_runs.BATCH
    return {
        "log": lines(folder / "log.jsonl"),
        "average": {name: w.numpy().tobytes() for name, w in state["average"].items()},
        "towers": {name: w.numpy().tobytes() for name, w in state["towers"].items()},
        "momentum": [path.name for path in folder.glob("momentum-*")],
        "weights": {p.relative_to(folder): p.read_bytes() for p in folder.glob("weights*/*")},
    }


@pytest.mark.slow
@pytest.mark.parametrize("result", [evaluation, auditing, training])
def test_killed_fifty_times_it_gives_the_same(
    result: Callable[[Path], dict[str, Any]], tmp_path: Path
) -> None:
    run = getattr(killed_runs, result.__name__)
    whole(run, tmp_path / "warm")
    seconds = whole(run, tmp_path / "whole")
    expected = result(tmp_path / "whole")
    assert result(tmp_path / "warm") == expected, "it is the same each time"

    def check(folder: Path) -> None:
        content = result(folder)
        assert content.keys() == expected.keys()
        for what, value in expected.items():
            assert content[what] == value, what

    tally = killed(run, tmp_path / "killed", seconds, check)
    print(f"{result.__name__}: {tally}, uninterrupted {seconds:.1f} s")
    assert tally.kills == 50
