"""What a release is like, read at once: its spaces, indexes and styles, and a sample of its products.

What belongs here: the statements, and the `Facts` their rows make. What does not: keeping facts, and noticing that they hold no longer (`served`), what
facts say about a path (`path`).
"""

import json
import re
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import psycopg
from psycopg import sql

from fashion_assets.catalog.attributes import SPARSE
from fashion_assets.search import statements
from fashion_assets.search.filters import COLUMNS
from fashion_assets.search.path import EXACT_AT_ONCE, SAMPLE, Facts, Sample, Space, Styles, Width
from fashion_assets.search.reading import Statement
from fashion_assets.search.sample_vectors import SampleVectors
from fashion_assets.search.work import Read, Work
from fashion_assets.settings import Settings
from fashion_assets.warehouse import value_counts
from fashion_assets.warehouse.release_indexes import BARE_INDEX, LISTS, METHODS
from fashion_assets.warehouse.releases import ReleaseError
from fashion_assets.warehouse.serving import REVISION, STYLE_CLUSTERS

_PREDICATE = re.compile(r"(\w+) = '((?:[^']|'')*)'::text")

_PLACE = b"""
SELECT c.oid::bigint, c.reltuples::bigint, to_regclass(%(bare)s) IS NOT NULL, to_regclass(%(revision)s) IS NOT NULL,
       to_regclass(%(styles)s) IS NOT NULL, to_regclass(%(counts)s) IS NOT NULL,
       ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
       coalesce(has_schema_privilege((SELECT oid FROM pg_roles WHERE rolname = %(role)s), c.relnamespace, 'USAGE'), false)
FROM pg_class c WHERE c.oid = to_regclass(%(products)s)
"""

_INDEXES = (
    sql.SQL(
        """
SELECT pg_get_expr(i.indpred, i.indrelid), a.atttypmod, obj_description(c.oid, 'pg_class'), {} FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam AND m.amname IN ({})
JOIN pg_attribute a ON a.attrelid = i.indexrelid AND a.attnum = 1
WHERE i.indrelid = %(relation)s AND i.indisvalid ORDER BY c.relname
"""
    )
    .format(LISTS, sql.SQL(", ").join(map(sql.Literal, METHODS)))
    .as_bytes(None)
)

_INDEXED = b"""
SELECT DISTINCT a.attname::text FROM pg_index i
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = %(relation)s AND i.indisvalid
  AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) = format('(%%I IS NOT NULL)', a.attname))
"""

_FILLED = "SELECT " + ", ".join(
    f"EXISTS (SELECT FROM {{products}} WHERE {name} IS NOT NULL)" for name in SPARSE
)
_COUNT = "SELECT count(*) FROM {products} WHERE %(products)s::bigint IS NOT NULL"
_COUNTED = "SELECT %(products)s::bigint"
_STYLES = "SELECT embedding_space, cluster, products, centre FROM {other} ORDER BY cluster"
_BARE = "SELECT count(*) FROM {products} WHERE embedding IS NULL"
_SPACES = (
    "SELECT embedding_space, max(vector_dims(embedding)) FROM {products} WHERE embedding IS NOT NULL "
    "GROUP BY 1 ORDER BY count(*) DESC, 1"
)


class _Place(NamedTuple):
    """A release as `_PLACE` finds it."""

    relation: int
    products: int
    """As the server reckons them."""
    counts_bare: bool
    tells_revision: bool
    has_styles: bool
    keeps_counts: bool
    columns: list[str]
    open_to_readers: bool


def facts_of(release: str, reader: str | None, settings: Settings) -> Work[Facts]:
    """What a release is like, as `reader` may see it, or this connection's own role. Raises `ReleaseError` where it is not there, or may not be read."""
    about = {
        "products": f"{release}.products",
        "bare": f"{release}.{BARE_INDEX}",
        "revision": f"{release}.{REVISION.name}",
        "styles": f"{release}.{STYLE_CLUSTERS.name}",
        "counts": f"{release}.{value_counts.TABLE}",
        "role": settings.reader_role,
    }
    try:
        (rows,) = yield Read([Statement(_PLACE, about)], {})
        if not rows:
            raise no_longer_there(release)
        place = _Place(*rows[0])
        own = None if set(place.columns) >= statements.LATER else frozenset(place.columns)
        # A release that never was live is its owner's alone.
        reader = reader if place.open_to_readers else None
        role = {} if reader is None else {"role": reader}
        asked = _asked(release, place, own)
        read = dict(zip(asked, (yield Read(list(asked.values()), role)), strict=True))
        spaces = _spaces(read["indexes"])
        if not spaces:
            (found,) = yield Read([Statement(statements.on_products(release, _SPACES), {})], role)
            spaces = tuple(Space(name, dimension, indexed=False) for name, dimension in found)
    except psycopg.errors.InsufficientPrivilege as error:
        raise ReleaseError(
            f"{release} may not be read: only releases that went live are open to readers"
        ) from error
    (filled,) = read["filled"]
    return Facts(
        release,
        first(read["products"]),
        spaces,
        _sampled(read["sample"]),
        frozenset(name for (name,) in read["indexed"]),
        reader=reader,
        bare=first(read.get("bare", ())) or 0,
        empty=frozenset(name for name, there in zip(SPARSE, filled, strict=True) if not there),
        columns=own,
        revision=first(read.get("revision", ())),
        styles=_styles(read.get("styles", ())),
        keeps_counts=place.keeps_counts,
        at=time.monotonic(),
    )


def _asked(release: str, place: _Place, own: frozenset[str] | None) -> dict[str, Statement]:
    """What is read of a release, by what it tells."""
    asked: dict[str, Statement] = {}
    if place.tells_revision:
        # First: what is read behind it may be newer, and is read again then.
        asked["revision"] = Statement(statements.revision(release), {})
    asked["indexes"] = Statement(_INDEXES, {"relation": place.relation})
    asked["indexed"] = Statement(_INDEXED, {"relation": place.relation})
    asked["sample"] = completed(Statement(_sample(release), {"rows": SAMPLE}), release, own)
    asked["products"] = Statement(
        statements.on_products(release, _COUNT if place.products < SAMPLE else _COUNTED),
        {"products": place.products},
    )
    asked["filled"] = completed(Statement(statements.on_products(release, _FILLED), {}), release, own)
    # A smaller release is compared whole where an index is in doubt.
    if place.has_styles and place.products > EXACT_AT_ONCE:
        asked["styles"] = Statement(statements.on_products(release, _STYLES, STYLE_CLUSTERS.name), {})
    # In releases built before that index, no product is without a vector.
    if place.counts_bare:
        asked["bare"] = Statement(statements.on_products(release, _BARE), {})
    return asked


def completed(statement: Statement, release: str, columns: frozenset[str] | None) -> Statement:
    """The statement on a release that has these columns alone; None: it has all."""
    if columns is None:
        return statement
    return statement._replace(text=statements.completed(statement.text, release, columns))


def first(rows: Sequence[tuple]) -> Any:
    """The first value of the first row, if there is one."""
    return rows[0][0] if rows else None


def no_longer_there(release: str) -> ReleaseError:
    """The error of a release that was dropped."""
    return ReleaseError(f"{release} is no longer there: search again without its page or name")


def _sample(schema: str) -> bytes:
    # Ids are hashes, so that their first thousands are products drawn at random. What becomes an object is read as it is sent: all at once takes a
    # tenth of one after the other, and a search waits meanwhile.
    columns = ", ".join(COLUMNS)
    needed = ", ".join(dict.fromkeys(("product_id", *COLUMNS, "embedding_space", "embedding", "normalized")))
    return statements.on_products(
        schema,
        f"SELECT product_id::text, {columns}, embedding_space, halfvec_send(embedding), normalized::text "
        f"FROM (SELECT {needed} FROM {{products}} ORDER BY product_id LIMIT %(rows)s) AS first",
    )


def _sampled(rows: Sequence[tuple]) -> Sample:
    objects = json.loads(f"[{','.join(row[-1] or 'null' for row in rows)}]")
    named = [
        dict(zip((*COLUMNS, "normalized"), (*row[1:-3], normalized), strict=True))
        for row, normalized in zip(rows, objects, strict=True)
    ]
    spaces = [row[-3] for row in rows]
    positions = {
        space: np.array([place for place, own in enumerate(spaces) if own == space])
        for space in set(spaces) - {None}
    }
    vectors = {
        space: SampleVectors.of(_arrays([rows[int(place)][-2] for place in places]))
        for space, places in positions.items()
    }
    return Sample(named, [row[0] for row in rows], vectors, positions)


def _spaces(indexes: Sequence[tuple[str | None, int, str | None, int]]) -> tuple[Space, ...]:
    """The spaces the vector indexes are over: each has one over all of it, and maybe partial ones."""
    whole: dict[str, int] = {}
    partial: dict[str, list[tuple[str, str]]] = {}
    widths: dict[str, Width | None] = {}
    listed: dict[str, int] = {}
    for predicate, dimension, said, lists in indexes:
        parts = {name: value.replace("''", "'") for name, value in _PREDICATE.findall(predicate or "")}
        space = parts.pop("embedding_space", None)
        if space is None:
            continue
        if not parts:
            whole[space] = dimension
            widths[space], listed[space] = Width.read(said), lists
        elif len(parts) == 1:
            partial.setdefault(space, []).extend(parts.items())
    return tuple(
        Space(name, dimension, True, tuple(partial.get(name, ())), widths[name], listed[name])
        for name, dimension in whole.items()
    )


def _styles(rows: Sequence[tuple]) -> dict[str, Styles]:
    found = {}
    for space in dict.fromkeys(row[0] for row in rows):
        own = [row for row in rows if row[0] == space]
        centres = np.stack([np.asarray(centre.to_numpy(), np.float32) for _, _, _, centre in own])
        found[space] = Styles(np.array([row[1] for row in own]), np.array([row[2] for row in own]), centres)
    return found


def _arrays(sent: Sequence[bytes]) -> np.ndarray:
    """Vectors of one dimension as `halfvec_send` has them, two numbers that are none before each, as float32 [n, d]."""
    return np.frombuffer(b"".join(sent), ">f2").reshape(len(sent), -1)[:, 2:].astype(np.float32)
