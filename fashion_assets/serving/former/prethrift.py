"""The calls of the garment search with attributes: `/search`, and `/api/v2/search` as its web client expects it.

What belongs here: its routes, keys and families of attributes. What does not: finding anything (`search`), what it takes for off topic or ambiguous
(`topics`).

A garment's id is a whole number: the former database's, or one made of its id here. The second version never ran; its client's filters and
its server's routes are what is answered.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request
from pydantic import BaseModel, Field

from fashion_assets.catalog.normalization import canonical
from fashion_assets.search import query as search
from fashion_assets.search.filters import COLUMNS, Filter, as_filters
from fashion_assets.search.preferences import LEG
from fashion_assets.search.query import Hit, Results
from fashion_assets.serving.former import liking, stored, topics
from fashion_assets.serving.former.shapes import (
    application,
    decoded,
    engine_of,
    left_out,
    picture_url,
    settings_of,
    similarity,
    source_of,
)
from fashion_assets.serving.former.stored import Row
from fashion_assets.warehouse.feedback import is_person

TITLE = "prethrift"

FAMILIES = {
    "brand": "brand",
    "category": "category",
    "subcategory": "article_type",
    "color_primary": "colour",
    **{name: name for name in ("pattern", "material", "style", "fit", "season", "occasion", "era")},
    **{name: name for name in ("neckline", "sleeve_length", "gender", "size", "condition", "designer_tier")},
}
"""Families of attributes, and the columns that have their values."""

FILTERS = {
    **FAMILIES,
    "primary_color": "colour",
    "secondary_color": "secondary_colour",
    "title": "title",
}
"""What the client filters by, one value or a list."""

KINDS = ("article_type", "sub_category", "category")
"""Where a category of the client's may stand here, the narrowest first: it calls `dress` what others call a kind."""

COUNTED = {
    "brands": "brand",
    "categories": "category",
    "colors": "colour",
    "materials": "material",
    "designer_tiers": "designer_tier",
}
PRICES = ((0, 25), (25, 50), (50, 100), (100, 200), (200, None))
"""Ranges the client's price facet has: from, and below."""

_INGESTS_NOTHING = "This server only reads: garments come from the catalogue's database by a run or a sync."
_MIGRATED = "What a picture or a text says is found out as a catalogue is migrated, not on request."

LEFT_OUT = {
    ("POST", "/garments/ingest"): _INGESTS_NOTHING,
    ("POST", "/inventory/{rest:path}"): _INGESTS_NOTHING,
    (
        "GET",
        "/inventory/{rest:path}",
    ): "Photographed stock is read from the catalogue's database, not from here.",
    ("POST", "/user/preferences/extract"): _MIGRATED,
    ("POST", "/user/garments/refresh-description"): _MIGRATED,
    ("POST", "/admin/clear-embedding-cache"): "Caches are bounded and need no clearing.",
    ("POST", "/upload/presign"): _INGESTS_NOTHING,
    ("POST", "/api/v2/upload-image"): "Send the picture with the search, as image_query.",
    ("POST", "/api/v2/extract-properties"): _MIGRATED,
    ("POST", "/api/v2/garments/{garment}/extract-properties"): _MIGRATED,
}

router = APIRouter()


class Asked(BaseModel):
    """What `/search` takes."""

    query: str = ""
    limit: int = Field(default=10, ge=1, le=100)
    model: str | None = None
    user_id: str | None = None
    force: bool = False


class Liking(BaseModel):
    """What `/feedback` takes; `weight` is of no effect, as what each act counts is settled here (`search.taste`)."""

    user_id: str | int
    garment_id: int
    action: Literal["like", "dislike", "view", "click"]
    weight: float = 1.0


class AskedV2(BaseModel):
    """What `/api/v2/search` takes."""

    text_query: str | None = None
    image_query: str | None = None
    filters: dict[str, Any] | None = None
    search_type: Literal["text", "image", "hybrid", "metadata"] = "hybrid"
    sort_by: Literal["similarity", "price", "date", "relevance"] = "similarity"
    limit: int = Field(default=20, ge=1, le=100)
    min_similarity: float = Field(default=0.7, ge=0, le=1)


class Alike(BaseModel):
    """What `/api/v2/similar` takes."""

    garment_id: int
    limit: int = Field(default=20, ge=1, le=100)
    min_similarity: float = Field(default=0.7, ge=0, le=1)


def api() -> FastAPI:
    """This API, to be mounted."""
    app = application(
        TITLE, "The calls of the garment search with attributes, answered over the live release."
    )
    app.include_router(router)
    left_out(app, LEFT_OUT)
    return app


# What is told of a garment


def _attributes(row: Row) -> list[dict[str, Any]]:
    """Values by family; one that a record states is certain."""
    origins = row["origins"] or {}
    return [
        {
            "family": family,
            "value": row[column],
            "confidence": round(float((origins.get(column) or {}).get("confidence", 1.0)), 2),
        }
        for family, column in FAMILIES.items()
        if row[column] is not None
    ]


def _number(row: Row) -> int:
    return stored.number_of(str(row["product_id"]), (row["facts"] or {}).get("old_id"))


def _garment(request: Request, row: Row) -> dict[str, Any]:
    picture = picture_url(request, str(row["product_id"]), row["image_path"])
    return {
        "garment_id": _number(row),
        "title": row["title"],
        "brand": row["brand"],
        "price": None if row["price"] is None else float(row["price"]),
        "currency": row["currency"],
        "image_path": picture,
        "thumbnail_url": None if picture is None else f"{picture}?size=small",
        "description": row["description"],
        "attributes": _attributes(row),
    }


def _garment_v2(request: Request, row: Row) -> dict[str, Any]:
    shown = _garment(request, row)
    said = {each["family"]: each for each in shown["attributes"]}
    certain = [each["confidence"] for each in shown["attributes"]]
    return {
        "id": shown["garment_id"],
        "external_id": row["external_id"],
        **{
            name: shown[name] for name in ("title", "brand", "price", "currency", "image_path", "description")
        },
        "thumbnail_url": shown["thumbnail_url"],
        **{
            name: row[column]
            for name, column in FILTERS.items()
            if name not in ("brand", "title", "color_primary")
        },
        "sustainability_score": None,
        "ontology_confidence": round(sum(certain) / len(certain), 3) if certain else None,
        "attributes": list(said.values()),
    }


_LEGS = {"text": "full text", "embedding": "vectors", "preference": "what the person likes"}


def _explained(hit: Hit) -> tuple[str, dict[str, Any]]:
    named = [
        ("preference" if each.leg == LEG else "embedding" if each.coverage is None else "text", each)
        for each in hit.explanation
    ]
    parts = {name: round(each.score, 6) for name, each in named}
    told = ", ".join(f"{_LEGS[name]}: rank {each.rank}" for name, each in named)
    return told, {"top_components": parts, "final_score": round(similarity(hit), 4)}


# Version 1


@router.post("/search")
async def find(request: Request, asked: Asked) -> dict:
    """Garments for words; nothing for what has nothing to do with garments, unless it is forced."""
    words = asked.query.strip()
    if not words:
        raise HTTPException(400, "Query must not be empty")
    said = topics.read_families(words)
    source = source_of(request)
    results = await engine_of(request).search(
        search.Query(
            words=words,
            limit=asked.limit,
            filters=as_filters({"source": source} if source else {}),
            person=asked.user_id if asked.user_id and is_person(asked.user_id) else None,
        )
    )
    why = None if asked.force else topics.off_topic(words, said, results)
    clarification = None if why else topics.clarification(words)
    shown = []
    rows = [] if why else await stored.by_ids(engine_of(request), [hit.product_id for hit in results.hits])
    hits = {hit.product_id: hit for hit in results.hits}
    for row in rows:
        hit = hits[str(row["product_id"])]
        explanation, summary = _explained(hit)
        garment = _garment(request, row)
        shown.append(
            {
                "garment_id": garment["garment_id"],
                "score": round(similarity(hit), 4),
                **{name: value for name, value in garment.items() if name != "garment_id"},
                "explanation": explanation,
                "explanation_summary": summary,
            }
        )
    return {
        "query": asked.query,
        "results": shown,
        "attributes": said,
        "ambiguous": clarification is not None,
        "clarification": clarification,
        "off_topic": why is not None,
        "off_topic_reason": why,
        "message": None if shown else "Nothing was found.",
    }


@router.post("/feedback")
async def feedback(request: Request, told: Liking) -> dict:
    """Keep what somebody likes, dislikes, looked at or opened."""
    product = await stored.product_of(engine_of(request), told.garment_id, source_of(request))
    if product is None:
        raise HTTPException(404, "Garment not found")
    await liking.keep(request, str(told.user_id), product, told.action)
    return {"status": "ok"}


# Version 2


def _filters(request: Request, given: Mapping[str, Any]) -> tuple[tuple[Filter, ...], list[str]]:
    """The client's filters as ours, and those that have no effect."""
    wanted: dict[str, Any] = {}
    ignored = []
    for name, value in given.items():
        values = value if isinstance(value, list) else [value]
        values = [each for each in values if each not in (None, "")]
        if name == "price_range" and isinstance(value, list) and len(value) == 2:
            wanted["price"] = {"from": value[0], "to": value[1]}
        elif name in ("category", "subcategory") and values:
            wanted[_kind(values)] = values
        elif name in FILTERS and FILTERS[name] in COLUMNS and values:
            wanted[FILTERS[name]] = values
        elif values:
            ignored.append(name)
    if source := source_of(request):
        wanted["source"] = source
    return as_filters(wanted), ignored


def _kind(values: Sequence[Any]) -> str:
    """The column that most of the values are known in."""
    known = {
        column: sum(isinstance(each, str) and canonical(column, each)[1] for each in values)
        for column in KINDS
    }
    return max(KINDS, key=lambda column: known[column])


@router.post("/api/v2/search")
async def find_v2(request: Request, asked: AskedV2) -> dict:
    """Garments for words, a picture, both, or filters alone."""
    began = time.perf_counter()
    filters, ignored = _filters(request, asked.filters or {})
    words = (asked.text_query or "").strip() if asked.search_type in ("text", "hybrid") else ""
    picture = None
    if asked.image_query and asked.search_type in ("image", "hybrid"):
        picture = _picture(request, asked.image_query)
    if asked.search_type in ("text", "image") and not words and picture is None:
        raise HTTPException(400, f"a search by {asked.search_type} needs one")
    query = search.Query(
        words=words,
        picture=picture,
        limit=asked.limit,
        filters=filters,
        facets=tuple(COUNTED.values()),
    )
    results = await engine_of(request).search(query)
    hits = {hit.product_id: hit for hit in results.hits}
    rows = await stored.by_ids(engine_of(request), list(hits))
    if asked.sort_by == "price":
        rows.sort(key=lambda row: (row["price"] is None, row["price"] or 0))
    elif asked.sort_by == "date":
        rows.sort(key=lambda row: str((row["facts"] or {}).get("created_at") or ""), reverse=True)
    by_meaning = query.has_meaning
    shown = [
        {
            **_garment_v2(request, row),
            "similarity_score": round(similarity(hits[str(row["product_id"])]), 4) if by_meaning else 1.0,
            "match_reason": _explained(hits[str(row["product_id"])])[0] if by_meaning else "filters",
        }
        for row in rows
    ]
    total = len(shown) if results.total is None else results.total.value
    return {
        "results": shown,
        "total_found": total,
        "total_count": total,
        "search_time_ms": round(1000 * (time.perf_counter() - began), 3),
        "filters_applied": asked.filters or {},
        "facets": _facets(results, filters, rows),
        "search_metadata": {
            "search_type": asked.search_type,
            "release": results.plan.release,
            "ignored_filters": ignored,
            "min_similarity": "told, not applied: similarities of another model",
            "notes": list(results.plan.notes),
        },
    }


def _picture(request: Request, text: str) -> bytes:
    if text.lower().startswith(("http://", "https://")):
        raise HTTPException(400, "send the picture itself, as base64: addresses are not fetched")
    try:
        return decoded(text, settings_of(request).max_image_bytes)
    except ValueError:
        raise HTTPException(400, "image_query is no picture in base64") from None


def _facets(results: Results, filters: Sequence[Filter], rows: Sequence[Row]) -> dict[str, list[dict]]:
    chosen = {each.name: each for each in filters}
    counted = {
        name: [
            {
                "value": value,
                "count": count,
                "selected": column in chosen and chosen[column].matches({column: value}),
            }
            for value, count in results.facets.get(column, ())
        ]
        for name, column in COUNTED.items()
    }
    prices = [float(row["price"]) for row in rows if row["price"] is not None]
    ranges = [
        {
            "value": f"{low}+" if high is None else f"{low}-{high}",
            "count": sum(low <= price and (high is None or price < high) for price in prices),
            "selected": False,
        }
        for low, high in PRICES
    ]
    return {**counted, "price_ranges": ranges}


async def _one(request: Request, number: int) -> Row:
    product = await stored.product_of(engine_of(request), number, source_of(request))
    rows = await stored.by_ids(engine_of(request), [product]) if product else []
    if not rows:
        raise HTTPException(404, "Garment not found")
    return rows[0]


async def _nearest(request: Request, number: int, limit: int) -> dict:
    began = time.perf_counter()
    row = await _one(request, number)
    source = source_of(request)
    asked = search.Query(
        product=str(row["product_id"]),
        mode="vector",
        limit=limit,
        filters=as_filters({"source": source} if source else {}),
    )
    hits = {hit.product_id: hit for hit in (await engine_of(request).search(asked)).hits}
    rows = await stored.by_ids(engine_of(request), list(hits))
    shown = [
        {
            **_garment_v2(request, each),
            "similarity_score": round(similarity(hits[str(each["product_id"])]), 4),
            "match_reason": f"looks like {row['title']}",
        }
        for each in rows
    ]
    return {
        "results": shown,
        "total_found": len(shown),
        "total_count": len(shown),
        "search_time_ms": round(1000 * (time.perf_counter() - began), 3),
    }


@router.get("/api/v2/garments/{garment_id}")
async def garment(request: Request, garment_id: int) -> dict:
    """One garment."""
    return _garment_v2(request, await _one(request, garment_id))


@router.get("/api/v2/garments/{garment_id}/similar")
async def similar(
    request: Request,
    garment_id: int,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    min_similarity: Annotated[float, Query(ge=0, le=1)] = 0.7,
) -> dict:
    """The garments nearest to one."""
    return await _nearest(request, garment_id, limit)


@router.post("/api/v2/similar")
async def similar_by_body(request: Request, asked: Alike) -> dict:
    """The same, as the client asks."""
    return await _nearest(request, asked.garment_id, asked.limit)


@router.get("/api/v2/filters/options")
async def options(request: Request) -> dict:
    """The values there are to filter by."""
    names = {
        "categories": "category",
        "colors": "colour",
        "materials": "material",
        "brands": "brand",
        "styles": "style",
        "designer_tiers": "designer_tier",
    }
    found = await stored.values_of(engine_of(request), *names.values(), source=source_of(request))
    return dict(zip(names, found, strict=True))


@router.get("/api/v2/stats")
async def stats(request: Request) -> dict:
    """How many garments there are, and how many have a vector."""
    ((garments, vectors),) = await stored.rows_of(
        engine_of(request),
        "SELECT count(*), count(embedding_space) FROM {products} WHERE %(source)s::text IS NULL OR source = %(source)s",
        {"source": source_of(request)},
    )
    share = round(100 * vectors / garments, 2) if garments else 0.0
    return {"total_garments": garments, "with_embedding": vectors, "embedding_coverage": share}


@router.get("/api/v2/suggestions")
async def suggestions(
    request: Request,
    q: Annotated[str, Query(min_length=1, max_length=200)],
    limit: Annotated[int, Query(ge=1, le=20)] = 8,
) -> dict:
    """Values of the catalogue that begin with what was typed."""
    found = await stored.values_of(
        engine_of(request), "article_type", "colour", "brand", source=source_of(request)
    )
    begins = q.strip().lower()
    fitting = [value for values in found for value in values if value.lower().startswith(begins)]
    return {"suggestions": fitting[:limit]}


@router.get("/health/")
@router.get("/health/ready")
async def ready(request: Request) -> dict:
    """Whether a release is live."""
    await stored.page(engine_of(request), stored.products("product_id"), 1)
    return {"status": "ok"}


@router.get("/health/live")
async def live() -> dict:
    """Whether the server is up."""
    return {"status": "ok"}
