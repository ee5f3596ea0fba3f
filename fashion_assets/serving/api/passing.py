"""What every request passes through: its number, its bound, compression, who may ask from a browser.

What belongs here: middleware that knows no route. What does not: who may ask what (`access`).
"""

import re
import secrets

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fashion_assets.serving.api.answers import IMAGES
from fashion_assets.serving.api.problems import as_answer, too_large
from fashion_assets.serving.headers import with_headers
from fashion_assets.settings import Settings

REQUEST_ID = "X-Request-ID"

COMPRESSED_FROM = 1_000
"""Bytes of an answer that is worth compressing."""

LEVEL = 4
"""Of compression: at 9 a page of hits takes four times as long and is a twentieth smaller."""

_KNOWN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}


def passing(api: FastAPI, settings: Settings) -> None:
    """Have all requests of an application pass through what is here; the first one added is the innermost."""
    api.add_middleware(Compressed)
    if origins := [each.strip() for each in settings.api_cors_origins.split(",") if each.strip()]:
        api.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
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
            refusal = too_large(
                f"a request has {self._most:,} bytes at the most (FASHION_ASSETS_API_MAX_BODY)"
            )
            answer = as_answer(refusal)
            answer.headers["Connection"] = "close"
            return await answer(scope, receive, sending)
        left = self._most

        async def receiving() -> Message:
            nonlocal left
            message = await receive()
            if message["type"] == "http.request":
                left -= len(message.get("body", b""))
                if left < 0:
                    raise too_large(
                        f"a request has {self._most:,} bytes at the most (FASHION_ASSETS_API_MAX_BODY)"
                    )
            return message

        # What sends the answer leaves the body of one to HEAD out: it has its own copy of the scope.
        asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        await self._app(asked, receiving, sending)
