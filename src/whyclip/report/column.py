"""A column of a table, and how its cells are written."""

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
        name: in files and in the rows; a valid name of a CSV column.
        title: in what people read; the name by default.
        unit: of all its numbers, such as ``"%"`` or ``"s"``.
        digits: after the decimal point.
        better: which way is better, shown as an arrow; None where neither is.
        help: a sentence below the table that says what stands here.
    """

    name: str
    title: str = ""
    unit: str = ""
    digits: int = 3
    better: Literal["higher", "lower"] | None = None
    help: str = ""

    @property
    def short(self) -> str:
        """The title, without arrow and unit."""
        return self.title or self.name

    @property
    def heading(self) -> str:
        """The title with its unit and an arrow to the better side."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.short}{unit}" + (f" {ARROWS[self.better]}" if self.better else "")

    def parts(self, cell: Cell) -> tuple[str, str]:
        """Write a cell for people: the value, and the bounds of its interval or nothing.

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
        """Write a cell for people, on one line.

        Example:
            >>> Column("iou", digits=2).text(Interval(0.617, 0.581, 0.658, 90, 90))
            '0.62 [0.58, 0.66]'
        """
        return " ".join(filter(None, self.parts(cell)))

    def _number(self, value: float) -> str:
        if math.isnan(value):
            return NOTHING
        # A small negative number is not shown as -0.000.
        return f"{round(value, self.digits) + 0.0:.{self.digits}f}"


def is_number(cell: Cell) -> bool:
    """Whether a cell belongs on the right of its column."""
    return isinstance(cell, (int, float, Interval)) and not isinstance(cell, bool)
