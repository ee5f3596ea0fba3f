"""The calls of the second-hand shop's app, second version: search by picture, by words, by both; sketchbooks for reading (`sketchbooks`).

What belongs here: its routes, keys and oddities. What does not: its third version (`second_hand_v3`), finding anything.

Its app decodes an item's `id` as a whole number and needs every key, null or not. It asks for no number of items: there are always 20 at
the most, ascending by `distance`, of which it makes its similarity.
"""

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, HTTPException, Request
from pydantic import BaseModel

from fashion_assets import __version__
from fashion_assets.search import query as search
from fashion_assets.search.filters import SearchError, as_filters
from fashion_assets.search.query import Hit
from fashion_assets.serving.former import sketchbooks, stored
from fashion_assets.serving.former.shapes import (
    application,
    decoded,
    distance,
    engine_of,
    left_out,
    picture_url,
    settings_of,
    source_of,
)
from fashion_assets.serving.former.stored import Row

TITLE = "second-hand v2"

ITEMS = 20

_SELLS_NOTHING = "This server takes no payments and keeps no orders; ask the system that does."
_WRITES_NOTHING = "This server only reads: items come from the shop's database by a run or a sync."

LEFT_OUT = {
    ("POST", "/add_item"): _WRITES_NOTHING,
    (
        "POST",
        "/analyze_image",
    ): "What a picture shows is found out as a catalogue is migrated, not on request.",
    ("POST", "/generate_description"): "Stories are written as a catalogue is migrated, not on request.",
    ("POST", "/payments/{rest:path}"): _SELLS_NOTHING,
    ("GET", "/payments/{rest:path}"): _SELLS_NOTHING,
    ("GET", "/transactions"): _SELLS_NOTHING,
    ("GET", "/transactions/{rest:path}"): _SELLS_NOTHING,
    ("POST", "/transactions/{rest:path}"): _SELLS_NOTHING,
    ("GET", "/subscriptions/current"): _SELLS_NOTHING,
    ("POST", "/subscriptions/{rest:path}"): _SELLS_NOTHING,
    ("POST", "/webhooks/stripe"): _SELLS_NOTHING,
    ("GET", "/config/stripe"): _SELLS_NOTHING,
}

router = APIRouter()


class ByImage(BaseModel):
    """What `/search_by_image` takes; other keys are of no effect."""

    image_base64: str


class ByText(BaseModel):
    """What `/search_by_text` takes."""

    query: str | None = None


class Combined(BaseModel):
    """What `/search_combined` takes."""

    query: str | None = None
    image_base64: str | None = None


def api() -> FastAPI:
    """This API, to be mounted."""
    app = application(TITLE, "The calls of the second-hand shop's app (v2), answered over the live release.")
    app.include_router(router)
    app.include_router(sketchbooks.router)
    left_out(app, {**LEFT_OUT, **sketchbooks.LEFT_OUT})
    return app


@router.post("/search_by_image")
async def search_by_image(request: Request, asked: ByImage) -> dict:
    """Items that look like a picture."""
    return await _items(request, picture=_picture(request, asked.image_base64))


@router.post("/search_by_text")
async def search_by_text(request: Request, asked: ByText) -> dict:
    """Items for words."""
    if not asked.query or not asked.query.strip():
        raise HTTPException(400, "Query text is required")
    return await _items(request, words=asked.query)


@router.post("/search_combined")
async def search_combined(request: Request, asked: Combined) -> dict:
    """Items for a picture and words together."""
    words = (asked.query or "").strip()
    if not words and not asked.image_base64:
        raise HTTPException(400, "Either query text or image is required")
    picture = _picture(request, asked.image_base64) if asked.image_base64 else None
    return await _items(request, words=words, picture=picture)


@router.get("/health")
async def health() -> dict:
    """Whether the server is up."""
    return {"status": "ok", "service": "fashion-assets", "version": __version__}


def _picture(request: Request, text: str) -> bytes:
    try:
        return decoded(text, settings_of(request).max_image_bytes)
    except ValueError:
        raise HTTPException(400, "Invalid base64 image data") from None


async def _items(request: Request, words: str = "", picture: bytes | None = None) -> dict:
    source = source_of(request)
    asked = search.Query(
        words=words,
        picture=picture,
        mode="hybrid" if words else "vector",
        limit=ITEMS,
        filters=as_filters({"source": source} if source else {}),
    )
    try:
        hits = (await engine_of(request).search(asked)).hits
    except SearchError as error:
        raise HTTPException(400, f"Embedding error: {error}") from None
    nearest = sorted(hits, key=distance)
    rows = await stored.by_ids(engine_of(request), [hit.product_id for hit in nearest], as_garments=True)
    found = {hit.product_id: hit for hit in nearest}
    return {"items": [_item(request, row, found[str(row["id"])]) for row in rows]}


def _item(request: Request, row: Row, hit: Hit) -> dict[str, Any]:
    external_id, source, url = row["external_id"], row["source"], row["original_url"]
    return {
        "id": stored.number_of(str(row["id"]), row["old_id"]),
        "external_id": external_id,
        "title": row["title"],
        "description": row["description"],
        "price": None if row["price"] is None else float(row["price"]),
        "url": url,
        "image_url": row["original_image_url"] or picture_url(request, str(row["id"]), hit.image_path),
        "distance": distance(hit),
        "redirect_url": _redirect(source, external_id, url),
        "source": source,
    }


def _redirect(source: str, external_id: str, url: str | None) -> str | None:
    """Where the app leads to: the marketplace's own app, or its page."""
    named = quote(external_id, safe="")
    known = {
        "depop": f"depop://product/{named}",
        "grailed": f"https://www.grailed.com/listings/{named}",
        "vinted": f"https://www.vinted.com/items/{named}",
    }
    return known.get(source, url)
