"""Progress bars for long work."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import local
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")

# A terminal has one display, and nested work adds a line to it.
_shown: list[Progress] = []

Listener = Callable[[str, int, int], None]
"""Function called with the name of the work, the number of finished items and their total."""

_here = local()


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Report the progress of work in this thread to a function instead of the terminal.

    To cancel the work, raise an exception in the function.
    """
    before = getattr(_here, "listener", None)
    _here.listener = listener
    try:
        yield
    finally:
        _here.listener = before


def track(
    items: Iterable[T], what: str | Callable[[], str], total: int | None = None
) -> Iterator[T]:
    """Iterate with a progress bar on a terminal, if there is more than one item.

    Args:
        items: the iterable.
        what: short name of the work; a function if it changes.
        total: number of items, if ``items`` has no length.
    """
    if total is None:
        items = list(items)
        total = len(items)
    listener: Listener | None = getattr(_here, "listener", None)
    if listener is not None:
        yield from _reported(listener, items, what if callable(what) else lambda: what, total)
        return
    if total < 2 or not sys.stderr.isatty():
        yield from items
        return
    if _shown:
        yield from _line(_shown[-1], items, what, total)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress, shared(progress):
        yield from _line(progress, items, what, total)


@contextmanager
def shared(progress: Progress) -> Iterator[None]:
    """Show bars within this context in an existing display."""
    _shown.append(progress)
    try:
        yield
    finally:
        _shown.remove(progress)


def _reported(
    listener: Listener, items: Iterable[T], name: Callable[[], str], total: int
) -> Iterator[T]:
    listener(name(), 0, total)
    for done, item in enumerate(items, 1):
        yield item
        listener(name(), done, total)


def _line(
    progress: Progress, items: Iterable[T], what: str | Callable[[], str], total: int
) -> Iterator[T]:
    name = what if callable(what) else lambda: what
    task = progress.add_task(name(), total=total)
    try:
        for item in progress.track(items, task_id=task, total=total):
            yield item
            progress.update(task, description=name())
    finally:
        progress.remove_task(task)
