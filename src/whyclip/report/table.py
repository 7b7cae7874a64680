"""Tables of results in display and file formats."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from html import escape
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whyclip.errors import InputError, OutputError
from whyclip.files import write_atomic
from whyclip.report.column import Cell, Column, is_number
from whyclip.report.markdown import inline
from whyclip.stats.intervals import Interval

if TYPE_CHECKING:
    from rich.console import RenderableType

BOUNDS = ("low", "high", "n")


@dataclass(frozen=True)
class Table:
    """Rows of named cells.

    Attributes:
        title: title; in lower case with hyphens, also the name of its files.
        rows: cells of each row by column name: a string, number, bool or ``Interval``. Missing
            cells, None and NaN are shown as a dash.
        note: one or two sentences below the table.
        best: (row index, column name) of cells highlighted as best; only for significant
            differences.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Any], ...]
    note: str = ""
    best: frozenset[tuple[int, str]] = frozenset()

    def __post_init__(self) -> None:
        """Check that every cell has a column.

        Raises:
            InputError: a row has a cell without a column, or two columns have the same name.
        """
        names = [column.name for column in self.columns]
        if len(set(names)) < len(names):
            raise InputError(f"table {self.title!r} has columns {names}; names must be unique")
        for number, row in enumerate(self.rows):
            if not row.keys() <= set(names):
                lost = sorted(row.keys() - set(names))
                raise InputError(f"row {number} of table {self.title!r} has {lost}; known: {names}")

    def cell(self, number: int, column: Column) -> Cell:
        """Return one cell; NumPy and torch numbers become Python numbers."""
        value: Any = self.rows[number].get(column.name)
        return value.item() if hasattr(value, "item") else value

    @property
    def helps(self) -> list[Column]:
        """Columns with a help text."""
        return [column for column in self.columns if column.help]

    def to_json(self) -> dict[str, Any]:
        """Describe the table in plain JSON types; an interval is mean, low, high, n, groups."""
        return {
            "title": self.title,
            "note": self.note,
            "rows": [
                {column.name: _plain(self.cell(number, column)) for column in self.columns}
                for number in range(len(self.rows))
            ],
        }

    def to_markdown(self) -> str:
        """Write GitHub Markdown with title, help texts and note."""
        lines = [f"**{self.title}**", ""] if self.title else []
        lines += [
            _piped([column.heading for column in self.columns]),
            _piped(["---:" if self.numeric(column) else "---" for column in self.columns]),
        ]
        for number in range(len(self.rows)):
            cells = []
            for column in self.columns:
                text = column.text(self.cell(number, column)).replace("|", "\\|")
                cells.append(f"**{text}**" if (number, column.name) in self.best else text)
            lines.append(_piped(cells))
        lines += ["", *(f"- {column.short}: {column.help}" for column in self.helps)]
        lines += ["", self.note] if self.note else []
        return "\n".join(lines).rstrip() + "\n"

    def to_html(self) -> str:
        """Write a ``<figure>`` with the table, with all content escaped."""
        head = "".join(f"<th{self._side(c)}>{escape(c.heading)}</th>" for c in self.columns)
        body = []
        for number in range(len(self.rows)):
            cells = []
            for column in self.columns:
                value, bounds = column.parts(self.cell(number, column))
                text = escape(value)
                if (number, column.name) in self.best:
                    text = f"<b>{text}</b>"
                span = f" <span>{escape(bounds)}</span>" if bounds else ""
                cells.append(f"<td{self._side(column)}>{text}{span}</td>")
            body.append(f"<tr>{''.join(cells)}</tr>")
        helps = "".join(f"<dt>{escape(c.short)}</dt><dd>{inline(c.help)}</dd>" for c in self.helps)
        return (
            '<figure class="table card">'
            + (f"<h3>{escape(self.title)}</h3>" if self.title else "")
            + f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
            + f"<tbody>{''.join(body)}</tbody></table></div>"
            + (f"<dl>{helps}</dl>" if helps else "")
            + (f"<figcaption>{inline(self.note)}</figcaption>" if self.note else "")
            + "</figure>"
        )

    def to_rich(self) -> RenderableType:
        """Build a table for the terminal, without help texts.

        If the terminal is too narrow, intervals are below their means.
        """
        from whyclip.report.terminal import Fitting

        return Fitting(self)

    def records(self) -> Iterator[dict[str, str | bool | int | float | None]]:
        """Rows with each interval as ``name``, ``name_low``, ``name_high`` and ``name_n``.

        All rows have the same keys; undefined values are None.
        """
        spread = {column.name for column in self.columns if self._has_interval(column)}
        for number in range(len(self.rows)):
            record: dict[str, str | bool | int | float | None] = {}
            for column in self.columns:
                cell = self.cell(number, column)
                interval = cell if isinstance(cell, Interval) else None
                record[column.name] = _defined(cell.mean if isinstance(cell, Interval) else cell)
                if column.name in spread:
                    for bound in BOUNDS:
                        value = getattr(interval, bound) if interval else None
                        record[f"{column.name}_{bound}"] = _defined(value)
            yield record

    def to_csv(self, path: str | Path) -> Path:
        """Write the records to a CSV file, UTF-8; undefined values are empty cells.

        Raises:
            OutputError: the file cannot be written.
        """
        write_atomic(Path(path), self.csv)
        return Path(path)

    def csv(self) -> bytes:
        """The records as CSV in UTF-8; undefined values are empty cells."""
        records = list(self.records())
        text = io.StringIO()
        writer = csv.DictWriter(text, self._keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        return text.getvalue().encode("utf-8", "backslashreplace")

    def to_parquet(self, path: str | Path) -> Path:
        """Write the records to a Parquet file (needs ``pip install 'whyclip[pandas]'``).

        Raises:
            OutputError: pandas or pyarrow is not installed, or the file cannot be written.
        """
        try:
            import pandas

            import_module("pyarrow")
        except ImportError as error:
            raise OutputError(
                f"{str(path)!r}: Parquet needs {error.name}: pip install 'whyclip[pandas]'"
            ) from None
        frame = pandas.DataFrame(list(self.records()), columns=self._keys())
        write_atomic(Path(path), lambda: frame.to_parquet(engine="pyarrow", index=False))
        return Path(path)

    def _keys(self) -> list[str]:
        keys: list[str] = []
        for column in self.columns:
            keys.append(column.name)
            if self._has_interval(column):
                keys += [f"{column.name}_{bound}" for bound in BOUNDS]
        return keys

    def _has_interval(self, column: Column) -> bool:
        return any(isinstance(row.get(column.name), Interval) for row in self.rows)

    def numeric(self, column: Column) -> bool:
        """Whether all cells of a column, if present, are numbers."""
        there = [self.cell(number, column) for number in range(len(self.rows))]
        there = [cell for cell in there if cell is not None]
        return bool(there) and all(map(is_number, there))

    def _side(self, column: Column) -> str:
        return ' class="number"' if self.numeric(column) else ""


def _defined(cell: Cell) -> Any:
    return None if isinstance(cell, float) and math.isnan(cell) else cell


def _piped(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(cell: Any) -> Any:
    return asdict(cell) if is_dataclass(cell) and not isinstance(cell, type) else cell
