"""Tables in the terminal, adapted to its width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table as RichTable

if TYPE_CHECKING:
    from whyclip.report.table import Table

_ENDLESS = 10_000


class Fitting:
    """Renderable that draws intervals beside their means, or below them if space is short."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the wider form if it fits."""
        wide = self._drawn(" ")
        needed = Measurement.get(console, options.update(max_width=_ENDLESS), wide).minimum
        yield wide if needed <= options.max_width else self._drawn("\n")

    def _drawn(self, between: str) -> RichTable:
        table = self.table
        drawn = RichTable(
            box=None,
            pad_edge=False,
            padding=(0, 2, 0, 0),
            header_style="bold",
            title=escape(table.title) or None,
            title_justify="left",
            title_style="bold",
            caption=escape(table.note) or None,
            caption_justify="left",
            caption_style="dim",
        )
        for column in table.columns:
            numeric = table.numeric(column)
            cells = [column.parts(table.cell(number, column)) for number in range(len(table.rows))]
            lines = [len(part) for parts in cells for part in between.join(parts).split("\n")]
            drawn.add_column(
                escape(column.heading),
                justify="right" if numeric else "left",
                # Headings may wrap, but numbers must not.
                min_width=max(lines, default=0) if numeric else None,
            )
        for number in range(len(table.rows)):
            row = []
            for column in table.columns:
                value, bounds = map(escape, column.parts(table.cell(number, column)))
                if (number, column.name) in table.best:
                    value = f"[bold green]{value}[/]"
                row.append(f"{value}{between}[dim]{bounds}[/]" if bounds else value)
            drawn.add_row(*row)
        return drawn
