"""The old databases of garments with JSON vectors as they really are in Postgres and SQLite, of every age, with their oddities.

What belongs here: their tables and rows. What does not: which garments there are, where a test wants its own: it gives them, or takes
the odd ones.

Oddities: the table is `garment`, and an unrelated `garments` may stand beside it; `alembic_version` is absent, empty or true, and says
nothing either way; the oldest tables have no descriptions, later ones vector columns, the latest sixteen properties; a vector is a flat
JSON array, missing is SQL's null, JSON's null or `[]`; `image_embedding` holds a CLIP's vectors, those of an image network before it
(never negative), a hash that stood in for either (32 bytes, sixteen times), zeros; `description_embedding` holds 1536, 512 or 3
numbers; descriptions are placeholders; people are a free text and have no table; SQLite holds NaN, times as text, and feedback on
garments that are gone.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import numpy as np
import sqlalchemy as sa

BEGAN = datetime(2025, 8, 1, 9, 30, 0, 125)

AGES = ("first", "described", "sourced", "vectors", "openai", "properties")
"""Each has what the ones before it have. `vectors` stands for two steps, of which the later one alone is left in any database."""

Age = Literal["first", "described", "sourced", "vectors", "openai", "properties"]
PROPERTIES = {
    "category": 64,
    "subcategory": 64,
    "primary_color": 32,
    "secondary_color": 32,
    "pattern": 32,
    "material": 64,
    "style": 32,
    "fit": 32,
    "season": 32,
    "occasion": 32,
    "era": 32,
    "gender": 16,
    "size": 16,
    "condition": 32,
    "designer_tier": 32,
}
"""Columns and their lengths; a sixteenth, `sustainability_score`, is a number."""

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


class _Vector(sa.types.UserDefinedType[str]):
    cache_ok = True

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension

    def get_col_spec(self, **_: Any) -> str:
        return f"VECTOR({self.dimension})"


def _from(age: Age, since: Age, *columns: sa.Column[Any]) -> list[sa.Column[Any]]:
    return list(columns) if AGES.index(age) >= AGES.index(since) else []


def tables(age: Age) -> dict[str, sa.Table]:
    """The tables of a database of this age, by name."""
    meta = sa.MetaData()
    key = sa.Integer
    described = (
        sa.Column("description", sa.String(2048)),
        sa.Column("description_embedding", sa.JSON),
    )
    made = [
        sa.Table(
            "garment",
            meta,
            sa.Column("id", key, primary_key=True),
            sa.Column("external_id", sa.String(64), unique=True, nullable=False),
            sa.Column("title", sa.String(256)),
            sa.Column("brand", sa.String(128)),
            sa.Column("price", sa.Float),
            sa.Column("currency", sa.String(8)),
            sa.Column("image_path", sa.String(512)),
            sa.Column("image_embedding", sa.JSON),
            *_from(age, "described", *described),
            sa.Column("created_at", sa.DateTime, nullable=False),
            *_from(
                age,
                "vectors",
                sa.Column("image_embedding_vec", _Vector(512)),
                sa.Column("description_embedding_vec", _Vector(512)),
            ),
            *_from(age, "openai", sa.Column("openai_text_embedding_vec", _Vector(1536))),
            *_from(
                age,
                "properties",
                *(sa.Column(name, sa.String(length)) for name, length in PROPERTIES.items()),
                sa.Column("sustainability_score", sa.Float),
                sa.Column("ontology_confidence", sa.Float),
                sa.Column("properties_extracted_at", sa.DateTime),
            ),
        ),
        sa.Table(
            "inventory_image",
            meta,
            sa.Column("id", key, primary_key=True),
            sa.Column("file_path", sa.String(512), unique=True, nullable=False),
            sa.Column("original_format", sa.String(16)),
            sa.Column("optimized_format", sa.String(16)),
            sa.Column("width", sa.Integer),
            sa.Column("height", sa.Integer),
            sa.Column("hash", sa.String(64)),
            sa.Column("processed", sa.Boolean),
            *_from(age, "sourced", sa.Column("source", sa.String(64))),
            sa.Column("created_at", sa.DateTime),
        ),
        sa.Table(
            "inventory_item",
            meta,
            sa.Column("id", key, primary_key=True),
            sa.Column("image_id", sa.ForeignKey("inventory_image.id", ondelete="CASCADE")),
            sa.Column("garment_id", sa.ForeignKey("garment.id", ondelete="SET NULL")),
            sa.Column("slot_index", sa.Integer),
            *_from(
                age,
                "described",
                sa.Column("description", sa.String(2048)),
                sa.Column("description_embedding", sa.JSON),
            ),
            *_from(age, "vectors", sa.Column("description_embedding_vec", _Vector(512))),
            *_from(age, "openai", sa.Column("openai_text_embedding_vec", _Vector(1536))),
            sa.Column("attributes_extracted", sa.Boolean),
            sa.Column("color_stats", sa.JSON),
            sa.Column("created_at", sa.DateTime),
            sa.UniqueConstraint("image_id", "slot_index"),
        ),
        sa.Table(
            "attribute_value",
            meta,
            sa.Column("id", key, primary_key=True),
            sa.Column("family", sa.String(32)),
            sa.Column("value", sa.String(64)),
            sa.UniqueConstraint("family", "value"),
        ),
        sa.Table(
            "garment_attribute",
            meta,
            sa.Column("id", key, primary_key=True),
            sa.Column("garment_id", sa.ForeignKey("garment.id")),
            sa.Column("attribute_value_id", sa.ForeignKey("attribute_value.id")),
            sa.Column("confidence", sa.Float, default=1.0),
            sa.UniqueConstraint("garment_id", "attribute_value_id"),
        ),
        sa.Table(
            "user_preference",
            meta,
            sa.Column("id", key, primary_key=True),
            sa.Column("user_id", sa.String(64)),
            sa.Column("attribute_value_id", sa.ForeignKey("attribute_value.id")),
            sa.Column("weight", sa.Float),
            sa.Column("confidence", sa.Float),
            sa.Column("last_updated", sa.DateTime),
            sa.UniqueConstraint("user_id", "attribute_value_id"),
        ),
        sa.Table(
            "interaction_event",
            meta,
            sa.Column("id", key, primary_key=True),
            sa.Column("user_id", sa.String(64)),
            sa.Column("garment_id", sa.ForeignKey("garment.id")),
            sa.Column("event_type", sa.String(16)),
            sa.Column("weight_delta", sa.Float),
            sa.Column("created_at", sa.DateTime),
            sa.Column("processed", sa.Boolean),
        ),
    ]
    return {table.name: table for table in made}


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
            _unrelated(connection)
        rows = [_row(number, garment, postgres) for number, garment in enumerate(garments, 1)]
        _fill(connection, made["garment"], rows)
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
                    "garment_id": min(2, len(garments)),
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
        events = [*EVENTS, *(() if postgres else (GONE,))]
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
    engine.dispose()


def _row(number: int, garment: Garment, postgres: bool) -> dict[str, Any]:
    name = hashlib.sha1(garment.external_id.encode()).hexdigest()[:10]
    return {
        **garment.properties,
        "id": number,
        **{field: getattr(garment, field) for field in Garment._fields[:5]},
        "image_path": f"/srv/data/images/{name}.img",
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


def _unrelated(connection: sa.Connection) -> None:
    """`garments`, as an init script of a container made it, with its five rows."""
    meta = sa.MetaData()
    table = sa.Table(
        "garments",
        meta,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("title", sa.String(255), nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("price", sa.Numeric(10, 2)),
        sa.Column("image_url", sa.Text),
        sa.Column("category", sa.String(100)),
        sa.Column("brand", sa.String(100)),
        sa.Column("size", sa.String(20)),
        sa.Column("color", sa.String(50)),
        sa.Column("embedding", _Vector(512)),
        sa.Column("created_at", sa.DateTime),
        sa.Column("updated_at", sa.DateTime),
    )
    meta.create_all(connection)
    for number, title in enumerate(("Vintage Denim Jacket", "Red Dress", "Tee", "Boots", "Hat"), 1):
        connection.execute(
            table.insert().values(
                id=number,
                title=title,
                price=20 + number,
                image_url=f"https://example.com/{number}.jpg",
                category="Outerwear",
                brand="Levi's",
                size="M",
                color="blue",
                created_at=BEGAN,
                updated_at=BEGAN,
            )
        )
