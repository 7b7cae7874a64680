"""Two processes of ``accelerate launch`` on CPUs against one process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import small_runs
from whyclip.finetuning.checkpoint import checkpoints, load_checkpoint
from whyclip.finetuning.gathering import without_repeats
from whyclip.finetuning.logs import read_log

TESTS = Path(__file__).parent.parent
SCRIPT = """
import sys
from pathlib import Path
import small_runs
small_runs.run(Path(sys.argv[1]), steps=6, accumulate=2, ema=.9, checkpoint_every=3)
"""


@pytest.mark.slow
def test_two_processes_match_one(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    # Accelerate's --cpu launches one process; this launches two, which find no GPU.
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    port = ["--num_processes", "2", "--main_process_port", "0", "--num_machines", "1"]
    plain = ["--mixed_precision", "no", "--dynamo_backend", "no"]
    done = subprocess.run(
        [*launch, *port, *plain, str(script), str(tmp_path / "two")],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert load_checkpoint(checkpoints(tmp_path / "two")[-1]).state["processes"] == 2
    small_runs.run(tmp_path / "one", steps=6, accumulate=2, ema=0.9, checkpoint_every=3)
    ours, theirs = (read_log(tmp_path / name / "metrics.csv") for name in ("one", "two"))
    for name in ("step", "loss", "global", "local", "gradient_norm", "learning_rate"):
        assert [row[name] for row in ours] == pytest.approx([row[name] for row in theirs], rel=2e-3)
    name = "model/open_clip_model.safetensors"
    one, two = load_file(tmp_path / "one" / name), load_file(tmp_path / "two" / name)
    start = small_runs.openclip_model().state_dict()

    def distance(these: Mapping[str, Tensor], those: Mapping[str, Tensor]) -> float:
        return float(sum((these[key] - those[key]).double().square().sum() for key in one) ** 0.5)

    # Together, as AdamW moves a weight of zero gradient, such as a key's bias, by rounding alone.
    assert distance(one, two) < 0.02 * distance(one, start)


def test_a_repeated_row_is_set_to_zero() -> None:
    rows = torch.tensor([[1, 2], [3, 0], [1, 2], [2, 1], [3, 0], [0, 0], [1, 2]])
    expected = rows.clone()
    seen = set()
    for number, row in enumerate(rows.tolist()):
        if tuple(row) in seen:
            expected[number] = 0
        seen.add(tuple(row))
    assert without_repeats(rows).equal(expected)
