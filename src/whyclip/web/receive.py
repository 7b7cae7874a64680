"""Receive requests within limits, and stop work when the visitor disconnects."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from whyclip.errors import InputError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from whyclip.web.worker import Job, News


class TooLargeError(InputError):
    """A body is larger than its limit."""


class TooSlowError(InputError):
    """A body did not arrive in time."""


async def read_body(request: Request, most: int, seconds: float, too_large: str) -> bytes:
    """Receive a body within its limits.

    Args:
        request: the request.
        most: maximum number of bytes.
        seconds: maximum time.
        too_large: message for a larger body.

    Raises:
        TooLargeError: the body's header or content exceeds the limit.
        TooSlowError: the body did not arrive in time.
    """
    announced = request.headers.get("content-length", "0")
    if not announced.isdigit() or int(announced) > most:
        raise TooLargeError(too_large)
    try:
        return await asyncio.wait_for(_collected(request.stream(), most, too_large), seconds)
    except asyncio.TimeoutError:
        raise TooSlowError(
            f"the request took longer than {seconds:g} seconds to arrive; try again"
        ) from None


async def _collected(parts: AsyncIterator[bytes], most: int, too_large: str) -> bytes:
    body = bytearray()
    async for part in parts:
        body += part
        if len(body) > most:
            raise TooLargeError(too_large)
    return bytes(body)


class NewsResponse:
    """Stream a job's updates as one JSON object per line, until it ends or the visitor disconnects.

    Args:
        job: the job; it is cancelled if the visitor disconnects.
    """

    def __init__(self, job: Job) -> None:
        self.job = job

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        del scope
        await while_there(receive, lambda: self._talk(send))
        self.job.cancel()

    async def _talk(self, send: Send) -> None:
        headers = [(b"content-type", b"application/x-ndjson"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for news in self.job.news():
            line = json.dumps(news, separators=(",", ":"), allow_nan=False).encode() + b"\n"
            await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class ResultResponse:
    """A job's result as one response, sent when the job ends.

    Args:
        job: the job; it is cancelled if the visitor disconnects.
        respond: function that makes the response from the final update.
    """

    def __init__(self, job: Job, respond: Callable[[News], Callable[..., Awaitable[None]]]) -> None:
        self.job, self.respond = job, respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""

        async def answer() -> None:
            await self.respond(await self.job.result())(scope, receive, send)

        await while_there(receive, answer)
        self.job.cancel()


async def while_there(receive: Receive, work: Callable[[], Awaitable[None]]) -> None:
    """Do some work, and stop it if the visitor disconnects."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    leaving, working = asyncio.ensure_future(gone()), asyncio.ensure_future(work())
    try:
        await asyncio.wait({leaving, working}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in (leaving, working):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
