"""Searching: words, a picture, a product, or a mix of them.

What belongs here: the routes of searches. What does not: their parameters (`asked`), finding anything (`search.engine`).
"""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from fashion_assets.search.filters import AnyOf, Between, Filter
from fashion_assets.search.query import Query as Question
from fashion_assets.search.query import Results
from fashion_assets.serving.analytics import found as hits_of
from fashion_assets.serving.analytics import kind_of
from fashion_assets.serving.api import documents
from fashion_assets.serving.api.access import Caller, Searcher
from fashion_assets.serving.api.answers import conditional, hit_documents, value_of
from fashion_assets.serving.api.asked import Asked, with_picture
from fashion_assets.serving.api.served import Served, ServedHere

router = APIRouter(prefix="/api/v1", tags=["search"])

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


@router.get("/search", responses={200: {"model": documents.SearchAnswer}, 304: {"description": "As it was."}})
async def search(
    request: Request, asked: Annotated[Asked, Query()], caller: Searcher, here: ServedHere
) -> Response:
    """Search by words, by a product, or by nothing but filters, which lists what they leave."""
    return await answer(request, here, caller, asked)


@router.post("/search", responses={200: {"model": documents.SearchAnswer}}, openapi_extra=_FORM)
async def search_by_picture(request: Request, caller: Searcher, here: ServedHere) -> Response:
    """Search by a picture, and by all that a search takes beside it: "this, but red"."""
    asked, picture = await with_picture(request, here.settings.max_image_bytes)
    return await answer(request, here, caller, asked, picture)


async def answer(
    request: Request, here: Served, caller: Caller, asked: Asked, picture: bytes | None = None
) -> Response:
    """What the engine finds, as a document."""
    query = asked.query(here.release, caller.within, picture)
    begun = time.perf_counter()
    results = await here.engine.search(query)
    took = time.perf_counter() - begun
    # Each letter of what is being typed is a search, and none that anybody made.
    if query.page is None and "prefetch" not in request.headers.get("sec-purpose", ""):
        kind = kind_of(words=query.words, picture=picture is not None, product=query.product is not None)
        request.app.state.analytics.searched(kind, query.words, results.plan.release, hits_of(results))
    return conditional(request, found(query, results, asked.explain), took_ms=milliseconds(took))


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
        "understood": plan.understood,
        "notes": list(plan.notes),
        "release": plan.release,
        "revision": plan.revision,
        "next_page": results.next_page,
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
