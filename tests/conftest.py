"""What holds for all tests: draws that can be repeated, no clock in hypothesis, skips counted."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

# The models of the tests are small: several threads only wait for each other. Set before torch is
# imported, and inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from hypothesis import settings

from skips import pytest_addoption, pytest_sessionfinish, pytest_terminal_summary

__all__ = ["pytest_addoption", "pytest_sessionfinish", "pytest_terminal_summary"]

SEED = 20

# On a busy machine a deadline says more about the other processes than about the code.
settings.register_profile("whyclip", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("whyclip")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Shorten the name of a worker's temporary folder: errors cut long paths, which tests read."""
    if hasattr(config, "workerinput"):
        folder = Path(config.option.basetemp)
        config.option.basetemp = str(folder.with_name(folder.name.removeprefix("popen-gw")))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Seed the global generators before any fixture, so that a failure comes back when rerun."""
    random.seed(SEED)
    np.random.seed(SEED)
    torch.manual_seed(SEED)


@pytest.fixture(autouse=True)
def matplotlib_settings_stay() -> Iterator[None]:
    """Fail the test that leaves matplotlib's settings changed: they belong to the user."""
    yield
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib is None:
        return
    # Not by [], which would choose a backend.
    settings = {name: dict.__getitem__(matplotlib.rcParams, name) for name in matplotlib.rcParams}
    changed = {
        name: value
        for name, value in settings.items()
        if name != "backend" and value != dict.__getitem__(matplotlib.rcParamsDefault, name)
    }
    matplotlib.rcParams.update({name: matplotlib.rcParamsDefault[name] for name in changed})
    assert not changed
