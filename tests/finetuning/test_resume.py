"""A run that is interrupted and resumed equals one that was not, digit for digit."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import small_runs
from small_runs import Noise
from whyclip.errors import OptionError, OutputError
from whyclip.finetuning.checkpoint import checkpoints, load_checkpoint, step_of
from whyclip.finetuning.logs import cut_back, read_log
from whyclip.finetuning.train import finetune

EVERYTHING: dict[str, Any] = {"ema": 0.9, "accumulate": 2, "checkpoint_every": 3}
TESTS = Path(__file__).parent.parent


def curve(out: Path) -> list[list[str]]:
    """All columns but the speed, as text."""
    with (out / "metrics.csv").open(newline="") as file:
        return [
            [value for name, value in row.items() if name != "examples_per_second"]
            for row in csv.DictReader(file)
        ]


def same_result(one: Path, other: Path) -> None:
    assert curve(one) == curve(other)
    name = "model/open_clip_model.safetensors"
    ours, theirs = load_file(one / name), load_file(other / name)
    assert ours.keys() == theirs.keys()
    assert all(ours[key].equal(theirs[key]) for key in ours)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    assert small_runs.run(out, **EVERYTHING).resumed == 0
    return out


def test_after_a_crash_the_curve_continues_digit_for_digit(tmp_path: Path, whole: Path) -> None:
    # In step 6 of 8, in the second epoch; the last checkpoint is that of step 3.
    with pytest.raises(RuntimeError, match="lost its power"):
        small_runs.run(tmp_path, Noise(fail=42), **EVERYTHING)
    assert len(curve(tmp_path)) == 5
    assert [step_of(path) for path in checkpoints(tmp_path)] == [3]
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("6,0.1")  # a row that the crash cut off
    done = small_runs.run(tmp_path, **EVERYTHING)
    assert (done.resumed, done.steps) == (3, 8)
    same_result(tmp_path, whole)
    again = small_runs.run(tmp_path, **EVERYTHING)
    assert (again.resumed, again.losses) == (8, done.losses)
    same_result(tmp_path, whole)


def test_dropout_continues_too(tmp_path: Path) -> None:
    dropping = {
        **small_runs.CONFIG,
        "vision_cfg": {**small_runs.CONFIG["vision_cfg"], "patch_dropout": 0.5},
    }

    def run(out: Path, data: Noise) -> Any:
        view = small_runs.openclip_tiny(patch_dropout=0.5)
        chosen = small_runs.settings(local=0, checkpoint_every=3)
        return finetune(view, data, out, chosen, progress=False, config=dropping)

    run(tmp_path / "whole", Noise())
    with pytest.raises(RuntimeError, match="lost its power"):
        run(tmp_path / "cut", Noise(fail=18))
    assert run(tmp_path / "cut", Noise()).resumed == 3
    same_result(tmp_path / "cut", tmp_path / "whole")


def test_other_settings_are_refused_by_name(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(OptionError) as error:
        small_runs.run(whole, **{**EVERYTHING, "seed": 3, "learning_rate": 0.5})
    assert "learning_rate (was 0.001, now 0.5)" in str(error.value)
    assert "seed (was 0, now 3)" in str(error.value)
    assert "ema" not in str(error.value)
    small_runs.run(whole, **{**EVERYTHING, "log_every": 5})
    data = Noise()
    data.name = "other"
    with pytest.raises(OptionError, match=r"data \(was 'noise', now 'other'\)"):
        small_runs.run(whole, data, **EVERYTHING)
    with pytest.raises(OutputError, match="holds a run at step 8"):
        finetune(
            small_runs.openclip_tiny(), Noise(), whole, small_runs.settings(**EVERYTHING),
            resume="never", config=small_runs.CONFIG,
        )  # fmt: skip


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    small_runs.run(tmp_path, steps=4, checkpoint_every=1, batch_size=2)
    first, last = checkpoints(tmp_path)
    assert [step_of(first), step_of(last)] == [3, 4]
    file = last / "optimizer.pt"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(OutputError, match=r"step-000004.* cannot be read.*remove this folder"):
        load_checkpoint(last)
    for part in last.iterdir():
        part.unlink()
    last.rmdir()
    again = small_runs.run(tmp_path, steps=4, checkpoint_every=1, batch_size=2)
    assert again.resumed == 3


@pytest.mark.parametrize(
    "content", [b"[]", b"{}", b'{"step": 2, "identity": 3}', b"\xff", b"9" * 9999]
)
def test_a_damaged_state_is_named(tmp_path: Path, content: bytes) -> None:
    small_runs.run(tmp_path, steps=2, batch_size=2)
    (tmp_path / "checkpoints" / "step-old").mkdir()
    (tmp_path / "checkpoints" / "step-old" / "state.json").write_text("{}")
    (last,) = checkpoints(tmp_path)
    (last / "state.json").write_bytes(content)
    with pytest.raises(OutputError, match=r"step-000002.* cannot be read.*remove this folder"):
        small_runs.run(tmp_path, steps=2, batch_size=2)


def test_a_damaged_row_of_the_log_is_dropped(tmp_path: Path) -> None:
    log = tmp_path / "metrics.csv"
    log.write_bytes(b"step,loss\n1,0.5\n\0\0\xff,\nab,1\n2,0.25\n3,0.1\n4,0.")
    cut_back(log, 2)
    assert log.read_text() == "step,loss\n1,0.5\n2,0.25\n"


SCRIPT = """
import os, sys
from pathlib import Path
import small_runs
small_runs.run(Path(sys.argv[1]), steps=40, checkpoint_every=5, ema=.9)
"""


def start(out: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(out)], env=environment)


@pytest.mark.slow
def test_after_sigkill_the_curve_continues_digit_for_digit(tmp_path: Path) -> None:
    assert start(tmp_path / "whole").wait(120) == 0
    kills = 0
    for step in (7, 12, 33):
        process = start(tmp_path / "cut")
        log = tmp_path / "cut" / "metrics.csv"
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if log.is_file() and (rows := log.read_text().count("\n") - 1) >= step and rows < 40:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.005)
        assert process.wait(10) == -signal.SIGKILL
        kills += 1
    assert kills == 3
    assert start(tmp_path / "cut").wait(120) == 0
    assert len(read_log(tmp_path / "cut" / "metrics.csv")) == 40
    same_result(tmp_path / "cut", tmp_path / "whole")
