"""Several processes share the parts by rank and world size, as torchrun sets them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bulk_runs import image_folder, rows, run
from whyclip.bulk import read_bulk
from whyclip.bulk.engine import Share
from whyclip.errors import OptionError

HERE = Path(__file__).parent.parent
SCRIPT = (
    "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; import bulk_runs\n"
    "bulk_runs.run(Path(sys.argv[2]), Path(sys.argv[3]))\n"
)


def rounded(value: Any) -> Any:
    """Numbers to four digits: launchers choose numbers of threads, and products round by them."""
    if isinstance(value, float):
        return pytest.approx(value, abs=1e-4, nan_ok=True)
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items() if name != "certificate"}
    return [rounded(part) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("launcher", ["torchrun", "accelerate"])
def test_two_processes_write_what_one_writes(launcher: str, tmp_path: Path) -> None:
    images = image_folder(tmp_path / "images")
    script = tmp_path / "job.py"
    script.write_text(SCRIPT, encoding="utf-8")
    command = {
        "torchrun": ["torch.distributed.run", "--nproc-per-node", "2", "--standalone"],
        "accelerate": ["accelerate.commands.launch", "--cpu", "--num_processes", "2"],
    }[launcher]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            *command,
            str(script),
            str(HERE),
            str(images),
            str(tmp_path / "out"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    shared = read_bulk(tmp_path / "out")
    assert shared.complete
    ours, theirs = rows(shared), rows(run(images, tmp_path / "alone"))
    for row in ours:
        row.pop("certificate")
    assert ours == rounded(theirs)


def test_each_process_has_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = image_folder(tmp_path / "images")
    monkeypatch.setenv("WORLD_SIZE", "3")
    seen = []
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        counts = []
        result = run(images, tmp_path / "out", report=counts.append)
        seen.append((counts[-1].images, counts[-1].total))
        assert result.complete == (rank == 2)
    # 14 images in parts of 4.
    assert seen == [(6, 6), (4, 4), (4, 4)]
    monkeypatch.setenv("RANK", "3")
    with pytest.raises(OptionError, match="RANK='3'"):
        Share.of_environment()
