"""``whyclip bulk`` from the command line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import whyclip
from whyclip.cli.app import main


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        noise = rng.integers(0, 256, (60, 60, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    (folder / "3.png").write_bytes(b"no image")
    (tmp_path / "prompts.txt").write_text("a dog\na red car\n", encoding="utf-8")
    return folder


def command(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        main(["bulk", *map(str, arguments)])
    return int(left.value.code or 0)


def test_a_run_a_resumed_run_and_its_report(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts, out = tmp_path / "prompts.txt", tmp_path / "out"
    given = (images, "--prompts", prompts, "--out", out, "--workers", 0, "--side", "image")
    assert command(*given) == 0
    printed = capsys.readouterr()
    assert "7 rows in 1 file; complete" in printed.out
    assert "1 image has an error; the first, '3.png':" in printed.err
    files = {file: file.read_bytes() for file in (out / "parts").iterdir()}
    assert command(*given) == 0
    assert {file: file.read_bytes() for file in (out / "parts").iterdir()} == files
    assert command(*given, "--against", "a cat") == 2
    assert "holds another run; its against:" in capsys.readouterr().err
    assert command("report", out) == 0
    assert (out / "report" / "index.html").exists()
    with (out / "report" / "prompts.csv").open(encoding="utf-8") as file:
        assert [row["prompt"] for row in csv.DictReader(file)] == ["a dog", "a red car"]


def test_predicted_classes_and_prompt_columns(images: Path, tmp_path: Path) -> None:
    classes = ("--classes", tmp_path / "prompts.txt", "--top", 1, "--workers", 0)
    assert command(images, *classes, "--out", tmp_path / "a", "--limit", 2) == 0
    table = whyclip.read_bulk(tmp_path / "a").dataset.to_table().to_pylist()
    assert [row["id"] for row in table] == ["0.png", "1.png"]
    (images / "t.csv").write_text("image,text\n1.png,a dog\n0.png,a cat\n", encoding="utf-8")
    given = (images / "t.csv", "--prompt-column", "text", "--workers", 0, "--out", tmp_path / "b")
    assert command(*given) == 0
    table = whyclip.read_bulk(tmp_path / "b").dataset.to_table().to_pylist()
    assert [(row["id"], row["prompt"]) for row in table] == [("1.png", "a dog"), ("0.png", "a cat")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("images", "--out", "x"), "no prompts"),
        (("images",), "--out is missing"),
        (("images", "more", "--out", "x"), "takes one SOURCE"),
        (("none", "--prompts", "prompts.txt", "--out", "x"), "no file or folder 'none'"),
        (("images", "--prompts", "prompts.txt", "--out", "x", "--side", "words"), "side"),
        (("report", "images"), "manifest.json"),
    ],
)
def test_faults_are_one_line(
    arguments: tuple[str, ...],
    message: str,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(*arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]
