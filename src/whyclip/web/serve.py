"""Run the server, by default on this machine only."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Callable, Sequence

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from whyclip.errors import OptionError, quoted, reason
from whyclip.matching import Reference
from whyclip.models import ModelView
from whyclip.web.app import WebApp
from whyclip.web.guard import LOOPBACK
from whyclip.web.limits import Limits


def listen(host: str, port: int) -> socket.socket:
    """Bind an address.

    Raises:
        OptionError: it cannot be bound, for example because the port is in use.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        raise OptionError(
            f"cannot listen on {quoted(host)} port {port}: {reason(error)}; "
            "--port 0 chooses a free port"
        ) from None
    return bound


def is_loopback(host: str) -> bool:
    """Whether an address is reachable only from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def hosts_of(host: str, allowed: Sequence[str]) -> set[str]:
    """Return the host names that the server accepts."""
    return {*LOOPBACK, host, *allowed} - {"0.0.0.0", "::"}


def address_of(bound: socket.socket) -> str:
    """Return the address to open in a browser."""
    host, port = bound.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def serve(
    view: ModelView,
    bound: socket.socket,
    hosts: set[str],
    limits: Limits | None = None,
    ready: Callable[[], None] | None = None,
    reference: Reference | None = None,
) -> None:
    """Serve until interrupted.

    Args:
        view: the model.
        bound: bound socket; see :func:`listen`.
        hosts: accepted host names.
        limits: see :class:`Limits`.
        ready: called when the server is ready.
        reference: see :class:`WebApp`.
    """
    server_of(WebApp(view, hosts, limits, reference), ready).run(sockets=[bound])


class Server(uvicorn.Server):
    """Uvicorn with a callback when it is ready."""

    ready: Callable[[], None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then call ``ready``."""
        await super().startup(sockets)
        if self.ready is not None and not self.should_exit:
            self.ready()


def impatient(seconds: float) -> type[H11Protocol]:
    """Make an HTTP protocol that closes a connection without a new request in time."""

    class Impatient(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._expect()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._expect()

        def _expect(self) -> None:
            self.loop.call_later(seconds, self._drop, self.cycle)

        def _drop(self, cycle: object) -> None:
            # The same cycle means that no request has sent all of its headers since.
            if self.cycle is cycle and not self.transport.is_closing():
                self.transport.close()

    return Impatient


def server_of(app: WebApp, ready: Callable[[], None] | None = None) -> Server:
    """Make the server of an application, with a limit on the number and duration of connections."""
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    config = uvicorn.Config(
        app.asgi,
        http=impatient(app.limits.upload_seconds),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        limit_concurrency=app.limits.connections,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=16_384,
    )
    server = Server(config)
    server.ready = ready
    return server
