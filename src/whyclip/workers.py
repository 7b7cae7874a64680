"""Worker processes of torch's DataLoader, and errors from dead ones."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import active_children
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from threading import current_thread, main_thread
from typing import TypeVar

from whyclip.errors import WhyclipError, reason

T = TypeVar("T")

_DEATH = "DataLoader worker (pid"
# An error of the user's code, with the worker's traceback.
_CAUGHT = "Caught "
# The connection to a killed process breaks a moment before the process ends.
_SECONDS_TO_DIE = 5.0


def from_workers(loader: Iterable[T]) -> Iterator[T]:
    """Iterate over a DataLoader; a dead worker always raises the same error.

    A worker can be killed while this process fetches the memory of its tensors. Then torch raises
    whatever the broken connection raises, such as ``ConnectionResetError``.

    Args:
        loader: a DataLoader with worker processes.

    Raises:
        RuntimeError: a worker died; :func:`is_death` recognises it.
    """
    before = set(active_children())
    batches = iter(loader)
    workers = [child for child in active_children() if child not in before]
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except Exception as error:
            death = _death(error, workers)
            # Dropping the frames and the iterator ends the workers. Their exit signals would report
            # a dead worker a second time.
            with _without_signals():
                _forget(error)
                del batches, workers
            if not death:
                raise
            raise RuntimeError(death) from None
        yield batch


def is_death(error: BaseException) -> bool:
    """Tell whether an error reports a dead worker; torch raises it anywhere in this process."""
    return isinstance(error, RuntimeError) and str(error).startswith(_DEATH)


def death_behind(error: BaseException) -> BaseException | None:
    """Find a worker's death in an error or in its chain of contexts.

    A death can be reported while a file is written, and closing the file then fails, too.
    """
    seen: BaseException | None = error
    while seen is not None and not is_death(seen):
        seen = seen.__context__
    return seen


@contextmanager
def deaths_as(build: Callable[[str], WhyclipError]) -> Iterator[None]:
    """Convert a worker's death to another error.

    Args:
        build: function that makes the error from torch's message.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_death(error):
            raise
        # Dropping the frames ends the workers.
        with _without_signals():
            _forget(error)
        raise build(reason(error)) from None


def _forget(error: BaseException) -> None:
    """Drop the frames of an error, and the iterators in them."""
    error.__traceback__ = error.__context__ = error.__cause__ = None


@contextmanager
def _without_signals() -> Iterator[None]:
    """Ignore exit signals of child processes; only the main thread handles them."""
    number = getattr(signal, "SIGCHLD", None)
    if number is None or current_thread() is not main_thread():
        yield
        return
    handler = signal.getsignal(number)
    signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        # None means a handler that Python cannot restore.
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _death(error: Exception, workers: list[BaseProcess]) -> str:
    """Build torch's message about a dead worker; empty if none died."""
    if is_death(error):
        return str(error)
    lost = isinstance(error, (RuntimeError, OSError, EOFError))
    if not lost or str(error).startswith(_CAUGHT):
        return ""
    try:
        ended = wait([worker.sentinel for worker in workers], _SECONDS_TO_DIE)
        dead = [worker for worker in workers if worker.sentinel in ended]
        for worker in dead:
            worker.join()
    except RuntimeError as signalled:
        if not is_death(signalled):
            raise
        return str(signalled)
    return f"{_DEATH}(s) {', '.join(str(w.pid) for w in dead)}) exited unexpectedly" if dead else ""
