"""A progress bar on long work, and none otherwise."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Iterate with a bar on the terminal when there is more than one item to wait for.

    Args:
        items: what to go through.
        what: what is being done, in a word or two.
        total: how many items there are, where ``items`` cannot tell.
    """
    if total is None:
        items = list(items)
        total = len(items)
    if total < 2 or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track as rich_track

    yield from rich_track(
        items, description=what, total=total, transient=True, console=Console(stderr=True)
    )
