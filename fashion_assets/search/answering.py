"""How a search goes, from the question to a page of hits, without touching a connection.

What belongs here: the generators that yield what is to be read or computed and receive the answer, and what is kept
between searches. What does not: connections (`engine`), statements, choosing paths, what people like (`people`).
"""

import json
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
import psycopg
from pgvector import HalfVector

from fashion_assets.search import statements, words
from fashion_assets.search.filters import COLUMNS, Filter, FilterError, SearchError
from fashion_assets.search.meaning import Cache, Encoders
from fashion_assets.search.path import (
    EXACT_AT_MOST,
    EXACT_AT_ONCE,
    SAMPLE,
    TIE,
    Facts,
    Sample,
    Space,
    choose,
    probes,
)
from fashion_assets.search.query import WINDOW, Cursor, Found, Hit, Plan, Query, Results
from fashion_assets.search.reading import Statement
from fashion_assets.search.statements import (
    MAX_EF_SEARCH,
    Path,
    Shape,
    VectorLeg,
)
from fashion_assets.search.words import Term
from fashion_assets.settings import Settings
from fashion_assets.warehouse.releases import SERVING_SCHEMA, ReleaseError

FACET_ROWS = 200_000
"""Products a facet is counted over at the most; beyond, its counts are those of so many."""

FACET_VALUES = 50

LEXICON_PRODUCTS = 20_000
"""Products whose titles give the words misspelt ones are corrected to."""

LEXICON_WORDS = 20_000

TOO_FEW = "found too few"
PASSED_OVER = "passed over nearer products"

SWAPS = 3
"""Times a search starts over because a release went live while it ran."""

_RELEASE = re.compile(rf"{SERVING_SCHEMA}_r\d+")


@dataclass(frozen=True)
class Read:
    """Statements to run in one read-only transaction, under these settings; answered by the rows of each."""

    statements: Sequence[Statement]
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Compute:
    """Something to compute; answered by what it gives."""

    make: Callable[[], Any]


Answer = TypeVar("Answer")
Work = Generator[Read | Compute, Any, Answer]


@dataclass(frozen=True)
class Asked:
    """A question as the statements want it: unit vectors by space, terms, and what may be found."""

    vectors: Mapping[str, np.ndarray] = field(default_factory=dict)
    terms: tuple[Term, ...] = ()
    avoid: str | None = None
    filters: tuple[Filter, ...] = ()
    excluded: tuple[str, ...] = ()
    exact: bool = False
    weights: tuple[float, ...] = (1.0,)
    """Of each vector leg and of the text leg, in that order."""
    window: int = WINDOW
    limit: int = 10
    offset: int = 0

    @cached_property
    def ranked(self) -> list[Term]:
        """The terms the text leg asks for, the most important first."""
        return words.asked_for(self.terms)

    @cached_property
    def tiers(self) -> list[str]:
        """Their full-text queries, best first."""
        return words.tiers(self.ranked)


@dataclass(frozen=True)
class Answered:
    """Hits, one more than asked for where there are more, and the path of each leg."""

    hits: tuple[Hit, ...]
    paths: Mapping[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Leg:
    """A vector leg with its unit vector [d], and the products of the sample its answer is held against."""

    shape: VectorLeg
    vector: np.ndarray
    probes: Mapping[str, float]
    """Distance by id."""


class _ReleaseChanged(Exception):
    """Another release answered than the one the question was prepared for."""


class Answering:
    """All searches of one engine, and what they share: facts of releases, vectors of words, corrected words."""

    def __init__(self, settings: Settings, encoders: Encoders):
        self.settings = settings
        self.encoders = encoders
        self._facts: Cache[Facts] = Cache(8)
        self._words: Cache[str] = Cache(65_536)
        self._lexicons: Cache[Mapping[str, int]] = Cache(2)
        self._reader: str | None = None
        self._reader_known = False

    # Releases

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
            (((allowed,),),) = yield Read([Statement(_MAY_READ, {"role": self.settings.reader_role})], {})
            self._reader = self.settings.reader_role if allowed else None
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

    # Searching

    def search(self, query: Query) -> Work[Results]:
        """See `SearchEngine.search`."""
        cursor = Cursor.decode(query)
        offset = cursor.offset if cursor else 0
        release = cursor.release if cursor else query.release
        return (yield from self.retried(release, lambda facts: self._search(query, facts, offset)))

    def explain(self, query: Query) -> Work[dict]:
        """See `SearchEngine.explain`."""

        def work(facts: Facts) -> Work[dict]:
            asked, _ = yield from self._asked(query, facts)
            legs = self._legs(facts, asked)
            shape = self._shape(facts, asked, legs)
            explaining = Statement(
                b"EXPLAIN (FORMAT JSON) " + statements.search(shape), self._parameters(asked, shape, legs)
            )
            (((plan,),),) = yield from self.read(
                facts, [explaining], statements.settings_of(shape, max(facts.ef_search, asked.window))
            )
            return plan[0]["Plan"]

        return (yield from self.retried(query.release, work))

    def _search(self, query: Query, facts: Facts, offset: int) -> Work[Results]:
        asked, plan = yield from self._asked(query, facts, offset)
        answered = yield from self.answer(facts, asked)
        more = len(answered.hits) > query.limit
        facets = yield from self._facets(query, facts)
        return Results(
            answered.hits[: query.limit],
            replace(plan, legs=answered.paths, notes=plan.notes + answered.notes),
            facets,
            Cursor(facts.release, offset + query.limit).encode(query) if more else None,
        )

    def _asked(self, query: Query, facts: Facts, offset: int = 0) -> Work[tuple[Asked, Plan]]:
        _check_vector(query, facts)
        notes: list[str] = []
        understood, terms = yield from self._understand(facts, query.words)
        _, avoided = yield from self._understand(facts, query.avoid)
        like = None
        if query.product is not None:
            like = yield from self.product(facts, query.product)
        vectors: dict[str, np.ndarray] = {}
        if query.mode != "text" and query.has_meaning:
            vectors = yield Compute(lambda: self._vectors(query, understood, facts, like))
            silent = [space.name for space in facts.spaces if space.name not in vectors]
            if silent and (vectors or (query.words and query.mode == "hybrid")):
                notes.append(f"not searched, as nothing asked for is in the space: {', '.join(silent)}")
            elif silent:
                raise ReleaseError(
                    f"{facts.release} was made with the model {', '.join(silent)}, and the model in use is "
                    f"{', '.join(self.encoders.spaces)}: set FASHION_ASSETS_MODEL to the former, or run again to "
                    "embed the catalogue with the latter"
                )
        elif query.mode == "vector":
            raise SearchError("a vector search needs words, a picture, a product or a vector")
        with_text = query.mode != "vector" and bool(terms)
        weights = query.weights
        plan = Plan(
            facts.release,
            {},
            tuple(vectors),
            facts.selectivity(query.narrowed),
            understood,
            tuple(" | ".join(term.phrases) for term in terms),
            tuple(notes),
        )
        asked = Asked(
            vectors,
            terms if with_text else (),
            " | ".join(term.tsquery for term in avoided) or None,
            query.narrowed,
            excluded=(like[0],) if like else (),
            exact=query.exact,
            weights=(*(weights.meaning / max(1, len(vectors)) for _ in vectors), weights.text),
            window=query.window,
            limit=query.limit,
            offset=offset,
        )
        return asked, plan

    def _vectors(
        self, query: Query, understood: str, facts: Facts, like: tuple[str, str, np.ndarray] | None
    ) -> dict[str, np.ndarray]:
        made = {}
        for space in facts.spaces:
            stored = like[2] if like and like[1] == space.name else None
            vector = self.encoders.vector(query, understood, space.name, stored)
            if vector is not None:
                made[space.name] = vector
        return made

    def answer(self, facts: Facts, asked: Asked) -> Work[Answered]:
        """One page of hits. Where an index left out what the sample proves to be nearer, it searches wider, and where
        that does not help or too few were found, all that the filters leave is compared: at once if it is little, and
        if it is very much only where too few were found."""
        legs = self._legs(facts, asked)
        filtered = any(leg.shape.path == "iterative" for leg in legs)
        ef_search = max(_candidates(facts, asked) if filtered else facts.ef_search, asked.window)
        shape, rows = yield from self._page(facts, asked, legs, ef_search)
        notes: list[str] = []
        doubt = _doubt(rows, legs, asked.window)
        left = facts.left(asked.filters) if doubt else 0
        if doubt == PASSED_OVER and left > EXACT_AT_ONCE and ef_search < MAX_EF_SEARCH:
            notes.append("the index passed over nearer products, so it searched wider")
            shape, rows = yield from self._page(facts, asked, legs, MAX_EF_SEARCH)
            doubt = _doubt(rows, legs, asked.window)
        if doubt == TOO_FEW or (doubt == PASSED_OVER and left <= EXACT_AT_MOST):
            notes.append(f"the index {doubt}, so all was compared")
            asked = replace(asked, exact=True)
            legs = self._legs(facts, asked)
            shape, rows = yield from self._page(facts, asked, legs, ef_search)
        paths: dict[str, str] = {leg.shape.space: leg.shape.path for leg in legs}
        if shape.tiers:
            paths["text"] = "terms"
        return Answered(
            _hits(rows, shape, asked.weights),
            paths or {"listing": "exact"},
            tuple(notes),
        )

    def _legs(self, facts: Facts, asked: Asked) -> list["_Leg"]:
        legs = []
        for name, vector in asked.vectors.items():
            space = facts.space(name)
            assert space is not None
            path: Path = "exact"
            nearest: Mapping[str, float] = {}
            if not asked.exact and name in facts.sample.vectors:
                nearness = facts.nearness(space, vector)
                path = choose(facts, space, nearness, asked.filters, asked.window, _candidates(facts, asked))
                if path != "exact":
                    nearest = probes(facts, space, nearness, asked.filters, asked.excluded)
            legs.append(_Leg(VectorLeg(name, space.dimension, path), vector, nearest))
        return legs

    def _page(
        self, facts: Facts, asked: Asked, legs: Sequence["_Leg"], ef_search: int
    ) -> Work[tuple[Shape, list[tuple]]]:
        shape = self._shape(facts, asked, legs)
        statement = Statement(statements.search(shape), self._parameters(asked, shape, legs))
        settings = statements.settings_of(shape, ef_search)
        (rows,) = yield from self.read(facts, [statement], settings)
        return shape, rows

    def _shape(self, facts: Facts, asked: Asked, legs: Sequence["_Leg"]) -> Shape:
        return Shape(
            facts.schema,
            tuple(leg.shape for leg in legs),
            len(asked.tiers),
            tuple(term.column for term in asked.ranked),
            bool(asked.ranked) and asked.avoid is not None,
            tuple(each.shape for each in asked.filters),
            bool(asked.excluded),
        )

    def _parameters(self, asked: Asked, shape: Shape, legs: Sequence["_Leg"]) -> dict[str, Any]:
        terms = asked.ranked
        total = sum(term.importance for term in terms)
        parameters: dict[str, Any] = {
            "window": asked.window,
            "limit": asked.limit + 1,
            "offset": asked.offset,
            "any_term": " | ".join(term.tsquery for term in terms),
            "avoid": asked.avoid,
            "excluded": list(asked.excluded),
            **statements.filter_parameters(asked.filters),
        }
        for place, leg in enumerate(legs):
            parameters[f"vector_{place}"] = HalfVector(leg.vector)
            # An array as Postgres writes it, which is read in C; a list would be written in Python.
            parameters[f"probes_{place}"] = f"{{{','.join(leg.probes)}}}"
        for place, weight in enumerate(asked.weights):
            parameters[f"weight_{place}"] = weight
        for place, tier in enumerate(asked.tiers):
            parameters[f"tier_{place}"] = tier
        for place, term in enumerate(terms):
            parameters[f"term_{place}"] = term.tsquery
            parameters[f"value_{place}"] = term.value
            parameters[f"importance_{place}"] = term.importance / total
        return parameters

    def product(self, facts: Facts, key: str) -> Work[tuple[str, str, np.ndarray]]:
        """Id, space and unit vector [d] of a stored product, by its id or its external id. Raises `SearchError`."""
        by_id = _is_uuid(key)
        text = _PRODUCT_BY_ID if by_id else _PRODUCT_BY_EXTERNAL_ID
        if "\0" in key:
            raise SearchError("there is no product whose id holds a NUL character")
        (rows,) = yield from self.read(
            facts, [Statement(statements.on_products(facts.schema, text), {"key": key})]
        )
        if not rows:
            raise SearchError(f"there is no product {key[:80]!r} in {facts.release}")
        if len(rows) > 1:
            raise SearchError(f"several sources have a product {key[:80]!r}: give its product id")
        product_id, space, vector = rows[0]
        return product_id, space, array(vector)

    # Words

    def _understand(self, facts: Facts, text: str) -> Work[tuple[str, tuple[Term, ...]]]:
        """A text with its misspellings corrected, and its terms without words that say nothing."""
        terms = words.read(text)
        asked = words.strangers(terms)
        if not asked:
            return text, tuple(terms)
        known = {word: self._words.peek((facts.release, word)) for word in asked}
        new = [word for word, reading in known.items() if reading is None]
        if new:
            known |= yield from self._learn(facts, new)
        silent = {word for word, reading in known.items() if reading == ""}
        corrected = {word: reading for word, reading in known.items() if reading and reading != word}
        for word, reading in corrected.items():
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", reading, text, flags=re.IGNORECASE)
        if corrected:
            terms = words.read(text)
        return text, tuple(term for term in terms if term.phrases[0] not in silent)

    def _learn(self, facts: Facts, new: Sequence[str]) -> Work[dict[str, str | None]]:
        """How unknown words are to be read: as they are, corrected, or, where they say nothing, not at all."""
        text = statements.on_products(facts.schema, _WORDS)
        (rows,) = yield from self.read(
            facts, [Statement(text, {"words": list(new), "rare": words.RARE})], {"enable_seqscan": "off"}
        )
        readings: dict[str, str | None] = {}
        for word, says_something, products in rows:
            reading = word if says_something else ""
            if says_something and products < words.RARE:
                lexicon = yield from self._lexicon(facts)
                nearest = yield Compute(lambda word=word, lexicon=lexicon: words.nearest_word(word, lexicon))
                reading = nearest or word
            readings[word] = reading
            self._words.put((facts.release, word), reading)
        return readings

    def _lexicon(self, facts: Facts) -> Work[Mapping[str, int]]:
        known = self._lexicons.peek(facts.release)
        if known is None:
            parameters = {
                "titles": statements.on_products(facts.schema, _TITLES).decode(),
                "words": LEXICON_WORDS,
                "rare": words.RARE,
            }
            (rows,) = yield from self.read(facts, [Statement(_LEXICON, parameters)])
            known = dict(rows)
            self._lexicons.put(facts.release, known)
        return known

    # Facets

    def _facets(self, query: Query, facts: Facts) -> Work[dict[str, list[tuple[Any, int]]]]:
        unknown = [column for column in query.facets if column not in COLUMNS]
        if unknown:
            raise FilterError(f"there is no facet {unknown[0]!r}; known columns: {', '.join(COLUMNS)}")
        if not query.facets:
            return {}
        asked = []
        for column in query.facets:
            others = [each for each in query.narrowed if each.name != column]
            text = statements.facet(facts.schema, column, tuple(each.shape for each in others))
            values = {"rows": FACET_ROWS, "values": FACET_VALUES, **statements.filter_parameters(others)}
            asked.append(Statement(text, values))
        rows = yield from self.read(facts, asked, {"plan_cache_mode": "force_custom_plan"})
        return dict(zip(query.facets, rows, strict=True))


# Statements of facts

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
_PRODUCT_BY_ID = (
    "SELECT product_id::text, embedding_space, embedding FROM {products} WHERE product_id = %(key)s::uuid"
)
_PRODUCT_BY_EXTERNAL_ID = (
    "SELECT product_id::text, embedding_space, embedding FROM {products} WHERE external_id = %(key)s LIMIT 2"
)

_WORDS = """
SELECT word, numnode(plainto_tsquery('english', word)) > 0,
    (SELECT count(*) FROM (SELECT FROM {products} p WHERE p.search_vector @@ plainto_tsquery('english', word)
                           LIMIT %(rare)s) AS found)
FROM unnest(%(words)s::text[]) AS word
"""

_TITLES = (
    f"SELECT to_tsvector('simple', title) FROM {{products}} ORDER BY product_id LIMIT {LEXICON_PRODUCTS}"
)
_LEXICON = b"""
SELECT word, ndoc FROM ts_stat(%(titles)s) WHERE ndoc >= %(rare)s AND length(word) > 3 AND word ~ '^[[:alpha:]]+$'
ORDER BY ndoc DESC, word LIMIT %(words)s
"""

_PREDICATE = re.compile(r"(\w+) = '((?:[^']|'')*)'::text")


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


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _check_vector(query: Query, facts: Facts) -> None:
    """Raise `SearchError` for a vector that no space of the release can take."""
    if query.space is not None and facts.space(query.space) is None:
        raise SearchError(
            f"{facts.release} has no space {query.space!r}; it has {', '.join(s.name for s in facts.spaces)}"
        )
    if query.vector is None:
        return
    # Asked even of a release in one space: equal dimension is not equal space.
    if query.space is None:
        raise SearchError(
            f"say which space the vector is of: {', '.join(space.name for space in facts.spaces)}"
        )
    for space in facts.spaces:
        if query.space == space.name and len(query.vector) != space.dimension:
            raise SearchError(
                f"the vector has {len(query.vector)} dimensions, and {space.name} has {space.dimension}"
            )


def _candidates(facts: Facts, asked: Asked) -> int:
    """What an index keeps while it looks for products that meet the filters. Beside a text leg no more than without them:
    searching wider took hybrid queries twice as long, and their page is not the vectors' alone."""
    return facts.ef_search if asked.ranked else facts.candidates(asked.filters)


def _doubt(rows: Sequence[tuple], legs: Sequence[_Leg], window: int) -> str | None:
    """Why the answer of index legs may be unsound: they found too few, or passed over one of the probes."""
    doubt = None
    for place, leg in enumerate(legs):
        if leg.shape.path == "exact":
            continue
        found, farthest, met = json.loads(rows[0][-1][place]) if rows else (0, 0.0, None)
        if found < window:
            return TOO_FEW
        expected = {product for product, gap in leg.probes.items() if gap < farthest - TIE}
        if not expected.issubset(met or ()):
            doubt = PASSED_OVER
    return doubt


def _hits(rows: Sequence[tuple], shape: Shape, weights: Sequence[float]) -> tuple[Hit, ...]:
    names, vectors, constant = shape.legs, len(shape.vectors), statements.RANK_CONSTANT
    hits = []
    for *product, legs, ranks, values, _ in rows:
        found = tuple(
            [
                Found(
                    names[leg],
                    rank,
                    weights[leg] / (constant + rank),
                    value if leg < vectors else None,
                    value if leg == vectors and shape.tiers else None,
                )
                for leg, rank, value in zip(legs, ranks, values, strict=True)
            ]
        )
        if len(names) > 1:
            score = sum(each.score for each in found)
        elif vectors:
            score = 1 - values[0]
        else:
            score = values[0] if shape.tiers else 0.0
        hits.append(Hit(*product, score=score, explanation=found))
    return tuple(hits)
