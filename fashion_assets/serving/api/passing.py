"""What every request passes through: its number, its bound, compression, who may ask from a browser.

What belongs here: middleware that knows no route. What does not: who may ask what (`access`).
"""

import asyncio
import re
import secrets
import time

from fastapi import FastAPI
from fastapi_problem.error import Problem
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fashion_assets.serving.api.answers import IMAGES
from fashion_assets.serving.api.problems import as_answer, too_large, too_slow
from fashion_assets.serving.headers import with_headers
from fashion_assets.settings import Settings

REQUEST_ID = "X-Request-ID"

COMPRESSED_FROM = 1_000
"""Bytes of an answer that is worth compressing."""

LEVEL = 4
"""Of compression: at 9 a page of hits takes four times as long and is a twentieth smaller."""

BODY_SECONDS = 30.0
"""How long a request's body may take to come: nobody keeps a place by sending a byte now and then."""

_KNOWN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}


def passing(api: FastAPI, settings: Settings) -> None:
    """Have all requests of an application pass through what is here; the first one added is the innermost."""
    api.add_middleware(Compressed)
    if origins := [each.strip() for each in settings.api_cors_origins.split(",") if each.strip()]:
        api.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "X-API-Key", "Content-Type", "If-None-Match", REQUEST_ID],
            expose_headers=["ETag", REQUEST_ID, "Retry-After"],
            max_age=600,
        )
    api.add_middleware(Numbered, most=settings.api_max_body)


class Compressed:
    """Compression of everything but pictures, which are compressed."""

    def __init__(self, app: ASGIApp):
        self._plain = app
        self._compressing = GZipMiddleware(app, minimum_size=COMPRESSED_FROM, compresslevel=LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_picture = scope["type"] != "http" or scope["path"].startswith(f"{IMAGES}/")
        await (self._plain if is_picture else self._compressing)(scope, receive, send)


class Numbered:
    """A number for each request, which its answer and the log have; no request of more than so many bytes; HEAD as GET."""

    def __init__(self, app: ASGIApp, most: int):
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        said = headers.get("x-request-id", "")
        number = said if _KNOWN_ID.fullmatch(said) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = number

        sending = with_headers(send, {REQUEST_ID: number, **_HEADERS})
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._most:
            answer = as_answer(too_large(_most(self._most)))
            answer.headers["Connection"] = "close"
            return await answer(scope, receive, sending)
        body = _Body(receive, sending, self._most)

        # What sends the answer leaves the body of one to HEAD out: it has its own copy of the scope.
        asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        await self._app(asked, body.receive, body.send)


class _Body:
    """The body of a request while it comes, and the answer to it: what is too large, or too slow, is refused whatever reads it makes of that."""

    def __init__(self, receive: Receive, send: Send, most: int):
        self._receive, self._send, self._left, self._most = receive, send, most, most
        self._whole = False
        self._until = time.monotonic() + BODY_SECONDS
        self._refusal: Problem | None = None
        self._begun = False

    async def receive(self) -> Message:
        """The next part. Raises a `Problem`."""
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout(max(0.0, self._until - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            raise self._refused(too_slow(f"a request is whole after {BODY_SECONDS:g} seconds")) from None
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._left < 0:
                raise self._refused(too_large(_most(self._most)))
        return message

    def _refused(self, problem: Problem) -> Problem:
        self._refusal = problem
        return problem

    async def send(self, message: Message) -> None:
        """The answer; in place of one that was begun after the refusal that refusal."""
        if self._refusal is None or self._begun:
            self._begun = True
            return await self._send(message)
        if message["type"] == "http.response.start":
            answer = as_answer(self._refusal)
            # What is still to come is read by nobody.
            answer.headers["Connection"] = "close"
            await answer({"type": "http"}, self._receive, self._send)


def _most(most: int) -> str:
    return f"a request has {most:,} bytes at the most (FASHION_ASSETS_API_MAX_BODY)"
