"""Examples of the APIs' requests and answers, made anew: `python docs/examples.py http://127.0.0.1:8000`.

What belongs here: which request stands for a route, of our own API and of the former ones. What does not: where examples stand in the
description (`fashion_assets/serving/api/described.py`). Serve the drawn sample before, as a first `fashion-assets run` makes it: what a real
catalogue answers is its owner's. A route that is not named here is asked with what its own description gives as examples; it says so where one is
missing.
"""

import base64
import json
import sys
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from PIL import Image

from fashion_assets.serving.api.described import EXAMPLES, JSON, operations
from fashion_assets.serving.former import mounting

ORDER = ("PUT", "POST", "GET", "PATCH", "DELETE")

SHOWN = 3
"""Of a list."""

SEARCH: dict[str, Any] = {
    "q": "red shirt",
    "filter": ["gender=women,unisex"],
    "facets": ["colour", "price"],
    "sort": "relevance",
    "mode": "hybrid",
    "limit": 2,
}


VISIT = "7b0c5f9e-6a31-4f0e-9d57-0d4f0f5a6c11"
"""Somebody with an id drawn at random."""


def _square() -> str:
    file = BytesIO()
    Image.new("RGB", (64, 64), (190, 20, 30)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


SQUARE = _square()
"""A picture short enough to be read in an example, as base64: a red square."""


class Requests(NamedTuple):
    """What the routes of one API are asked."""

    known: Mapping[str, Any] = {}
    """Values of parameters that only a run knows, by name."""
    parameters: Mapping[str, Mapping[str, Any]] = {}
    """By operation, what is asked otherwise than its description says."""
    bodies: Mapping[str, Mapping[str, Any]] = {}


class Sample:
    """What is there to be asked for, in a server of the drawn sample."""

    def __init__(self, client: httpx.Client):
        self._client = client
        self._hits = self._json("/api/v1/search", {"q": "dress", "filter": "source=sample", "limit": 2})[
            "hits"
        ]
        self.picture = client.get(self._hits[0]["image"]).raise_for_status().content
        """Of a product."""

    def _json(self, path: str, asked: Mapping[str, Any] | None = None) -> Any:
        return self._client.get(path, params=dict(asked or {})).raise_for_status().json()

    def ours(self) -> Requests:
        """What our own API is asked."""
        rejected = next(
            each
            for each in self._json("/api/v1/merchant/quarantine", {"reason": "price_absurd"})["listings"]
            if each["image"]
        )
        person = self._json("/api/v1/people", {"limit": 1})["people"][0]
        release = self._json("/api/v1/releases")["releases"][0]["release"]
        known = {
            "id": self._hits[0]["id"],
            "user": person["id"],
            "style": self._json("/api/v1/styles")["styles"][0]["name"],
            "source": person["source"],
            "uri": httpx.URL(rejected["image"]).params["uri"],
            "a": release,
            "b": release,
        }
        parameters: dict[str, dict[str, Any]] = {
            "GET /api/v1/search": SEARCH,
            "GET /api/v1/products": {
                "filter": ["colour=red,blue", "year>=2012"],
                "sort": "newest",
                "limit": 2,
            },
            "GET /api/v1/suggestions": {"q": "red dr", "limit": 4},
            "GET /api/v1/products/{id}/similar": {"filter": ["gender=women"], "limit": 2},
            "GET /api/v1/products/{id}/look": {"limit": 4, "per_slot": 1},
            "GET /api/v1/compare": {"q": "red shirt", "filter": ["gender=women,unisex"], "limit": 2},
            "GET /api/v1/people": {"limit": 2},
            "GET /api/v1/recommendations/{user}": {"limit": 2},
            "GET /api/v1/styles/{style}": {"limit": 2},
            "DELETE /api/v1/people/{id}/feedback": {"id": VISIT},
            "GET /api/v1/merchant/quarantine": {"reason": "price_absurd", "skip": 0, "limit": 1},
            "GET /api/v1/merchant/quarantine/picture": {"source": rejected["source"]},
            "GET /images/{id}": {"size": "small"},
            "GET /api/v1/merchant/searches": {"without_hits": False, "days": 30, "limit": 3},
            "PUT /api/v1/merchant/synonyms/{id}": {"id": "trainers"},
            "DELETE /api/v1/merchant/synonyms/{id}": {"id": "trainers"},
            "PUT /api/v1/merchant/rules/{id}": {"id": "dress-of-the-week"},
            "DELETE /api/v1/merchant/rules/{id}": {"id": "dress-of-the-week"},
        }
        bodies: dict[str, dict[str, Any]] = {
            "POST /api/v1/search": {"q": "red", "filter": ["gender=women"], "limit": "2"},
            "PUT /api/v1/merchant/synonyms/{id}": {"words": ["trainers", "sneakers"]},
            "PUT /api/v1/merchant/rules/{id}": {
                "action": "pin",
                "words": "dress",
                "product": self._hits[0]["id"],
                "place": 1,
                "note": "of this week",
            },
            "POST /api/v1/multi-search": {
                "searches": [{"q": "red shirt", "limit": 1}, {"filter": ["colour=blue"], "limit": 1}]
            },
            "POST /api/v1/feedback": {
                "events": [
                    {
                        **{"person": VISIT, "product": self._hits[0]["id"], "kind": "click", "place": 1},
                        **{"words": "dress", "by": "words", "release": release},
                    },
                    {"person": VISIT, "product": self._hits[1]["id"], "kind": "like"},
                ]
            },
        }
        return Requests(known, parameters, bodies)

    def former(self, name: str) -> Requests:
        """What a former API is asked."""
        return {
            "fashion-ecom": self._fashion_ecom,
            "second-hand-v2": self._second_hand_v2,
            "second-hand-v3": self._second_hand_v3,
            "prethrift": self._prethrift,
        }[name](f"{mounting.BELOW}/{name}")

    def _fashion_ecom(self, below: str) -> Requests:
        products = self._json(f"{below}/api/v1/products", {"page_size": 1})["products"]
        user = self._json(f"{below}/api/v1/users")[0]["user_id"]
        return Requests(
            {"product_id": products[0]["product_id"], "user_id": user},
            {
                "GET /api/v1/products": {"page": 1, "page_size": 2, "gender": "Women", "sort_by": "price"},
                "GET /api/v1/images/{path}": {"path": products[0]["image_path"].rpartition("/")[2]},
            },
            {
                "POST /api/v1/search/text": {
                    "query": "red shirt",
                    "limit": 2,
                    "filters": {"gender": "Women"},
                },
                "POST /api/v1/search/image": {"limit": "2"},
                "POST /api/v1/search/cross-modal": {"query": "in blue", "limit": "2"},
            },
        )

    def _second_hand_v2(self, below: str) -> Requests:
        post = self._json(f"{below}/community/sketchbook-feed")["posts"][0]
        return Requests(
            {
                "brand_id": post["author_id"],
                "sketchbook": str(post["sketchbook_id"]),
                "post": str(post["id"]),
            },
            {},
            {
                "POST /search_by_image": {"image_base64": SQUARE},
                "POST /search_by_text": {"query": "red dress"},
                "POST /search_combined": {"query": "dress", "image_base64": SQUARE},
            },
        )

    def _second_hand_v3(self, below: str) -> Requests:
        garment = self._json(f"{below}/garments", {"page_size": 1})["items"][0]
        return Requests(
            {"garment_id": garment["id"]},
            {
                "GET /garments": {"max_price": 50, "page_size": 2},
                "GET /garments/search": {"q": "dress", "page_size": 2},
                "GET /discovery": {"q": "a dress for summer", "page_size": 2},
            },
            {"POST /discovery": {"text": "a dress for summer", "max_price": 80, "page_size": 2}},
        )

    def _prethrift(self, below: str) -> Requests:
        found = self._client.post(f"{below}/search", json={"query": "dress", "limit": 1}).raise_for_status()
        garment = found.json()["results"][0]["garment_id"]
        return Requests(
            {"garment_id": garment},
            {
                "GET /api/v2/garments/{garment_id}/similar": {"limit": 2},
                "GET /api/v2/suggestions": {"q": "dre"},
            },
            {
                "POST /search": {"query": "red dress", "limit": 2},
                "POST /feedback": {"user_id": VISIT, "garment_id": garment, "action": "like"},
                "POST /api/v2/search": {"text_query": "red dress", "limit": 2, "min_similarity": 0.1},
                "POST /api/v2/similar": {"garment_id": garment, "limit": 2, "min_similarity": 0.1},
            },
        )


class Asking:
    """The routes of one API, which stands below a path, each asked once."""

    def __init__(
        self, client: httpx.Client, below: str, document: Mapping[str, Any], asked: Requests, picture: bytes
    ):
        self._client = client
        self._below = below
        self._document = document
        self._asked = asked
        self._picture = picture

    def made(self) -> dict[str, Any]:
        """Every example."""
        # What is made first is told by the others, and let go in the end.
        order = sorted(operations(self._document), key=lambda each: ORDER.index(each[0].partition(" ")[0]))
        return {name: self._one(name, operation) for name, operation in order}

    def _one(self, name: str, operation: dict[str, Any]) -> dict[str, Any]:
        method, path = name.split(" ")
        asked = self._asked.parameters.get(name, {})
        body = self._asked.bodies.get(name)
        request = {}
        for parameter in operation.get("parameters", ()):
            key = parameter["name"]
            value = asked.get(key, self._asked.known.get(key) if parameter["required"] else None)
            if value is None and parameter["required"]:
                value = self._declared(parameter["schema"], f"{name}: {key}")
            if value is not None:
                request[key] = value
        example: dict[str, Any] = {"request": request}
        sent: dict[str, Any] = {}
        content = operation.get("requestBody", {}).get("content", {})
        for media, taken in content.items():
            example["media"] = media
            if body is None:
                named = [each["value"] for each in taken.get("examples", {}).values()]
                body = named[0] if named else self._declared(taken["schema"], name)
            example["body"] = body
            sent = {"json": example["body"]} if media == JSON else self._form(taken["schema"], body)
        query = {key: value for key, value in request.items() if f"{{{key}}}" not in path}
        for key, value in request.items():
            path = path.replace(f"{{{key}}}", str(value))
        answer = self._client.request(method, self._below + path, params=query, **sent)
        if answer.is_error:
            sys.exit(f"{self._below}{name} answers {answer.status_code}: {answer.text[:300]}")
        if answer.headers.get("content-type") == JSON:
            example["answer"] = shortened(answer.json())
        return example

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        if "$ref" in schema:
            return self._document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema

    def _form(self, schema: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
        """With the picture of a product, in the field that takes a file."""
        (file,) = (
            key
            for key, each in self._resolved(schema)["properties"].items()
            if any(
                "contentMediaType" in kind or kind.get("format") == "binary"
                for kind in each.get("anyOf", [each])
            )
        )
        return {"data": dict(fields), "files": {file: ("dress.jpg", self._picture, "image/jpeg")}}

    def _declared(self, schema: Mapping[str, Any], what: str) -> Any:
        """What a description gives as an example of a value."""
        schema = self._resolved(schema)
        for found in ("examples", "example", "enum"):
            if found in schema:
                return schema[found][0] if found != "example" else schema[found]
        if "const" in schema:
            return schema["const"]
        if schema.get("type") == "object" and "properties" in schema:
            needed = schema.get("required", ())
            return {
                key: self._declared(each, f"{what}.{key}")
                for key, each in schema["properties"].items()
                if key in needed or "examples" in each
            }
        if schema.get("type") == "array":
            return [self._declared(schema["items"], f"{what}[]")]
        sys.exit(f"{what} has no example: give it one where it is declared (examples=[…])")


def shortened(document: Any) -> Any:
    """A document whose lists show the first three of many."""
    if isinstance(document, dict):
        return {key: shortened(value) for key, value in document.items()}
    if isinstance(document, list):
        return [shortened(each) for each in document[:SHOWN]]
    return document


def main(address: str) -> None:
    """Write the files."""
    with httpx.Client(base_url=address, timeout=60) as client:
        sample = Sample(client)
        for name in (None, *mounting.APIS):
            below = "" if name is None else f"{mounting.BELOW}/{name}"
            described = f"{below}/openapi.json" if name else "/api/v1/openapi.json"
            document = client.get(described).raise_for_status().json()
            asked = sample.ours() if name is None else sample.former(name)
            made = Asking(client, below, document, asked, sample.picture).made()
            file = Path(str(EXAMPLES if name is None else mounting.EXAMPLES / f"{name}.json"))
            file.parent.mkdir(exist_ok=True)
            file.write_text(
                json.dumps(made, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8"
            )


if __name__ == "__main__":
    main(sys.argv[1])
