"""The log of a run: a CSV file, TensorBoard, and a progress bar."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from whyclip.errors import OutputError, quoted
from whyclip.files import write_atomic

FILE = "metrics.csv"
BOARD = "tensorboard"
PARTS = ("loss", "global", "local", "removal", "relevance")
COLUMNS = ("step", *PARTS, "learning_rate", "gradient_norm", "examples_per_second", "skipped")


def cut_back(path: Path, step: int) -> None:
    """Remove an incomplete last row and the rows after a step, which will be written again.

    Raises:
        OutputError: the file cannot be written.
    """
    if not path.exists():
        return
    content = path.read_text(encoding="utf-8", errors="replace")
    lines = content[: content.rfind("\n") + 1].splitlines(keepends=True)
    kept = lines[:1] + [line for line in lines[1:] if _is_row_until(step, line)]
    if "".join(kept) != content:
        write_atomic(path, lambda: "".join(kept).encode())


def _is_row_until(step: int, line: str) -> bool:
    first = line.split(",", maxsplit=1)[0]
    # A full disk or a crash of the machine can leave a damaged row.
    return first.isdecimal() and int(first) <= step


class Log:
    """A CSV file with one row per logged step.

    Floats are written with all their digits, so that two runs can be compared exactly.

    Args:
        path: the file.
        step: number of steps done; later rows are removed.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        cut_back(path, step)
        if not path.exists() or not path.stat().st_size:
            self._append(COLUMNS)

    def write(self, row: Mapping[str, float]) -> None:
        """Add a row; a column without a value is empty.

        Raises:
            OutputError: the file cannot be written.
        """
        self._append([_digits(row.get(name)) for name in COLUMNS])

    def _append(self, values: Any) -> None:
        try:
            with self.path.open("a", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerow(values)
        except OSError as error:
            raise OutputError(
                f"cannot write {quoted(str(self.path))}: {error.strerror}; free some space and run "
                "the same command again"
            ) from error


def _digits(value: float | None) -> str:
    return "" if value is None else repr(value)


def read_log(path: Path) -> list[dict[str, float]]:
    """Read the rows of a log, without empty columns."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {name: float(value) for name, value in row.items() if value}
            for row in csv.DictReader(file)
        ]


def has_board() -> bool:
    """Whether TensorBoard is installed."""
    return find_spec("tensorboard") is not None


class Shown(Protocol):
    """A progress bar."""

    def step(self, number: int, loss: float, rate: float) -> None:
        """Show the state after a step: its number, loss and examples per second."""


class _Nothing:
    def step(self, number: int, loss: float, rate: float) -> None:
        """Show nothing."""


class _Bar:
    def __init__(self, progress: Any, task: Any) -> None:
        self.progress, self.task = progress, task

    def step(self, number: int, loss: float, rate: float) -> None:
        """Update the bar."""
        self.progress.update(
            self.task, completed=number, numbers=f"loss {loss:.4f} · {rate:.1f} images/s"
        )


@contextmanager
def bar(total: int, done: int, wanted: bool) -> Iterator[Shown]:
    """Show a bar with loss, images per second and time left, if the output is a terminal."""
    if not wanted or not sys.stderr.isatty():
        yield _Nothing()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from whyclip.progress import shared

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[numbers]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as show, shared(show):
        task = show.add_task("training", total=total, completed=done, numbers="")
        yield _Bar(show, task)
