"""Every command line that whyclip prints can be typed again and means the same."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

import whyclip.report
from whyclip.cli import app
from whyclip.report import command_line
from whyclip.studies.experiments import EXPERIMENTS

Run = Callable[..., Any]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
# They change how a run is done, not what it gives.
UNREPORTED = {"device", "batch_size", "threads", "quiet", "verbose", "keep"}


def meaning(words: list[str]) -> dict[str, Any]:
    """What a command line sets, read by the very command."""
    name, *arguments = words
    params = COMMANDS[name].make_context(name, list(arguments)).params
    return {key: value for key, value in params.items() if key not in UNREPORTED}


def split(value: Any) -> Any:
    """Names may be given in several options, or in one with commas."""
    return ",".join(value) if isinstance(value, (list, tuple)) else value


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    where = tmp_path / "it's [mine]"
    where.mkdir()
    draw = np.random.default_rng(0)
    for number in range(2):
        pixels = draw.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(where / f"{number}.png")
    table = "image,label\n0.png,dog\n1.png,cat\n"
    (where / "photos.csv").write_text(table, encoding="utf-8")
    return where / "photos.csv"


class ReportedError(Exception):
    """The command line is known; the run itself is of no interest."""


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []

    def record(command: str, given: dict[str, Any]) -> str:
        lines.append(command_line(command, given))
        raise ReportedError

    monkeypatch.setattr(whyclip.report, "command_line", record)
    monkeypatch.setenv("WHYCLIP_TRACEBACK", "1")
    return lines


EVERYTHING = [
    "--methods", "contribution,grad_eclip:spatial=none", "--methods", "game",
    "--metrics", "iou,insertion", "--limit", "2", "--seed", "3", "--sides", "image",
    "--prompt", "pred", "--protocol", "rise", "--geometry", "pad", "--precision", "bf16",
]  # fmt: skip


@pytest.mark.parametrize("switch", [[], ["--outside"]])
@pytest.mark.parametrize("more", [[], EVERYTHING], ids=["short", "everything"])
def test_an_evaluation(
    whyclip_command: Run, folder: Path, photos: Path, tmp_path: Path, reported: list[str],
    more: list[str], switch: list[str],
) -> None:  # fmt: skip
    given = [
        "evaluate", "--data", f"folder:{photos}", "--model", str(folder), *more,
        "--out", str(tmp_path / "out"), *switch,
    ]  # fmt: skip
    with pytest.raises(ReportedError):
        whyclip_command(*given)
    [command] = reported
    words = shlex.split(command)
    assert words[0] == "whyclip"
    result, expected = meaning(words[1:]), meaning(given)
    assert {key: split(value) for key, value in result.items()} == {
        key: split(value) for key, value in expected.items()
    }
    assert result["outside"] == bool(switch)


@pytest.mark.parametrize("switch", [[], ["--outside"]])
def test_a_classification_of_regions(
    whyclip_command: Run, folder: Path, tmp_path: Path, switch: list[str]
) -> None:
    given = [
        "regions", "scenes:2", "--model", str(folder), "--template", "a {} or two",
        "--size", "64", "--limit", "2", "--seed", "3", "--out", str(tmp_path / "out"), *switch,
    ]  # fmt: skip
    assert whyclip_command(*given).code == 0
    result = meaning(shlex.split(command_in(tmp_path / "out"))[1:])
    assert result == meaning(given)


def command_in(folder: Path) -> str:
    lines = (folder / "report.md").read_text(encoding="utf-8").splitlines()
    return next(line.strip() for line in lines if line.startswith("    whyclip "))


def test_an_audit(whyclip_command: Run, folder: Path, photos: Path, tmp_path: Path) -> None:
    given = [
        "audit", "--data", f"folder:{photos}", "--model", str(folder),
        "--methods", "contribution,grad_eclip:heads=single", "--checks", "score_gap",
        "--threshold", "score_gap=0.01", "--limit", "2", "--seed", "5", "--outside",
    ]  # fmt: skip
    out = tmp_path / "out"
    assert whyclip_command(*given, "--no-keep", "--out", out).code == 0
    result, expected = (meaning(words) for words in (shlex.split(command_in(out))[1:], given))
    assert {key: split(value) for key, value in result.items()} == {
        key: split(value) for key, value in expected.items()
    }


def test_an_experiment(whyclip_command: Run, folder: Path, tmp_path: Path) -> None:
    given = [
        "reproduce", "equality", "--data", "scenes:3", "--model", str(folder), "--limit", "1",
        "--seed", "2",
    ]  # fmt: skip
    assert whyclip_command(*given, "--out", tmp_path / "out").code == 0
    assert meaning(shlex.split(command_in(tmp_path / "out"))[1:]) == meaning(given)


def shown() -> list[str]:
    """The examples of all helps, and the commands of all experiments at full size."""
    commands = []
    for command in COMMANDS.values():
        lines = (command.help or "").replace("\\\n", "").splitlines()
        commands += [line.strip() for line in lines if line.strip().startswith("whyclip ")]
    for experiment in EXPERIMENTS.values():
        lines = experiment.on_real_data.splitlines()
        commands += [line.strip() for line in lines if line.strip().startswith("whyclip ")]
    return commands


def test_what_help_and_experiments_show_can_be_parsed() -> None:
    assert len(shown()) >= 25
    for line in shown():
        name, *arguments = shlex.split(line)[1:]
        # Raises a usage error, naming what is wrong, if it cannot be parsed.
        assert COMMANDS[name].make_context(name, arguments).info_name == name


def test_a_switch_has_no_value() -> None:
    given = {
        "--limit": 3,
        "--outside": True,
        "--fast": False,
        "--data": None,
        "--check": ["a", "b"],
    }
    assert command_line("x", given) == "whyclip x --limit 3 --outside --check a --check b"
