"""Terminal output: results on stdout, notes and progress on stderr."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Literal

from whyclip.errors import WhyclipWarning

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import Console

Loudness = Literal["quiet", "normal", "verbose"]

# An apostrophe within a word is not a quotation mark.
_QUOTED = re.compile(r"(?<!\w)(['\"])((?:(?!\1(?!\w)).)*)\1(?!\w)")
_LONGEST = 480


class _Level:
    """Verbosity of the running command, and whether its result is printed as JSON."""

    now: Loudness = "normal"
    json: bool = False


@contextmanager
def loudness(level: Loudness, *, json: bool = False) -> Iterator[None]:
    """Set the verbosity: errors only, normal, or also timings and the libraries' warnings.

    Args:
        level: the verbosity.
        json: whether :func:`emit` prints the result and :func:`stdout` prints nothing.
    """
    before = _Level.now, _Level.json
    _Level.now, _Level.json = level, json
    try:
        yield
    finally:
        _Level.now, _Level.json = before


def emit(record: Any) -> None:
    """Print a result as one line of JSON, if ``--json`` is given.

    The line is ASCII, so that it is valid JSON in any encoding of the stream. NaN and infinity
    become null, because JSON lacks them.
    """
    if _Level.json:
        print(json.dumps(_plain(record), allow_nan=False), flush=True)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return value if isinstance(value, (str, bool, int, type(None))) else str(value)


def stdout() -> Console:
    """The console for results; it prints nothing with ``--quiet`` or ``--json``."""
    from rich.console import Console

    return Console(quiet=_Level.now == "quiet" or _Level.json)


def stderr() -> Console:
    """The console for notes and progress."""
    from rich.console import Console

    return Console(stderr=True)


def any_text() -> None:
    """Make stdout and stderr escape characters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def complain(message: str) -> None:
    """Print an error as one line on stderr."""
    print(f"whyclip: {one_line(message)}", file=sys.stderr)


def note(message: str) -> None:
    """Print a note on stderr, unless ``--quiet``."""
    if _Level.now != "quiet":
        print(f"note: {one_line(message)}", file=sys.stderr)


def wrote(path: Path) -> None:
    """Print the path of a written file on stderr, unbroken so that it can be copied."""
    if _Level.now != "quiet":
        print(f"wrote {escaped(str(path))}", file=sys.stderr)


def detail(message: str) -> None:
    """Print a detail on stderr, if ``--verbose`` is given."""
    if _Level.now == "verbose":
        print(f"  {one_line(message)}", file=sys.stderr)


def escaped(text: str) -> str:
    """Escape control characters, unpaired surrogates and other unprintable characters."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def one_line(message: str) -> str:
    """Turn a message into one printable line.

    Quoted input of more than 80 characters and very long messages are shortened in the middle.
    """
    text = escaped(" ".join(message.split()))
    text = _QUOTED.sub(lambda match: match[1] + _shortened(match[2], 80) + match[1], text)
    return _shortened(text, _LONGEST)


def _shortened(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    head = length // 3
    return f"{text[:head]}…{text[head + 1 - length :]}"


@contextmanager
def quiet() -> Iterator[None]:
    """Hide the libraries' logs and warnings; show whyclip's own.

    ``--verbose`` or the libraries' own variables, such as TRANSFORMERS_VERBOSITY, show them.
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
    """Handler that shows the libraries' logs with ``--verbose`` only."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        if record.levelno >= logging.WARNING:
            detail(f"{record.name}: {record.getMessage()}")


@contextmanager
def progress(steps: int) -> Iterator[Callable[[str], None]]:
    """Show a transient progress bar on stderr, if that is a terminal.

    With ``--verbose``, print the time of each step instead.

    Yields:
        A function to call at the start of each step, with its name, at most ``steps`` times.
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
