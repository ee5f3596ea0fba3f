"""Searching: words, a picture, a product, or a mix of them.

What belongs here: the routes of searches. What does not: their parameters (`asked`), finding anything (`search.engine`).
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Query, Request, Response
from fastapi.routing import APIRoute
from fastapi_problem.error import Problem
from starlette.background import BackgroundTask

from fashion_assets.search.engine import within
from fashion_assets.search.filters import AnyOf, Between, Filter, SearchError
from fashion_assets.search.query import Plan, Range, Results
from fashion_assets.search.query import Query as Question
from fashion_assets.serving.analytics import may_be_kept
from fashion_assets.serving.api import documents, problems
from fashion_assets.serving.api.access import (
    Caller,
    Searcher,
    caller_of,
    require,
    require_speaks_for,
    require_whole,
)
from fashion_assets.serving.api.answers import conditional, hit_documents, json_answer, value_of
from fashion_assets.serving.api.asked import Asked, asked_in, with_picture
from fashion_assets.serving.api.served import Served, ServedHere
from fashion_assets.serving.shadowing import Shadowing
from fashion_assets.warehouse.releases import ReleaseError

router = APIRouter(prefix="/api/v1", tags=["search"])

SHARE_OF_TIME = 0.7
"""Of the time a search may take, before it is asked more simply."""

_FORM = {
    "requestBody": {
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "picture": {
                            "type": "string",
                            "format": "binary",
                            "description": "A picture to search by.",
                        },
                        **{
                            name: {"type": "array", "items": {"type": "string"}}
                            if name in ("filter", "facets")
                            else {"type": "string"}
                            for name in Asked.model_fields
                        },
                    },
                }
            }
        }
    }
}


class _Direct(APIRoute):
    """The route of searches. It is described by what its function takes, as every other is; for a request the same is read without FastAPI,
    which goes through the fields of a model one by one each time: a fifth of what the API's process does for a search."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As FastAPI has it."""

        async def handle(request: Request) -> Response:
            who = await caller_of(request, ["search"])
            return await search(request, asked_in(request.query_params), who, request.app.state.served)

        return handle


async def search(
    request: Request, asked: Annotated[Asked, Query()], caller: Searcher, here: ServedHere
) -> Response:
    """Search by words, by a product, or by nothing but filters, which lists what they leave."""
    return await answer(request, here, caller, asked)


router.add_api_route(
    "/search",
    search,
    methods=["GET"],
    responses={200: {"model": documents.SearchAnswer}, 304: {"description": "As it was."}},
    route_class_override=_Direct,
)


@router.post("/search", responses={200: {"model": documents.SearchAnswer}}, openapi_extra=_FORM)
async def search_by_picture(request: Request, caller: Searcher, here: ServedHere) -> Response:
    """Search by a picture, and by all that a search takes beside it: "this, but red"."""
    asked, picture = await with_picture(request, here.settings.max_image_bytes)
    return await answer(request, here, caller, asked, picture)


@router.get("/suggestions", responses={200: {"model": documents.Suggestions}})
async def suggestions(
    request: Request,
    caller: Searcher,
    here: ServedHere,
    q: Annotated[str, Query(max_length=200, description="What was typed so far.")] = "",
    limit: Annotated[int, Query(ge=1, le=20)] = 8,
) -> Response:
    """What could be asked for, of what was typed so far."""
    require_whole(caller)
    found = await here.engine.suggest(q, limit, here.release)
    return conditional(request, {"suggestions": [vars(each) for each in found]})


@router.post("/multi-search", responses={200: {"model": documents.Answers}})
async def several(
    request: Request, caller: Searcher, here: ServedHere, asked: documents.Searches
) -> Response:
    """Several searches at once, each answered, or refused, for itself."""

    async def one(each: Asked) -> dict[str, Any]:
        try:
            query, results, took = await searched(here, caller, each)
            note(request, query, results)
        except (SearchError, ReleaseError) as error:
            return problems.bad_request(str(error)).marshal()
        except Problem as problem:
            return problem.marshal()
        return {**found(query, results, each.explain), "took_ms": took}

    return json_answer({"answers": await asyncio.gather(*map(one, asked.searches))})


async def answer(
    request: Request, here: Served, caller: Caller, asked: Asked, picture: bytes | None = None
) -> Response:
    """What the engine finds, as a document."""
    query, results, took = await searched(here, caller, asked, picture)
    note(request, query, results)
    if not caller.within and asked.release is None and asked.page is None:
        request.app.state.pictures.note(results.hits)
    answered = conditional(request, found(query, results, asked.explain), took_ms=took)
    # Once it is sent, whatever becomes of it.
    answered.background = BackgroundTask(_shadowed, request.app.state.shadowing, query, results, took / 1_000)
    return answered


async def _shadowed(shadowing: Shadowing, query: Question, results: Results, seconds: float) -> None:
    shadowing.take(query, results, seconds)


def note(request: Request, query: Question, results: Results) -> None:
    """Note what was searched for, unless it is typed on, is another page of the same, or whoever asks does not want it."""
    # Each letter of what is being typed is a search, and none that anybody made.
    if query.page is None and not _is_typed(request) and may_be_kept(request.headers):
        request.app.state.analytics.noted_search(query, results)


async def searched(
    here: Served, caller: Caller, asked: Asked, picture: bytes | None = None
) -> tuple[Question, Results, float]:
    """What the engine finds for a caller, and in how many milliseconds. Raises `SearchError`, or a `Problem`."""
    query = await question(here, caller, asked, picture)
    begun = time.perf_counter()
    results = await in_time(here, query)
    took = milliseconds(time.perf_counter() - begun)
    if asked.page is not None and not caller.may("releases"):
        # Its page names the release; one that was live is everybody's to see, and a candidate is not.
        await here.require_live_once(results.plan.release)
    return query, results, took


async def question(here: Served, caller: Caller, asked: Asked, picture: bytes | None = None) -> Question:
    """The engine's query for what a caller asks. Raises `SearchError`, or a `Problem` for what is not theirs to ask."""
    if asked.release not in (None, here.release):
        require(caller, "releases")
    if asked.person is not None:
        require_speaks_for(caller, asked.person)
    query = asked.query(here.release, caller.within, picture)
    if caller.within:
        # Beside its own filter a column is counted as if that was not there, which is nothing for this caller.
        kept = {each.name for each in caller.within}
        query = replace(query, facets=tuple(each for each in query.facets if each not in kept))
        if query.product is not None and not (await here.products([query.product], caller.within)).found:
            raise problems.not_found(f"there is no product {query.product[:80]!r}")
    return query


async def in_time(here: Served, query: Question) -> Results:
    """What is found in the time there is. Where that is up, what the words alone find, without counts; and where even that takes
    too long, nothing; either says so."""
    seconds = here.settings.api_search_seconds
    try:
        with within(SHARE_OF_TIME * seconds):
            return await here.engine.search(query)
    except psycopg.errors.QueryCanceled:
        simpler = replace(query, facets=(), page=None, mode="text" if query.words else query.mode)
    note = f"this took longer than {seconds:g} seconds: "
    try:
        with within((1 - SHARE_OF_TIME) * seconds):
            results = await here.engine.search(simpler)
        said = note + "these are what the words alone find, and nothing is counted"
    except psycopg.errors.QueryCanceled:
        results = Results((), Plan(query.release or "", {}))
        said = note + "nothing was found in time; narrow it down"
    plan = replace(results.plan, notes=(*results.plan.notes, said))
    return replace(results, plan=plan, following=None)


def _is_typed(request: Request) -> bool:
    """Whether whoever asks says that somebody is still typing. A script may not set the one header, a browser sends the other."""
    said = f"{request.headers.get('purpose', '')} {request.headers.get('sec-purpose', '')}"
    return "prefetch" in said


def found(query: Question, results: Results, explain: bool = False) -> dict[str, Any]:
    """Results as `documents.SearchAnswer` has them, but for the time they took."""
    plan = results.plan
    return {
        "hits": hit_documents(results.hits, explain),
        "facets": {
            column: [
                {
                    "value": value_of(value),
                    "count": count,
                    "selected": is_asked_for(column, value, query.narrowed),
                }
                for value, count in values
            ]
            for column, values in results.facets.items()
        },
        "ranges": {column: range_document(each) for column, each in results.ranges.items()},
        "total": None if results.total is None else vars(results.total),
        "understood": plan.understood,
        "lacking": [
            {**vars(each), "nearest": [vars(near) for near in each.nearest]} for each in plan.lacking
        ],
        "notes": list(plan.told),
        "asides": list(plan.asides),
        "synonyms": list(plan.synonyms),
        "release": plan.release,
        "revision": plan.revision,
        "next_page": results.next_page,
    }


def range_document(counted: Range) -> dict[str, Any]:
    """How the numbers of a column lie, as `documents.Range` has it."""
    return {
        "low": value_of(counted.low),
        "high": value_of(counted.high),
        "buckets": [
            {name: value_of(value) for name, value in vars(bucket).items()} for bucket in counted.buckets
        ],
    }


def is_asked_for(column: str, value: Any, filters: tuple[Filter, ...]) -> bool:
    """Whether one of the filters asks for the value of the column."""
    return any(
        isinstance(each, AnyOf | Between) and each.column == column and each.matches({column: value})
        for each in filters
    )


def milliseconds(seconds: float) -> float:
    """To a hundredth."""
    return round(1_000 * seconds, 2)
