"""What reaches the terminal: results on stdout, notes and progress on stderr, nothing else."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Literal

from whyclip.errors import WhyclipWarning

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import Console

Loudness = Literal["quiet", "normal", "verbose"]

_QUOTED = re.compile(r"(['\"])((?:(?!\1).){81,})\1")
_LONGEST = 480


class _Level:
    """How much the running command prints."""

    now: Loudness = "normal"


@contextmanager
def loudness(level: Loudness) -> Iterator[None]:
    """Print only errors, the usual, or also timings and the libraries' warnings."""
    before, _Level.now = _Level.now, level
    try:
        yield
    finally:
        _Level.now = before


def stdout() -> Console:
    """The console for results; it prints nothing with ``--quiet``."""
    from rich.console import Console

    return Console(quiet=_Level.now == "quiet")


def stderr() -> Console:
    """The console for notes and progress."""
    from rich.console import Console

    return Console(stderr=True)


def any_text() -> None:
    """Let both streams write what their encoding does not have, as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def complain(message: str) -> None:
    """Say in one line on stderr what went wrong."""
    print(f"whyclip: {one_line(message)}", file=sys.stderr)


def note(message: str) -> None:
    """Say on stderr what the user should know, although all went well."""
    if _Level.now != "quiet":
        print(f"note: {one_line(message)}", file=sys.stderr)


def wrote(path: Path) -> None:
    """Say on stderr which file was written, in one piece that can be copied."""
    if _Level.now != "quiet":
        print(f"wrote {escaped(str(path))}", file=sys.stderr)


def detail(message: str) -> None:
    """Say on stderr what only ``--verbose`` shows."""
    if _Level.now == "verbose":
        print(f"  {one_line(message)}", file=sys.stderr)


def escaped(text: str) -> str:
    """Write control characters, halves of surrogate pairs and the like as escapes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def one_line(message: str) -> str:
    """Make a message one line that a terminal shows as it is.

    Quoted input of more than 80 characters loses its middle, as does a very long message.
    """
    text = escaped(" ".join(message.split()))
    text = _QUOTED.sub(lambda found: found[1] + _shortened(found[2], 80) + found[1], text)
    return _shortened(text, _LONGEST)


def _shortened(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    head = length // 3
    return f"{text[:head]}…{text[head + 1 - length :]}"


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' logs and warnings out of the terminal; whyclip's own stay.

    ``--verbose`` shows them, as do the libraries' own variables, such as TRANSFORMERS_VERBOSITY.
    """
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    handler = _Logged()
    logging.getLogger().addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            yield
    finally:
        logging.getLogger().removeHandler(handler)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, WhyclipWarning):
        note(str(message))
    else:
        detail(f"{category.__name__}: {message}")


class _Logged(logging.Handler):
    """Shows what libraries log only with ``--verbose``."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        if record.levelno >= logging.WARNING:
            detail(f"{record.name}: {record.getMessage()}")


@contextmanager
def progress(steps: int) -> Iterator[Callable[[str], None]]:
    """Show a bar on stderr that goes away when done; nothing where it is not a terminal.

    With ``--verbose``, lines with the time of each step take the place of the bar.

    Yields:
        A function to call with what begins now, at most ``steps`` times.
    """
    if _Level.now == "verbose":
        with _timings() as timed:
            yield timed
        return
    console = stderr()
    if not console.is_terminal or _Level.now == "quiet":
        yield lambda _: None
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
    )
    from whyclip.progress import shared

    with Progress(*columns, console=console, transient=True) as bar, shared(bar):
        task = bar.add_task("", total=steps)
        begun = 0

        def begin(what: str) -> None:
            nonlocal begun
            bar.update(task, description=what, completed=begun)
            begun += 1

        yield begin


@contextmanager
def _timings() -> Iterator[Callable[[str], None]]:
    running, since = "", 0.0

    def begin(what: str) -> None:
        nonlocal running, since
        now = time.perf_counter()
        if running:
            detail(f"{now - since:.2f} s {running}")
        running, since = what, now

    yield begin
    begin("")
