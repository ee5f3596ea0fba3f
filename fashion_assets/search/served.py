"""What is known of releases, and reading them: each search reads one release, whatever goes live meanwhile.

What belongs here: whether a release is there and may be read, gathering its facts and keeping them, noticing that another
one went live. What does not: what is read for a question (`answering`, `people`), what facts say about a path (`path`).
"""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import psycopg
from pgvector import HalfVector
from psycopg import sql

from fashion_assets.catalog.attributes import SPARSE
from fashion_assets.search import statements
from fashion_assets.search.filters import COLUMNS
from fashion_assets.search.kept import Cache
from fashion_assets.search.path import EXACT_AT_ONCE, SAMPLE, Facts, Sample, Space, Styles, Width
from fashion_assets.search.query import Aside, Results
from fashion_assets.search.reading import Statement
from fashion_assets.search.work import Answer, Once, Read, Work
from fashion_assets.settings import Settings
from fashion_assets.warehouse import value_counts
from fashion_assets.warehouse.reader import MISSING_GRANT, searches_as_owner
from fashion_assets.warehouse.release_indexes import BARE_INDEX, LISTS, METHODS
from fashion_assets.warehouse.releases import SERVING_SCHEMA, ReleaseError
from fashion_assets.warehouse.serving import REVISION, STYLE_CLUSTERS

TRIES = 5
"""Times a search starts over because the release it reads was dropped: each time others were live meanwhile."""

FRESH_SECONDS = 30.0
"""So long the facts of a release that is changed meanwhile are good enough: they decide how it is searched and which facets there are, not
what is found in it. Reading them takes a tenth of a second, in which a search waits."""

_RELEASE = re.compile(rf"{SERVING_SCHEMA}_r\d+")

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


_GONE = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)
"""What the server says of a release that was dropped."""


class _Revised(Exception):
    """The release was changed since its facts were read."""


class _OtherIsLive(Exception):
    """Another release is live than the one the question was prepared for."""

    def __init__(self, live: str | None):
        self.live = live


class ServedReleases:
    """The live release, and those that are still there, as searches read them; their facts are read once.

    A search reads one release by its own name, the one that was live when the search began, so that nothing that goes live
    meanwhile disturbs it.
    """

    def __init__(self, settings: Settings):
        self._settings = settings
        self._facts: Cache[Facts] = Cache(8)
        self._renewing: set[str] = set()
        """Releases whose facts a search reads anew, while others go on by what was known before."""
        self._live: str | None = None
        self._reader: str | None = None
        self._reader_known = False
        self._untold: tuple[str, ...] = ()

    def told(self, results: Results) -> Results:
        """The results, with what a person should know of all searches noted in the first ones."""
        if not self._untold:
            return results
        notes, self._untold = tuple(map(Aside, self._untold)), ()
        return replace(results, plan=replace(results.plan, notes=results.plan.notes + notes))

    def on(self, release: str | None, work: Callable[[Facts], Work[Answer]]) -> Work[Answer]:
        """The work on a release, or on the one that is live. Raises `ReleaseError` where it is not there."""
        if release is None:
            return (yield from self._on_the_live_one(work))
        if not _RELEASE.fullmatch(release):
            raise ReleaseError(f"there is no release {release!r}")
        certain = False
        while True:
            facts = yield from self._known(release)
            try:
                return (yield from self._reading(facts, work, certain, live=False))
            except _Revised:
                certain = True
                yield from self._renewed(release)
            except _GONE as error:
                self._facts.drop(release)
                raise _no_longer_there(release) from error

    def _on_the_live_one(self, work: Callable[[Facts], Work[Answer]]) -> Work[Answer]:
        certain, tries = False, 0
        anew: str | None = None
        while tries < TRIES:
            tries += 1
            live = self._live
            if live is None:
                (rows,) = yield Read([Statement(statements.SERVED, {})], {})
                live, certain = _served(rows), True
                if live is None:
                    raise ReleaseError("nothing is live yet: fashion-assets run")
                self._live = live
            try:
                if anew is not None:
                    live, anew = anew, None
                    if (yield from self._renewed(live)):
                        self._live = live
                    live = self._live or live
                facts = yield from self._known(live)
                return (yield from self._reading(facts, work, certain, live=True))
            except _Revised:
                anew, certain = live, True
                tries -= 1  # what is read anew is not looked at again at once
            except _OtherIsLive as other:
                # Live while this search goes on, so that it need not look again.
                certain = other.live is not None
                if other.live is None or self._facts.peek(other.live) is not None:
                    self._live = other.live
                else:
                    anew = other.live
            except (ReleaseError, *_GONE):
                # Dropped, or about to be: what is live now is another one, or the error stands.
                self._facts.drop(live)
                (rows,) = yield Read([Statement(statements.SERVED, {})], {})
                if (now := _served(rows)) in (live, None):
                    raise
                self._live, certain = now, True
        raise ReleaseError("the releases to search were dropped one after another: search again")

    def _reading(
        self, facts: Facts, work: Callable[[Facts], Work[Answer]], certain: bool, live: bool
    ) -> Work[Answer]:
        """The work, with a look whether the facts still hold, unless that is `certain`, or a search finds out by now what holds instead."""
        return (
            yield from (work(facts) if certain or self._renewing else _looking(facts, work(facts), live=live))
        )

    def _renewed(self, release: str) -> Work[bool]:
        """Whether the release's facts were read anew. They are not where another search reads them: it takes a tenth of a second or more, for which nobody
        else need wait, as what was known before, and the release that was live before, answer as well."""
        if release in self._renewing:
            return False
        self._renewing.add(release)
        try:
            yield from self._gather(release)
        finally:
            self._renewing.discard(release)
        return True

    def _known(self, release: str) -> Work[Facts]:
        known = self._facts.peek(release)
        if known is None:
            known = yield Once(
                ("facts", release), lambda: self._facts.peek(release), lambda: self._gather(release)
            )
        return known

    def _gather(self, release: str) -> Work[Facts]:
        if not self._reader_known:
            role = self._settings.reader_role
            (((grant,),),) = yield Read([Statement(MISSING_GRANT.encode(), {"role": role})], {})
            self._reader = role if grant is None else None
            self._reader_known = True
            if grant is not None:
                self._untold = (searches_as_owner(role, grant),)
        about = {
            "products": f"{release}.products",
            "bare": f"{release}.{BARE_INDEX}",
            "revision": f"{release}.{REVISION.name}",
            "styles": f"{release}.{STYLE_CLUSTERS.name}",
            "counts": f"{release}.{value_counts.TABLE}",
            "role": self._settings.reader_role,
        }
        try:
            (rows,) = yield Read([Statement(_PLACE, about)], {})
            if not rows:
                raise _no_longer_there(release)
            (
                relation,
                products,
                counts_bare,
                tells_revision,
                has_styles,
                keeps_counts,
                there,
                open_to_readers,
            ) = rows[0]
            own = None if set(there) >= statements.LATER else frozenset(there)
            # A release that never was live is its owner's alone.
            reader = self._reader if open_to_readers else None
            role = {} if reader is None else {"role": reader}
            # In releases built before that index, no product is without a vector.
            bare = [Statement(statements.on_products(release, _BARE), {})] if counts_bare else []
            # A smaller release is compared whole where an index is in doubt.
            has_styles = has_styles and products > EXACT_AT_ONCE
            of_styles = (
                [Statement(statements.on_products(release, _STYLES, STYLE_CLUSTERS.name), {})]
                if has_styles
                else []
            )
            # First: what is read behind it may be newer, and is read again then.
            revision = [Statement(statements.revision(release), {})] if tells_revision else []
            read = yield Read(
                [
                    *revision,
                    Statement(_INDEXES, {"relation": relation}),
                    Statement(_INDEXED, {"relation": relation}),
                    _completed(Statement(_sample(release), {"rows": SAMPLE}), release, own),
                    Statement(
                        statements.on_products(release, _COUNT if products < SAMPLE else _COUNTED),
                        {"products": products},
                    ),
                    _completed(Statement(statements.on_products(release, _FILLED), {}), release, own),
                    *of_styles,
                    *bare,
                ],
                role,
            )
            of_revision = _served(read.pop(0)) if tells_revision else None
            indexes, columns, rows, ((counted,),), (filled,), *without = read
            styles = _styles(without.pop(0)) if has_styles else {}
            spaces = _spaces(indexes)
            if not spaces:
                (found,) = yield Read([Statement(statements.on_products(release, _SPACES), {})], role)
                spaces = tuple(Space(name, dimension, indexed=False) for name, dimension in found)
        except psycopg.errors.InsufficientPrivilege as error:
            raise ReleaseError(
                f"{release} may not be read: only releases that went live are open to readers"
            ) from error
        facts = Facts(
            release,
            counted,
            spaces,
            _sampled(rows),
            frozenset(name for (name,) in columns),
            reader=reader,
            bare=without[0][0][0] if without else 0,
            empty=frozenset(name for name, there in zip(SPARSE, filled, strict=True) if not there),
            columns=own,
            revision=of_revision,
            styles=styles,
            keeps_counts=keeps_counts,
            at=time.monotonic(),
        )
        self._facts.put(release, facts)
        return facts

    def read(
        self, facts: Facts, asked: Sequence[Statement], settings: Mapping[str, str] | None = None
    ) -> Work[list[list[tuple]]]:
        """Rows of each statement, read from the release of `facts` with a reader's rights."""
        role = {} if facts.reader is None else {"role": facts.reader}
        asked = [_completed(statement, facts.release, facts.columns) for statement in asked]
        return (yield Read(asked, {**(settings or {}), **role}))


def _completed(statement: Statement, release: str, columns: frozenset[str] | None) -> Statement:
    if columns is None:
        return statement
    return statement._replace(text=statements.completed(statement.text, release, columns))


def _looking(facts: Facts, work: Work[Answer], *, live: bool = True) -> Work[Answer]:
    """The work, with a look at what is live, and in which revision, as it reads for the first time, in the same round trip. Raises
    `_OtherIsLive`, or `_Revised` where the facts are of a while ago."""
    looked, answer, error = False, None, None
    looks = [Statement(statements.SERVED, {})] if live else []
    if facts.revision is not None and time.monotonic() - facts.at > FRESH_SECONDS:
        looks.append(Statement(statements.revision(facts.release), {}))
    while True:
        try:
            step = work.throw(error) if error is not None else work.send(answer)
        except StopIteration as end:
            return end.value
        answer = error = None
        try:
            if isinstance(step, Read) and not looked:
                looked = True
                found = yield Read([*looks, *step.statements], step.settings)
                seen, answer = found[: len(looks)], found[len(looks) :]
                if live and (now := _served(seen[0])) != facts.release:
                    work.close()
                    raise _OtherIsLive(now)
                if len(looks) > live and _served(seen[-1]) != facts.revision:
                    work.close()
                    raise _Revised
            else:
                answer = yield step
        except (_OtherIsLive, _Revised):
            raise
        except Exception as raised:
            error = raised


def _served(rows: Sequence[tuple]) -> Any:
    return rows[0][0] if rows else None


def _no_longer_there(release: str) -> ReleaseError:
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
        space: arrays([rows[int(place)][-2] for place in places]) for space, places in positions.items()
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


def arrays(sent: Sequence[bytes]) -> np.ndarray:
    """Vectors of one dimension as `halfvec_send` has them, two numbers that are none before each, as float32 [n, d]."""
    return np.frombuffer(b"".join(sent), ">f2").reshape(len(sent), -1)[:, 2:].astype(np.float32)


def array(vector: HalfVector) -> np.ndarray:
    """A stored vector as float32 [d]."""
    return np.asarray(vector.to_numpy(), np.float32)
