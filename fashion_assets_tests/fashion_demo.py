"""The old schema `fashion_demo` as it really is in Postgres, with its oddities, at any size.

What belongs here: tables, shapes and oddities of both generations (`productsdb` …, `products_lakebase` …). What does not: what
products there are: who builds gives lines of the public catalogue and image vectors.

Oddities: prices of 0.00 are real (free items); ids are integers here, text like `'34029.0'` there; `image_path` comes in three
forms, none of which says where pictures are; vectors are JSON arrays, or JSON in a text; season, year, usage and name may be null;
a double `product_id` has a newer row; some text vectors are all zeros; hybrids are null where a vector is missing; user vectors are
not of unit length; categories people prefer are of two levels.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString, NamedTuple

import numpy as np
import psycopg
from psycopg import sql

DIMENSION = 512
MODEL = "clip-vit-b-32"
BEGAN = datetime(2025, 12, 1, 8, tzinfo=UTC)

TABLES: Mapping[str, LiteralString] = {
    "productsdb": "product_id integer, gender text, master_category text, sub_category text, article_type text, base_color text, "
    "season text, year integer, usage text, product_display_name text, price double precision, image_path text, "
    "ingested_at timestamptz",
    "product_image_embeddingsdb": "product_id integer, image_embedding jsonb, embedding_model text, embedding_dimension integer, "
    "created_at timestamptz",
    "product_embeddings_multimodal": "product_id text, text_embedding text, hybrid_embedding text, embedding_model text, "
    "embedding_dimension integer, updated_at timestamptz",
    "usersdb": "user_id text, avg_price_point double precision, created_date timestamptz, preferred_categories jsonb, segment text",
    "user_style_featuresdb": "user_id text, segment text, category_prefs jsonb, brand_prefs jsonb, color_prefs jsonb, "
    "min_price double precision, max_price double precision, avg_price double precision, p25_price double precision, "
    "p75_price double precision, user_embedding jsonb, num_interactions integer, created_at timestamptz",
    "products_lakebase": "product_id integer PRIMARY KEY, gender text, master_category text, sub_category text, article_type text, "
    "base_color text, season text, year text, usage text, product_display_name text, price double precision, image_path text, "
    "ingested_at timestamptz, migrated_at timestamptz, source_table text, similar_product_ids text, complete_the_set_ids text",
    "users_lakebase": "user_id text PRIMARY KEY, age_group text, gender text, location text, style_profile text, "
    "preferred_categories jsonb, taste_embedding text, category_prefs jsonb, brand_prefs jsonb, color_prefs jsonb, "
    "min_price double precision, max_price double precision, avg_price double precision, num_interactions integer, "
    "created_at timestamptz",
}
"""Columns by table. None of the first generation has a key: copies of a lake have none."""

SEGMENTS = ("budget", "athletic", "luxury", "casual", "vintage", "formal", "minimalist", "trendy")


class Old(NamedTuple):
    """A line of the public catalogue, nulls as None."""

    id: int
    gender: str | None
    category: str | None
    sub_category: str | None
    article_type: str | None
    colour: str | None
    season: str | None
    year: int | None
    usage: str | None
    title: str | None


class Built(NamedTuple):
    """What was built, to be compared with what becomes of it."""

    products: int
    doubles: int
    """Rows of `productsdb` beyond the first of their id."""
    without_vector: int
    zeros: int
    """Text vectors that are all zeros."""
    users: int


def price(product: Old) -> float:
    """An invented price in dollars, 0 to 299.95; free items cost nothing."""
    if product.category == "Free Items":
        return 0.0
    return (4 + _drawn(product.id, "price") % 5992) * 0.05


def image_path(product: Old) -> str:
    """One of the three forms in which paths stand there."""
    forms = ("/Volumes/main/fashion_demo/raw_data/images/{}.jpg", "images/{}.jpg", "{}.jpg")
    return forms[product.id % 3].format(product.id)


def drawn_vector(number: int, of: str) -> np.ndarray:
    """A vector of unit length, float32 [512], the same each time."""
    vector = np.random.default_rng([number, *of.encode()]).standard_normal(DIMENSION).astype(np.float32)
    return vector / np.linalg.norm(vector)


def hybrid(image: np.ndarray, text: np.ndarray) -> np.ndarray:
    """unit(0.5 image + 0.5 text), as the old system made it."""
    vector = np.float32(0.5) * image + np.float32(0.5) * text
    return vector / np.linalg.norm(vector)


def build(
    connection: psycopg.Connection[Any],
    products: Iterable[Old],
    image_vectors: Mapping[int, np.ndarray],
    *,
    users: int = 5,
    schema: str = "fashion_demo",
    newer: str = "fashion_sota",
    drawn: bool = True,
) -> Built:
    """Make both schemas in a database where neither is.

    Args:
        image_vectors: float32 [512] by product.
        drawn: whether products without one get a drawn vector; else they have none.
    """
    for name in (schema, newer):
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
    for table, columns in TABLES.items():
        connection.execute(
            sql.SQL("CREATE TABLE {}.{} (" + columns + ")").format(
                sql.Identifier(newer if table.endswith("lakebase") else schema), sql.Identifier(table)
            )
        )
    found = list(products)
    vectors = _Vectors(image_vectors, drawn)
    doubles = [product for product in found if product.id % 97 == 0]
    _copy(connection, schema, "productsdb", _products(found, doubles))
    _copy(connection, schema, "product_image_embeddingsdb", vectors.images(found))
    _copy(connection, schema, "product_embeddings_multimodal", vectors.others(found))
    _copy(connection, schema, "usersdb", map(_user, range(users)))
    _copy(connection, schema, "user_style_featuresdb", (_features(number) for number in range(users)))
    _copy(connection, newer, "products_lakebase", _newer(found))
    _copy(connection, newer, "users_lakebase", (_newer_user(number) for number in range(users)))
    connection.execute("ANALYZE")
    connection.commit()
    return Built(len(found), len(doubles), vectors.without, vectors.zeros, users)


class _Vectors:
    """The vectors of the products, and how many there are of each oddity."""

    def __init__(self, given: Mapping[int, np.ndarray], drawn: bool) -> None:
        self._given = given
        self._drawn = drawn
        self.without = 0
        self.zeros = 0

    def image(self, number: int) -> np.ndarray | None:
        found = self._given.get(number)
        return drawn_vector(number, "image") if found is None and self._drawn else found

    def images(self, products: Iterable[Old]) -> Iterator[tuple[Any, ...]]:
        for product in products:
            vector = self.image(product.id)
            if vector is None:
                self.without += 1
            else:
                yield product.id, _json(vector), MODEL, DIMENSION, BEGAN

    def others(self, products: Iterable[Old]) -> Iterator[tuple[Any, ...]]:
        for product in products:
            if product.title is None:  # the text step left them out
                continue
            image, text = self.image(product.id), drawn_vector(product.id, "text")
            mixed = None if image is None else _json(hybrid(image, text))
            if product.id % 211 == 0:  # a call that failed gave zeros
                self.zeros += 1
                text = np.zeros(DIMENSION, np.float32)
            yield f"{product.id}.0", _json(text), mixed, MODEL, DIMENSION, BEGAN


def _products(products: Iterable[Old], doubles: Iterable[Old]) -> Iterator[tuple[Any, ...]]:
    for product in doubles:  # an older row, with another price
        yield *product[:10], price(product) + 1, image_path(product), BEGAN - timedelta(days=30)
    for product in products:
        yield *product[:10], price(product), image_path(product), BEGAN


def _newer(products: Iterable[Old]) -> Iterator[tuple[Any, ...]]:
    for product in products:
        year = None if product.year is None else str(product.year)
        near = json.dumps([str(product.id), product.id])  # ids sometimes quoted
        before = (*product[:7], year, *product[8:10], price(product), image_path(product), BEGAN)
        yield *before, BEGAN, "fashion_demo.products", near, "[]"


def _user(number: int) -> tuple[Any, ...]:
    preferred = json.dumps(["Apparel", "Topwear", "Footwear"][: 1 + number % 3])  # two levels
    return f"user_{number:06}", 40.0 + number % 200, BEGAN, preferred, SEGMENTS[number % len(SEGMENTS)]


def _features(number: int) -> tuple[Any, ...]:
    average = 40.0 + number % 200
    vector = drawn_vector(number, "user") * np.float32(0.82 + (number % 4) * 0.01)  # never unit
    return (
        f"user_{number:06}",
        SEGMENTS[number % len(SEGMENTS)],
        json.dumps(["Apparel", "Shoes"]),
        None if number % 2 else "[]",
        json.dumps(["Navy Blue", "black"]),
        average * 0.5,
        average * 2,
        average,
        average * 0.7,
        average * 1.3,
        _json(vector),
        number % 50,
        BEGAN,
    )


def _newer_user(number: int) -> tuple[Any, ...]:
    average = None if number % 5 == 4 else 40.0 + number % 200
    return (
        f"user_{('luxury', 'casual', 'athletic', 'budget', 'professional')[number % 5]}_{number + 1:03}",
        "25-34",
        "Women",
        "Berlin",
        ("luxury", "urban_casual", "athletic", "budget_savvy", "professional")[number % 5],
        json.dumps(["Apparel", "Topwear"]),
        _json(drawn_vector(number, "taste") * np.float32(0.84)),
        json.dumps({"Apparel": 0.6}),
        "{}",
        json.dumps({"Black": 0.4}),
        None if average is None else average * 0.5,
        None if average is None else average * 2,
        average,
        number % 50,
        BEGAN,
    )


def _json(vector: np.ndarray) -> str:
    """As the lake writes an ARRAY<DOUBLE>: each float32 as the float64 it is."""
    return json.dumps(vector.astype(np.float64).tolist(), separators=(",", ":"))


def _drawn(number: int, of: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{of} {number}".encode(), digest_size=6).digest(), "big")


def _copy(
    connection: psycopg.Connection[Any], schema: str, table: str, rows: Iterable[tuple[Any, ...]]
) -> None:
    statement = sql.SQL("COPY {}.{} FROM STDIN").format(sql.Identifier(schema), sql.Identifier(table))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
