"""What every request and every response must be like, whatever is behind it: around the whole application."""

import ipaddress
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("localhost", "127.0.0.1", "::1")
MOST = 64 * 1024
"""Bytes of a request's body."""
_SAFE = ("GET", "HEAD", "OPTIONS")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: nothing inline, nothing from elsewhere."""
SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""The policy of files that came with the project: even one that is a page in disguise does nothing."""
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuses requests for other hosts, changes that come from other sites, and bodies that are too large.

    Every response gets the headers that keep a browser from doing what the pages never do; what a response sets
    itself stays. `hosts`: names under which the server may be addressed, without port; "*" allows any address
    written in numbers, which no foreign name can stand behind.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app, self._hosts = app, frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope["method"], headers)
        if refusal is not None:
            await PlainTextResponse(refusal[1], refusal[0])(scope, receive, _with_headers(send))
            return
        await _Limited(self._app, MOST)(scope, receive, _with_headers(send))

    def _refusal(self, method: str, headers: Headers) -> tuple[int, str] | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_allowed(hostname(hosts[0])):
            return 400, "This server does not answer to that name. Use the address that it printed when it started."
        if method not in _SAFE and not _is_same_site(headers, hosts[0]):
            return 403, "A change must come from one of this server's own pages."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MOST:
            return 413, f"A request holds at most {MOST} bytes."
        return None

    def _is_allowed(self, host: str | None) -> bool:
        return host is not None and (host in self._hosts or ("*" in self._hosts and _is_address(host)))


def hostname(host: str) -> str | None:
    """The name in a Host header, in small letters and without port; None if there is none.

    >>> hostname("LocalHost:8000"), hostname("[::1]:8000"), hostname("a/b"), hostname("")
    ('localhost', '::1', None, None)
    """
    try:
        split = urlsplit(f"//{host}")
        _port = split.port
    except ValueError:
        return None
    alone = not (split.path or split.query or split.fragment or "@" in host)
    return split.hostname if alone else None


def allowed_hosts(bound: str, named: Sequence[str] = ()) -> tuple[str, ...]:
    """The names to answer to when bound to an address: loopback, the address itself, and those that were named.

    >>> allowed_hosts("0.0.0.0", ["lab.example"])
    ('localhost', '127.0.0.1', '::1', '*', 'lab.example')
    """
    everywhere = bound in ("", "0.0.0.0", "::")
    return (*LOOPBACK, "*" if everywhere else bound.strip("[]"), *named)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_same_site(headers: Headers, host: str) -> bool:
    """Browsers say where a change comes from; programs that say nothing are known by cookie or token later."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or (urlsplit(origin).scheme in ("http", "https") and urlsplit(origin).netloc == host)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


class _Limited:
    """Counts what arrives, for bodies that do not say how large they are."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app, self._most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrived = 0

        async def receiving() -> Message:
            nonlocal arrived
            message = await receive()
            arrived += len(message.get("body", b""))
            if arrived > self._most:
                raise HTTPException(413, f"A request holds at most {self._most} bytes.")
            return message

        await self._app(scope, receiving, send)
