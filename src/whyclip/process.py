"""The process of the command line: Ctrl-C, garbage collection while importing, and leaving."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn, TextIO

INTERRUPTED = 130
FAILED = 1


class _Own:
    """State of a process that belongs to the command line; elsewhere it stays as it is here.

    Attributes:
        process: whether :func:`own_process` was called.
        at_once: whether Ctrl-C may end the process without any cleaning up.
    """

    process = False
    at_once = False


def own_process() -> None:
    """Take over Ctrl-C, for a process that runs one command and nothing else."""
    _Own.process = _Own.at_once = True
    # A parent that has Ctrl-C ignored, such as nohup, has a reason for it.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)


def _interrupted(_: int, __: FrameType | None) -> None:
    """Leave at once while nothing can be lost, or when pressed a second time."""
    if _Own.at_once:
        # An exception could be swallowed by, or printed from, whichever library is being imported.
        if os.isatty(2):
            os.write(2, b"\r\x1b[2K\x1b[?25h")  # the progress bar away, the cursor back
        os.write(2, b"whyclip: interrupted\n")
        os._exit(INTERRUPTED)
    _Own.at_once = True
    raise KeyboardInterrupt


@contextmanager
def importing() -> Iterator[None]:
    """Import large libraries faster: no garbage is collected, and Ctrl-C ends at once.

    Collecting garbage takes a quarter of the time to import torch and OpenCLIP, and finds none.
    """
    collects = gc.isenabled()
    gc.disable()
    _Own.at_once = _Own.process
    try:
        yield
    finally:
        _Own.at_once = False
        if _Own.process:
            gc.freeze()  # modules stay until the end; later collections need not look at them
        if collects:
            gc.enable()


def leave(code: int) -> NoReturn:
    """End the process without taking the interpreter apart, which takes over a second.

    Functions registered with ``atexit`` run, and both streams are flushed.
    """
    _Own.at_once = True
    atexit._run_exitfuncs()
    flushed = [_flush(sys.stdout), _flush(sys.stderr)]
    os._exit(code if all(flushed) else code or FAILED)


def _flush(stream: TextIO | None) -> bool:
    """Write out what a stream holds; a reader that has left, such as ``head``, is no news."""
    try:
        if stream is not None:
            stream.flush()
    except BrokenPipeError:
        return False
    except (OSError, ValueError) as error:
        with suppress(OSError):
            os.write(2, f"whyclip: cannot write the output: {error}\n".encode())
        return False
    return True
