"""A real server on the loopback address, in a thread of the test's process."""

from __future__ import annotations

import http.client
import json
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image

from whyclip.models import ModelView
from whyclip.web.app import WebApp
from whyclip.web.limits import Limits
from whyclip.web.serve import hosts_of, listen, server_of

PAGE_HEADERS = {"X-Whyclip": "1"}
EXAMPLE = "dog-and-red-car"


@dataclass
class Answer:
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def news(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.body.splitlines()]


@dataclass
class Site:
    """A running server."""

    app: WebApp
    port: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, named, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, body: Any) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", path, content, PAGE_HEADERS)

    def send(self, head: str, body: bytes = b"") -> bytes:
        """Write to a connection as it is, and read what comes back until it closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as raw:
            raw.sendall(head.replace("\n", "\r\n").encode("latin-1") + body)
            content = b""
            while part := raw.recv(65536):
                content += part
            return content

    def start(self, path: str, body: Any) -> socket.socket:
        """Begin a request and leave the connection open."""
        content = json.dumps(body).encode()
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nX-Whyclip: 1\r\n"
        raw.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        return raw


@contextmanager
def serving(view: ModelView, limits: Limits | None = None, **more: Any) -> Iterator[Site]:
    bound = listen("127.0.0.1", 0)
    app = WebApp(view, hosts_of("127.0.0.1", ()), limits, **more)
    server = server_of(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    wait_until(lambda: server.started and app.worker.idle and app.kept.examples)
    try:
        yield Site(app, bound.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(60)
        bound.close()
        assert not thread.is_alive(), stacks()


def stacks() -> str:
    """Describe where every thread is, to explain a server that does not stop."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(
        f"{names.get(number)}:\n{''.join(traceback.format_stack(frame))}"
        for number, frame in sys._current_frames().items()
    )


def wait_until(true: Callable[[], Any], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.01)


def png(size: tuple[int, int] = (64, 48), colour: str = "red", **options: Any) -> bytes:
    file = BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG", **options)
    return file.getvalue()
