"""What tests of a backfill ask of documents: many of them, their bytes, files of them."""

import json
from pathlib import Path
from typing import Any

from fashion_assets.postgres.connections import Connection
from fashion_assets.sources.drawn.wardrobe import OLD


def many(count: int) -> dict[str, Any]:
    """Drawn documents, a third with a `normalized` of the old kind."""
    drawn = {}
    for number in range(count):
        document: dict[str, Any] = {
            "name": f"item {number}",
            "style": ["Casual", "Business Casual"][: number % 3],
            "mood": [],
        }
        if number % 3 == 0:
            document["normalized"] = OLD
        drawn[f"k{number * 7919 % 1_000_003:07d}"] = document
    return drawn


def texts(conn: Connection, name: str = "wardrobe") -> dict[str, str | None]:
    """Every document as the database writes it, byte for byte."""
    return dict(conn.execute(f"SELECT id, doc::text FROM {name}").fetchall())


def without(text: str | None) -> Any:
    """A document but for its `normalized`."""
    document = json.loads(text or "null")
    return {name: value for name, value in document.items() if name != "normalized"}


def write_lines(path: Path, documents: list[Any]) -> bytes:
    """A file of JSON lines, of different spacing, and its bytes."""
    raw = b"".join(
        json.dumps(each, ensure_ascii=number % 2 == 0, separators=[None, (",", ":")][number % 2]).encode()
        + b"\n"
        for number, each in enumerate(documents)
    )
    path.write_bytes(raw)
    return raw
