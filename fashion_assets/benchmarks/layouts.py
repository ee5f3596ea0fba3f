"""The old layout of the catalogue against the new one, on the same rows, asked in turn (A10).

What belongs here: building both side by side in a scratch schema, the old queries and the new ones, timing them. What
does not: thresholds (`criteria`), the engine, which would add the same to both.

The old layout is the one the catalogue came from: `productsdb`, and beside it `product_embeddings_multimodal` with a
picture's, a title's and a hybrid vector in float32, and one HNSW index for each (`vs_image_search`, `vs_text_search`,
`vs_hybrid_search`). Only products whose picture had been embedded could be shown, so that every list was a join. The new
layout is the release's own `products`, with the indexes the release has. Rows of both lie in the order the release has
them: in an order of its own, one of them would find a page's products side by side.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, LiteralString

import numpy as np
import psycopg
from pgvector import HalfVector, Vector
from psycopg import sql

from fashion_assets.benchmarks.results import Row
from fashion_assets.machine import usable_cores
from fashion_assets.warehouse.releases import Release

SCRATCH = "fashion_assets_layouts"
"""Schema both layouts are built in; dropped at the end."""

PRODUCTS = 10_000
"""Products compared at the most: building the old layout's three indexes takes half a minute for so many."""

QUESTIONS = 200
"""Of each kind, each asked of both layouts."""

PAGE = 24
"""Products on a listing's page."""

EF_SEARCH = 100
"""Candidates HNSW keeps while it searches, for both."""

_OLD_PRODUCTS = """
CREATE TABLE {scratch}.productsdb AS
SELECT product_id, title AS product_display_name, gender, category AS master_category, sub_category, article_type,
    colour AS base_color, season, year, usage, brand, price, image_path
FROM {release}.products p JOIN (
    SELECT product_id FROM {release}.products WHERE embedding_space = %(space)s ORDER BY product_id LIMIT %(products)s
) AS drawn USING (product_id) ORDER BY p.ctid
"""
_OLD_VECTORS = """
CREATE TABLE {scratch}.product_embeddings_multimodal AS
SELECT p.product_id, coalesce(i.vector, e.embedding)::vector({dimension}) AS image_embedding,
    coalesce(t.vector, e.embedding)::vector({dimension}) AS text_embedding, e.embedding::vector({dimension}) AS hybrid_embedding
FROM {scratch}.productsdb JOIN {release}.products p USING (product_id)
CROSS JOIN (SELECT true AS served) AS otherwise -- in releases built before a product had several vectors
JOIN LATERAL (
    SELECT e.embedding FROM {release}.product_embeddings e
    WHERE e.product_id = p.product_id AND e.embedding_space = p.embedding_space AND served
) AS e ON true
LEFT JOIN fashion_ops.embeddings i ON i.space = p.embedding_space AND i.kind = 'image'
    AND i.sha256 = decode(p.image_sha256, 'hex')
LEFT JOIN fashion_ops.embeddings t ON t.space = p.embedding_space AND t.kind = 'text'
    AND t.sha256 = sha256(convert_to(p.title, 'UTF8'))
ORDER BY p.ctid
"""
_OLD_INDEXES: tuple[LiteralString, ...] = (
    "ALTER TABLE {scratch}.productsdb ADD PRIMARY KEY (product_id)",
    "ALTER TABLE {scratch}.product_embeddings_multimodal ADD PRIMARY KEY (product_id)",
    "CREATE INDEX idx_products_category ON {scratch}.productsdb (master_category)",
    "CREATE INDEX idx_products_price ON {scratch}.productsdb (price)",
    "CREATE INDEX idx_products_gender ON {scratch}.productsdb (gender)",
    "CREATE INDEX idx_products_color ON {scratch}.productsdb (base_color)",
    "CREATE INDEX vs_image_search ON {scratch}.product_embeddings_multimodal USING hnsw (image_embedding vector_cosine_ops) WITH (m = 16, ef_construction = 64)",
    "CREATE INDEX vs_text_search ON {scratch}.product_embeddings_multimodal USING hnsw (text_embedding vector_cosine_ops) WITH (m = 16, ef_construction = 64)",
    "CREATE INDEX vs_hybrid_search ON {scratch}.product_embeddings_multimodal USING hnsw (hybrid_embedding vector_cosine_ops) WITH (m = 16, ef_construction = 64)",
)

_OLD_SHOWN = "p.product_id, product_display_name, brand, gender, master_category, article_type, base_color, price, image_path"
_NEW_SHOWN = "product_id, title, brand, gender, category, article_type, colour, price, image_path"
_OLD = " FROM {scratch}.productsdb p JOIN {scratch}.product_embeddings_multimodal e USING (product_id) WHERE "
_NEW = " FROM {scratch}.products WHERE "


@dataclass(frozen=True)
class Asked:
    """One question as both layouts are asked it."""

    old: sql.Composed
    new: sql.Composed
    old_values: dict[str, Any]
    new_values: dict[str, Any]


def measure_layouts(
    conn: psycopg.Connection,
    release: Release,
    *,
    products: int = PRODUCTS,
    questions: int = QUESTIONS,
    enough: float = math.inf,
    tries: int = 1,
    seed: int = 0,
    progress: Callable[[str], None] = lambda step: None,
) -> list[Row]:
    """Build both layouts of the first `products` products, by id, of the release's largest space, and ask each question
    of both in turn over one connection, each first as often as second. Nothing of it remains.

    A kind whose ratio is above `enough` is asked again, up to `tries` times in all, and the lowest ratio counts: what else the
    machine does makes either layout slower than it is, and seldom the same one twice.

    Rows: `kind`, `old_p50_ms`, `new_p50_ms`, `ratio` (new/old; 0.65 is 35 % faster), `products` (how many were compared). Kinds: `listing`, a page of a
    category; `filtered_listing`, a page of a gender's things in a colour up to a price, where there are prices;
    `vector`, the ten nearest to a picture's, a title's or a hybrid vector, each from its own index of the old layout;
    `point`, one product by id. No rows for an empty release. `conn` must be in autocommit mode.
    """
    with both(conn, release, products, progress) as built:
        if built is None:
            return []
        return built.asked(questions, seed, progress).compared(enough=enough, tries=tries, progress=progress)


@dataclass(frozen=True)
class Layouts:
    """Both layouts of products of one space, built; `asked` is what is put to them."""

    conn: psycopg.Connection
    space: str
    dimension: int
    questions: Mapping[str, Sequence[Asked]] = field(default_factory=dict)

    def asked(
        self, questions: int, seed: int = 0, progress: Callable[[str], None] = lambda step: None
    ) -> "Layouts":
        """With so many questions of each kind, each put to both once, so that none is timed for the first time."""
        of_kinds = questions_of(self.conn, self.space, self.dimension, questions, seed)
        for kind, pairs in of_kinds.items():
            progress(f"{kind}, once")
            _timed(self.conn, pairs)
        return replace(self, questions=of_kinds)

    def compared(
        self,
        *,
        enough: float = math.inf,
        tries: int = 1,
        progress: Callable[[str], None] = lambda step: None,
    ) -> list[Row]:
        """The rows of `measure_layouts`."""
        (products,) = self.conn.execute(
            sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(SCRATCH, "products"))
        ).fetchone() or (0,)
        rows = []
        for kind, pairs in self.questions.items():
            progress(kind)
            of_kind = [row(kind, *_timed(self.conn, pairs))]
            while of_kind[-1]["ratio"] > enough and len(of_kind) < tries:
                of_kind.append(row(kind, *_timed(self.conn, pairs)))
            rows.append(min(of_kind, key=lambda each: each["ratio"]) | {"products": products})
        return rows


@contextmanager
def both(
    conn: psycopg.Connection,
    release: Release,
    products: int,
    progress: Callable[[str], None] = lambda step: None,
) -> Iterator[Layouts | None]:
    """Both layouts of the first `products` products, by id, of a release's largest space, in the scratch schema, while the `with` lasts;
    None for an empty release. `conn` must be in autocommit mode."""
    found = conn.execute(
        sql.SQL(
            "SELECT embedding_space, max(vector_dims(embedding)) FROM {} WHERE embedding IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
        ).format(release.table("products"))
    ).fetchone()
    if found is None:
        yield None
        return
    space, dimension = found
    names = {
        "scratch": sql.Identifier(SCRATCH),
        "release": sql.Identifier(release.release),
        "dimension": sql.Literal(dimension),
    }

    def execute(statement: LiteralString, **values: object) -> None:
        conn.execute(sql.SQL(statement).format(**names), values or None)

    drop = "DROP SCHEMA IF EXISTS {scratch} CASCADE"
    execute(drop)
    try:
        execute("CREATE SCHEMA {scratch}")
        progress("the old layout's rows")
        execute(_OLD_PRODUCTS, space=space, products=products)
        execute(_OLD_VECTORS)
        conn.execute(sql.SQL("SET max_parallel_maintenance_workers = {}").format(sql.Literal(usable_cores())))
        for statement in _OLD_INDEXES:
            progress(f"the old layout: {statement.split()[2]}")
            execute(statement)
        progress("the new layout")
        execute(
            "CREATE TABLE {scratch}.products (LIKE {release}.products INCLUDING GENERATED INCLUDING STORAGE)"
        )
        _copy(conn, release)
        for (definition,) in conn.execute(
            "SELECT indexdef FROM pg_indexes WHERE schemaname = %s AND tablename = 'products'",
            (release.release,),
        ).fetchall():
            conn.execute(definition.replace(f" ON {release.release}.products ", f" ON {SCRATCH}.products "))
        for table in ("productsdb", "product_embeddings_multimodal", "products"):
            conn.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(SCRATCH, table)))
        yield Layouts(conn, space, dimension)
    finally:
        execute(drop)


def _copy(conn: psycopg.Connection, release: Release) -> None:
    columns = [
        name
        for (name,) in conn.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped "
            "AND attgenerated = ''",
            (f"{release.release}.products",),
        ).fetchall()
    ]
    conn.execute(
        sql.SQL(
            "INSERT INTO {new} ({columns}) SELECT {columns} FROM {products} p JOIN {old} USING (product_id) ORDER BY p.ctid"
        ).format(
            new=sql.Identifier(SCRATCH, "products"),
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
            products=release.table("products"),
            old=sql.Identifier(SCRATCH, "product_embeddings_multimodal"),
        )
    )


def questions_of(
    conn: psycopg.Connection, space: str, dimension: int, count: int, seed: int
) -> dict[str, list[Asked]]:
    """Questions by kind, made of the products of the scratch schema, the same for the same seed."""
    names = {
        "scratch": sql.Identifier(SCRATCH),
        "dimension": sql.Literal(dimension),
        "space": sql.Literal(space),
    }
    rows = conn.execute(
        sql.SQL(
            "SELECT p.product_id, p.category, p.gender, p.colour, p.price, image_embedding, text_embedding, hybrid_embedding "
            "FROM {scratch}.products p JOIN {scratch}.product_embeddings_multimodal USING (product_id) ORDER BY product_id"
        ).format(**names)
    ).fetchall()
    drawn = np.random.default_rng(seed).integers(len(rows), size=min(count, 10 * len(rows)))
    asked: dict[str, list[Asked]] = {"listing": [], "filtered_listing": [], "vector": [], "point": []}

    def ask(
        kind: str, old: LiteralString, new: LiteralString, old_values: dict, new_values: dict | None = None
    ):
        asked[kind].append(
            Asked(
                sql.SQL("SELECT " + _OLD_SHOWN + _OLD + old).format(**names),
                sql.SQL("SELECT " + _NEW_SHOWN + _NEW + new).format(**names),
                old_values,
                old_values if new_values is None else new_values,
            )
        )

    vectors: tuple[tuple[LiteralString, int], ...] = (
        ("true ORDER BY image_embedding <=> %(vector)s LIMIT 10", 5),
        ("true ORDER BY text_embedding <=> %(vector)s LIMIT 10", 6),
        ("true ORDER BY hybrid_embedding <=> %(vector)s LIMIT 10", 7),
    )
    for place, row in enumerate(rows[number] for number in drawn):
        product_id, category, gender, colour, price = row[:5]
        ask(
            "listing",
            "master_category = %(category)s ORDER BY product_id LIMIT %(page)s",
            "category = %(category)s ORDER BY product_id LIMIT %(page)s",
            {"category": category, "page": PAGE},
        )
        narrowed = {"gender": gender, "colour": colour, "price": price, "page": PAGE}
        ask(
            "filtered_listing",
            "gender = %(gender)s AND base_color = %(colour)s AND (%(price)s::numeric IS NULL OR price <= %(price)s) "
            "ORDER BY product_id LIMIT %(page)s",
            "gender = %(gender)s AND colour = %(colour)s AND (%(price)s::numeric IS NULL OR price <= %(price)s) "
            "ORDER BY product_id LIMIT %(page)s",
            narrowed,
        )
        old_vector, column = vectors[place % 3]
        values = np.asarray(row[column].to_numpy(), np.float32)
        ask(
            "vector",
            old_vector,
            "embedding_space = {space} ORDER BY embedding::halfvec({dimension}) <=> %(vector)s::halfvec({dimension}) LIMIT 10",
            {"vector": Vector(values)},
            {"vector": HalfVector(values)},
        )
        ask("point", "product_id = %(id)s", "product_id = %(id)s", {"id": product_id})
    return asked


def row(kind: str, old_ms: Sequence[float], new_ms: Sequence[float]) -> Row:
    """Milliseconds of both layouts as the table has them."""
    old, new = float(np.median(old_ms)), float(np.median(new_ms))
    return {"kind": kind, "old_p50_ms": old, "new_p50_ms": new, "ratio": new / old}


def _timed(conn: psycopg.Connection, pairs: Sequence[Asked]) -> tuple[list[float], list[float]]:
    """Milliseconds of each question on the old layout and on the new one."""
    taken: dict[str, list[float]] = {"old": [], "new": []}
    with conn.transaction(), conn.cursor(binary=True) as cursor:
        cursor.execute(sql.SQL("SET LOCAL hnsw.ef_search = {}").format(sql.Literal(EF_SEARCH)))
        # A choice between plans for one value and for all would be made anew in the middle of the measurement.
        cursor.execute("SET LOCAL plan_cache_mode = 'force_custom_plan'")
        for place, pair in enumerate(pairs):
            sides = [("old", pair.old, pair.old_values), ("new", pair.new, pair.new_values)]
            for side, statement, values in sides if place % 2 else reversed(sides):
                started = time.perf_counter()
                cursor.execute(statement, values, prepare=True).fetchall()
                taken[side].append(1000 * (time.perf_counter() - started))
    return taken["old"], taken["new"]
