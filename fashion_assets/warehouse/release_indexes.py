"""The indexes of a release, once.

What belongs here: their names, and what each is over. What does not: building them (`release.indexes`), the tables (`serving`).
"""

from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from fashion_assets.catalog.attributes import ATTRIBUTES
from fashion_assets.warehouse.serving import FAVOURITES, PRODUCT_STYLE_AFFINITY, PRODUCTS, USERS, Table

VECTOR_INDEX = "product_embeddings_index"
"""The one vector index in place of three (A4); further spaces of a mixed catalogue get `_2`, `_3` …"""

METHODS = ("hnsw", "ivfflat")
"""The access methods of vector indexes, as PostgreSQL calls them."""


def vector_index(position: int) -> str:
    """Name of the index of the space that comes so many-th (1, 2, …), the one with most vectors first."""
    return VECTOR_INDEX if position == 1 else f"{VECTOR_INDEX}_{position}"


def lists_of(conn: psycopg.Connection[Any], index: sql.Identifier) -> int:
    """Lists of an index of vectors that has lists; 0 of one that has none, or that is not there."""
    row = conn.execute(
        sql.SQL("SELECT {} FROM pg_class c WHERE c.oid = to_regclass(%s)").format(LISTS),
        (index.as_string(conn),),
    ).fetchone()
    return row[0] if row is not None else 0


LISTS = sql.SQL(
    "coalesce((SELECT option_value::int FROM pg_options_to_table(c.reloptions) WHERE option_name = 'lists'), 0)"
)
"""How many lists an index `c` of `pg_class` has that was built with so many; 0: it has none."""

BARE_INDEX = "products_without_vector"
"""The index over products that have no vector, by which they are counted."""


@dataclass(frozen=True)
class Index:
    """An index of a release, but for those of vectors."""

    name: str
    table: Table
    over: sql.Composable
    """What CREATE INDEX has behind the table's name."""
    unique: bool = False


BESIDE_KB = 512
"""Kilobytes of what was written since that may lie unsorted beside an index of words: each search reads it from end to end. With PostgreSQL's 4 MB a search
by words took 3.1 ms, .3 without any; at a few hundred kilobytes .7. Sorting it in costs a sync some hundredth of a millisecond a row more, the sooner the more."""


def _words(over: LiteralString) -> sql.Composable:
    """What an index of the words in each row is over."""
    return sql.SQL("USING gin (" + over + ") WITH (gin_pending_list_limit = {})").format(
        sql.Literal(BESIDE_KB)
    )


INDEXES = (
    Index("products_external_id", PRODUCTS, sql.SQL("(source, external_id)"), unique=True),
    Index("products_search_vector", PRODUCTS, _words("search_vector")),
    Index("products_normalized", PRODUCTS, _words("normalized jsonb_path_ops")),
    # Of a batch's products, among any number, there are as many as ever.
    Index("products_batch", PRODUCTS, sql.SQL("(batch)")),
    Index(BARE_INDEX, PRODUCTS, sql.SQL("(product_id) WHERE embedding IS NULL")),
    # Former clients know products by the numbers of the system before; most catalogues have none.
    Index(
        "products_old_id",
        PRODUCTS,
        sql.SQL("((facts ->> 'old_id')) WHERE (facts ->> 'old_id') IS NOT NULL"),
    ),
    Index("favourites_user", FAVOURITES, sql.SQL("(user_id)")),
    Index("favourites_product", FAVOURITES, sql.SQL("(product_id)")),
    Index("users_user", USERS, sql.SQL("(user_id)")),
    Index(
        "product_style_affinity_product", PRODUCT_STYLE_AFFINITY, sql.SQL("(product_id, rank)"), unique=True
    ),
    Index("product_style_affinity_cluster", PRODUCT_STYLE_AFFINITY, sql.SQL("(cluster, affinity)")),
    *(
        Index(
            f"products_{each.name}",
            PRODUCTS,
            sql.SQL("({column}) WHERE {column} IS NOT NULL" if each.sparse else "({column})").format(
                column=sql.Identifier(each.name)
            ),
        )
        for each in ATTRIBUTES
        if each.indexed
    ),
)
"""The indexes of a release beside those of vectors."""
