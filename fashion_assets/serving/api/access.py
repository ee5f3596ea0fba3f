"""Who asks, and what they may.

What belongs here: callers, scopes, the filters nobody can leave, keys as they come with a request. What does not: keeping keys
(`warehouse.keys`), making them (`cli.keys`).

As long as no key was ever made, and nothing but this machine is listened on, whoever asks may do everything; a page elsewhere, open in
the same browser, may not (`guard.Names`). Else a key is needed, but for what the setting `api_open_to` opens to all.
"""

import base64
import binascii
import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import psycopg
from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer, SecurityScopes
from fastapi_problem.error import Problem
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from fashion_assets.postgres.errors import WarehouseError
from fashion_assets.search.filters import Filter, FilterError
from fashion_assets.serving.api import problems
from fashion_assets.serving.api.asked import read_filters
from fashion_assets.serving.guard import LOOPBACK, READING, Names
from fashion_assets.serving.links import PAGES
from fashion_assets.warehouse import keys
from fashion_assets.warehouse.feedback import is_session
from fashion_assets.warehouse.keys import Key

SCOPES = {
    "search": "Search, products, pictures, styles.",
    "people": "Recommendations to people by their ids.",
    "feedback": "What somebody likes, sent and forgotten; of people with ids that can be guessed beside `people`.",
    "releases": "Other releases than the one that is served, candidates too.",
    "merchant": "What people looked for, pins, synonyms, quarantine, reports.",
    "former": "The calls of former systems' clients.",
    "metrics": "Figures for Prometheus.",
}
"""What a key may be good for."""

GUARDED = {f"{PAGES}/": "merchant", "/former/": "former", "/metrics": "metrics"}
"""Paths of what is mounted, and the scope that opens them; routes of ours say theirs themselves."""

FRESH_SECONDS = 5.0
"""How long what was read of a key holds: so long one that was revoked is good."""

KNOWN = 4_096
"""Keys that are remembered, good ones or such as were."""

CALLERS = 4_096
"""Callers that are counted before those are let go of that asked nothing for a minute."""

UNASKABLE = (psycopg.OperationalError, WarehouseError)
"""The registers cannot be asked: what was last known of a key holds until they can."""

WRONG_PER_MINUTE = 60
"""Requests with a key that is none, from one address, that are answered by more than a refusal to look."""


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    name: str
    scopes: frozenset[str]
    within: tuple[Filter, ...] = ()
    """What everything they are told of meets."""

    def may(self, scope: str) -> bool:
        """Whether a scope is theirs."""
        return scope in self.scopes


class Access:
    """Who may ask the application of one process what; how often."""

    def __init__(self, here: Any):
        """`here` is what is served (`served.Served`)."""
        self._here = here
        self.settings = settings = here.settings
        self._names = Names.of(settings, here.host)
        self._origins = {each.strip() for each in settings.api_cors_origins.split(",") if each.strip()}
        self._open_to = frozenset(each.strip() for each in settings.api_open_to.split(",") if each.strip())
        self._local = here.host in LOOPBACK
        self._keys: OrderedDict[bytes, tuple[float, Key]] = OrderedDict()
        self._needed: tuple[float, bool] = (-math.inf, True)
        self._asked = MemoryStorage()
        self._forget_at = CALLERS
        self._limiter = MovingWindowRateLimiter(self._asked)
        per_process = max(1, -(-settings.api_requests_per_minute // settings.api_workers))
        self._limit = RateLimitItemPerMinute(per_process)
        self._wrong = RateLimitItemPerMinute(WRONG_PER_MINUTE)

    async def caller(self, method: str, headers: Headers, client: str) -> Caller:
        """Who asks. Raises a `Problem` where they give a key that is none, come from a page elsewhere, or ask too often."""
        secret = secret_of(headers)
        if secret is None:
            if not _is_forwarded(headers) and await self._is_open():
                self._require_own(method, headers)
                return Caller("this machine", frozenset(SCOPES))
            self._count(self._limit, f"address {client}")
            return Caller("anybody", self._open_to)
        key = await self._known(secret, client)
        if key is None or not key.holds(datetime.now(UTC)):
            self._count(self._wrong, f"wrong {client}")
            raise _unauthorized("the key is none, has expired, or was revoked")
        self._count(self._limit, f"key {key.key}")
        try:
            within = read_filters(key.filters)
        except FilterError as error:
            raise _forbidden(f"a filter of the key cannot be read any more: {error}") from None
        return Caller(key.name, frozenset(key.scopes), within)

    def _count(self, limit: RateLimitItemPerMinute, who: str) -> None:
        if len(self._asked.events) >= self._forget_at:
            self._forget()
        if self._limiter.hit(limit, who):
            return
        again = max(1, round(self._limiter.get_window_stats(limit, who).reset_time - time.time()))
        raise Problem(
            "Asked too often",
            "too-many-requests",
            f"more than is answered in a minute; ask again in {again} seconds",
            429,
            headers={"Retry-After": str(again)},
        )

    def _forget(self) -> None:
        """Let go of callers that asked nothing for a minute: the storage keeps the name of each for ever, and there is no end of addresses."""
        for who in [who for who, times in list(self._asked.events.items()) if not times]:
            self._asked.clear(who)
        # Looked for again only when there are as many more, so that it costs a request nothing to speak of.
        self._forget_at = max(CALLERS, 2 * len(self._asked.events))

    async def _is_open(self) -> bool:
        if not self._local:
            return False
        at, needed = self._needed
        if time.monotonic() - at > FRESH_SECONDS:
            try:
                needed = await self._here.registered(keys.are_there)
            except UNASKABLE:
                # What it was holds on: whoever looks at figures and reports wants them most now.
                if at < 0:
                    raise
            self._needed = time.monotonic(), needed
        return not needed

    async def _known(self, secret: str, client: str) -> Key | None:
        """Raises a `Problem` where an address has given too many keys that are none, and this is another that nobody knows yet."""
        if len(secret) != keys.LENGTH or not secret.isascii() or not secret.startswith(keys.PREFIX):
            return None
        sha256 = keys.digest(secret)
        found = self._keys.get(sha256)
        if found is not None and time.monotonic() - found[0] <= FRESH_SECONDS:
            return found[1]
        if found is None and not self._limiter.test(self._wrong, f"wrong {client}"):
            self._count(self._wrong, f"wrong {client}")
        try:
            key = await self._here.registered(lambda connection: keys.known(connection, sha256))
        except UNASKABLE:
            if found is None:
                raise
            key = found[1]
        if key is not None:
            # What is no key is not remembered: nobody pushes keys out by making some up.
            self._keys[sha256] = (time.monotonic(), key)
            while len(self._keys) > KNOWN:
                self._keys.popitem(last=False)
        return key

    def _require_own(self, method: str, headers: Headers) -> None:
        """Raise a `Problem` for what a page elsewhere has a browser ask in the name of whoever sits before it."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._names.has(hosts[0]):
            raise _forbidden(
                "this name is not one of the API's: a name that leads here on purpose stands in FASHION_ASSETS_UI_HOSTS"
            )
        origin = headers.get("origin")
        if method in READING or origin is None or origin in self._origins:
            return
        if not self._names.has_origin(origin, hosts[0]):
            raise _forbidden("a page of another site may not ask this")


def secret_of(headers: Headers) -> str | None:
    """The key that comes with a request: as a bearer's, in `X-API-Key`, or as the password a browser asks for."""
    given = headers.get("x-api-key")
    if given is not None:
        return given
    kind, _, said = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return said.strip()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(said, validate=True).decode("ascii").partition(":")[2]
        except (binascii.Error, UnicodeDecodeError, ValueError):
            return ""
    return None


def _is_forwarded(headers: Headers) -> bool:
    """Whether a proxy passed this on: then who asks is not this machine, wherever the proxy is."""
    return "x-forwarded-for" in headers or "forwarded" in headers


def _unauthorized(said: str) -> Problem:
    return Problem(
        "A key is needed",
        "key-needed",
        f"{said}: give one in `Authorization: Bearer` or `X-API-Key`",
        401,
        headers={"WWW-Authenticate": 'Bearer realm="fashion-assets"'},
    )


def _forbidden(said: str) -> Problem:
    return Problem("This may not be asked", "forbidden", said, 403)


def require(caller: Caller, scope: str) -> None:
    """Raise a `Problem` where a scope is not the caller's."""
    if caller.may(scope):
        return
    if caller.name == "anybody":
        raise _unauthorized("no key was given")
    raise _forbidden(f"the key has not the scope {scope!r}")


def require_whole(caller: Caller) -> None:
    """Raise a `Problem` where the caller is told of a part of the catalogue alone, and what is asked is of all of it."""
    if caller.within:
        raise _forbidden("this is of the whole catalogue, and the key is of a part of it")


def require_speaks_for(caller: Caller, person: str) -> None:
    """Raise a `Problem` for a person whom the caller may not be: who has an id drawn at random is asked about by nobody else, so that
    `feedback` is enough; ids as a source has them can be guessed, and want `people`."""
    if not (caller.may("feedback") and is_session(person)):
        require(caller, "people")


_BEARER = HTTPBearer(
    auto_error=False, scheme_name="bearer", description="A key of `fashion-assets keys create`."
)
_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="header", description="The same.")


async def caller(
    request: Request,
    asked: SecurityScopes,
    _: Annotated[Any, Depends(_BEARER)] = None,
    __: Annotated[Any, Depends(_HEADER)] = None,
) -> Caller:
    """Who asks; a `Problem` where they may not."""
    return await caller_of(request, asked.scopes)


async def caller_of(request: Request, scopes: Sequence[str]) -> Caller:
    """Who asks, who must have these scopes; a `Problem` where they have not."""
    access: Access = request.app.state.access
    found = await access.caller(
        request.method, request.headers, request.client.host if request.client else ""
    )
    for scope in scopes:
        require(found, scope)
    return found


class Guarded:
    """ASGI middleware before what is mounted (`GUARDED`): reports, former calls, figures."""

    def __init__(self, app: ASGIApp, access: Access):
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the application's own start and end."""
        needed = None
        if scope["type"] == "http":
            path = scope["path"]
            needed = next((each for begin, each in GUARDED.items() if f"{path}/".startswith(begin)), None)
        if needed is None:
            return await self._app(scope, receive, send)
        try:
            client = scope.get("client") or ("",)
            found = await self._access.caller(scope["method"], Headers(scope=scope), client[0])
            require(found, needed)
            require_whole(found)
        except Exception as error:
            asked = f"{scope['method']} {scope['path']}"
            problem = problems.of_error(error, asked, self._access.settings)
            if problem.status == 401:
                # A browser then asks for it, and gives it as the password.
                problem.headers = {"WWW-Authenticate": 'Basic realm="fashion-assets: a key as the password"'}
            return await problems.as_answer(problem)(scope, receive, send)
        await self._app(scope, receive, send)


Searcher = Annotated[Caller, Security(caller, scopes=["search"])]
"""Somebody who may search."""

Somebody = Annotated[Caller, Security(caller)]
"""Whoever may ask at all; what more they need the route says."""

Teller = Annotated[Caller, Security(caller, scopes=["feedback"])]
"""Somebody who may tell what somebody likes."""

Recommender = Annotated[Caller, Security(caller, scopes=["people"])]
"""Somebody who may ask about people."""

Historian = Annotated[Caller, Security(caller, scopes=["releases"])]
"""Somebody who may look at other releases."""

Merchant = Annotated[Caller, Security(caller, scopes=["merchant"])]
"""Somebody who may see what people looked for, and what was rejected."""
