"""Errors as an API tells them: problem details (RFC 9457), and nothing of the inside.

What belongs here: which error is which status, and its words. What does not: raising them.
"""

import logging
import traceback
from typing import Any

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi_problem.error import Problem
from fastapi_problem.handler import add_exception_handler, new_exception_handler
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette_problem.util import convert_status_code

from fashion_assets.errors import FashionAssetsError
from fashion_assets.failure import kept
from fashion_assets.postgres.errors import WarehouseError
from fashion_assets.search.filters import SearchError
from fashion_assets.settings import Settings
from fashion_assets.warehouse.releases import ReleaseError

TOLD = 20
"""Faults of one request that are told."""

TELLING: tuple[type[Exception], ...] = (
    FashionAssetsError,
    psycopg.OperationalError,
    psycopg.DataError,
    ValidationError,
)
"""Errors that are told before Starlette takes them for faults of the application."""

_NO_DATABASE = "the database cannot be asked at present"

log = logging.getLogger(__name__)


def not_found(detail: str) -> Problem:
    """What is asked for is not there."""
    return Problem("Not found", "not-found", detail, 404)


def bad_request(detail: str, **more: Any) -> Problem:
    """What is asked cannot be answered as it is asked."""
    return Problem("The question cannot be answered as it is asked", "bad-request", detail, 400, **more)


def too_large(detail: str) -> Problem:
    """More was sent than is taken."""
    return Problem("Too large", "too-large", detail, 413)


def unavailable(detail: str, seconds: int = 5) -> Problem:
    """Nothing can be answered now; in so many seconds it may."""
    return Problem("Not available now", "unavailable", detail, 503, headers={"Retry-After": str(seconds)})


def too_slow(detail: str) -> Problem:
    """What was announced did not come."""
    return Problem("Too slow", "too-slow", detail, 408)


def as_answer(problem: Problem) -> Response:
    """A problem as an answer, for what stands before the routes."""
    return JSONResponse(
        problem.marshal(), problem.status, dict(problem.headers or {}), media_type="application/problem+json"
    )


def told_by(api: FastAPI, settings: Settings) -> None:
    """Have an application tell its errors so. What nobody foresaw is kept in the home with its traceback, and told as such."""

    def told(_: Any, request: Request, error: Exception) -> Problem:
        return of_error(error, f"{request.method} {request.url.path}", settings)

    handler = new_exception_handler(
        # The first that fits an error tells it.
        handlers=dict.fromkeys(TELLING, told),
        request_validation_handler=lambda _, __, error: invalid(error),
    )
    handler.handlers[Exception] = told
    add_exception_handler(api, handler)
    for kind in TELLING:
        api.add_exception_handler(kind, handler)  # pyright: ignore[reportArgumentType]


def of_error(error: Exception, asked: str, settings: Settings) -> Problem:
    """What is told of an error to whoever `asked` (method and path): nothing of the inside, which the log has."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, SearchError):
        return bad_request(str(error))
    if isinstance(error, ReleaseError):
        return unavailable(str(error)) if "nothing is live" in str(error) else not_found(str(error))
    if isinstance(error, ValidationError):
        return invalid(error)
    if isinstance(error, psycopg.DataError):
        return bad_request("a value is none that a database holds, as a text with a NUL character")
    if isinstance(error, FashionAssetsError | psycopg.OperationalError):
        # What they say names hosts, folders, roles: for who runs this, not for who asks.
        log.error("%s: %s", asked, error)
        if isinstance(error, WarehouseError | psycopg.OperationalError):
            return unavailable(_NO_DATABASE)
        return Problem("It cannot be answered", "failed", "see the server's log", 500)
    where = kept("".join(traceback.format_exception(error)), settings)
    log.error("%s: %s, which nobody foresaw; %s", asked, type(error).__name__, where)
    return Problem(
        "An error that nobody foresaw", "unforeseen", "its traceback is kept in the server's home", 500
    )


def of_status(_: Request, error: Exception) -> Response:
    """What a mounted application of files refuses, as an answer."""
    assert isinstance(error, HTTPException)
    title, kind = convert_status_code(error.status_code)
    return as_answer(Problem(title, kind, error.detail, error.status_code, headers=dict(error.headers or {})))


def invalid(error: RequestValidationError | ValidationError) -> Problem:
    """What was sent is not of the shape that is asked for: where and why, and nothing of what was sent."""
    errors = faults(error)
    said = "; ".join(
        f"{'.'.join(map(str, each['loc'][1:] or each['loc']))}: {each['msg']}" for each in errors
    )
    return Problem("What was sent is not of the shape that is asked for", "invalid", said, 422, errors=errors)


def faults(error: RequestValidationError | ValidationError) -> list[dict[str, Any]]:
    """Where what was sent is wrong and why, the first `TOLD`; nothing of what was sent, which may be anything."""
    return [
        {
            "loc": [part if isinstance(part, int) else _readable(str(part)) for part in each["loc"]],
            "msg": _readable(str(each["msg"])),
            "type": each["type"],
        }
        for each in error.errors()[:TOLD]
    ]


def _readable(text: str) -> str:
    """Of a name somebody sent, which may be of any length and hold halves of characters."""
    return text[:200].encode("utf-8", "replace").decode()
