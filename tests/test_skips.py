"""The rules of tests/conftest.py and tests/skips.py, and that no test avoids them."""

from __future__ import annotations

import ast
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

import skips
from whyclip.methods import METHODS

TESTS = Path(__file__).parent
ROOT = TESTS.parent


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("most", "passes"), [(1, False), (2, True)])
def test_more_skips_than_known_fail_the_run(
    tmp_path: Path, most: int, passes: bool, workers: int
) -> None:
    file = tmp_path / "test_two.py"
    file.write_text(
        "import pytest\n"
        "def test_one(): pytest.skip('no reason')\n"
        "def test_two(): pytest.importorskip('no_such_package')\n"
        "def test_three(): pass\n"
    )
    limit = [f"--most-skips={most}", f"-n{workers}"]
    plugin = ["-p", "skips", "-p", "no:cacheprovider", "-o", f"pythonpath={TESTS}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", "/dev/null", *plugin, *limit, str(file)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
        check=False,
    )
    assert "1 passed, 2 skipped" in done.stdout, done.stdout + done.stderr
    assert (done.returncode == 0) == passes
    assert ("2 tests were skipped, more than --most-skips=1" in done.stdout) != passes


def test_nothing_is_said_of_few_skips() -> None:
    assert not skips.message(0, 0)
    assert not skips.message(3, 3)
    assert skips.message(4, 3)
    assert not skips.message(4, None)


def test_make_test_counts_the_skips() -> None:
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    [command] = [lines[i + 1] for i, line in enumerate(lines) if line.startswith("test: ")]
    assert "--most-skips=" in command


DRAWN: list[tuple[float, ...]] = []


@pytest.mark.parametrize("time", [1, 2])
def test_global_draws_are_the_same_in_every_run(time: int) -> None:
    DRAWN.append((random.random(), float(np.random.random()), float(torch.rand(()))))
    assert set(DRAWN) == {DRAWN[0]}


def test_hypothesis_has_no_deadline() -> None:
    assert settings().deadline is None
    assert settings().derandomize


def calls(name: str) -> list[str]:
    """Where the tests call a function of pytest."""
    return [
        f"{path.relative_to(TESTS)}:{node.lineno}"
        for path in TESTS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == f"pytest.{name}"
    ]


def test_packages_that_the_tests_need_are_declared_and_imported_plainly() -> None:
    """A missing package must be an error: skipped tests look like passed ones."""
    assert calls("importorskip") == []
    assert [name for name, method in METHODS.items() if not method.available] == []
