"""Columns of a table and the format of their cells."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from whyclip.stats.intervals import Interval

Cell = str | bool | int | float | Interval | None

NOTHING = "–"
ARROWS = {"higher": "↑", "lower": "↓"}


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: key in rows and files; a valid CSV column name.
        title: displayed heading; default: the name.
        unit: unit of its numbers, for example ``"%"`` or ``"s"``.
        digits: number of digits after the decimal point.
        better: better direction, shown as an arrow, or None.
        help: a sentence below the table that explains the column.
    """

    name: str
    title: str = ""
    unit: str = ""
    digits: int = 3
    better: Literal["higher", "lower"] | None = None
    help: str = ""

    @property
    def short(self) -> str:
        """Title without arrow and unit."""
        return self.title or self.name

    @property
    def heading(self) -> str:
        """Title with unit and an arrow for the better direction."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.short}{unit}" + (f" {ARROWS[self.better]}" if self.better else "")

    def parts(self, cell: Cell) -> tuple[str, str]:
        """Format a cell as its value and the bounds of its interval (empty if there is none).

        Example:
            >>> Column("iou", digits=2).parts(Interval(0.617, 0.581, 0.658, 90, 90))
            ('0.62', '[0.58, 0.66]')
            >>> Column("iou").parts(float("nan")), Column("fails").parts(True)
            (('–', ''), ('yes', ''))
        """
        if isinstance(cell, Interval):
            value = self._number(cell.mean)
            bounds = f"[{self._number(cell.low)}, {self._number(cell.high)}]"
            return value, "" if math.isnan(cell.low) or value == NOTHING else bounds
        if isinstance(cell, bool):
            return ("yes" if cell else "no"), ""
        if isinstance(cell, float):
            return self._number(cell), ""
        return (NOTHING if cell is None else str(cell)), ""

    def text(self, cell: Cell) -> str:
        """Format a cell on one line.

        Example:
            >>> Column("iou", digits=2).text(Interval(0.617, 0.581, 0.658, 90, 90))
            '0.62 [0.58, 0.66]'
        """
        return " ".join(filter(None, self.parts(cell)))

    def _number(self, value: float) -> str:
        if math.isnan(value):
            return NOTHING
        # Avoid -0.000.
        return f"{round(value, self.digits) + 0.0:.{self.digits}f}"


def is_number(cell: Cell) -> bool:
    """Whether a cell is numeric and therefore right-aligned."""
    return isinstance(cell, (int, float, Interval)) and not isinstance(cell, bool)
