"""Tables of the old databases of garments with JSON vectors, of every age, and the unrelated one that may stand beside them.

What belongs here: columns. What does not: rows (`json_garments`).
"""

from datetime import datetime
from typing import Any, Literal

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


def unrelated(connection: sa.Connection) -> None:
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
