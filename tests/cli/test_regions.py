"""``whyclip regions``: a table, a folder, and one sentence for each fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

Run = Callable[..., Any]


def test_it_prints_and_writes(whyclip_command: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "my regions"
    done = whyclip_command(
        "regions", "scenes:6", "--model", folder, "--template", "a {}", "--size", "64",
        "--limit", "4", "--seed", "3", "--out", out,
    )  # fmt: skip
    assert done.code == 0
    assert "Region classification" in done.out
    assert "Most frequent confusions, boxes" in done.out
    assert done.err == f"wrote {out / 'index.html'}\n"
    content = json.loads((out / "regions.json").read_text(encoding="utf-8"))
    assert content["images"] == 4
    assert content["settings"]["input"] == "64×64 pixels"
    command = (
        f"whyclip regions scenes:6 --model {folder} --size 64 --template 'a {{}}' --limit 4 "
        f"--seed 3 --out '{out}'"
    )
    assert command in (out / "report.md").read_text(encoding="utf-8")


def test_boxes_of_a_table(whyclip_command: Run, folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    (tmp_path / "broken.png").write_text("no image")
    (tmp_path / "my boxes.csv").write_text(
        "image,left,top,right,bottom,label\na.png,0,0,20,30,dog\na.png,0,0,4,4,cat\n"
        "broken.png,0,0,20,30,cat\n"
    )
    done = whyclip_command(
        "regions", f"boxes:{tmp_path / 'my boxes.csv'}", "-m", folder, "--template", "{}",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.code == 0
    assert "1 regions are not counted: box below 8×8 pixels" in done.err
    assert "1 images cannot be read and are not counted; the first: " in done.err
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert f"whyclip regions 'boxes:{tmp_path / 'my boxes.csv'}' --model" in text
    assert "images that cannot be read" in text


def test_what_cannot_be_used_is_said_in_a_line(
    whyclip_command: Run, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for arguments, said in (
        (("scene:3",), "unknown dataset 'scene:3'"),
        (("scenes:3", "--template", "dog"), "template 'dog' has no {}"),
        (("scenes:3", "--size", "30", "--template", "{}"), "give 32"),
        (("scenes:3", "--masks", "all"), "'--masks': 'all' is not one of 'share', 'clipself'"),
        (("scenes:0", "--template", "{}"), "scenes has no images"),
        (("scenes:3", "--out", file), "is a file; name a folder"),
        (("scenes:3", "--out", "x" * 300), "cannot be used: File name too long"),
    ):
        done = whyclip_command("regions", *arguments, "--model", folder)
        assert done.code == 2, arguments
        assert said in done.err
        assert done.err.count("\n") == 1
