"""What decides the SQL of a search, the settings it needs to mean what it says, and the small statements beside it.

What belongs here: the shape of a search, statement texts with named placeholders, built once for each shape, so that they can be prepared.
What does not: the statement that answers a page (`page_statement`), the values, and choosing paths (`path`).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any, Literal, LiteralString, NamedTuple

from psycopg import sql

from fashion_assets.catalog.attributes import ATTRIBUTES
from fashion_assets.search.filters import condition
from fashion_assets.search.kept import remembered
from fashion_assets.search.query import HIT_COLUMNS
from fashion_assets.warehouse.contract import contracts
from fashion_assets.warehouse.serving import PRODUCTS, REVISION

Path = Literal["exact", "index", "iterative", "partial", "styles"]
"""`styles`: what is of the styles nearest to the question is compared, and nothing else."""

COMPARING: frozenset[Path] = frozenset({"exact", "styles"})
"""Paths along no index of vectors."""

LATER = frozenset(each.name for each in ATTRIBUTES)
"""Columns that may have come to be after a release was built: each attribute has one."""

EF_SEARCH = 200
"""Candidates HNSW keeps while it searches, at the least, where nothing was measured (`path.Width`). Over 40,000 vectors of 512 dimensions
recall@10 of the index alone is 0.999 for products as questions and 0.96 for words, which lie farther from every product."""

MAX_EF_SEARCH = 1_000
"""What pgvector takes."""

WIDER = 4
"""So many times as many lists are read where an index that has lists is in doubt."""

FARTHEST = 8
"""So many times as many are read until enough meet the filters: where they are still too few, all that the filters leave is compared sooner."""


After = Literal["value", "none", "id", "above", "below"]
"""What a listing goes on after: a value and an id, an id among those without a value, an id; where boosts order it, a product that is lifted, `above`
those that meet none of them, or buried, `below` them."""


@dataclass(frozen=True)
class VectorLeg:
    """The vector search of one space."""

    space: str
    dimension: int
    path: Path
    cut: bool = False
    """Whether products farther than `%(cut_<n>)s` are not found."""
    whole: bool = False
    """Whether all products are searched, and filters look at what is within the cut-off."""
    listed: bool = False
    """Whether the space's index has lists (IVFFlat), and is no graph."""
    alone: bool = False
    """Whether the release has no other space."""
    bounded: bool = False
    """Whether what is farther than `%(bound_<n>)s` is left out as it is compared."""
    tells: bool = False
    """Whether it tells all that it looked at: which of these are `%(probes_<n>)s` was not known when it was asked."""


@dataclass(frozen=True)
class Shape:
    """All that decides the text of a search statement."""

    schema: str
    vectors: tuple[VectorLeg, ...]
    tiers: int = 0
    """Full-text queries of the text leg; where there are none, it judges what the vector legs found."""
    terms: tuple[str | None, ...] = ()
    """For each term of the text leg, the column whose value it names; none: there is no such leg."""
    avoids: bool = False
    filters: tuple[tuple, ...] = ()
    excludes: bool = False
    hides: bool = False
    """Whether products are left out, which may be many (`%(hidden)s`)."""
    pins: bool = False
    """Whether the products of `%(pinned)s` are found that meet the filters, beside those that are."""
    boosts: tuple[tuple[tuple[tuple, ...], bool], ...] = ()
    """Shapes of the filters of each boost, and whether it lifts."""
    matches: bool = False
    """Whether products whose words meet `%(matched)s` are found beside those of the vector legs."""
    counted: tuple[str, ...] | None = None
    """Columns whose values are counted over all that is found; None: nothing is counted."""
    matches_known: bool = False
    """Whether it is known how many products `matches` finds (`%(matching)s`), so that they need not be counted."""
    aside: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Columns counted over what only some of the filters narrow, with the places of those. Vector legs that are not `whole` do not find
    what the other filters leave out."""
    sort: tuple[LiteralString, bool] | None = None
    """Column the hits are ordered by, and whether the largest comes first."""
    whole: bool = False
    """Whether a page reaches beyond what the legs rank, into the rest of what is found."""
    after: "After | None" = None
    """What a listing goes on after."""
    keeps_counts: bool = False
    """Whether the release keeps counts of its values."""

    @property
    def legs(self) -> list[str]:
        """Names of the legs, in the order of the statement's `legs`."""
        return [leg.space for leg in self.vectors] + ["text"] * bool(self.terms) or ["listing"]

    @property
    def of_one_leg(self) -> bool:
        """Whether a page is what one vector leg found, in its own order."""
        ranked_otherwise = self.terms or self.boosts or self.whole or self.sort is not None
        return len(self.vectors) == 1 and not ranked_otherwise

    @property
    def lists_boosted(self) -> bool:
        """Whether nothing is ranked, and boosts alone order what the filters leave."""
        return self.legs == ["listing"] and self.sort is None and bool(self.boosts)


class Walk(NamedTuple):
    """How far indexes of vectors are read."""

    candidates: int = 0
    """Candidates a graph keeps while it is searched (`hnsw.ef_search`)."""
    lists: int = 0
    """Lists that are read of one that has lists, before it is seen whether enough were found (`ivfflat.probes`)."""

    @property
    def wider(self) -> "Walk":
        """As far as helps where it left out what is nearer; the same where it does not."""
        return Walk(MAX_EF_SEARCH if self.candidates else 0, self.lists * WIDER)


def settings_along(candidates: int, lists: int) -> dict[str, str]:
    """Settings under which the only plan without a sort is the one that reads the index of vectors in its order. `candidates` of graphs, `lists` of those
    that have lists; 0 where there are none."""
    chosen = {"enable_sort": "off", "enable_seqscan": "off"}
    if candidates:
        chosen["hnsw.ef_search"] = str(min(MAX_EF_SEARCH, candidates))
    if lists:
        chosen["ivfflat.probes"] = str(lists)
    return chosen


def settings_of(shape: Shape, walk: Walk) -> dict[str, str]:
    """The settings a search statement runs under.

    They leave the planner no choice of path. An exact leg orders by an expression that no index has. Of an index leg, the only plan without a sort
    reads the vector index in its order.
    """
    chosen = {"synchronize_seqscans": "off"}
    if any(leg.path not in COMPARING for leg in shape.vectors):
        chosen |= settings_along(*walk)
        # Either goes on from where it was until enough meet the filters.
        chosen |= {"hnsw.iterative_scan": "relaxed_order"} if walk.candidates else {}
        if walk.lists:
            chosen |= {
                "ivfflat.iterative_scan": "relaxed_order",
                "ivfflat.max_probes": str(FARTHEST * walk.lists),
            }
    elif shape.terms:
        chosen["enable_seqscan"] = "off"
    # Under filters, styles and terms the right plan depends on their values, and so it does where all that is found is put in order.
    of_styles = any(leg.path == "styles" for leg in shape.vectors)
    varies = bool(shape.filters or of_styles or shape.terms or shape.sort or shape.whole)
    if shape.vectors and not varies:
        # A plan that is kept knows no limits: it would read all ids to look up those of a page.
        chosen |= {"enable_hashjoin": "off", "enable_mergejoin": "off"}
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


def table(schema: str, name: str = "products") -> sql.Identifier:
    """A table of a release."""
    return sql.Identifier(schema, name)


@remembered(1_024)
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


def condition_parameters(filters: Iterable[Any], name: str) -> dict[str, Any]:
    """The values of filters, by the placeholders `<name>_<n>`, in the order of `each_condition`."""
    values = (value for each in filters for value in each.parameters())
    return {f"{name}_{position}": value for position, value in enumerate(values)}


def filter_parameters(filters: Iterable[Any]) -> dict[str, Any]:
    """The values of filters, by placeholder, in the order of `conditions`."""
    return condition_parameters(filters, "filter")


def each_condition(filters: Iterable[tuple], name: str) -> list[sql.Composable]:
    """The SQL of filters of these shapes, whose values are `%(<name>_<n>)s`."""
    placeholders = (sql.Placeholder(f"{name}_{position}") for position in count())
    return [condition(shape, placeholders) for shape in filters]


def conditions(filters: Iterable[tuple], excludes: bool = False, hides: bool = False) -> list[sql.Composable]:
    """The SQL of filters of these shapes; with `excludes`, without the products of `%(excluded)s`, with `hides`, without those of
    `%(hidden)s`."""
    made = each_condition(filters, "filter")
    if excludes:
        made.append(sql.SQL("product_id <> ALL(%(excluded)s::uuid[])"))
    if hides:
        # As a subquery they are hashed once, also in a plan that is kept; an array is looked through for each product then.
        made.append(sql.SQL("product_id NOT IN (SELECT unnest(%(hidden)s::uuid[]))"))
    return made


def narrowing(shape: Shape) -> list[sql.Composable]:
    """All that a search of this shape is narrowed by, its filters first."""
    return conditions(shape.filters, shape.excludes, shape.hides)


def where(parts: Iterable[sql.Composable]) -> sql.Composed:
    """Conditions that must all hold."""
    return sql.SQL(" AND ").join([*parts] or [sql.SQL("true")])


@lru_cache(maxsize=256)
def first_level(schema: str, levels: int, avoids: bool) -> bytes:
    """The text of the statement that says which of `%(level_<n>)s` is the first that the words of more than `%(fewer)s` products meet; their
    number, where none is."""
    refused = sql.SQL(" AND NOT search_vector @@ to_tsquery('english', %(avoid)s)") if avoids else sql.SQL("")
    met = [
        sql.SQL(
            "WHEN EXISTS (SELECT FROM {} WHERE search_vector @@ to_tsquery('english', {}){} OFFSET %(fewer)s) THEN {}"
        ).format(table(schema), sql.Placeholder(f"level_{place}"), refused, sql.Literal(place))
        for place in range(levels)
    ]
    return (
        sql.SQL("SELECT CASE {} ELSE {} END")
        .format(sql.SQL(" ").join(met), sql.Literal(levels))
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
