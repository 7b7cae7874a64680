"""Tables: every form holds the same numbers, and nothing from outside becomes markup."""

from __future__ import annotations

import csv
import doctest
import importlib
import io
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from whyclip.errors import InputError, OutputError
from whyclip.metrics import Interval
from whyclip.report import Column, Table

NAN = float("nan")
TABLE = Table(
    "Faith & place",
    (
        Column("method", "Method"),
        Column("iou", "IoU", digits=2, better="higher", help="`|A ∩ B| / |A ∪ B|`"),
        Column("gap", unit="ms", better="lower"),
        Column("passes"),
        Column("n"),
    ),
    (
        {"method": "a|b<i>", "iou": Interval(0.617, 0.581, 0.658, 90, 45), "passes": True, "n": 3},
        {"method": "[red]x", "iou": Interval(NAN, NAN, NAN, 0, 0), "gap": -0.0001, "passes": False},
        {"method": "lone", "iou": Interval(0.5, NAN, NAN, 1, 1), "gap": NAN, "n": 12},
    ),
    note="On **two** images.",
    best=frozenset({(0, "iou")}),
)


class Cells(HTMLParser):
    """The texts of a page's cells, row by row, and all tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.open = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
            self.open = True

    def handle_endtag(self, tag: str) -> None:
        self.open = self.open and tag not in {"td", "th"}

    def handle_data(self, data: str) -> None:
        if self.open:
            self.rows[-1][-1] += data


EXPECTED = [
    ["Method", "IoU ↑", "gap (ms) ↓", "passes", "n"],
    ["a|b<i>", "0.62 [0.58, 0.66]", "–", "yes", "3"],
    ["[red]x", "–", "0.000", "no", "–"],
    ["lone", "0.50", "–", "–", "12"],
]


def test_html_shows_every_cell_and_no_markup_from_outside() -> None:
    page = Cells(TABLE.to_html())
    assert page.rows == EXPECTED
    assert "i" not in page.tags
    assert page.tags.count("b") == 1, "the best cell"
    assert page.tags.count("strong") == 1, "the note's bold word"


def test_markdown_shows_every_cell() -> None:
    lines = [line for line in TABLE.to_markdown().splitlines() if line.startswith("|")]
    rows = [
        [cell.strip().replace("\x00", "|") for cell in line.replace("\\|", "\x00").split("|")[1:-1]]
        for line in lines
    ]
    assert rows[1] == ["---", "---:", "---:", "---", "---:"]
    shown = [rows[0], *rows[2:]]
    assert shown[1][1] == "**0.62 [0.58, 0.66]**"
    shown[1][1] = shown[1][1].strip("*")
    assert shown == EXPECTED
    assert "On **two** images." in TABLE.to_markdown()


def test_the_terminal_shows_every_cell() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(TABLE.to_rich())
    lines = [line.split() for line in console.export_text().splitlines()]
    for row in EXPECTED:
        assert " ".join(row).split() in lines


def test_csv_spreads_intervals(tmp_path: Path) -> None:
    with TABLE.to_csv(tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["method", "iou", "iou_low", "iou_high", "iou_n", "gap", "passes", "n"]
    assert rows[0] == {
        "method": "a|b<i>", "iou": "0.617", "iou_low": "0.581", "iou_high": "0.658",
        "iou_n": "90", "gap": "", "passes": "True", "n": "3",
    }  # fmt: skip
    assert (rows[1]["iou"], rows[1]["iou_n"], rows[1]["gap"]) == ("", "0", "-0.0001")
    assert (rows[2]["iou"], rows[2]["iou_low"]) == ("0.5", "")


def test_parquet_holds_what_csv_holds(tmp_path: Path) -> None:
    import pandas

    read = pandas.read_parquet(TABLE.to_parquet(tmp_path / "t.parquet"))
    written = pandas.read_csv(TABLE.to_csv(tmp_path / "t.csv"))
    assert list(read.columns) == list(written.columns)
    for name in ("iou", "iou_low", "iou_high", "iou_n", "gap", "n"):
        assert read[name].to_list() == pytest.approx(written[name].to_list(), nan_ok=True)


def test_parquet_without_its_library_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(OutputError, match=r"pip install 'whyclip\[pandas\]'"):
        TABLE.to_parquet(tmp_path / "t.parquet")


def test_a_cell_that_nobody_would_see_is_refused() -> None:
    with pytest.raises(InputError, match=r"row 0 .* \['lost'\]"):
        Table("t", (Column("a"),), ({"a": 1, "lost": 2},))
    with pytest.raises(InputError, match="names must be unique"):
        Table("t", (Column("a"), Column("a")), ())


def test_a_file_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nowhere"):
        TABLE.to_csv(tmp_path / "nowhere" / "t.csv")


@pytest.mark.parametrize("name", ["column", "table", "markdown", "facts", "document"])
def test_examples_in_docstrings(name: str) -> None:
    module = importlib.import_module(f"whyclip.report.{name}")
    assert doctest.testmod(module).failed == 0


def test_a_narrow_terminal_breaks_no_number() -> None:
    columns = tuple(Column(f"c{i}", f"A long heading number {i}") for i in range(4))
    row = {f"c{i}": Interval(0.25, 0.125, 0.375, 9, 9) for i in range(4)}
    for width in (200, 90, 70):
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(Table("Wide", columns, (row,)).to_rich())
        text = console.export_text()
        assert text.count("0.250") == text.count("[0.125, 0.375]") == 4, text
        assert max(map(len, text.splitlines())) <= width
