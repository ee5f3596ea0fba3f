"""Examples of the API's requests and answers, made anew: `python docs/examples.py http://127.0.0.1:8000`.

What belongs here: which request stands for a route. What does not: where examples stand in the description
(`fashion_assets/serving/api/described.py`). Serve the drawn sample before, as a first `fashion-assets run` makes it: what a real catalogue answers is
its owner's. A route that is not named here is asked with what its own description gives as examples; it says so where one is missing.
"""

import json
import sys
from pathlib import Path
from typing import Any

import httpx

from fashion_assets.serving.api import described
from fashion_assets.serving.api.described import JSON, operations

FILE = Path(described.__file__).with_name(described.EXAMPLES)

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


class Examples:
    """What a server of the drawn sample answers."""

    def __init__(self, client: httpx.Client):
        self._client = client
        self._document = client.get("/api/v1/openapi.json").raise_for_status().json()
        self._hits = self._json("/api/v1/search", {"q": "dress", "filter": "source=sample", "limit": 2})[
            "hits"
        ]
        self._rejected = next(
            each
            for each in self._json("/api/v1/merchant/quarantine", {"reason": "price_absurd"})["listings"]
            if each["image"]
        )

    def _json(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        return self._client.get(path, params=asked).raise_for_status().json()

    def _release(self) -> str:
        return self._json("/api/v1/releases", {})["releases"][0]["release"]

    def _known(self) -> dict[str, Any]:
        """Values of parameters that only a run knows."""
        person = self._json("/api/v1/people", {"limit": 1})["people"][0]
        style = self._json("/api/v1/styles", {})["styles"][0]
        uri = httpx.URL(self._rejected["image"]).params["uri"]
        release = self._release()
        return {
            "id": self._hits[0]["id"],
            "user": person["id"],
            "style": style["name"],
            "source": person["source"],
            "uri": uri,
            "a": release,
            "b": release,
        }

    def _requests(self) -> dict[str, dict[str, Any]]:
        """By operation, what is asked otherwise than its description says."""
        return {
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
            "GET /api/v1/merchant/quarantine/picture": {"source": self._rejected["source"]},
            "GET /images/{id}": {"size": "small"},
            "GET /api/v1/merchant/searches": {"without_hits": False, "days": 30, "limit": 3},
            "PUT /api/v1/merchant/synonyms/{id}": {"id": "trainers"},
            "DELETE /api/v1/merchant/synonyms/{id}": {"id": "trainers"},
            "PUT /api/v1/merchant/rules/{id}": {"id": "dress-of-the-week"},
            "DELETE /api/v1/merchant/rules/{id}": {"id": "dress-of-the-week"},
        }

    def _bodies(self) -> dict[str, dict[str, Any]]:
        return {
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
                        **{"words": "dress", "by": "words", "release": self._release()},
                    },
                    {"person": VISIT, "product": self._hits[1]["id"], "kind": "like"},
                ]
            },
        }

    def made(self) -> dict[str, Any]:
        """Every example."""
        known, requests, bodies = self._known(), self._requests(), self._bodies()
        # What is made first is told by the others, and let go in the end.
        order = sorted(operations(self._document), key=lambda each: ORDER.index(each[0].partition(" ")[0]))
        return {
            name: self._one(name, operation, known, requests.get(name, {}), bodies.get(name))
            for name, operation in order
        }

    def _one(
        self,
        name: str,
        operation: dict[str, Any],
        known: dict[str, Any],
        asked: dict[str, Any],
        body: dict[str, Any] | None,
    ) -> dict[str, Any]:
        method, path = name.split(" ")
        request = {}
        for parameter in operation.get("parameters", ()):
            key = parameter["name"]
            value = asked.get(key, known.get(key) if parameter["required"] else None)
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
            sent = {"json": example["body"]} if media == JSON else self._form(example["body"])
        query = {key: value for key, value in request.items() if f"{{{key}}}" not in path}
        for key, value in request.items():
            path = path.replace(f"{{{key}}}", str(value))
        answer = self._client.request(method, path, params=query, **sent)
        if not answer.is_success:
            sys.exit(f"{name} answers {answer.status_code}: {answer.text[:300]}")
        if answer.headers.get("content-type") == JSON:
            example["answer"] = shortened(answer.json())
        return example

    def _form(self, fields: dict[str, Any]) -> dict[str, Any]:
        """With the picture of a product."""
        picture = self._client.get(self._hits[0]["image"]).raise_for_status().content
        return {"data": fields, "files": {"picture": ("dress.jpg", picture, "image/jpeg")}}

    def _declared(self, schema: dict[str, Any], what: str) -> Any:
        """What a description gives as an example of a value."""
        if "$ref" in schema:
            schema = self._document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
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
    """Write the file."""
    with httpx.Client(base_url=address, timeout=60) as client:
        made = Examples(client).made()
    FILE.write_text(json.dumps(made, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
