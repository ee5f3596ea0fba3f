"""Products: a list of them, one, what is like it, and what goes with it.

What belongs here: the routes of products. What does not: their pictures' bytes (`pictures`).
"""

import time
from collections.abc import Awaitable
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from fashion_assets.search.filters import SearchError
from fashion_assets.search.query import Results
from fashion_assets.search.stored import Product
from fashion_assets.serving.api import documents
from fashion_assets.serving.api.access import Caller, Searcher
from fashion_assets.serving.api.answers import conditional, hit_document, hit_documents, product_document
from fashion_assets.serving.api.asked import PRODUCT_LENGTH, Asked
from fashion_assets.serving.api.problems import not_found
from fashion_assets.serving.api.searching import answer, milliseconds
from fashion_assets.serving.api.served import Served, ServedHere

router = APIRouter(prefix="/api/v1", tags=["products"])

Id = Annotated[
    str,
    Path(
        min_length=1,
        max_length=PRODUCT_LENGTH,
        description="A product's id, or its id in its source where no other source has it.",
    ),
]
Limit = Annotated[int, Query(ge=1, le=100, description="So many at the most.")]
THERE_IS_NONE = {404: {"description": "There is no such product."}}


@router.get(
    "/products", responses={200: {"model": documents.SearchAnswer}, 304: {"description": "As it was."}}
)
async def products(
    request: Request, asked: Annotated[Asked, Query()], caller: Searcher, here: ServedHere
) -> Response:
    """Products, page by page, narrowed by filters; the same as a search, words and all."""
    return await answer(request, here, caller, asked)


@router.get("/products/{id}", responses={200: {"model": documents.Product}, **THERE_IS_NONE})
async def product(request: Request, id: Id, caller: Searcher, here: ServedHere) -> Response:
    """A product with all that is told of it."""
    found = await here.products([id], caller.within)
    if not found.found:
        raise nobody(id)
    return conditional(
        request,
        {**product_document(found.found[0]), "release": found.release, "revision": found.revision},
    )


@router.get("/products/{id}/similar", responses={200: {"model": documents.Similar}, **THERE_IS_NONE})
async def similar(
    request: Request,
    id: Id,
    caller: Searcher,
    here: ServedHere,
    limit: Limit = 12,
    page: Annotated[str | None, Query(min_length=1, max_length=1_000)] = None,
    filter: Annotated[list[str] | None, Query(max_length=30)] = None,
) -> Response:
    """Products like one, the nearest first."""
    one = await known(here, caller, id)
    asked = Asked.model_validate(
        {"product": one.hit.product_id, "limit": limit, "page": page, "filter": filter or []}
    )
    begun = time.perf_counter()
    results = await here.engine.search(asked.query(here.release, caller.within))
    return conditional(
        request,
        {
            "hits": hit_documents(results.hits),
            "notes": list(results.plan.told),
            "release": results.plan.release,
            "next_page": results.next_page,
        },
        took_ms=milliseconds(time.perf_counter() - begun),
    )


@router.get("/products/{id}/look", responses={200: {"model": documents.Look}, **THERE_IS_NONE})
async def look(
    request: Request,
    id: Id,
    caller: Searcher,
    here: ServedHere,
    limit: Annotated[int, Query(ge=1, le=20, description="Pieces at the most.")] = 8,
    per_slot: Annotated[int, Query(ge=1, le=5, description="Alternatives for each slot.")] = 1,
) -> Response:
    """What goes with a product: for each slot that the rules of outfits leave open the nearest piece."""
    one = await known(here, caller, id)
    begun = time.perf_counter()
    made = await here.engine.complete_look(one.hit.product_id, limit, per_slot, here.release)
    took = time.perf_counter() - begun
    allowed = await permitted(here, caller, [piece.hit.product_id for piece in made.pieces])
    return conditional(
        request,
        {
            "product": hit_document(made.product),
            "slot": made.slot,
            "pieces": [
                {"slot": piece.slot, "product": hit_document(piece.hit)}
                for piece in made.pieces
                if piece.hit.product_id in allowed
            ],
            "notes": list(made.plan.told),
            "release": made.plan.release,
        },
        took_ms=milliseconds(took),
    )


async def known(here: Served, caller: Caller, id: str) -> Product:
    """The product, which the caller may see. Raises a `Problem`."""
    found = await here.products([id], caller.within)
    if not found.found:
        raise nobody(id)
    return found.found[0]


async def of_somebody(request: Request, here: Served, caller: Caller, asked: Awaitable[Results]) -> Response:
    """What was asked for of a person or a style, as far as the caller may see it. Raises a `Problem` where there is no such."""
    begun = time.perf_counter()
    try:
        results = await asked
    except SearchError as error:
        raise not_found(str(error)) from None
    took = time.perf_counter() - begun
    allowed = await permitted(here, caller, [hit.product_id for hit in results.hits])
    return conditional(
        request,
        {
            "hits": hit_documents(hit for hit in results.hits if hit.product_id in allowed),
            "notes": list(results.plan.told),
            "release": results.plan.release,
        },
        took_ms=milliseconds(took),
    )


async def permitted(here: Served, caller: Caller, ids: list[str]) -> set[str]:
    """Those of the products that the caller may see."""
    if not caller.within:
        return set(ids)
    found = await here.products(ids, caller.within)
    return {product.hit.product_id for product in found.found}


def nobody(id: str) -> Exception:
    """That there is no such product, or none that the caller may see."""
    return not_found(f"there is no product {id[:80]!r}")
