"""Access control before any route, and security headers on every response."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
# Other sites cannot set it without a preflight request, which this server rejects.
OWN_HEADER = b"x-whyclip"


class Guard:
    """Reject requests that do not come from this page, and add headers to every response.

    - The ``Host`` header must name this server, which prevents DNS rebinding.
    - ``Origin`` must be this server, and ``Sec-Fetch-Site`` must be this page; other sites may only
      link to the start page.
    - Requests that change or compute something must have a custom header.

    Args:
        app: protected application.
        hosts: names of this server, without ports.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self.app, self.hosts = app, {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            # No route supports websockets.
            await send({"type": "websocket.close", "code": 1008})
            return
        started = False

        async def with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                given = message.get("headers", [])
                names = {name.lower() for name, _ in given}
                message["headers"] = [*given, *_missing(names)]
            await send(message)

        refusal = self.refusal(scope)
        if refusal is not None:
            await refuse(with_headers, *refusal)
            return
        try:
            await self.app(scope, receive, with_headers)
        except Exception:
            if not started:
                await refuse(with_headers, 500, FAULT)
            raise

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and sentence for a rejected request, or None."""
        headers = list(scope["headers"])
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if len(hosts) != 1 or host_of(hosts[0]) not in self.hosts:
            return (
                421,
                "this server does not accept that host name; open the address that it printed",
            )
        given = {name: value.decode("latin-1") for name, value in headers}
        origin = given.get(b"origin")
        if origin is not None and urlsplit(origin).netloc.lower() != hosts[0].lower():
            return 403, "requests from other sites are refused"
        navigation = scope["method"] == "GET" and scope["path"] == "/"
        if given.get(b"sec-fetch-site", "none") not in ("same-origin", "none") and not navigation:
            return 403, "requests from other sites are refused"
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return 405, "this server accepts only GET, HEAD and POST"
        if scope["method"] == "POST" and OWN_HEADER not in given:
            return 403, "requests need the header X-Whyclip: 1"
        return None


FAULT = "internal error in whyclip; see its terminal for details"


def host_of(header: str) -> str:
    """Return the name in a ``Host`` header, without its port; empty if it is malformed."""
    try:
        parts = urlsplit(f"//{header}")
        parts.port  # noqa: B018 - raises if it is not a number
    except ValueError:
        return ""
    plain = parts.netloc == header and not (parts.username or parts.password)
    return (parts.hostname or "").lower() if plain else ""


async def refuse(send: Send, status: int, sentence: str) -> None:
    """Answer with one sentence as JSON, and close the connection."""
    body = json.dumps({"error": sentence}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _missing(names: Collection[bytes]) -> Iterable[tuple[bytes, bytes]]:
    for name, value in HEADERS.items():
        if name.encode() not in names:
            yield name.encode(), value.encode()
