"""What the former APIs have in common: how near a hit is as a number, words as they were spelt, pictures as they are sent and shown.

What belongs here: what two of their files need. What does not: one API's keys.
"""

import base64
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from fashion_assets.search.query import Hit
from fashion_assets.serving.analytics import may_be_kept
from fashion_assets.serving.api import problems
from fashion_assets.serving.former.stored import ServedEngine
from fashion_assets.settings import Settings
from fashion_assets.warehouse.releases import ReleaseError


class Told(BaseModel):
    """An error, as those clients know it."""

    detail: str | list[dict[str, Any]] | None = None


ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "model": Told,
        "content": {"application/problem+json": {}},
        "description": "It cannot be answered as it is asked; as problem details where the path leads to no call, or a key is needed.",
    },
    422: {"model": Told, "description": "What was sent is not of the shape that is asked for."},
    "5XX": {
        "model": Told,
        "content": {"application/problem+json": {}},
        "description": "It cannot be answered now.",
    },
}
"""What every call may answer beside what it is for."""

_SMALL = frozenset({"and", "of", "for"})


def engine_of(request: Request) -> ServedEngine:
    """The engine that answers this server's requests, on the release it serves, and notes what is searched for."""
    state = request.app.state
    noting = state.analytics.noted_search if may_be_kept(request.headers) else None
    return ServedEngine(state.engine, settings_of(request).api_release, noting)


def settings_of(request: Request) -> Settings:
    """The settings of this server."""
    return request.app.state.settings


def source_of(request: Request) -> str | None:
    """The source whose products former clients see; None: all of them."""
    return settings_of(request).former_source


def spelt(value: str | None) -> str | None:
    """A canonical value as the former systems spelt theirs: `Navy Blue`, `Bath and Body`."""
    if value is None:
        return None
    words = value.split(" ")
    return " ".join(word if word in _SMALL else word[:1].upper() + word[1:] for word in words)


def distance(hit: Hit) -> float:
    """How far a hit is from what was asked, 0 to 2: the cosine distance, or, of one that words alone found, the share of the terms that
    it lacks."""
    by_vector = [each.distance for each in hit.explanation if each.distance is not None]
    if by_vector:
        return float(min(by_vector))
    by_words = [each.coverage for each in hit.explanation if each.coverage is not None]
    return 1.0 - float(max(by_words)) if by_words else max(0.0, 1.0 - float(hit.score))


def similarity(hit: Hit) -> float:
    """1 less the distance, 0 to 1."""
    return min(1.0, max(0.0, 1.0 - distance(hit)))


def picture_url(request: Request, product_id: str, image_path: str | None) -> str | None:
    """Where this server shows a product's picture; None where it has none."""
    if image_path is None:
        return None
    below = request.scope.get("app_root_path", "")
    return str(request.url.replace(path=f"{below}/images/{product_id}", query="", fragment=""))


def decoded(text: str, most: int) -> bytes:
    """The bytes of a picture sent as base64, with or without the prefix of a `data:` URL. Raises ValueError where it is none, and
    413 where it is longer than `most` bytes."""
    if text.lstrip().startswith("data:"):
        text = text.partition(",")[2]
    text = "".join(text.split())
    if len(text) > most * 4 // 3 + 4:
        raise HTTPException(413, f"a picture may have {most:,} bytes")
    found = base64.b64decode(text, validate=True)
    if not found:
        raise ValueError("no picture")
    return found


async def sent(upload: Any, most: int) -> bytes:
    """The bytes of a picture sent in a form. Raises 413 where it is longer than `most` bytes."""
    found = await upload.read(most + 1)
    if len(found) > most:
        raise HTTPException(413, f"a picture may have {most:,} bytes")
    return found


def left_out(app: FastAPI, calls: Mapping[tuple[str, str], str]) -> None:
    """Answer calls that are no part of this product by 501, which says why; `calls` has the reason by method and path."""
    for (method, path), why in calls.items():

        def refuse(why: str = why) -> JSONResponse:
            return JSONResponse({"detail": why}, 501)

        app.add_api_route(path, refuse, methods=[method], include_in_schema=False)


def application(title: str, description: str) -> FastAPI:
    """An application of its own, whose errors are `{"detail": …}` as the former systems' were, not the problem details of ours."""
    app = FastAPI(title=title, description=description, version="1", responses=ERRORS)

    @app.exception_handler(RequestValidationError)
    async def _(_: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": problems.faults(error)}, 422)

    async def told(request: Request, error: Exception) -> JSONResponse:
        problem = problems.of_error(error, f"{request.method} {request.url.path}", settings_of(request))
        # These clients name no release: where one is not there, it is not there now.
        status = 503 if isinstance(error, ReleaseError) else problem.status
        return JSONResponse({"detail": problem.detail}, status, dict(problem.headers or {}))

    for kind in (*problems.TELLING, Exception):
        app.add_exception_handler(kind, told)
    return app
