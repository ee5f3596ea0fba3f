"""Who may ask the UI what: a guard before every request.

What belongs here: the rules, and their refusals in words. What does not: logins. Whoever reaches the port may use the UI;
the guard keeps a web page that is open in the same browser from doing so in that person's name.

Three rules. The name the UI is asked by must be one of its own: a page elsewhere may point a name of its own at this
machine (DNS rebinding). What changes something must come from the UI itself, as JSON, by POST: a page elsewhere can send
forms and plain text here, and have links and pictures fetched (CSRF). No page elsewhere may frame the UI (clickjacking).
Programs send no `Origin`, browsers always do with a POST, so that programs (`DagsterGraphQLClient`, curl) go on working.
"""

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from fashion_assets.serving.headers import with_headers
from fashion_assets.settings import Settings

LOOPBACK = ("localhost", "127.0.0.1", "::1")
READING = ("GET", "HEAD", "OPTIONS")

_HEADERS = {
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Names:
    """The names a UI answers to."""

    def __init__(self, host: str, further: Iterable[str]):
        """`host` is the address listened on, `further` are names, or names with a port, that lead here by way of others."""
        self._origins = {each.strip().lower() for each in further if each.strip()}
        self._hosts = {*LOOPBACK, host.lower(), *filter(None, map(hostname, self._origins))}
        # A name can be pointed at any machine by whoever owns it; an address cannot.
        self._any_address = _is_unspecified(host)
        if self._any_address:
            self._hosts.add(socket.gethostname().lower())

    @classmethod
    def of(cls, settings: Settings, host: str) -> "Names":
        """Those of an installation whose UI listens on `host`."""
        return cls(host, [*settings.ui_hosts.split(","), urlsplit(settings.ui_url or "").netloc])

    def has(self, host: str) -> bool:
        """Whether a request that says it was sent to `host` (name, and maybe port) was meant for this UI."""
        name = hostname(host)
        return name is not None and (name in self._hosts or (self._any_address and _is_address(name)))

    def has_origin(self, origin: str, host: str) -> bool:
        """Whether a page of `origin` is one of this UI, which was asked as `host`."""
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and parts.netloc.lower() in {host.lower(), *self._origins}


def hostname(host: str) -> str | None:
    """The name or address in a `Host` header; None where it is none."""
    try:
        parts = urlsplit(f"//{host}")
        # Looked at for the error that a port raises which is none.
        parts.port  # noqa: B018
    except ValueError:
        return None
    if parts.netloc != host or "@" in host or not parts.hostname:
        return None
    return parts.hostname.rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_json(headers: Headers) -> bool:
    # Exactly: of "text/plain; application/json" a browser thinks that it is plain text, and Dagster that it is JSON.
    kinds = [each.partition(";")[0].strip().lower() for each in headers.getlist("content-type")]
    return kinds == ["application/json"]


def _is_unspecified(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified


class Guard:
    """ASGI middleware that lets through what may pass, and says of the rest why not."""

    def __init__(self, app: ASGIApp, names: Names):
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, one connection of a web socket, or the app's own start and end."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, with_headers(send, _HEADERS) if scope["type"] == "http" else send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[1]})
        else:
            status, said = refusal
            await PlainTextResponse(f"{said}\n", status)(scope, receive, with_headers(send, _HEADERS))

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._names.has(hosts[0]):
            asked = ", ".join(hosts)[:200] or "no name"
            return 403, (
                f"This UI does not answer to {asked}. If that name leads here on purpose, through a proxy, add it to "
                "FASHION_ASSETS_UI_HOSTS."
            )
        method = scope.get("method", "GET")
        changing = scope["type"] == "websocket" or method not in READING
        if changing and (said := self._foreign(headers, hosts[0])):
            return 403, said
        if scope["type"] == "websocket":
            return None
        if method not in READING:
            return None if _is_json(headers) else (415, "What changes something is sent as application/json.")
        # A browser that shows the page of this path itself says so; nothing is executed then.
        shown = "text/html" in headers.get("accept", "")
        if scope["path"].rstrip("/").endswith("/graphql") and scope["query_string"] and not shown:
            return 405, "GraphQL is asked by POST here, never by GET."
        return None

    def _foreign(self, headers: Headers, host: str) -> str | None:
        """Why a request that may change something is not one of the UI itself."""
        origins = headers.getlist("origin")
        if len(origins) > 1 or (origins and not self._names.has_origin(origins[0], host)):
            return (
                f"A page of {', '.join(origins)[:200]} may not ask this UI, which was asked as {host}. If that is its own "
                "address, behind a proxy, add it to FASHION_ASSETS_UI_HOSTS."
            )
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return "A page of another site may not ask this UI."
        return None
