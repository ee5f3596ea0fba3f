"""What an API says of itself, completed: an example of each request and its answer, and what every route of a kind answers.

What belongs here: what is added to the OpenAPI document that FastAPI makes of ours, and of each former API. What does not: fields and their
meaning (`documents`, `asked`), the examples themselves, which `docs/examples.py` has a server of the drawn sample answer.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from fastapi import FastAPI

JSON = "application/json"

EXAMPLES = files("fashion_assets.serving.api") / "examples.json"
"""By method and path: `request`, its parameters; `body` and its `media` type, where it has one; `answer`, where that is JSON."""


@cache
def examples(file: Traversable = EXAMPLES) -> Mapping[str, Mapping[str, Any]]:
    """The examples in a file."""
    return json.loads(file.read_text(encoding="utf-8"))


def complete(api: FastAPI, file: Traversable = EXAMPLES, unchanged: bool = False) -> None:
    """Have an application describe itself with the examples of a file; after all that else changes its description. `unchanged`: what is read
    of it also answers that nothing changed."""
    made = api.openapi

    def completed() -> dict[str, Any]:
        if api.openapi_schema is None:
            document = made()
            add(document, examples(file))
            for name, operation in operations(document):
                if unchanged and name.startswith("GET /api/"):
                    operation["responses"].setdefault("304", {"description": "As it was."})
            api.openapi_schema = document
        return api.openapi_schema

    api.openapi = completed  # type: ignore[method-assign]


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every operation of a description, by its method and path."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def add(document: dict[str, Any], known: Mapping[str, Mapping[str, Any]]) -> None:
    """Add examples."""
    for name, operation in operations(document):
        example = known.get(name)
        if example is None:
            continue
        for parameter in operation.get("parameters", ()):
            if parameter["name"] in example["request"]:
                parameter["example"] = example["request"][parameter["name"]]
        content = operation.get("requestBody", {}).get("content", {})
        if (media := content.get(example.get("media", JSON))) is not None and "body" in example:
            # Several named ones, where a route has them, say more than one.
            media.setdefault("example", example["body"]) if "examples" not in media else None
        if "answer" in example:
            answered(operation)["content"][JSON]["example"] = example["answer"]


def answered(operation: Mapping[str, Any]) -> dict[str, Any]:
    """What an operation answers where all is well; nothing where it only leads elsewhere."""
    return next((said for status, said in operation["responses"].items() if status.startswith("2")), {})
