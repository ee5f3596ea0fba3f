"""Answers as they leave: JSON of what the engine found, and whether the asker has it already.

What belongs here: from hits and products to the documents (`documents`) of the API, as bytes. What does not: what is asked.

Documents are written from dictionaries, by pydantic's own writer; a model for every hit would take as long as the search.
"""

import hashlib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from fashion_assets.search.query import Hit
from fashion_assets.search.stored import Product

IMAGES = "/images"
"""Where pictures are."""


def json_answer(
    document: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A document as JSON."""
    return Response(written(document), status, headers, "application/json")


def conditional(request: Request, document: Mapping[str, Any], **aside: Any) -> Response:
    """A document that is a function of what is asked and what is there, and not sent where the asker says that it has it; with what is
    told `aside` of this one answer alone."""
    body = written(document)
    tag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if has(request, tag):
        return Response(status_code=304, headers=headers)
    if aside:
        # Behind what is written already, which is as much as a page of hits.
        body = body[:-1] + b"," + written(aside)[1:]
    return Response(body, headers=headers, media_type="application/json")


def has(request: Request, tag: str) -> bool:
    """Whether the asker says that it has what is called so (If-None-Match, RFC 9110)."""
    said = request.headers.get("if-none-match")
    if said is None:
        return False
    plain = tag.removeprefix("W/")
    return any(each.strip().removeprefix("W/") in (plain, "*") for each in said.split(","))


def written(document: Mapping[str, Any]) -> bytes:
    """A document as JSON's bytes; what is no number is null."""
    return to_json(document, inf_nan_mode="null", fallback=_plain)


def _plain(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} is not told")


def value_of(value: Any) -> Any:
    """A column's value as JSON has it."""
    return float(value) if isinstance(value, Decimal) else value


def image_of(hit: Hit) -> str | None:
    """Where the picture of a product is."""
    return None if hit.image_path is None else f"{IMAGES}/{hit.product_id}"


def hit_document(hit: Hit, explain: bool = False) -> dict[str, Any]:
    """A hit, as `documents.Hit` has it."""
    document = {
        "id": hit.product_id,
        "external_id": hit.external_id,
        "source": hit.source,
        "title": hit.attributes["title"],
        "attributes": {
            name: value_of(value)
            for name, value in hit.attributes.items()
            if value is not None and name != "title"
        },
        "image": image_of(hit),
        "score": round(hit.score, 6),
    }
    if hit.variants is not None:
        document["variants"] = vars(hit.variants)
    if hit.highlights is not None:
        part = hit.highlights.description
        document["highlights"] = {
            "words": hit.highlights.words,
            "title": hit.highlights.title,
            "description": None if part is None else part._asdict(),
        }
    if hit.rules:
        document["rules"] = [_told(each) for each in hit.rules]
    if explain:
        document["explanation"] = [_told(found) for found in hit.explanation]
    return document


def _told(each: Any) -> dict[str, Any]:
    """What is known of the fields of an object."""
    return {name: value for name, value in vars(each).items() if value is not None}


def hit_documents(hits: Iterable[Hit], explain: bool = False) -> list[dict[str, Any]]:
    """Hits, in their order."""
    return [hit_document(hit, explain) for hit in hits]


def product_document(product: Product) -> dict[str, Any]:
    """A product with all that is told of it."""
    document = hit_document(product.hit)
    del document["score"]
    details = dict(product.details)
    aside = {name: details.pop(name) for name in ("description", "normalized", "origins", "story")}
    image = {name: details.pop(f"image_{name}") for name in ("sha256", "width", "height")}
    document["attributes"] |= {name: value_of(value) for name, value in details.items() if value is not None}
    document["picture"] = None if product.hit.image_path is None else {**image, "url": document["image"]}
    return {**document, **aside}
