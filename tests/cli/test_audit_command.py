"""What an audit's report says to type gives the same audit again, whatever is in its names."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from whyclip.cli.audit import _command

Run = Callable[..., Any]


def test_every_word_is_quoted_as_a_shell_reads_it() -> None:
    result: Any = SimpleNamespace(samples=3, edited=2, seed=7)
    data, methods = "folder:my $HOME/it's (1).csv", ["contribution", "grad_eclip:heads=single"]
    written = _command("a model", data, methods, ["score_gap"], result, ["score_gap=1", "a;b=2"])
    assert shlex.split(written) == [
        "whyclip", "audit", "--model", "a model", "--data", data, "--methods", ",".join(methods),
        "--checks", "score_gap", "--threshold", "score_gap=1", "--threshold", "a;b=2",
        "--limit", "3", "--edited", "2", "--seed", "7",
    ]  # fmt: skip
    result.edited = 0
    short = _command("mini", "scenes:9", [], [], result, None)
    assert short == "whyclip audit --model mini --data scenes:9 --limit 3 --seed 7"


def test_the_written_command_gives_the_same_findings(
    whyclip_command: Run, folder: Path, tmp_path: Path
) -> None:
    where = tmp_path / "it's [mine] & yours"
    where.mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(where / f"{number}.png")
    table = "image,prompt\n0.png,a dog\n1.png,a cat\n2.png,a red car\n"
    (where / "photos.csv").write_text(table, encoding="utf-8")
    first, again = tmp_path / "first", tmp_path / "again"
    done = whyclip_command(
        "audit", "--model", folder, "--data", f"folder:{where / 'photos.csv'}", "--no-keep",
        "--methods", "contribution", "--checks", "score_gap", "--limit", 2, "--out", first,
    )  # fmt: skip
    assert done.code == 0, done.err
    lines = (first / "report.md").read_text(encoding="utf-8").splitlines()
    [command] = [line for line in lines if line.startswith("    whyclip audit ")]
    done = whyclip_command(*shlex.split(command)[1:], "--no-keep", "--out", again)
    assert done.code == 0, done.err
    assert (again / "findings.csv").read_text() == (first / "findings.csv").read_text()


def test_the_help_names_the_default_number_of_samples(whyclip_command: Run) -> None:
    from whyclip.studies.audit.run import LIMIT

    assert f"Use N random samples. Default: {LIMIT}." in " ".join(
        whyclip_command("audit", "--help").out.replace("│", " ").split()
    )
