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
from starlette.responses import JSONResponse, Response

from fashion_assets.errors import FashionAssetsError
from fashion_assets.failure import kept
from fashion_assets.postgres.errors import WarehouseError
from fashion_assets.search.filters import SearchError
from fashion_assets.settings import Settings
from fashion_assets.warehouse.releases import ReleaseError

TOLD = 20
"""Faults of one request that are told."""

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


def as_answer(problem: Problem) -> Response:
    """A problem as an answer, for what stands before the routes."""
    return JSONResponse(
        problem.marshal(), problem.status, dict(problem.headers or {}), media_type="application/problem+json"
    )


def told_by(api: FastAPI, settings: Settings) -> None:
    """Have an application tell its errors so. What nobody foresaw is kept in the home with its traceback, and told as such."""

    def of_ours(_: Any, request: Request, error: Exception) -> Problem:
        if isinstance(error, SearchError):
            return bad_request(str(error))
        if isinstance(error, ReleaseError):
            return unavailable(str(error)) if "nothing is live" in str(error) else not_found(str(error))
        # What they say names hosts, folders, roles: for who runs this, not for who asks.
        log.error("%s %s: %s", request.method, request.url.path, error)
        if isinstance(error, WarehouseError):
            return unavailable(_NO_DATABASE)
        return Problem("It cannot be answered", "failed", "see the server's log", 500)

    def of_the_database(_: Any, request: Request, error: Exception) -> Problem:
        log.error("%s %s: %s", request.method, request.url.path, error)
        return unavailable(_NO_DATABASE)

    def of_a_value(_: Any, __: Request, error: Exception) -> Problem:
        return bad_request("a value is none that a database holds, as a text with a NUL character")

    def of_nobody(_: Any, request: Request, error: Exception) -> Problem:
        if isinstance(error, Problem):
            return error
        where = kept("".join(traceback.format_exception(error)), settings)
        log.error(
            "%s %s: %s, which nobody foresaw; %s",
            request.method,
            request.url.path,
            type(error).__name__,
            where,
        )
        return Problem(
            "An error that nobody foresaw", "unforeseen", "its traceback is kept in the server's home", 500
        )

    handler = new_exception_handler(
        # The first that fits an error tells it.
        handlers={
            FashionAssetsError: of_ours,
            psycopg.OperationalError: of_the_database,
            psycopg.DataError: of_a_value,
            ValidationError: lambda _, __, error: invalid(error),
        },
        request_validation_handler=lambda _, __, error: invalid(error),
    )
    handler.handlers[Exception] = of_nobody
    add_exception_handler(api, handler)
    for kind in (FashionAssetsError, psycopg.OperationalError, psycopg.DataError, ValidationError):
        api.add_exception_handler(kind, handler)  # pyright: ignore[reportArgumentType]


def invalid(error: RequestValidationError | ValidationError) -> Problem:
    """What was sent is not of the shape that is asked for: where and why, and nothing of what was sent."""
    errors = [
        {
            "loc": [part if isinstance(part, int) else _readable(str(part)) for part in each["loc"]],
            "msg": _readable(str(each["msg"])),
            "type": each["type"],
        }
        for each in error.errors()
    ]
    said = "; ".join(
        f"{'.'.join(map(str, each['loc'][1:] or each['loc']))}: {each['msg']}" for each in errors[:TOLD]
    )
    return Problem(
        "What was sent is not of the shape that is asked for", "invalid", said, 422, errors=errors[:TOLD]
    )


def _readable(text: str) -> str:
    """Of a name somebody sent, which may be of any length and hold halves of characters."""
    return text[:200].encode("utf-8", "replace").decode()
