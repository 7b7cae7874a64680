"""``whyclip figure``: rows from a table or the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from whyclip.cli.figure_rows import read_rows
from whyclip.errors import InputError

Run = Callable[..., Any]


@pytest.fixture
def table(picture: Path, tmp_path: Path) -> Path:
    with Image.open(picture) as image:
        image.convert("RGB").save(tmp_path / "one.png")
        image.convert("RGB").rotate(90).save(tmp_path / "two.png")
    path = tmp_path / "rows.csv"
    path.write_text(
        "image,prompt,methods\none.png,a dog,\ntwo.png,a red car,contribution; raw_attention\n"
    )
    return path


def test_four_methods_on_three_images_is_one_command(
    whyclip_command: Run, folder: Path, table: Path, picture: Path, tmp_path: Path
) -> None:
    names = ["grad_eclip", "contribution", "raw_attention", "rollout"]
    out = tmp_path / "figure.pdf"
    images = [tmp_path / "one.png", tmp_path / "two.png", picture]
    done = whyclip_command(
        "figure", *images, "a dog", "-m", folder, "--methods", ",".join(names), "--dpi", 40,
        "--out", out, "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert [row["file"] for row in record["rows"]] == list(map(str, images))
    assert all([p["method"] for p in row["panels"]] == names for row in record["rows"])
    assert out.read_bytes().startswith(b"%PDF")
    assert "raw_attention derived from" in record["caption"]


def test_a_table_names_its_rows_and_their_methods(
    whyclip_command: Run, folder: Path, table: Path, tmp_path: Path
) -> None:
    done = whyclip_command(
        "figure", table, "-m", folder, "--methods", "grad_eclip", "--width", "column",
        "--dpi", 40, "--out", tmp_path / "f.png", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    record = json.loads(done.out)
    rows = [(r["prompt"], [p["method"] for p in r["panels"]]) for r in record["rows"]]
    assert rows == [
        ("a dog", ["grad_eclip"]),
        ("a red car", ["contribution", "raw_attention"]),
    ]
    with Image.open(tmp_path / "f.png") as image:
        assert image.width == int(3.25 * 40)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,text\none.png,a\n", "columns image, text"),
        ("image,prompt\n", "no row"),
        ("image,prompt\nmissing.png,a\n", "line 2: there is no image"),
        ("image,prompt\none.png,\n", "line 2: the prompt is empty"),
    ],
)
def test_a_wrong_table_is_refused(table: Path, text: str, said: str) -> None:
    table.write_text(text)
    with pytest.raises(InputError, match=said):
        read_rows(table)


def test_options_out_of_range_are_one_line(
    whyclip_command: Run, folder: Path, picture: Path, tmp_path: Path
) -> None:
    for flags in (["--width", "wide"], ["--width", "0.1"], ["--dpi", "1"], ["--font-size", "99"]):
        done = whyclip_command("figure", picture, "a dog", "-m", folder, *flags)
        assert done.code == 2
        assert len(done.err.splitlines()) == 1


def test_explain_and_compare_take_the_same_options(
    whyclip_command: Run, folder: Path, picture: Path, tmp_path: Path
) -> None:
    shared = ["-m", folder, "--width", "2.5", "--dpi", "80", "--bare"]
    for command in (["explain"], ["compare", "--methods", "contribution"]):
        out = tmp_path / f"{command[0]}.png"
        done = whyclip_command(*command, picture, "a dog", *shared, "--out", out)
        assert done.code == 0, done.err
        with Image.open(out) as image:
            assert image.width == 200
