"""What is known of releases, and reading them: each search reads one release, whatever goes live meanwhile.

What belongs here: whether a release is there and may be read, gathering its facts and keeping them, noticing that another
one went live. What does not: what is read for a question (`answering`, `people`), what facts say about a path (`path`).
"""

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import psycopg
from pgvector import HalfVector

from fashion_assets.search import statements
from fashion_assets.search.filters import COLUMNS
from fashion_assets.search.meaning import Cache
from fashion_assets.search.path import SAMPLE, Facts, Sample, Space
from fashion_assets.search.reading import Statement
from fashion_assets.search.work import Answer, Read, Work
from fashion_assets.settings import Settings
from fashion_assets.warehouse.releases import SERVING_SCHEMA, ReleaseError

SWAPS = 3
"""Times a search starts over because a release went live while it ran."""

_RELEASE = re.compile(rf"{SERVING_SCHEMA}_r\d+")

_PREDICATE = re.compile(r"(\w+) = '((?:[^']|'')*)'::text")

_MAY_READ = b"""
SELECT coalesce((SELECT CASE WHEN current_setting('server_version_num')::int >= 160000
                             THEN pg_has_role(current_user, oid, 'SET')
                             ELSE pg_has_role(current_user, oid, 'MEMBER') END
                 FROM pg_roles WHERE rolname = %(role)s), false)
"""

_PLACE = b"""
SELECT CASE WHEN c.oid IS NULL THEN NULL ELSE json_build_array(n.nspname, c.oid::bigint, c.reltuples::bigint) END
FROM (SELECT 1) AS one LEFT JOIN (
    SELECT coalesce(
        (SELECT d.refobjid FROM pg_rewrite r
         JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
             AND d.refclassid = 'pg_class'::regclass
         JOIN pg_class t ON t.oid = d.refobjid AND t.relkind = 'r'
         WHERE r.ev_class = to_regclass(%(name)s) LIMIT 1),
        to_regclass(%(name)s)::oid) AS oid) AS place ON true
LEFT JOIN pg_class c ON c.oid = place.oid LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
"""

_INDEXES = b"""
SELECT pg_get_expr(i.indpred, i.indrelid), a.atttypmod FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam AND m.amname = 'hnsw'
JOIN pg_attribute a ON a.attrelid = i.indexrelid AND a.attnum = 1
WHERE i.indrelid = %(relation)s AND i.indisvalid ORDER BY c.relname
"""

_INDEXED = b"""
SELECT DISTINCT a.attname::text FROM pg_index i
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = %(relation)s AND i.indisvalid AND i.indpred IS NULL
"""

_COUNT = "SELECT count(*) FROM {products} WHERE %(products)s::bigint IS NOT NULL"
_COUNTED = "SELECT %(products)s::bigint"
_SPACES = (
    "SELECT embedding_space, max(vector_dims(embedding)) FROM {products} GROUP BY 1 ORDER BY count(*) DESC, 1"
)


class _ReleaseChanged(Exception):
    """Another release answered than the one the question was prepared for."""


class ServedReleases:
    """The live release, and those that are still there, as searches read them; their facts are read once."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._facts: Cache[Facts] = Cache(8)
        self._reader: str | None = None
        self._reader_known = False

    def facts(self, release: str | None = None) -> Work[Facts]:
        """What is known of a release, or of the live one; read once. Raises `ReleaseError` where it is not there."""
        live = self._facts.peek(SERVING_SCHEMA)
        if release is None or (live is not None and live.release == release):
            if live is None:
                live = yield from self._gather(SERVING_SCHEMA)
            return live
        if not _RELEASE.fullmatch(release):
            raise ReleaseError(f"there is no release {release!r}")
        known = self._facts.peek(release)
        if known is None:
            known = yield from self._gather(release)
        return known

    def _gather(self, schema: str) -> Work[Facts]:
        if not self._reader_known:
            (((allowed,),),) = yield Read([Statement(_MAY_READ, {"role": self._settings.reader_role})], {})
            self._reader = self._settings.reader_role if allowed else None
            self._reader_known = True
        live = schema == SERVING_SCHEMA
        try:
            (((place,),),) = yield Read(
                [Statement(_PLACE, {"name": f"{schema}.products"})], self._role(schema)
            )
        except psycopg.errors.InsufficientPrivilege as error:
            raise ReleaseError(
                f"{schema} may not be read: only the live release is open to readers"
            ) from error
        if place is None:
            raise ReleaseError(
                "nothing is live yet: fashion-assets run"
                if live
                else f"{schema} is no longer there: search again without its page or name"
            )
        release, relation, products = place
        try:
            indexes, columns, rows, ((counted,),) = yield Read(
                [
                    Statement(_INDEXES, {"relation": relation}),
                    Statement(_INDEXED, {"relation": relation}),
                    Statement(_sample(schema), {"rows": SAMPLE}),
                    Statement(
                        statements.on_products(schema, _COUNT if products < SAMPLE else _COUNTED),
                        {"products": products},
                    ),
                ],
                self._role(schema),
            )
            spaces = _spaces(indexes) or (yield from self._spaces_by_reading(schema))
        except psycopg.errors.InsufficientPrivilege as error:
            raise ReleaseError(
                f"{schema} may not be read: only the live release is open to readers"
            ) from error
        facts = Facts(
            release, schema, counted, spaces, _sampled(rows), frozenset(name for (name,) in columns)
        )
        self._facts.put(schema, facts)
        return facts

    def _spaces_by_reading(self, schema: str) -> Work[tuple[Space, ...]]:
        (rows,) = yield Read([Statement(statements.on_products(schema, _SPACES), {})], self._role(schema))
        return tuple(Space(name, dimension, indexed=False) for name, dimension in rows)

    def _role(self, schema: str) -> dict[str, str]:
        # A release that is not live is its owner's alone.
        return {"role": self._reader} if self._reader and schema == SERVING_SCHEMA else {}

    def read(
        self, facts: Facts, asked: Sequence[Statement], settings: Mapping[str, str] | None = None
    ) -> Work[list[list[tuple]]]:
        """Rows of each statement, all of the release of `facts`; else the search starts over (`retried`)."""
        chosen = {**(settings or {}), **self._role(facts.schema)}
        if facts.schema != SERVING_SCHEMA:
            try:
                return (yield Read(asked, chosen))
            except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
                self._facts.drop(facts.schema)
                raise ReleaseError(f"{facts.release} is no longer there: search again") from error
        served = Statement(statements.SERVED, {})
        try:
            *answers, place = yield Read([*asked, served], chosen)
        except psycopg.Error:
            # Columns or dimensions may be another release's by now.
            (place,) = yield Read([served], chosen)
            if place == [(facts.release,)]:
                raise
            answers = []
        if place != [(facts.release,)]:
            self._facts.drop(SERVING_SCHEMA)
            raise _ReleaseChanged
        return answers

    def retried(self, release: str | None, work: Callable[[Facts], Work[Answer]]) -> Work[Answer]:
        """The work on a release, or on the live one; started over where another went live in between."""
        for _ in range(SWAPS):
            facts = yield from self.facts(release)
            try:
                return (yield from work(facts))
            except _ReleaseChanged:
                continue
        raise ReleaseError("the live release changed again and again while the search ran: search again")


def _sample(schema: str) -> bytes:
    # Ids are hashes, so that their first thousands are products drawn at random.
    columns = ", ".join(COLUMNS)
    return statements.on_products(
        schema,
        f"SELECT product_id::text, {columns}, normalized, embedding_space, embedding FROM {{products}} ORDER BY product_id LIMIT %(rows)s",
    )


def _sampled(rows: Sequence[tuple]) -> Sample:
    named = [dict(zip((*COLUMNS, "normalized"), row[1:-2], strict=True)) for row in rows]
    spaces = [row[-2] for row in rows]
    positions = {
        space: np.array([place for place, own in enumerate(spaces) if own == space]) for space in set(spaces)
    }
    vectors = {
        space: np.stack([array(rows[int(place)][-1]) for place in places])
        for space, places in positions.items()
    }
    return Sample(named, [row[0] for row in rows], vectors, positions)


def _spaces(indexes: Sequence[tuple[str | None, int]]) -> tuple[Space, ...]:
    """The spaces the vector indexes are over: each has one over all of it, and maybe partial ones."""
    whole: dict[str, int] = {}
    partial: dict[str, list[tuple[str, str]]] = {}
    for predicate, dimension in indexes:
        parts = {name: value.replace("''", "'") for name, value in _PREDICATE.findall(predicate or "")}
        space = parts.pop("embedding_space", None)
        if space is None:
            continue
        if not parts:
            whole[space] = dimension
        elif len(parts) == 1:
            partial.setdefault(space, []).extend(parts.items())
    return tuple(
        Space(name, dimension, True, tuple(partial.get(name, ()))) for name, dimension in whole.items()
    )


def array(vector: HalfVector) -> np.ndarray:
    """A stored vector as float32 [d]."""
    return np.asarray(vector.to_numpy(), np.float32)
