"""The process of the command line: Ctrl-C, imports without garbage collection, and exit."""

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


class _State:
    """State of a command-line process; unchanged in other processes.

    Attributes:
        process: whether :func:`own_process` was called.
        at_once: whether Ctrl-C may end the process without clean-up.
    """

    process = False
    at_once = False


def own_process() -> None:
    """Handle Ctrl-C, for a process that runs a single command."""
    _State.process = _State.at_once = True
    # Keep an ignored Ctrl-C, as set by nohup.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)


def _interrupted(_: int, __: FrameType | None) -> None:
    """Exit at once while nothing can be lost, or on the second Ctrl-C."""
    if _State.at_once:
        # The library that is being imported could swallow or print an exception.
        if os.isatty(2):
            os.write(2, b"\r\x1b[2K\x1b[?25h")  # clear the progress bar, show the cursor
        os.write(2, b"whyclip: interrupted\n")
        os._exit(INTERRUPTED)
    _State.at_once = True
    raise KeyboardInterrupt


@contextmanager
def importing() -> Iterator[None]:
    """Import large libraries without garbage collection, and let Ctrl-C exit immediately.

    Garbage collection takes a quarter of the import time of torch and OpenCLIP.
    """
    collects = gc.isenabled()
    gc.disable()
    _State.at_once = _State.process
    try:
        yield
    finally:
        _State.at_once = False
        if _State.process:
            gc.freeze()  # modules live until exit, so later collections can skip them
        if collects:
            gc.enable()


def leave(code: int) -> NoReturn:
    """End the process without finalising the interpreter, which takes over a second.

    Functions registered with ``atexit`` run, and both streams are flushed.
    """
    _State.at_once = True
    atexit._run_exitfuncs()
    flushed = [_flush(sys.stdout), _flush(sys.stderr)]
    os._exit(code if all(flushed) else code or FAILED)


def _flush(stream: TextIO | None) -> bool:
    """Flush a stream; a closed pipe, as with ``head``, is not an error."""
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
