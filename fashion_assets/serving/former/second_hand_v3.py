"""The calls of the second-hand shop's third version: `/garments` and `/discovery`.

What belongs here: its routes, parameters, keys and oddities. What does not: its second version (`second_hand_v2`), what a garment is made
of (`release.garments`), finding anything.

A price is a text of two decimals (`"45.00"`), an id a UUID. Who owns a garment is told without an e-mail address.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, LiteralString, NamedTuple
from uuid import UUID

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request
from pydantic import BaseModel, Field

from fashion_assets import __version__
from fashion_assets.catalog.sizes import canonical_size
from fashion_assets.search import query as search
from fashion_assets.search.filters import Filter, as_filters
from fashion_assets.search.query import Hit
from fashion_assets.serving.former import stored
from fashion_assets.serving.former.shapes import application, engine_of, left_out, similarity, source_of
from fashion_assets.serving.former.stored import Row
from fashion_assets.warehouse.releases import ReleaseError

TITLE = "second-hand v3"

Exchange = Literal["buy", "sell", "trade", "gift"]

_WRITES_NOTHING = "This server only reads: garments come from the shop's database by a run or a sync."
_OF_PEOPLE = "What is somebody's own is nobody's to read here; ask the system that has its people log in."

LEFT_OUT = {
    ("POST", "/garments"): _WRITES_NOTHING,
    ("PATCH", "/garments/{garment}"): _WRITES_NOTHING,
    ("DELETE", "/garments/{garment}"): _WRITES_NOTHING,
    ("GET", "/exchange"): _OF_PEOPLE,
    ("POST", "/exchange"): _WRITES_NOTHING,
    ("GET", "/exchange/{rest:path}"): _OF_PEOPLE,
    ("PATCH", "/exchange/{rest:path}"): _WRITES_NOTHING,
    ("GET", "/wardrobes"): _OF_PEOPLE,
    ("POST", "/wardrobes"): _WRITES_NOTHING,
    ("GET", "/wardrobes/{rest:path}"): _OF_PEOPLE,
    ("POST", "/api/analyze"): "What a picture shows is found out as a catalogue is migrated, not on request.",
    (
        "POST",
        "/api/analyze/batch",
    ): "What a picture shows is found out as a catalogue is migrated, not on request.",
    ("POST", "/api/chat/{rest:path}"): "There is nobody to talk to here.",
    ("GET", "/api/greeting"): "There is nobody to talk to here.",
}

RECENT = 0.5
"""What is new and was not asked for by words scores so much."""

LEAST = 0.1
"""What scores less was not found."""

LEAST_ALIKE = 0.3

ALIKE = 10
NEAREST_FOUND = 200
"""Garments that are looked through for one question."""

_NEWEST: LiteralString = "created_at DESC NULLS LAST"

router = APIRouter()


class Discovery(BaseModel):
    """What `POST /discovery` takes."""

    text: str | None = None
    image_url: str | None = None
    category: str | None = None
    size: str | None = None
    condition: str | None = None
    exchange_type: Exchange | None = None
    max_price: float | None = Field(default=None, ge=0)
    min_sustainability_score: float | None = Field(default=None, ge=0, le=100)
    style_tags: list[str] = []
    page: int = Field(default=1, ge=1, le=1_000_000)
    page_size: int = Field(default=20, ge=1, le=100)


def api() -> FastAPI:
    """This API, to be mounted."""
    app = application(TITLE, "The calls of the second-hand shop (v3), answered over the live release.")
    app.include_router(router)
    left_out(app, LEFT_OUT)
    return app


def _pattern(text: str) -> str:
    """What finds a text anywhere in another, whatever the case."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _garment(row: Row) -> dict[str, Any]:
    owner = row["owner_id"]
    return {
        "id": str(row["id"]),
        "owner_id": None if owner is None else str(owner),
        **{name: row[name] for name in ("title", "category", "condition", "size", "brand", "story")},
        **{name: row[name] for name in ("provenance", "style_attributes", "exchange_type")},
        "price": None if row["price"] is None else str(Decimal(row["price"]).quantize(Decimal("0.01"))),
        **{name: row[name] for name in ("view_count", "save_count", "status", "created_at", "updated_at")},
        "owner": None
        if owner is None
        else {
            "id": str(owner),
            "email": None,
            "display_name": row["seller"] or "",
            "avatar_url": None,
            "bio": None,
            "location": row["location"],
            "sustainability_score": 0.0,
            "created_at": None,
        },
    }


_OF_SELLERS: LiteralString = "SELECT product_id::text, facts ->> 'seller', facts ->> 'location' FROM {products} WHERE product_id = ANY(%(ids)s::uuid[])"


async def _garments(request: Request, rows: Sequence[Row]) -> list[dict]:
    """Garments with what their items say of who offers them."""
    ids = [str(row["id"]) for row in rows]
    said = await stored.rows_of(engine_of(request), _OF_SELLERS, {"ids": ids}) if ids else []
    sellers = {key: (seller, location) for key, seller, location in said}
    shown = []
    for row in rows:
        seller, location = sellers.get(str(row["id"]), (None, None))
        shown.append(_garment({**row, "seller": seller, "location": location}))
    return shown


class Narrowed(NamedTuple):
    """What a client narrows garments down to."""

    category: str | None = None
    condition: str | None = None
    size: str | None = None
    exchange_type: str | None = None
    min_price: float | None = None
    max_price: float | None = None
    words: str | None = None

    def listing(self, source: str | None, ids: Sequence[str] | None = None) -> stored.Listing:
        """The garments that are active and meet it, newest first; of these ids, where some are given."""
        held: dict[LiteralString, dict[str, Any]] = {"status = 'active'": {}}
        if ids is not None:
            held["id = ANY(%(ids)s::uuid[])"] = {"ids": list(ids)}
        if source:
            held["id IN (SELECT product_id FROM {products} WHERE source = %(source)s::text)"] = {
                "source": source
            }
        if self.category:
            held[_OF_CATEGORY] = {"category": _pattern(self.category)}
        if self.words:
            held[_WITH_WORDS] = {"words": _pattern(self.words)}
        if self.condition:
            held["condition = %(condition)s::text"] = {"condition": _canonical("condition", self.condition)}
        if self.size:
            held["size = ANY(%(sizes)s::text[])"] = {"sizes": _sizes(self.size)}
        if self.exchange_type:
            held["exchange_type = %(exchange)s::text"] = {"exchange": self.exchange_type}
        least, most = self.min_price, self.max_price
        if least is not None and most is not None and least > most:
            least, most = most, least  # as a filter of a search reads them
        if least is not None:
            held["price >= %(low)s::numeric"] = {"low": Decimal(str(least))}
        if most is not None:
            held["price <= %(high)s::numeric"] = {"high": Decimal(str(most))}
        values = {name: value for each in held.values() for name, value in each.items()}
        return stored.garments(_NEWEST, *held, **values)

    async def filters(self, request: Request) -> tuple[Filter, ...]:
        """The same as filters of a search, but for what none has: who is active, and ways of exchange."""
        wanted: dict[str, Any] = {}
        source = source_of(request)
        if source:
            wanted["source"] = source
        if self.category:
            wide, narrow = await stored.values_of(
                engine_of(request), "category", "article_type", source=source
            )
            named = self.category.lower()
            if kinds := [value for value in narrow if named in value.lower()]:
                wanted["article_type"] = kinds
            else:
                wanted["category"] = [value for value in wide if named in value.lower()]
        if self.condition:
            wanted["condition"] = self.condition
        if self.size:
            wanted["size"] = _sizes(self.size)
        if self.min_price is not None or self.max_price is not None:
            wanted["price"] = {"from": self.min_price, "to": self.max_price}
        return as_filters(wanted)


_OF_CATEGORY: LiteralString = "id IN (SELECT product_id FROM {products} WHERE article_type ILIKE %(category)s::text OR category ILIKE %(category)s::text)"
_WITH_WORDS: LiteralString = (
    "id IN (SELECT product_id FROM {products} WHERE title ILIKE %(words)s::text OR brand ILIKE %(words)s::text "
    "OR article_type ILIKE %(words)s::text OR category ILIKE %(words)s::text)"
)


def _canonical(name: str, text: str) -> str:
    (found,) = as_filters({name: text})
    return str(found.parameters()[0][0])


def _sizes(text: str) -> list[str]:
    """A size as sizes are written here, and as it was given."""
    canonical = canonical_size(text)
    return [*([canonical] if canonical else []), text.lower()]


def _paged(key: str, found: list[dict], total: int, page: int, size: int) -> dict:
    return {key: found, "total": total, "page": page, "page_size": size, "pages": math.ceil(total / size)}


Page = Annotated[int, Query(ge=1, le=1_000_000)]
PageSize = Annotated[int, Query(ge=1, le=100)]
Price = Annotated[float | None, Query(ge=0)]
Text = Annotated[str | None, Query(max_length=1_000)]


async def _listed(request: Request, narrowed: Narrowed, page: int, size: int) -> tuple[list[dict], int]:
    found = await stored.page(
        engine_of(request), narrowed.listing(source_of(request)), size, (page - 1) * size
    )
    return await _garments(request, found.rows), found.total


@router.get("/garments")
async def garments(
    request: Request,
    category: Text = None,
    condition: Text = None,
    exchange_type: Exchange | None = None,
    min_price: Price = None,
    max_price: Price = None,
    page: Page = 1,
    page_size: PageSize = 20,
) -> dict:
    """Active garments, newest first."""
    narrowed = Narrowed(category, condition, None, exchange_type, min_price, max_price)
    return _paged("items", *await _listed(request, narrowed, page, page_size), page, page_size)


@router.get("/garments/search")
async def garments_search(
    request: Request,
    q: Annotated[str, Query(min_length=2, max_length=1_000)],
    page: Page = 1,
    page_size: PageSize = 20,
) -> dict:
    """Active garments whose title, brand or category has the text in it, newest first."""
    return _paged("items", *await _listed(request, Narrowed(words=q), page, page_size), page, page_size)


async def _one(request: Request, garment_id: UUID) -> Row:
    rows = await stored.by_ids(engine_of(request), [str(garment_id)], as_garments=True)
    if not rows:
        raise HTTPException(404, "Garment not found")
    return rows[0]


@router.get("/garments/{garment_id}")
async def garment(request: Request, garment_id: UUID) -> dict:
    """One garment, with the vector it is searched by and the garments nearest to it."""
    (shown,) = await _garments(request, [await _one(request, garment_id)])
    vector = await stored.vector_of(engine_of(request), str(garment_id))
    alike = [] if vector is None else await _alike(request, garment_id, 5)
    return {**shown, "embedding": vector, "similar_garments": [each for each, _ in alike]}


async def _alike(request: Request, garment_id: UUID, rows: int) -> list[tuple[dict, Hit]]:
    source = source_of(request)
    asked = search.Query(
        product=str(garment_id),
        mode="vector",
        limit=rows,
        filters=as_filters({"source": source} if source else {}),
    )
    return await _active(request, (await engine_of(request).search(asked)).hits, Narrowed())


async def _active(request: Request, hits: Sequence[Hit], narrowed: Narrowed) -> list[tuple[dict, Hit]]:
    """The garments of hits that are active and meet what is asked, in the hits' order."""
    ids = [hit.product_id for hit in hits]
    if not ids:
        return []
    listing = narrowed.listing(source_of(request), ids)
    rows = (await stored.page(engine_of(request), listing, len(ids))).rows
    shown = {each["id"]: each for each in await _garments(request, rows)}
    return [(shown[hit.product_id], hit) for hit in hits if hit.product_id in shown]


@router.get("/discovery")
async def discovery(
    request: Request,
    q: Annotated[str | None, Query(max_length=2_000)] = None,
    category: Text = None,
    size: Text = None,
    condition: Text = None,
    exchange_type: Exchange | None = None,
    max_price: Price = None,
    min_sustainability: Annotated[float | None, Query(ge=0, le=100)] = None,
    style_tags: Annotated[list[str] | None, Query()] = None,
    page: Page = 1,
    page_size: PageSize = 20,
) -> dict:
    """Garments for words, best first; without words the newest."""
    narrowed = Narrowed(category, condition, size, exchange_type, None, max_price)
    return await _discovered(request, q, style_tags or [], narrowed, page, page_size)


@router.post("/discovery")
async def discovery_by_body(request: Request, asked: Discovery) -> dict:
    """The same, asked by a document."""
    narrowed = Narrowed(
        asked.category, asked.condition, asked.size, asked.exchange_type, None, asked.max_price
    )
    return await _discovered(request, asked.text, asked.style_tags, narrowed, asked.page, asked.page_size)


async def _discovered(
    request: Request, words: str | None, tags: Sequence[str], narrowed: Narrowed, page: int, size: int
) -> dict:
    asked = " ".join(
        [*([words] if words and words.strip() else []), *([f"Style: {', '.join(tags)}"] if tags else [])]
    )
    if not asked:
        shown, total = await _listed(request, narrowed, page, size)
        results = [
            {"garment": each, "similarity_score": RECENT, "match_reasons": ["Recently listed"]}
            for each in shown
        ]
    else:
        try:
            filters = await narrowed.filters(request)
            hits = (
                await engine_of(request).search(
                    search.Query(words=asked, limit=NEAREST_FOUND, filters=filters), is_first=page == 1
                )
            ).hits
        except ReleaseError as error:
            raise HTTPException(503, f"AI service unavailable: {error}") from None
        found = [
            (each, hit) for each, hit in await _active(request, hits, narrowed) if similarity(hit) >= LEAST
        ]
        total = len(found)
        results = [
            _result(each, hit, asked, narrowed) for each, hit in found[(page - 1) * size : page * size]
        ]
    return {
        "results": results,
        # Of another model than a client's: it would be no use to one.
        "query_embedding": None,
        **_paged("results", results, total, page, size),
    }


def _result(garment: dict, hit: Hit, asked: str, narrowed: Narrowed) -> dict:
    """A garment with how near it is, and one to three reasons."""
    said = set(asked.lower().replace(",", " ").split())
    style = garment["style_attributes"] or {}
    reasons = [f"Matches category: {garment['category']}"] if narrowed.category else []
    reasons += [f"{tag} style" for tag in style.get("style_tags") or () if tag in said]
    reasons += [f"{colour} colorway" for colour in style.get("colors") or () if colour in said]
    provenance = (garment["provenance"] or {}).get("source")
    reasons += [f"{provenance} item"] if provenance and provenance in said else []
    return {
        "garment": garment,
        "similarity_score": round(similarity(hit), 3),
        "match_reasons": reasons[:3] or ["Style compatibility"],
    }


@router.get("/discovery/similar/{garment_id}")
async def discovery_similar(request: Request, garment_id: UUID, exclude_same_owner: bool = True) -> dict:
    """The garments nearest to one, of other owners."""
    row = await _one(request, garment_id)
    if await stored.vector_of(engine_of(request), str(garment_id)) is None:
        raise HTTPException(422, "Garment has no embedding")
    owner = None if row["owner_id"] is None else str(row["owner_id"])
    results = [
        _result(each, hit, "", Narrowed())
        for each, hit in await _alike(request, garment_id, 5 * ALIKE)
        if similarity(hit) >= LEAST_ALIKE
        and not (exclude_same_owner and owner is not None and each["owner_id"] == owner)
    ][:ALIKE]
    return {"query_embedding": None, **_paged("results", results, len(results), 1, ALIKE)}


@router.get("/health")
async def health(request: Request) -> dict:
    """Whether the database answers."""
    await stored.page(engine_of(request), stored.products("product_id"), 1)
    now = datetime.now(UTC).isoformat()
    return {
        "status": "healthy",
        "version": __version__,
        "database": "connected",
        "redis": "unused",
        "timestamp": now,
    }


@router.get("/ready")
async def ready(request: Request) -> dict:
    """Whether a release is live."""
    await stored.page(engine_of(request), stored.products("product_id"), 1)
    return {"status": "ready"}


@router.get("/live")
async def live() -> dict:
    """Whether the server is up."""
    return {"status": "alive"}
