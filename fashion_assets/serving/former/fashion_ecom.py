"""The calls of the fashion shop's app: `/api/v1/products…`, `/search/…`, `/users…`.

What belongs here: its routes, parameters, keys and oddities. What does not: finding anything, reading what is known of people (`people`), what
other former APIs have as well (`shapes`).

Ids are strings, every key but the id may be null, a number an old search wrote as text (`34029.0`) is that number. Values are spelt as the
app's menus spell them (`Navy Blue`); whatever case comes in a filter is understood. What was random, or took no notice of a parameter it
was given, is not so here; docs/how-to/former-clients.md has each difference.
"""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, LiteralString

from fastapi import APIRouter, FastAPI, File, Form, HTTPException, Query, Request, UploadFile
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from fashion_assets.search import query as search
from fashion_assets.search.filters import Filter, SearchError, as_filters
from fashion_assets.search.query import Hit
from fashion_assets.serving.former import people, stored
from fashion_assets.serving.former.people import Person
from fashion_assets.serving.former.shapes import (
    application,
    engine_of,
    picture_url,
    sent,
    settings_of,
    similarity,
    source_of,
    spelt,
)
from fashion_assets.serving.former.stored import Row

TITLE = "fashion-ecom"

COLUMNS = {
    "gender": "gender",
    "master_category": "category",
    "sub_category": "sub_category",
    "article_type": "article_type",
    "base_color": "colour",
    "season": "season",
    "usage": "usage",
}
"""The app's name of each property, and ours."""

ORDERS: dict[str, LiteralString] = {
    "product_id": "external_id",
    "product_display_name": "title",
    "price": "price",
    "year": "year",
    **{name: column for name, column in COLUMNS.items()},  # type: ignore[dict-item]
}
"""What a list can be sorted by."""

MANY_OF_A_CATEGORY = 0.4
"""Share of new arrivals that one category may have."""

PERSONAS = 20

router = APIRouter(prefix="/api/v1")


class TextSearch(BaseModel):
    """What `/search/text` takes."""

    query: str
    user_id: str | None = None
    limit: int = 20
    filters: dict[str, Any] | None = None


def api() -> FastAPI:
    """This API, to be mounted."""
    app = application(TITLE, "The calls of the fashion shop's app, answered over the live release.")
    app.include_router(router)
    app.add_api_route("/health", healthcheck, methods=["GET"])
    return app


# Answers


def _product(request: Request, row: Row, score: float | None = None, reason: str | None = None) -> dict:
    picture = row["image_path"]
    return {
        "product_id": row["external_id"],
        **{name: spelt(row[column]) for name, column in COLUMNS.items()},
        "year": row["year"],
        "product_display_name": row["title"],
        "price": None if row["price"] is None else float(row["price"]),
        "image_path": None if picture is None else f"images/{row['external_id']}.jpg",
        "ingested_at": (row["facts"] or {}).get("ingested_at"),
        "image_url": picture_url(request, str(row["product_id"]), picture),
        "similarity_score": score,
        "personalization_reason": reason,
        "similar_product_ids": None,
        "complete_the_set_ids": None,
        "recommendations_updated_at": None,
    }


def _list(products: Sequence[dict], total: int | None = None, page: int = 1, size: int | None = None) -> dict:
    total = len(products) if total is None else total
    size = len(products) if size is None else size
    return {
        "products": list(products),
        "total": total,
        "page": page,
        "page_size": size,
        "has_more": page * size < total,
    }


async def _of_hits(
    request: Request,
    hits: Sequence[Hit],
    scores: Sequence[float | None] | None = None,
    reason: str | None = None,
) -> list[dict]:
    given = dict(zip([hit.product_id for hit in hits], scores or map(similarity, hits), strict=True))
    rows = await stored.by_ids(engine_of(request), list(given))
    return [_product(request, row, given[str(row["product_id"])], reason) for row in rows]


async def _of_ids(request: Request, ids: Sequence[str], reason: str | None = None) -> list[dict]:
    return [
        _product(request, row, reason=reason) for row in await stored.by_ids(engine_of(request), list(ids))
    ]


async def _one(request: Request, product_id: str) -> Row:
    """The product a client means. Raises 400 for what is no number, 404 for one that is not there."""
    number = None
    with contextlib.suppress(ValueError, OverflowError):
        number = str(int(float(product_id)))
    source = source_of(request)
    found = await stored.page(
        engine_of(request),
        stored.products(
            "external_id = %(given)s::text DESC, source",
            "external_id = ANY(%(named)s::text[])",
            given=product_id,
            named=[product_id, *([number] if number else [])],
            filters=as_filters({"source": source} if source else {}),
        ),
        1,
    )
    if found.rows:
        return found.rows[0]
    if number is None:
        raise HTTPException(400, f"Invalid product ID: {product_id[:80]}")
    raise HTTPException(404, f"Product {number} not found")


def _filters(request: Request, asked: Mapping[str, Any]) -> tuple[Filter, ...]:
    """The filters of a call; those without a value are none. A lowest price of 0 is one, a highest of 0 as well."""
    wanted: dict[str, Any] = {COLUMNS[name]: asked[name] for name in COLUMNS if asked.get(name)}
    low, high = asked.get("min_price"), asked.get("max_price")
    if low is not None or high is not None:
        wanted["price"] = {"from": low, "to": high}
    if source := source_of(request):
        wanted["source"] = source
    return as_filters(wanted)


# Products


@router.get("/products")
async def products(
    request: Request,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    page_size: Annotated[int, Query(ge=1, le=100)] = 24,
    user_id: str | None = None,
    gender: str | None = None,
    master_category: str | None = None,
    sub_category: str | None = None,
    base_color: str | None = None,
    season: str | None = None,
    min_price: float | None = None,
    max_price: float | None = None,
    sort_by: str = "product_display_name",
    sort_order: str = "ASC",
) -> dict:
    """A page of the catalogue; for a person, what they may like comes first, where nothing is filtered."""
    if sort_by not in ORDERS or sort_order.upper() not in ("ASC", "DESC"):
        raise HTTPException(400, f"sort_by is one of {', '.join(ORDERS)}, and sort_order ASC or DESC")
    asked = {
        "gender": gender,
        "master_category": master_category,
        "sub_category": sub_category,
        "base_color": base_color,
        "season": season,
        "min_price": min_price,
        "max_price": max_price,
    }
    first = (page - 1) * page_size
    if user_id and not any(value is not None for value in asked.values()):
        liked = await _liked(request, user_id, search.MAX_LIMIT // 5)
        if liked is not None:
            shown = await _of_hits(request, liked[0][first : first + page_size], reason=liked[1])
            return _list(shown, len(liked[0]), page, page_size)
    order: LiteralString = ORDERS[sort_by] + (" ASC" if sort_order.upper() == "ASC" else " DESC")
    found = await stored.page(
        engine_of(request),
        stored.products(order + " NULLS LAST", filters=_filters(request, asked)),
        page_size,
        first,
    )
    return _list([_product(request, row) for row in found.rows], found.total, page, page_size)


@router.get("/products/filters/options")
async def options(request: Request) -> dict:
    """The values there are to filter by, sorted, nulls left out."""
    names = {
        "genders": "gender",
        "master_categories": "category",
        "sub_categories": "sub_category",
        "article_types": "article_type",
        "colors": "colour",
        "seasons": "season",
    }
    found = await stored.values_of(engine_of(request), *names.values(), source=source_of(request))
    ((low, high),) = await stored.rows_of(
        engine_of(request),
        "SELECT min(price)::float8, max(price)::float8 FROM {products} WHERE %(source)s::text IS NULL OR source = %(source)s",
        {"source": source_of(request)},
    )
    spelt_values = ([spelt(value) for value in values] for values in found)
    return {
        **dict(zip(names, spelt_values, strict=True)),
        "price_range": {"min": low or 0.0, "max": high or 0.0},
    }


@router.get("/products/new-arrivals")
async def new_arrivals(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=50)] = 20,
    min_year: Annotated[int | None, Query(ge=1900, le=2100)] = None,
) -> dict:
    """The newest collections, no category with more than its share."""
    later = as_filters({"year": {"from": min_year}} if min_year else {})
    newest = stored.products("year DESC NULLS LAST", filters=(*_filters(request, {}), *later))
    found = await stored.page(engine_of(request), newest, 10 * limit)
    most = max(1, round(MANY_OF_A_CATEGORY * limit))
    counted: dict[str | None, int] = {}
    chosen, others = [], []
    for row in found.rows:
        counted[row["category"]] = counted.get(row["category"], 0) + 1
        (chosen if counted[row["category"]] <= most else others).append(row)
    # Of a catalogue of one category the rest is of that, too.
    return _list([_product(request, row) for row in [*chosen, *others][:limit]])


@router.get("/products/trending")
async def trending(request: Request, limit: Annotated[int, Query(ge=1, le=50)] = 20) -> dict:
    """What most people have among their favourites; then any, where that is too little."""
    return _list(await _of_ids(request, await _popular(request, limit), reason="Trending now"))


async def _popular(request: Request, limit: int) -> list[str]:
    ids = await people.popular(engine_of(request), source_of(request), limit)
    if len(ids) < limit:
        listing = stored.products("product_id", filters=_filters(request, {}))
        others = (await stored.page(engine_of(request), listing, limit)).rows
        ids += [str(row["product_id"]) for row in others if str(row["product_id"]) not in ids]
    return ids[:limit]


@router.get("/products/seasonal")
async def seasonal(
    request: Request, season: str | None = None, limit: Annotated[int, Query(ge=1, le=50)] = 20
) -> dict:
    """Products of a season, the newest first."""
    listing = stored.products("year DESC NULLS LAST", filters=_filters(request, {"season": season}))
    found = await stored.page(engine_of(request), listing, limit)
    return _list([_product(request, row) for row in found.rows], found.total, 1, limit)


@router.get("/products/{product_id}")
async def product(request: Request, product_id: str) -> dict:
    """One product, by its number, whether or not as a number with a point."""
    row = await _one(request, product_id)
    return _product(request, row)


@router.get("/products/{product_id}/similar")
async def similar(request: Request, product_id: str, limit: Annotated[int, Query(ge=1, le=20)] = 4) -> dict:
    """The nearest products of the same kind, for the same people."""
    row = await _one(request, product_id)
    same: dict[str, Any] = {
        column: [row[column]] for column in ("category", "sub_category") if row[column] is not None
    }
    if row["gender"]:
        same["gender"] = [row["gender"], "unisex"]
    asked = search.Query(
        product=str(row["product_id"]),
        mode="vector",
        limit=limit,
        filters=(*as_filters(same), *_filters(request, {})),
    )
    results = await engine_of(request).search(asked)
    return _list(await _of_hits(request, results.hits, reason="Similar style"))


@router.get("/products/{product_id}/complete-the-look")
async def complete_the_look(
    request: Request, product_id: str, limit: Annotated[int, Query(ge=1, le=12)] = 4
) -> dict:
    """What goes with a product; nothing goes with what is no part of a look."""
    row = await _one(request, product_id)
    try:
        look = await engine_of(request).complete_look(str(row["product_id"]), limit)
    except SearchError:
        return _list([])
    return _list(await _of_hits(request, look.hits[:limit], reason="Styled together"))


# Searching


def _found(
    products: list[dict],
    kind: Literal["text", "image", "cross-modal", "personalized"],
    query: str | None,
    user: str | None,
) -> dict:
    return {"products": products, "query": query, "search_type": kind, "user_id": user}


@router.post("/search/text")
async def search_text(request: Request, asked: TextSearch) -> dict:
    """Products for words."""
    if not 1 <= asked.limit <= 100:
        raise HTTPException(422, "limit must be from 1 to 100")
    if not asked.query.strip():
        raise HTTPException(400, "query must not be empty")
    results = await engine_of(request).search(
        search.Query(words=asked.query, limit=asked.limit, filters=_filters(request, asked.filters or {}))
    )
    return _found(await _of_hits(request, results.hits), "text", asked.query, asked.user_id)


@router.post("/search/image")
async def search_image(
    request: Request,
    image: Annotated[UploadFile, File()],
    user_id: Annotated[str | None, Form()] = None,
    limit: Annotated[int, Form(ge=1, le=100)] = 20,
) -> dict:
    """Products that look like a picture."""
    picture = await sent(image, settings_of(request).max_image_bytes)
    results = await engine_of(request).search(
        search.Query(picture=picture, mode="vector", limit=limit, filters=_filters(request, {}))
    )
    return _found(await _of_hits(request, results.hits), "image", None, user_id)


@router.post("/search/cross-modal")
async def search_cross_modal(
    request: Request,
    query: Annotated[str | None, Form()] = None,
    image: Annotated[UploadFile | None, File()] = None,
    user_id: Annotated[str | None, Form()] = None,
    limit: Annotated[int, Form(ge=1, le=100)] = 20,
) -> dict:
    """Products whose pictures look as words say, or as a picture does."""
    if image is None and not (query and query.strip()):
        raise HTTPException(400, "Either query or image must be provided")
    picture = None if image is None else await sent(image, settings_of(request).max_image_bytes)
    asked = search.Query(
        words=query or "", picture=picture, mode="vector", limit=limit, filters=_filters(request, {})
    )
    results = await engine_of(request).search(asked)
    told = f"Products that look like: {query or 'the picture'}"
    return _found(await _of_hits(request, results.hits), "cross-modal", told, user_id)


async def _liked(request: Request, user_id: str, limit: int) -> tuple[Sequence[Hit], str] | None:
    """What a person may like, and why; None for a person nobody knows."""
    try:
        results = await engine_of(request).recommend(user_id, source_of(request), limit)
    except SearchError:
        return None
    return results.hits, " • ".join(note[:1].upper() + note[1:] for note in results.plan.told)


@router.get("/search/recommendations/{user_id}")
async def recommendations(
    request: Request, user_id: str, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> dict:
    """What a person may like; for one nobody knows what is popular. The score is the place, as it always was."""
    liked = await _liked(request, user_id, limit)
    if liked is None:
        shown = await _of_ids(request, await _popular(request, limit), reason="Popular")
    else:
        shown = await _of_hits(request, liked[0][:limit], reason=liked[1])
    for place, each in enumerate(shown):
        each["similarity_score"] = round(1.0 - 0.01 * place, 2)
    return _found(shown, "personalized", None, user_id)


# People


def _person(person: Person) -> dict:
    said = person.style or {}
    kinds = [value for name in ("category", "sub_category", "article_type") for value in said.get(name, ())]
    return {
        "user_id": person.user_id,
        # Who they are is nobody's to read: they are called by their id.
        "name": person.user_id,
        "description": None,
        "segment": None,
        "avg_price_point": person.mean,
        "preferred_categories": [spelt(value) for value in kinds],
        "color_prefs": [spelt(value) for value in said.get("colour", ())],
        "brand_prefs": list(said.get("brand", ())),
        "min_price": person.least,
        "max_price": person.greatest,
        "avg_price": person.mean,
        "p25_price": person.p25,
        "p75_price": person.p75,
        "num_interactions": person.favourites,
        "purchase_history_ids": person.external_ids or [],
        "style_tags": [spelt(value) for name in ("style", "usage") for value in said.get(name, ())],
    }


async def _known(request: Request, user_id: str) -> Person:
    found = await people.people(engine_of(request), user_id, source_of(request), 1)
    if not found:
        raise HTTPException(404, f"User {user_id[:80]} not found")
    return found[0]


@router.get("/users")
async def users(request: Request, curated: bool = True) -> list[dict]:
    """People of whom something is known: those with most favourites first, a few, or more where `curated` is false."""
    many = PERSONAS if curated else 10 * PERSONAS
    return [_person(each) for each in await people.people(engine_of(request), None, source_of(request), many)]


@router.get("/users/{user_id}")
async def user(request: Request, user_id: str) -> dict:
    """One of them."""
    return _person(await _known(request, user_id))


@router.get("/users/{user_id}/profile")
async def profile(request: Request, user_id: str) -> dict:
    """What is known of a person, and favourites of theirs."""
    known = await _known(request, user_id)
    person = _person(known)
    return {
        **{
            name: person[name]
            for name in ("user_id", "segment", "avg_price_point", "preferred_categories", "color_prefs")
        },
        "price_range": {
            "min": person["min_price"],
            "max": person["max_price"],
            "avg": person["avg_price"],
        },
        "num_interactions": person["num_interactions"],
        "purchase_history": await _of_ids(request, known.product_ids or []),
    }


# Pictures, and whether it is up


@router.get(
    "/images/{path:path}",
    status_code=302,
    response_class=RedirectResponse,
    responses={302: {"description": "Where it is."}},
)
async def image(request: Request, path: str) -> RedirectResponse:
    """Where a product's picture is, whatever folder its path names: it is known by the number."""
    name = path.rpartition("/")[2]
    row = await _one(request, name.partition(".")[0])
    url = picture_url(request, str(row["product_id"]), row["image_path"])
    if url is None:
        raise HTTPException(404, f"Product {row['external_id']} has no picture")
    return RedirectResponse(url, 302)


@router.get("/healthcheck")
async def healthcheck(request: Request) -> dict:
    """Whether a release is live."""
    await stored.page(engine_of(request), stored.products("product_id"), 1)
    return {"status": "healthy"}
