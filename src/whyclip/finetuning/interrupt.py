"""Ctrl-C and SIGTERM during training: finish the step, so that a checkpoint can be written."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ONE_PRESS = 1.0


class Stop:
    """A request to stop the run, from the user or the system.

    Attributes:
        wanted: set by the first signal.
    """

    wanted = False


class Interrupted(KeyboardInterrupt):
    """Training stopped on a signal, after a checkpoint was written.

    Attributes:
        step: number of steps done.
    """

    def __init__(self, step: int, message: str) -> None:
        super().__init__(message)
        self.step = step


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Turn the first Ctrl-C or SIGTERM into a request; a later Ctrl-C interrupts at once.

    Signals that the process ignores stay ignored. Outside the main thread, this has no effect.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    before = {number: signal.getsignal(number) for number in numbers}

    first = 0.0

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal first
        if not stop.wanted:
            stop.wanted, first = True, time.monotonic()
        # A launcher forwards Ctrl-C to processes that already received it from the terminal.
        elif number == signal.SIGINT and time.monotonic() - first > _ONE_PRESS:
            raise KeyboardInterrupt

    taken = [n for n in numbers if before[n] not in (signal.SIG_IGN, None)]
    for number in taken:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number in taken:
            signal.signal(number, before[number])
