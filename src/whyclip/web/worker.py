"""A thread for computation, and its queue of requests."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from whyclip.progress import listening

News = dict[str, Any]
"""``{"queue": position}`` or ``{"progress": …}``, finally ``{"result": …}`` or an ``"error"``."""

FINAL = ("result", "error")


class BusyError(Exception):
    """Too many requests are waiting."""


class _CancelledError(Exception):
    """The visitor cancelled the request."""


class Job:
    """One request, from the queue to its result.

    Only the latest update is kept, so that slow visitors use no memory.
    """

    def __init__(self, worker: Worker, work: Callable[[], Any]) -> None:
        self.work = work
        self.cancelled = threading.Event()
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._news: News = {}

    def tell(self, news: News) -> None:
        """Send an update from any thread; updates after the final one are dropped."""

        def keep() -> None:
            if not any(key in self._news for key in FINAL):
                self._news = news
                self._changed.set()

        # The server may have stopped in the meantime.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(keep)

    async def news(self) -> AsyncIterator[News]:
        """Yield updates until the job ends; leaving early cancels it."""
        try:
            news: News = {}
            while not any(key in news for key in FINAL):
                await self._changed.wait()
                self._changed.clear()
                news = self._news
                yield news
        finally:
            self.cancel()

    async def result(self) -> News:
        """Wait for the final update."""
        return [news async for news in self.news()][-1]

    def cancel(self) -> None:
        """Leave the queue, or stop at the next step of the computation."""
        self.cancelled.set()
        self._worker.forget(self)


class Worker:
    """A thread that runs jobs in order of arrival.

    Args:
        waiting: maximum number of waiting jobs.
        explain: function that converts an exception to a sentence for the visitor.
    """

    def __init__(self, waiting: int, explain: Callable[[Exception], str]) -> None:
        self._most, self._explain = waiting, explain
        self._jobs: deque[Job] = deque()
        self._wake = threading.Condition()
        self._stopped = False
        self._busy = False
        self._thread = threading.Thread(target=self._run, name="whyclip-web", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end after its current step."""
        with self._wake:
            self._stopped = True
            for job in self._jobs:
                job.cancelled.set()
            self._wake.notify_all()

    def submit(self, work: Callable[[], Any]) -> Job:
        """Add work to the queue; call this within a running event loop.

        Raises:
            BusyError: the queue is full.
        """
        job = Job(self, work)
        with self._wake:
            if len(self._jobs) >= self._most:
                raise BusyError
            self._jobs.append(job)
            self._wake.notify()
            job.tell({"queue": len(self._jobs)})
        return job

    def forget(self, job: Job) -> None:
        """Remove a job from the queue if it is still waiting."""
        with self._wake, contextlib.suppress(ValueError):
            self._jobs.remove(job)
            self._tell_positions()

    @property
    def waiting(self) -> int:
        """Number of waiting jobs."""
        return len(self._jobs)

    @property
    def idle(self) -> bool:
        """Whether no job is running or waiting."""
        return not self._jobs and not self._busy

    def _tell_positions(self) -> None:
        for position, job in enumerate(self._jobs, 1):
            job.tell({"queue": position})

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._jobs and not self._stopped:
                    self._wake.wait()
                if self._stopped:
                    return
                # In this order, so that the worker does not appear idle in between.
                self._busy = True
                job = self._jobs.popleft()
                self._tell_positions()
            self._do(job)
            self._busy = False

    def _do(self, job: Job) -> None:
        def step(what: str, done: int, total: int) -> None:
            if job.cancelled.is_set() or self._stopped:
                raise _CancelledError
            if total > 1:
                job.tell({"progress": {"what": what, "done": done, "total": total}})

        if job.cancelled.is_set():
            return
        job.tell({"queue": 0})
        try:
            with listening(step):
                result = job.work()
        except _CancelledError:
            return
        except Exception as error:  # noqa: BLE001 - one visitor's error must not stop the others
            job.tell({"error": self._explain(error)})
        else:
            job.tell({"result": result})
