"""Wardrobe documents as former systems left them, odd values included, and a table of them."""

import json
from pathlib import Path
from typing import Any

from psycopg.types.json import Jsonb

from fashion_assets.postgres.connections import Connection

OLD = {
    "style": ["Casual"],
    "occasion": [],
    "normalized_at": "2025-10-07T22:23:34.573156",
    "normalized_version": "1.0",
}

ODD: dict[str, Any] = {
    "63r2pj0pi5rmby62uvu": {
        "style": ["Old Money", "old-money"],
        "occasion": ["Night Out"],
        "mood": [],
        "season": ["all"],
    },
    "item-1": {"id": None, "season": "summer", "price": 25.0, "n": 12345678901234567890123},
    "item-2": {"id": "item-1", "style": "Casual, Formal", "mood": ["casual"], "normalized": None},
    "item-3": {"style": ["Short Sleeve", "Ribbed"], "type": "ClothingType.SHIRT", "normalized": OLD},
    "item-4": {
        "style": ["x"],
        "metadata": {"normalized": {**OLD, "normalized_at": "2025-10-09T17:46:05"}},
        "normalized": OLD,
    },
    "item-5": {"style": "", "occasion": "", "mood": None, "imageUrl": "data:image/png;base64," + "A" * 9000},
    "item-6": {"style": ["Casual", 1, None, ["Edgy"]], "normalized": [], "name": "ünï \u2028 \U0001f9e5"},
    "item-7": {
        "style": ["casual"],
        "normalized": {"style": ["casual"], "normalizedAt": 1, "normalizedVersion": "1.0"},
    },
    "empty": {},
}
"""By key."""


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


def make_table(conn: Connection, documents: dict[str, Any], name: str = "wardrobe") -> None:
    """A table of the documents, by their keys."""
    conn.execute(f"CREATE TABLE {name} (id text PRIMARY KEY, doc jsonb)")
    with conn.cursor().copy(f"COPY {name} (id, doc) FROM STDIN") as copy:
        for key, document in documents.items():
            copy.write_row((key, Jsonb(document)))


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
