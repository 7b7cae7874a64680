"""Runs that are killed at random moments, again and again, until they are through."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

# Loaded once; each run is then a process of its own within milliseconds.
PRELOAD = ["whyclip.studies.evaluation", "whyclip.studies.audit", "training.train", "killed_runs"]


class Tally(NamedTuple):
    """What happened: kills, runs that came through, seconds."""

    kills: int
    through: int
    seconds: float


def start(run: Callable[[Path], None], folder: Path) -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    process = context.Process(target=run, args=(folder,))
    with pytest.MonkeyPatch.context() as patch:
        # Before Python 3.12 the server does not get the path to preload from.
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        process.start()
    return process


def whole(run: Callable[[Path], None], folder: Path) -> float:
    """A run that nobody interrupts; how long it took."""
    began = time.monotonic()
    process = start(run, folder)
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - began


def killed(
    run: Callable[[Path], None],
    folder: Path,
    seconds: float,
    check: Callable[[Path], None],
    kills: int = 50,
) -> Tally:
    """Kill a run with SIGKILL at random moments and start it again in the same folder.

    Each time that it comes through in spite of this, its result is checked and it begins anew.

    Args:
        run: writes into the folder.
        folder: made anew for each round.
        seconds: what an uninterrupted run takes.
        check: compares the folder's result with that of the uninterrupted run.
        kills: how many.
    """
    rng, began, done, through = random.Random(0), time.monotonic(), 0, 0
    while done < kills:
        process = start(run, folder)
        process.join(rng.uniform(0, 0.6 * seconds))
        if process.exitcode is None:
            process.kill()
            process.join()
            done += 1
        if process.exitcode == 0:
            check(folder)
            shutil.rmtree(folder)
            through += 1
        else:
            assert process.exitcode == -9, "it ends by itself only when it is through"
    whole(run, folder)
    check(folder)
    return Tally(done, through + 1, time.monotonic() - began)
