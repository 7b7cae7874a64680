"""``whyclip reproduce``: the list, a report, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from whyclip.studies.experiments import EXPERIMENTS

Run = Callable[..., Any]


def test_alone_it_lists_experiments_with_claim_and_cost(whyclip_command: Run) -> None:
    done = whyclip_command("reproduce")
    assert done.code == 0
    for experiment in EXPERIMENTS.values():
        assert experiment.name in done.out
        assert f"{experiment.defaults.limit} at {experiment.cost}" in done.out
        assert experiment.claim.split(",")[0][:40] in done.out


def test_it_writes_and_prints_a_report(whyclip_command: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "[equal]"
    done = whyclip_command(
        "reproduce", "equality", "--data", "scenes:20", "--model", folder, "--limit", "20",
        "--out", out,
    )  # fmt: skip
    assert done.code == 0
    assert "give the same map: pass" in done.out
    assert "Relative difference of the two maps" in done.out
    page = (out / "index.html").read_text(encoding="utf-8")
    assert f"--data scenes:20 --model {folder} --limit 20 --seed 0" in page
    assert (out / "relative-difference-of-the-two-maps.csv").is_file()
    assert list(out.glob("*.png"))
    assert done.err == f"wrote {out / 'index.html'}\n"


def test_options_are_read_by_their_types(
    whyclip_command: Run, folder: Path, tmp_path: Path
) -> None:
    done = whyclip_command(
        "reproduce", "linearity", "-m", folder, "--data", "scenes:2", "-o", "sets=2",
        "-o", "share=0.5", "--out", tmp_path,
    )  # fmt: skip
    assert done.code == 0
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "2 random sets of 50% of the patches" in text
    assert "--option sets=2 --option share=0.5" in text


def test_what_cannot_be_used_is_said_in_a_line(whyclip_command: Run, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for arguments, said in (
        (("nothing",), "unknown experiment 'nothing'"),
        (("linearity", "-o", "sets=many"), "expected a whole number"),
        (("linearity", "-o", "rest=1"), "unknown option of linearity 'rest'"),
        (("equality", "-o", "x=1"), "equality has no options"),
        (("equality", "--data", "scene:3"), "unknown dataset 'scene:3'"),
        (("equality", "--out", file), "is a file; name a folder"),
    ):
        done = whyclip_command("reproduce", *arguments)
        assert done.code == 2, arguments
        assert said in done.err
        assert len(done.err.splitlines()) == 1
    assert file.read_text() == "mine"
