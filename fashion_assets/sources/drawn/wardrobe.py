"""Wardrobe documents as former systems left them, odd values included, and a table of them.

What belongs here: documents. What does not: canonical values (`catalog.wardrobe`), writing them (`backfill`).
"""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

DRAWING_VERSION = "1"
"""Changes whenever the same number of documents would be others."""

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


_STYLES: tuple[Any, ...] = (
    ["Classic", "Minimalist", "Old Money", "Business Casual"],
    ["casual"],
    [],
    "Casual, Formal",
    ["Short Sleeve", "Ribbed", "Preppy"],
    ["avant-garde", "Avant Garde"],
)
_OCCASIONS: tuple[Any, ...] = (["Casual"], ["Business", "Interview", "Wedding", "Formal"], ["night-out"], [])
_MOODS: tuple[Any, ...] = (["casual"], [], ["Serious", "Professional"])
_SEASONS: tuple[Any, ...] = (["spring", "summer", "fall"], ["all"], "summer", ["Autumn"], [])
_THINGS = ("shirt", "coat", "dress", "jeans", "sneakers", "scarf", "blazer")


def documents(count: int) -> dict[str, Any]:
    """The odd ones and drawn ones, so many together, by key; one in three of these with a `normalized` of another system."""
    found = dict(ODD)
    for number in range(count - len(ODD)):
        found[f"item-{number + 100:05}"] = {
            "id": f"item-{number + 100:05}",
            "userId": f"user-{number % 17}",
            "name": f"A loose, long, solid {_THINGS[number % len(_THINGS)]}",
            "type": _THINGS[number % len(_THINGS)],
            "style": _STYLES[number % len(_STYLES)],
            "occasion": _OCCASIONS[number % len(_OCCASIONS)],
            "mood": _MOODS[number % len(_MOODS)],
            "season": _SEASONS[number % len(_SEASONS)],
            "createdAt": 1_756_977_354 + number,
            "wearCount": number % 30,
            **({"normalized": OLD} if number % 3 == 0 else {}),
        }
    return found


def make_table(
    conn: psycopg.Connection[Any],
    documents: Mapping[str, Any],
    name: str = "wardrobe",
    schema: str | None = None,
) -> None:
    """A table of the documents, by their keys."""
    table = sql.Identifier(*filter(None, (schema, name)))
    conn.execute(sql.SQL("CREATE TABLE {} (id text PRIMARY KEY, doc jsonb)").format(table))
    with conn.cursor().copy(sql.SQL("COPY {} (id, doc) FROM STDIN").format(table)) as copy:
        for key, document in documents.items():
            copy.write_row((key, Jsonb(document)))
