"""The old databases of garments with JSON vectors as they really are in Postgres and SQLite, of every age, with their oddities.

What belongs here: garments, their pictures, and rows. What does not: tables (`json_tables`).

Oddities: the table is `garment`, and an unrelated `garments` may stand beside it; `alembic_version` is absent, empty or true, and says
nothing either way; the oldest tables have no descriptions, later ones vector columns, the latest sixteen properties; a vector is a flat
JSON array, missing is SQL's null, JSON's null or `[]`; `image_embedding` holds a CLIP's vectors, those of an image network before it
(never negative), a hash that stood in for either (32 bytes, sixteen times), zeros; `description_embedding` holds 1536, 512 or 3
numbers; descriptions are placeholders; people are a free text and have no table; SQLite holds NaN, times as text, and feedback on
garments that are gone.
"""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import sqlalchemy as sa

from fashion_assets.sources.drawn import pictures
from fashion_assets.sources.drawn.json_tables import AGES, BEGAN, Age, tables, unrelated
from fashion_assets.sources.drawn.rows import look
from fashion_assets.sources.drawn.second_hand import model_name

MISSING, NULL, EMPTY = "missing", "null", "[]"  # SQL's null, JSON's, an empty array: no vector

Vector = np.ndarray | str


class Garment(NamedTuple):
    """A row of `garment`; properties by name."""

    external_id: str
    title: str | None = None
    brand: str | None = None
    price: float | None = None
    currency: str | None = None
    image: Vector = MISSING
    description: str | None = None
    text: Vector = MISSING
    properties: dict[str, Any] = {}  # noqa: RUF012 (never written to)
    column: np.ndarray | None = None
    """What the 512-d vector column of the picture holds."""
    openai: np.ndarray | None = None
    """What the 1536-d vector column holds."""


def drawn(number: int, dimension: int = 512) -> np.ndarray:
    """A vector of unit length with both signs, as a CLIP makes it: float32 [dimension], the same each time."""
    vector = np.random.default_rng([number, dimension]).standard_normal(dimension).astype(np.float32)
    return vector / np.linalg.norm(vector)


def of_a_network(number: int) -> np.ndarray:
    """What an image network's last pooling gives: never negative, unit length, float32 [512]."""
    vector = np.abs(drawn(number))
    return vector / np.linalg.norm(vector)


def hashed(content: bytes) -> np.ndarray:
    """The stand-in for a picture's vector: a hash of its first 4 KB, tiled to 512 numbers of unit length."""
    digest = hashlib.blake2b(content[:4096], digest_size=32).digest()
    vector = np.tile(np.frombuffer(digest, np.uint8).astype(np.float32), 16)
    return vector / np.linalg.norm(vector)


def _spoilt() -> np.ndarray:
    vector = drawn(5, 1536)
    vector[7] = np.nan
    return vector


ODD = (
    Garment(
        "demo_1",
        "Slip dress",
        "Ganni",
        89.0,
        "EUR",
        drawn(1),
        "A midnight slip dress in silk.",
        drawn(1, 1536),
        {
            "category": "dress",
            "subcategory": "slip-dress",
            "primary_color": "navy",
            "material": "silk",
            "season": "summer",
            "occasion": "party",
            "gender": "women",
            "size": "M",
            "condition": "like-new",
            "designer_tier": "mid-range",
            "sustainability_score": 0.5,
        },
        drawn(1),
        drawn(1, 1536),
    ),
    Garment(
        "inv-1-0",
        "Bomber",
        "Patagonia",
        None,
        None,
        of_a_network(2),
        "[PLACEHOLDER] Description for inv-1-0",
        drawn(2),
        {"category": "jacket", "subcategory": "bomber", "primary_color": "olive"},
    ),
    Garment(
        "any text / 3",
        "Tote",
        None,
        12.5,
        "USD",
        hashed(b"picture"),
        "[ERROR] Failed to describe any text / 3",
        drawn(3, 3),
        {"category": "accessories", "subcategory": "tote"},
    ),
    Garment(
        "demo_4",
        "Jeans",
        "Levi's",
        40.0,
        "USD",
        np.zeros(512, np.float32),
        "Placeholder description for demo_4",
        NULL,
        {"category": "pants", "subcategory": "jeans"},
    ),
    Garment("demo_5", "Loafers", None, 70.0, "USD", EMPTY, "Fallback description for demo_5", _spoilt(), {}),
    Garment(
        "demo_6",
        None,
        None,
        None,
        None,
        MISSING,
        None,
        MISSING,
        {"category": "skirt", "subcategory": "pleated", "primary_color": "grey"},
    ),
    Garment("demo_7", "Coat", "COS", 120.0, "EUR", drawn(7, 511), "A wool coat.", drawn(7), {}),
)
"""One of each oddity."""


SPOILT = (
    # Nothing it could be called by.
    Garment("inv-2-0", description="[ERROR] Failed to describe inv-2-0", image=hashed(b"nothing")),
    Garment(
        "demo_8", "Scarf", "COS", -5.0, "EUR", drawn(8), "A scarf, given away by mistake.", drawn(8, 1536)
    ),
)
"""Garments that no product can be made of."""


class _Kind(NamedTuple):
    category: str
    subcategory: str
    word: str
    article_type: str
    """What its picture shows (`pictures.ARTICLES`)."""
    gender: str


_KINDS = (
    _Kind("dress", "slip-dress", "slip dress", "Dresses", "women"),
    _Kind("jacket", "bomber", "bomber", "Jackets", "unisex"),
    _Kind("pants", "jeans", "jeans", "Jeans", "men"),
    _Kind("tops", "t-shirt", "t-shirt", "Tshirts", "unisex"),
    _Kind("skirt", "pleated", "pleated skirt", "Skirts", "women"),
    _Kind("shoes", "sneakers", "sneakers", "Casual Shoes", "men"),
    _Kind("accessories", "tote", "tote", "Handbags", "women"),
)
_COLOURS = {"black": "Black", "navy": "Navy Blue", "red": "Red", "green": "Green", "beige": "Beige"}
_PATTERNS = {"solid": "Solid", "striped": "Striped", "checked": "Checked"}
_MATERIALS = ("silk", "cotton", "wool", "linen", "leather")
_BRANDS = ("Ganni", "COS", "Patagonia", "Levi's", "Arket")


def drawn_garments(count: int) -> list[Garment]:
    """The odd ones, the spoilt ones, and garments of a few kinds, alike where their vectors are near: so many together."""
    return [*ODD, *SPOILT, *map(_drawn_garment, range(count - len(ODD) - len(SPOILT)))][:count]


def _drawn_garment(number: int) -> Garment:
    kind = _KINDS[number % len(_KINDS)]
    colour = tuple(_COLOURS)[number % len(_COLOURS)]
    pattern = tuple(_PATTERNS)[number // 2 % len(_PATTERNS)]
    material, brand = _MATERIALS[number % 11 % len(_MATERIALS)], _BRANDS[number % 13 % len(_BRANDS)]
    title = f"{colour.title()} {kind.word} {model_name(number)}"
    # One in eight was photographed and never described.
    described = number % 8 != 3
    described_as = f"A {pattern} {kind.word} in {colour} {material}, by {brand}."
    return Garment(
        f"inv-3-{number}",
        title if number % 16 != 5 else None,
        brand,
        20.0 + number * 7 % 90,
        "EUR",
        look((kind.word, colour), number) if number % 5 else hashed(title.encode()),
        described_as if described else f"[PLACEHOLDER] Description for inv-3-{number}",
        look((kind.word, colour), number, 1536) if described else NULL,
        {
            "category": kind.category,
            "subcategory": kind.subcategory,
            "primary_color": colour,
            "pattern": pattern,
            "material": material,
            "style": ("casual", "vintage", "minimalist")[number % 3],
            "season": ("summer", "winter", "all-season")[number % 4 % 3],
            "occasion": ("everyday", "party", "work")[number % 5 % 3],
            "gender": kind.gender,
            "size": ("S", "M", "L")[number % 3],
            "condition": ("like-new", "very-good", "new-with-tags")[number % 7 % 3],
            "designer_tier": "mid-range",
            "sustainability_score": number % 10 / 10,
        },
    )


def draw_pictures(folder: Path, garments: Sequence[Garment]) -> None:
    """A picture of each drawn garment into a folder, by the name its row has; one in twelve was lost, one in thirty was cut off."""
    by_type = {article.article_type: article for article in pictures.ARTICLES}
    by_kind = {kind.subcategory: by_type[kind.article_type] for kind in _KINDS}
    for number, garment in enumerate(garments):
        known = garment.properties
        article = by_kind.get(known.get("subcategory", ""))
        colour, pattern = known.get("primary_color", ""), known.get("pattern", "solid")
        if article is None or colour not in _COLOURS or number % 12 == 11:
            continue
        shown = pictures.Garment(article, _COLOURS[colour], _PATTERNS[pattern], random.Random(number))
        path = folder / picture_name(garment)
        pictures.draw_garment(shown).save(path, "JPEG", quality=85)
        if number % 30 == 29:
            path.write_bytes(path.read_bytes()[:1500])


def picture_name(garment: Garment) -> str:
    """The name of a garment's picture."""
    return f"{hashlib.sha1(garment.external_id.encode()).hexdigest()[:10]}.img"


PREFERENCES = (("ana", 1, 2.5), ("ana", 2, -1.0), ("ben", 2, 0.3))
"""Person, number of the attribute's value, weight."""

EVENTS = (
    ("ana", 1, "like", 1.0),
    ("ana", 2, "like", 1.0),
    ("ana", 2, "dislike", -1.0),
    ("ben", 1, "view", 0.1),
    ("ben", 3, "click", 0.3),
    ("cleo", 3, "like", 1.0),
)
"""Person, number of the garment, what was done, and what that weighs, in their order."""

GONE = ("cleo", 999_999, "like", 1.0)
"""Feedback on a garment that is gone: SQLite does not mind."""


def build(
    url: str,
    garments: Sequence[Garment] = ODD,
    *,
    age: Age = "properties",
    version: Literal["absent", "empty", "stated"] = "absent",
    beside: bool = False,
) -> None:
    """Make such a database where there is none of its tables.

    Args:
        url: SQLAlchemy's, of Postgres or SQLite.
        version: what there is of Alembic's table.
        beside: whether the unrelated table `garments` stands beside it.
    """
    engine = sa.create_engine(url)
    made = tables(age)
    with engine.begin() as connection:
        postgres = connection.dialect.name == "postgresql"
        if postgres:
            connection.execute(sa.text("CREATE EXTENSION IF NOT EXISTS vector"))
        made["garment"].metadata.create_all(connection)
        if version != "absent":
            connection.execute(sa.text("CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)"))
        if version == "stated":
            connection.execute(sa.text("INSERT INTO alembic_version VALUES ('0006_add_ontology_properties')"))
        if beside:
            unrelated(connection)
        rows = [_row(number, garment, postgres) for number, garment in enumerate(garments, 1)]
        _fill(connection, made["garment"], rows)
        _fill_inventory(connection, made, min(2, len(garments)), postgres)
        _fill_attributes(connection, made)
        _fill_feedback(connection, made, [*EVENTS, *(() if postgres else (GONE,))])
    engine.dispose()


def _fill_inventory(
    connection: sa.Connection, made: Mapping[str, sa.Table], garment: int, postgres: bool
) -> None:
    """A picture of things on a wall, one of them a garment that is there."""
    _fill(
        connection,
        made["inventory_image"],
        [
            {
                "id": 1,
                "file_path": "data/inventory/0a1b2c3d4e5f-wall.jpg",
                "original_format": "png",
                "optimized_format": "JPEG",
                "width": 1024,
                "height": 768,
                "hash": hashlib.sha1(b"wall").hexdigest(),
                "processed": True,
                "source": "upload",
                "created_at": BEGAN,
            }
        ],
    )
    _fill(
        connection,
        made["inventory_item"],
        [
            {
                "id": 1,
                "image_id": 1,
                "garment_id": garment,
                "slot_index": 0,
                "description": "A bomber in olive.",
                "description_embedding": _json(drawn(2), postgres),
                "description_embedding_vec": _text(drawn(2)),
                "attributes_extracted": False,
                "color_stats": {"mean_rgb": [85, 95, 60], "clusters": [[80, 90, 55]], "cluster_count": 1},
                "created_at": BEGAN,
            },
            {"id": 2, "image_id": 1, "garment_id": None, "slot_index": 1, "color_stats": sa.null()},
        ],
    )


def _fill_attributes(connection: sa.Connection, made: Mapping[str, sa.Table]) -> None:
    """Values of attributes, a garment that has one, people who prefer them."""
    values = (("color_primary", "navy"), ("style", "vintage"))
    _fill(
        connection,
        made["attribute_value"],
        [{"id": n, "family": family, "value": value} for n, (family, value) in enumerate(values, 1)],
    )
    _fill(
        connection,
        made["garment_attribute"],
        [{"id": 1, "garment_id": 1, "attribute_value_id": 1, "confidence": 0.8}],
    )
    _fill(
        connection,
        made["user_preference"],
        [
            {
                "id": n,
                "user_id": person,
                "attribute_value_id": value,
                "weight": weight,
                "confidence": 0.6,
                "last_updated": BEGAN,
            }
            for n, (person, value, weight) in enumerate(PREFERENCES, 1)
        ],
    )


def _fill_feedback(
    connection: sa.Connection, made: Mapping[str, sa.Table], events: Sequence[tuple[str, int, str, float]]
) -> None:
    """What people did, a minute after each other."""
    _fill(
        connection,
        made["interaction_event"],
        [
            {
                "id": n,
                "user_id": person,
                "garment_id": garment,
                "event_type": event,
                "weight_delta": weight,
                "created_at": BEGAN + timedelta(minutes=n),
                "processed": n % 2 == 0,
            }
            for n, (person, garment, event, weight) in enumerate(events, 1)
        ],
    )


def _row(number: int, garment: Garment, postgres: bool) -> dict[str, Any]:
    return {
        **garment.properties,
        "id": number,
        **{field: getattr(garment, field) for field in Garment._fields[:5]},
        "image_path": f"/srv/data/images/{picture_name(garment)}",
        "image_embedding": _json(garment.image, postgres),
        "description": garment.description,
        "description_embedding": _json(garment.text, postgres),
        "image_embedding_vec": None if garment.column is None else _text(garment.column),
        "openai_text_embedding_vec": None if garment.openai is None else _text(garment.openai),
        "created_at": BEGAN + timedelta(hours=number),
    }


def _json(vector: Vector, postgres: bool) -> Any:
    """A vector as the ORM writes it. Postgres takes no NaN in JSON: a null is there instead."""
    if isinstance(vector, str):
        return {MISSING: sa.null(), NULL: None, EMPTY: []}[vector]
    numbers = vector.astype(np.float64).tolist()
    return [None if postgres and number != number else number for number in numbers]


def _text(vector: np.ndarray) -> str:
    return json.dumps(vector.astype(np.float64).tolist(), separators=(",", ":"))


def _fill(connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        connection.execute(
            table.insert().values({name: value for name, value in row.items() if name in table.c})
        )


__all__ = [
    "AGES",
    "EVENTS",
    "ODD",
    "Age",
    "Garment",
    "build",
    "drawn",
    "drawn_garments",
    "hashed",
    "of_a_network",
]
