"""Routes of the web page."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from functools import cached_property
from importlib.resources import files
from os import environ
from typing import Any, get_args

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from whyclip import __version__
from whyclip.errors import InputError, WhyclipError, one_line
from whyclip.matching import Reference
from whyclip.models import ModelView
from whyclip.render.page import colours
from whyclip.types import GeometryName
from whyclip.web import uploads
from whyclip.web.answers import MEDIA, Answers
from whyclip.web.examples import EXAMPLES, draw_examples, examples_json
from whyclip.web.guard import FAULT, LOOPBACK, Guard
from whyclip.web.limits import Limits
from whyclip.web.receive import (
    NewsResponse,
    ResultResponse,
    TooLargeError,
    TooSlowError,
    read_body,
)
from whyclip.web.request import WebRequest, read_request
from whyclip.web.state import GONE, Kept, named_safely
from whyclip.web.worker import BusyError, Job, Worker

_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".svg": "image/svg+xml",
}
_SHARED = ("elements.js", "heat.js", "paint.js", "viewer.css")
"""Files of the viewer of self-contained pages that this page uses."""

Endpoint = Callable[[Request], Awaitable[Any]]


def assets() -> dict[str, bytes]:
    """Return all files that visitors may load, by name; requests are never used as paths."""
    viewer, static = files("whyclip.render") / "viewer", files("whyclip.web") / "static"
    contents = {name: (viewer / name).read_bytes() for name in _SHARED}
    for file in static.iterdir():
        if file.name.endswith(tuple(_TYPES)):
            contents[file.name] = file.read_bytes()
    return contents


class WebApp:
    """The page and its server, for one model.

    Args:
        view: the model.
        hosts: accepted host names.
        limits: limits on requests and on the cache.
        reference: other prompts and images that scores are compared with, or None.
    """

    def __init__(
        self,
        view: ModelView,
        hosts: Collection[str] = LOOPBACK,
        limits: Limits | None = None,
        reference: Reference | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.view = named_safely(view)
        self.kept = Kept(self.view, self.limits, reference)
        self.answers = Answers(self.kept)
        self.worker = Worker(self.limits.waiting, sentence)
        self.assets = assets()
        self.receiving = 0
        routes = [
            Route("/", self.start_page),
            Route("/static/{name}", self.asset),
            Route("/api/about", self.about),
            Route("/api/images", answering(self.add_image), methods=["POST"]),
            Route("/api/images/{id}", self.shown_image),
            Route("/api/explain", answering(self.explain), methods=["POST"]),
            Route("/api/table", answering(self.table), methods=["POST"]),
            Route("/api/download/{kind}", answering(self.download), methods=["POST"]),
        ]
        handlers: dict[Any, Any] = {404: _not_found, 405: _not_found}
        inner = Starlette(routes=routes, lifespan=self._lifespan, exception_handlers=handlers)
        self.asgi = Guard(inner, hosts)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self.worker.start()
        job = self.worker.submit(self._warm_up)
        try:
            yield
        finally:
            job.cancel()
            self.worker.stop()

    def _warm_up(self) -> None:
        """Draw the examples, and run the model once so that the first request is fast."""
        self.kept.examples.update(draw_examples(self.limits))
        if self.answers.slow_default:
            return
        first = self.examples[0]
        self.answers.explain(WebRequest(first["id"], tuple(first["prompts"])))

    async def start_page(self, _: Request) -> Response:
        """Serve the page."""
        return Response(self.assets["index.html"], media_type="text/html")

    async def asset(self, request: Request) -> Response:
        """Serve a script or style sheet."""
        name = request.path_params["name"]
        content = self.assets.get(name)
        if content is None:
            return _sentence(404, "no such file")
        kind = _TYPES[name[name.rindex(".") :]]
        return Response(content, media_type=kind, headers={"cache-control": "no-cache"})

    async def about(self, _: Request) -> Response:
        """Return model, methods, limits and colours for the page."""
        return JSONResponse(self._about)

    @cached_property
    def _about(self) -> dict[str, Any]:
        limits = self.limits
        return {
            "version": __version__,
            "model": self.view.name,
            "classifier": self.view.classes is not None,
            "table": not any(tower.opaque for tower in self.view.towers)
            and self.view.classes is None,
            "methods": self.answers.offered,
            "slowDefault": self.answers.slow_default,
            "geometries": self._geometries,
            "limits": {
                "bytes": limits.upload_bytes,
                "prompts": limits.prompts,
                "opponents": limits.opponents,
                "characters": limits.characters,
            },
            "formats": list(uploads.FORMATS),
            "examples": self.examples,
            "colours": colours(),
        }

    @property
    def examples(self) -> list[dict[str, Any]]:
        """Return the examples; a classifier's prompts are its first classes."""
        classes = self.view.classes
        names = {} if classes is None else {"prompts": list(classes.names[:3])}
        return [{**example, **names} for example in examples_json()]

    @property
    def _geometries(self) -> list[str]:
        fixed = self.view.image.fixed_grid_reason or self.view.image.opaque
        return [name for name in get_args(GeometryName) if not (name == "keep" and fixed)]

    async def add_image(self, request: Request) -> Any:
        """Receive an image file as the request's body."""
        if self.receiving >= self.limits.uploads:
            raise BusyError
        too_large = uploads.too_large(self.limits)
        self.receiving += 1
        try:
            body = await read_body(
                request, self.limits.upload_bytes, self.limits.upload_seconds, too_large
            )
            uploads.check_header(body, self.limits)
        finally:
            self.receiving -= 1
        return self._result(lambda: self.kept.add(body).to_json())

    async def shown_image(self, request: Request) -> Response:
        """Serve the display copy of an image."""
        name = request.path_params["id"]
        while name in EXAMPLES and name not in self.kept.examples and not self.worker.idle:
            await asyncio.sleep(0.05)
        upload = self.kept.image(name)
        if upload is None:
            return _sentence(410, GONE)
        return Response(upload.shown, media_type=f"image/{upload.kind}")

    async def explain(self, request: Request) -> Any:
        """Explain an image."""
        wanted = await self._wanted(request)
        return NewsResponse(self.worker.submit(lambda: self.answers.explain(wanted)))

    async def table(self, request: Request) -> Any:
        """Compute the word–region relevance."""
        wanted = await self._wanted(request)
        return NewsResponse(self.worker.submit(lambda: self.answers.table(wanted)))

    async def download(self, request: Request) -> Any:
        """Write a file."""
        wanted, kind = await self._wanted(request), request.path_params["kind"]
        job = self.worker.submit(lambda: self.answers.download(wanted, kind))

        def respond(news: dict[str, Any]) -> Response:
            if "error" in news:
                return _sentence(400, news["error"])
            disposition = f'attachment; filename="whyclip.{kind}"'
            headers = {"content-disposition": disposition}
            return Response(news["result"], media_type=MEDIA[kind], headers=headers)

        return ResultResponse(job, respond)

    async def _wanted(self, request: Request) -> WebRequest:
        body = await read_body(
            request,
            self.limits.request_bytes,
            self.limits.upload_seconds,
            f"the request is larger than {self.limits.request_bytes} bytes; write less",
        )
        wanted = read_request(body, self.limits, tuple(self.answers.offered))
        if self.kept.examples:
            self.kept.require(wanted.image)
        return wanted

    def _result(self, work: Callable[[], Any]) -> ResultResponse:
        job: Job = self.worker.submit(work)

        def respond(news: dict[str, Any]) -> Response:
            if "error" in news:
                return _sentence(400, news["error"])
            return JSONResponse(news["result"])

        return ResultResponse(job, respond)


def answering(endpoint: Endpoint) -> Endpoint:
    """Convert an endpoint's exceptions to one sentence with a suitable status."""

    async def answer(request: Request) -> Any:
        try:
            return await endpoint(request)
        except BusyError:
            return _sentence(503, "too many visitors at once; try again in a moment", closing=True)
        except TooLargeError as error:
            return _sentence(413, str(error), closing=True)
        except TooSlowError as error:
            return _sentence(408, str(error), closing=True)
        except InputError as error:
            return _sentence(410 if str(error) == GONE else 400, str(error))
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the terminal gets the details
            return _sentence(500, sentence(error))

    return answer


def sentence(error: Exception) -> str:
    """Return an error's message for visitors; unexpected errors are also written to stderr."""
    if isinstance(error, WhyclipError):
        return str(error)
    print(f"whyclip: web: {type(error).__name__}: {one_line(str(error))}", file=sys.stderr)
    if environ.get("WHYCLIP_TRACEBACK"):
        traceback.print_exception(error)
    return FAULT


async def _not_found(_: Request, error: Any) -> Response:
    words = "there is no such page" if error.status_code == 404 else "this request is not supported"
    return _sentence(error.status_code, words)


def _sentence(status: int, words: str, *, closing: bool = False) -> Response:
    headers = {"connection": "close"} if closing else None
    return JSONResponse({"error": words}, status, headers)
