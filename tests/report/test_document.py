"""Reports: one page that loads nothing, and a file for every table and picture."""

from __future__ import annotations

import base64
import re
from io import BytesIO
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from whyclip import __version__
from whyclip.errors import OutputError
from whyclip.report import Column, Picture, Report, Table, run_facts


def figure() -> Figure:
    drawn = Figure(figsize=(2, 1))
    drawn.add_subplot().plot([0, 1])
    return drawn


def report(*sections: str | Table | Picture) -> Report:
    facts = run_facts(model="mini", dataset="scenes:<9>", samples=9, seed=4, seconds=75.0)
    return Report("A & B", 'whyclip audit --model "mini"', sections, facts)


TABLE = Table("One table", (Column("x"),), ({"x": 0.25},))


def test_every_part_is_on_the_page_and_in_a_file(tmp_path: Path) -> None:
    parts = ("## Why\n\nBecause `a < b`.", TABLE, TABLE, Picture(figure(), "A line", "It rises."))
    page = report(*parts).save(tmp_path / "deep" / "out")
    names = {path.name for path in page.parent.iterdir()}
    assert {"index.html", "report.md", "one-table.csv", "one-table-2.csv", "a-line.png"} <= names
    html = page.read_text(encoding="utf-8")
    for text in (
        "<h1>A &amp; B</h1>", "<h2>Why</h2>", "<code>a &lt; b</code>", "0.250", "It rises.",
        "scenes:&lt;9&gt;", "1 min 15 s", f"whyclip {__version__}", "<dt>seed</dt><dd>4</dd>",
        "whyclip audit --model &quot;mini&quot;",
    ):  # fmt: skip
        assert text in html, text
    [data] = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    assert base64.b64decode(data) == (page.parent / "a-line.png").read_bytes()
    markdown = (page.parent / "report.md").read_text(encoding="utf-8")
    assert "![A line](a-line.png)" in markdown
    assert "| 0.250 |" in markdown
    assert "- seed: 4" in markdown


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    html = report("Text.", TABLE, Picture(figure(), "A line")).save(tmp_path).read_text()
    assert "default-src 'none'" in html
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", html)
    assert "<script" not in html
    assert "@import" not in html
    assert "url(" not in html


def test_a_report_may_be_written_again(tmp_path: Path) -> None:
    report("First.").save(tmp_path)
    assert "Second." in report("Second.").save(tmp_path).read_text()


def test_a_picture_from_a_file(tmp_path: Path) -> None:
    Image.new("RGB", (3, 2), "red").save(tmp_path / "red.png")
    page = report(Picture(tmp_path / "red.png", "Red")).save(tmp_path / "out")
    with Image.open(BytesIO((page.parent / "red.png").read_bytes())) as written:
        assert written.size == (3, 2)


def test_a_picture_that_is_none_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"GIF89a")
    with pytest.raises(OutputError, match="not a PNG file"):
        report(TABLE, Picture(tmp_path / "x.png", "x")).save(tmp_path / "out")
    with pytest.raises(OutputError, match=r"gone\.png"):
        report(TABLE, Picture(tmp_path / "gone.png", "x")).save(tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        report("Text.").save(tmp_path / "file" / "out")
