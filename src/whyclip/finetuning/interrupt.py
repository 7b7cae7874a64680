"""Ctrl-C and SIGTERM during training: finish the step, so that a checkpoint can be written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether the user or the machine wants the run to stop.

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
    """Turn the first Ctrl-C or SIGTERM into a request; a second Ctrl-C interrupts at once.

    Signals that the process ignores stay ignored. Outside of the main thread nothing changes.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    before = {number: signal.getsignal(number) for number in numbers}

    def handle(number: int, _: FrameType | None) -> None:
        if stop.wanted:
            raise KeyboardInterrupt
        stop.wanted = True

    taken = [n for n in numbers if before[n] not in (signal.SIG_IGN, None)]
    for number in taken:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number in taken:
            signal.signal(number, before[number])
