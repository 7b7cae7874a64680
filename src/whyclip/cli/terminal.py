"""What reaches the terminal: results on stdout, notes and progress on stderr, nothing else."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

from whyclip.errors import WhyclipWarning

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import Console


def stdout() -> Console:
    """The console for results."""
    from rich.console import Console

    return Console()


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
    print(f"whyclip: {' '.join(message.split())}", file=sys.stderr)


def note(message: str) -> None:
    """Say on stderr what the user should know, although all went well."""
    print(f"note: {message}", file=sys.stderr)


def wrote(path: Path) -> None:
    """Say on stderr which file was written, in one piece that can be copied."""
    print(f"wrote {path}", file=sys.stderr)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' logs and warnings out of the terminal; whyclip's own stay.

    A user who wants them sets the libraries' own variables, such as TRANSFORMERS_VERBOSITY.
    """
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    silence = logging.NullHandler()
    logging.getLogger().addHandler(silence)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        yield
    logging.getLogger().removeHandler(silence)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, WhyclipWarning):
        note(str(message))


@contextmanager
def progress(steps: int) -> Iterator[Callable[[str], None]]:
    """Show a bar on stderr that goes away when done; nothing where it is not a terminal.

    Yields:
        A function to call with what begins now, at most ``steps`` times.
    """
    console = stderr()
    if not console.is_terminal:
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
