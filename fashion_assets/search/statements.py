"""The SQL of a search, from its shape: one statement finds, fuses and fetches the hits of a page.

What belongs here: statement texts with named placeholders, built once for each shape, so that they can be prepared; and
the settings a statement needs to mean what it says. What does not: the values, and choosing paths (`path`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any, Literal

from psycopg import sql

from fashion_assets.catalog.attributes import ATTRIBUTES
from fashion_assets.search.filters import condition
from fashion_assets.search.query import HIT_COLUMNS
from fashion_assets.search.reading import Statement
from fashion_assets.warehouse.contract import contracts
from fashion_assets.warehouse.serving import PRODUCTS, REVISION

Path = Literal["exact", "index", "iterative", "partial"]

RANK_CONSTANT = 60
"""k of reciprocal rank fusion (Cormack, Clarke, Büttcher: Reciprocal Rank Fusion, SIGIR 2009)."""

LATER = frozenset(each.name for each in ATTRIBUTES)
"""Columns that may have come to be after a release was built: each attribute has one."""

EF_SEARCH = 200
"""Candidates HNSW keeps while it searches, at the least. Over 40,000 vectors of 512 dimensions recall@10 of
the index alone is 0.999 for products as questions and 0.97 for words, which lie farther from every product."""

MAX_EF_SEARCH = 1_000
"""What pgvector takes."""


@dataclass(frozen=True)
class VectorLeg:
    """The vector search of one space."""

    space: str
    dimension: int
    path: Path


@dataclass(frozen=True)
class Shape:
    """All that decides the text of a search statement."""

    schema: str
    vectors: tuple[VectorLeg, ...]
    tiers: int = 0
    """Full-text queries of the text leg; 0 for none."""
    terms: tuple[str | None, ...] = ()
    """For each term, the column whose value it names."""
    avoids: bool = False
    filters: tuple[tuple, ...] = ()
    excludes: bool = False

    @property
    def legs(self) -> list[str]:
        """Names of the legs, in the order of the statement's `legs`."""
        return [leg.space for leg in self.vectors] + ["text"] * bool(self.tiers) or ["listing"]


def settings_of(shape: Shape, ef_search: int) -> dict[str, str]:
    """The settings of the transaction a search statement runs in.

    The path never hangs on the planner's estimates: an exact leg orders by an expression no index has, and for an index
    leg the only plan without a sort is the one that reads the vector index in its order.
    """
    chosen = {"synchronize_seqscans": "off"}
    if any(leg.path != "exact" for leg in shape.vectors):
        chosen |= {
            "enable_sort": "off",
            "enable_seqscan": "off",
            "hnsw.ef_search": str(min(MAX_EF_SEARCH, ef_search)),
            "hnsw.iterative_scan": "relaxed_order",
        }
    elif shape.tiers:
        chosen["enable_seqscan"] = "off"
    # Under filters and terms the right plan depends on their values.
    varies = bool(shape.filters or shape.tiers)
    chosen["plan_cache_mode"] = "force_custom_plan" if varies else "force_generic_plan"
    return chosen


SERVED = (
    sql.SQL(
        """
SELECT n.nspname FROM pg_rewrite r
JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
JOIN pg_class c ON c.oid = d.refobjid AND c.relkind = 'r' JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE r.ev_class IN ({}) LIMIT 1
"""
    )
    .format(
        sql.SQL(", ").join(
            sql.SQL("to_regclass({})").format(sql.Literal(f"{each.schema}.products")) for each in contracts()
        )
    )
    .as_bytes(None)
)
"""The release behind the serving views, of whichever contract is served."""


@lru_cache(maxsize=64)
def revision(release: str) -> bytes:
    """The revision of a release."""
    return sql.SQL("SELECT revision FROM {}").format(table(release, REVISION.name)).as_bytes(None)


def settle(settings: Mapping[str, str]) -> Statement:
    """Make settings hold until the transaction ends."""
    values = {f"value_{position}": value for position, value in enumerate(settings.values())}
    return Statement(_settle(tuple(settings)), values)


@lru_cache(maxsize=64)
def _settle(names: tuple[str, ...]) -> bytes:
    each = [
        sql.SQL("set_config({}, {}::text, true)").format(
            sql.Literal(name), sql.Placeholder(f"value_{position}")
        )
        for position, name in enumerate(names)
    ]
    return sql.SQL("SELECT {}").format(sql.SQL(", ").join(each)).as_bytes(None)


def table(schema: str, name: str = "products") -> sql.Identifier:
    """A table of a release."""
    return sql.Identifier(schema, name)


@lru_cache(maxsize=1_024)
def completed(text: bytes, schema: str, columns: frozenset[str]) -> bytes:
    """The text of a statement on a release whose `products` has these columns alone, as it was built before others came to be: they are
    read as columns without values. As PostgreSQL flattens such a subquery, the release's indexes serve as they do without it."""
    # Another column that is not there is a fault of the release's, and is met as one.
    known = [
        column
        for column in PRODUCTS.columns
        if not column.private and (column.name in columns or column.name in LATER)
    ]
    read = sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join(
            sql.Identifier(column.name)
            if column.name in columns
            else sql.SQL("NULL::{} AS {}").format(sql.SQL(column.type), sql.Identifier(column.name))
            for column in known
        ),
        table(schema),
    )
    whole = read.as_bytes(None)
    # Behind the table its alias stands, or a keyword, in capitals.
    named = re.compile(re.escape(table(schema).as_bytes(None)) + rb"(?: (?:AS )?([a-z_]+)\b)?")
    return named.sub(lambda found: b"(" + whole + b") AS " + (found[1] or b"products"), text)


def distance(leg: VectorLeg, placeholder: str) -> sql.Composed:
    """The cosine distance, as the expression the space's index is built on."""
    return sql.SQL("embedding::halfvec({dimension}) <=> {value}::halfvec({dimension})").format(
        dimension=sql.Literal(leg.dimension), value=sql.Placeholder(placeholder)
    )


def filter_parameters(filters: Iterable[Any]) -> dict[str, Any]:
    """The values of filters, by placeholder, in the order of `_conditions`."""
    values = (value for each in filters for value in each.parameters())
    return {f"filter_{position}": value for position, value in enumerate(values)}


def conditions(filters: Iterable[tuple], excludes: bool = False) -> list[sql.Composable]:
    """The SQL of filters of these shapes; with `excludes`, without the products of `%(excluded)s`."""
    placeholders = (sql.Placeholder(f"filter_{position}") for position in count())
    made: list[sql.Composable] = [condition(shape, placeholders) for shape in filters]
    if excludes:
        made.append(sql.SQL("product_id <> ALL(%(excluded)s::uuid[])"))
    return made


def where(parts: Iterable[sql.Composable]) -> sql.Composed:
    """Conditions that must all hold."""
    return sql.SQL(" AND ").join([*parts] or [sql.SQL("true")])


def vector_leg(shape: Shape, position: int) -> sql.Composed:
    """The products nearest to `%(vector_<position>)s` in a leg's space, with their distance."""
    leg = shape.vectors[position]
    nearness = distance(leg, f"vector_{position}")
    if leg.path == "exact":
        # Which no index is built on; as the rows' own column, so that it is computed once.
        nearness = sql.SQL("({}) + 0").format(nearness)
    own: list[sql.Composable] = [sql.SQL("embedding_space = {}").format(sql.Literal(leg.space))]
    return sql.SQL(
        "SELECT product_id, {distance} AS distance FROM {products} WHERE {where} ORDER BY {order} LIMIT %(window)s"
    ).format(
        distance=nearness,
        products=table(shape.schema),
        where=where(own + conditions(shape.filters, shape.excludes)),
        order=nearness,
    )


MENTIONED = 0.5
"""What a term counts that a product's text has, while the column the words name has another value."""


def _covered(column: str | None, position: int, lexemes: sql.Composed) -> sql.Composed:
    mentioned = sql.SQL("(search_vector @@ {})").format(lexemes)
    if column is None:
        return sql.SQL("{}::int").format(mentioned)
    return sql.SQL("CASE WHEN {} = {} THEN 1 WHEN {} THEN {} ELSE 0 END").format(
        sql.Identifier(column), sql.Placeholder(f"value_{position}"), mentioned, sql.Literal(MENTIONED)
    )


def _text_leg(shape: Shape) -> list[sql.Composable]:
    products, narrowed = table(shape.schema), conditions(shape.filters, shape.excludes)
    lexemes = sql.SQL("to_tsquery('english', {})")
    branches = [
        sql.SQL("(SELECT product_id FROM {} WHERE {} LIMIT %(window)s)").format(
            products,
            where(
                [
                    sql.SQL("search_vector @@ {}").format(
                        lexemes.format(sql.Placeholder(f"tier_{position}"))
                    ),
                    *narrowed,
                ]
            ),
        )
        for position in range(shape.tiers)
    ]
    found = [
        sql.SQL("(SELECT product_id FROM ({}) AS tiers LIMIT %(window)s)").format(
            sql.SQL(" UNION ALL ").join(branches)
        ),
        # What the other legs found is judged by its words as well.
        *(
            sql.SQL("SELECT product_id FROM {}").format(sql.Identifier(f"vector_{position}"))
            for position in range(len(shape.vectors))
        ),
    ]
    coverage = sql.SQL(" + ").join(
        sql.SQL("{} * {}").format(
            sql.SQL("{}::float8").format(sql.Placeholder(f"importance_{position}")),
            _covered(column, position, lexemes.format(sql.Placeholder(f"term_{position}"))),
        )
        for position, column in enumerate(shape.terms)
    )
    refused = sql.SQL("")
    if shape.avoids:
        refused = sql.SQL(" AND NOT search_vector @@ to_tsquery('english', %(avoid)s)")
    return [
        sql.SQL("candidates AS MATERIALIZED ({})").format(sql.SQL(" UNION ").join(found)),
        sql.SQL(
            "words AS MATERIALIZED (SELECT product_id, {coverage} AS coverage, "
            "ts_rank(search_vector, {any}) AS relevance FROM candidates JOIN {products} USING (product_id) "
            "WHERE search_vector @@ {any}{refused} ORDER BY coverage DESC, relevance DESC, product_id LIMIT %(window)s)"
        ).format(
            coverage=coverage,
            any=lexemes.format(sql.Placeholder("any_term")),
            products=products,
            refused=refused,
        ),
    ]


@lru_cache(maxsize=1_024)
def search(shape: Shape) -> bytes:
    """The text of the statement that answers a page.

    Placeholders: `vector_<n>`, `tier_<n>`, `term_<n>`, `value_<n>`, `importance_<n>`, `any_term`, `avoid`, `filter_<n>`, `excluded`,
    `weight_<n>` of each leg, `window`, `limit`, `offset`. Rows: `product_id`, the hit's columns, `legs`, `ranks` and
    `values` (distance or coverage) of the legs that brought it, and for each vector leg how many it found, the largest
    distance, and which of `probes_<n>` are among them, as the text of a JSON array; NULL for an exact leg.
    """
    tables: list[sql.Composable] = [
        sql.SQL("{} AS MATERIALIZED ({})").format(
            sql.Identifier(f"vector_{position}"), vector_leg(shape, position)
        )
        for position in range(len(shape.vectors))
    ]
    ranked: list[sql.Composable] = [
        sql.SQL(
            "SELECT {leg} AS leg, product_id, {weight}::float8 AS weight, "
            "row_number() OVER (ORDER BY distance, product_id) AS rank, distance AS value FROM {found}"
        ).format(
            leg=sql.Literal(position),
            weight=sql.Placeholder(f"weight_{position}"),
            found=sql.Identifier(f"vector_{position}"),
        )
        for position in range(len(shape.vectors))
    ]
    if shape.tiers:
        tables += _text_leg(shape)
        ranked.append(
            sql.SQL(
                "SELECT {leg} AS leg, product_id, {weight}::float8 AS weight, "
                "rank() OVER (ORDER BY coverage DESC, relevance DESC) AS rank, coverage AS value FROM words"
            ).format(
                leg=sql.Literal(len(shape.vectors)), weight=sql.Placeholder(f"weight_{len(shape.vectors)}")
            )
        )
    if not ranked:
        ranked.append(
            sql.SQL(
                "SELECT 0 AS leg, product_id, %(weight_0)s::float8 AS weight, "
                "row_number() OVER (ORDER BY product_id) AS rank, NULL::float8 AS value "
                "FROM (SELECT product_id FROM {} WHERE {} ORDER BY product_id LIMIT %(window)s) AS listed"
            ).format(table(shape.schema), where(conditions(shape.filters, shape.excludes)))
        )
    tables += [
        sql.SQL("legs AS ({})").format(sql.SQL(" UNION ALL ").join(ranked)),
        sql.SQL(
            "page AS MATERIALIZED (SELECT product_id, sum(weight / ({} + rank)) AS score, "
            "array_agg(leg ORDER BY leg) AS legs, array_agg(rank::int ORDER BY leg) AS ranks, "
            "array_agg(value::float8 ORDER BY leg) AS values FROM legs GROUP BY product_id "
            "ORDER BY score DESC, product_id LIMIT %(limit)s OFFSET %(offset)s)"
        ).format(sql.Literal(RANK_CONSTANT)),
    ]
    proofs = [
        sql.SQL(
            "(SELECT json_build_array(count(*), max(distance), array_agg(product_id) FILTER (WHERE product_id = "
            "ANY({}::uuid[])))::text FROM {})"
        ).format(sql.Placeholder(f"probes_{position}"), sql.Identifier(f"vector_{position}"))
        if leg.path != "exact"
        else sql.NULL
        for position, leg in enumerate(shape.vectors)
    ]
    return (
        sql.SQL(
            "WITH {tables} SELECT product_id::text, {columns}, page.legs, page.ranks, page.values, "
            "ARRAY[{proofs}]::text[] FROM page JOIN {products} USING (product_id) ORDER BY page.score DESC, product_id"
        )
        .format(
            tables=sql.SQL(", ").join(tables),
            columns=sql.SQL(", ").join(map(sql.Identifier, HIT_COLUMNS)),
            proofs=sql.SQL(", ").join(proofs),
            products=table(shape.schema),
        )
        .as_bytes(None)
    )


@lru_cache(maxsize=256)
def facet(schema: str, column: str, filters: tuple[tuple, ...]) -> bytes:
    """The text of the statement that counts a column's values under filters, among `%(rows)s` products at the most;
    rows: value, count, the most frequent `%(values)s` first."""
    return (
        sql.SQL(
            "SELECT value, count(*) FROM (SELECT {column} AS value FROM {products} WHERE {where} LIMIT %(rows)s) AS found "
            "WHERE value IS NOT NULL GROUP BY value ORDER BY count(*) DESC, value LIMIT %(values)s"
        )
        .format(column=sql.Identifier(column), products=table(schema), where=where(conditions(filters)))
        .as_bytes(None)
    )


@lru_cache(maxsize=64)
def on_products(schema: str, text: str, other: str = "favourites") -> bytes:
    """A statement of this package's, `{products}` and `{other}` being a release's tables."""
    return (
        sql.SQL(text)  # pyright: ignore[reportArgumentType]
        .format(products=table(schema), other=table(schema, other))
        .as_bytes(None)
    )


@lru_cache(maxsize=64)
def by_ids(schema: str) -> bytes:
    """The text of the statement that fetches the products of `%(ids)s`; rows: `product_id`, the hit's columns."""
    return (
        sql.SQL("SELECT product_id::text, {} FROM {} WHERE product_id = ANY(%(ids)s::uuid[])")
        .format(sql.SQL(", ").join(map(sql.Identifier, HIT_COLUMNS)), table(schema))
        .as_bytes(None)
    )
