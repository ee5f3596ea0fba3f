"""How a search goes, from the question to a page of hits, without touching a connection.

What belongs here: the generators that yield what is to be read or computed and receive the answer. What does not:
connections (`engine`), what is known of releases (`served`), unknown words (`understanding`), statements, choosing paths,
what people like (`people`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import numpy as np
from pgvector import HalfVector

from fashion_assets.search import statements, words
from fashion_assets.search.filters import COLUMNS, Filter, FilterError, SearchError
from fashion_assets.search.meaning import Encoders
from fashion_assets.search.path import EXACT_AT_MOST, EXACT_AT_ONCE, TIE, Facts, choose, probes
from fashion_assets.search.query import WINDOW, Cursor, Found, Hit, Plan, Query, Results
from fashion_assets.search.reading import Statement
from fashion_assets.search.served import ServedReleases, array
from fashion_assets.search.statements import (
    MAX_EF_SEARCH,
    Path,
    Shape,
    VectorLeg,
)
from fashion_assets.search.understanding import Understanding
from fashion_assets.search.values import FilterValues
from fashion_assets.search.words import Term
from fashion_assets.search.work import Compute, Work
from fashion_assets.settings import Settings
from fashion_assets.warehouse.releases import ReleaseError

if TYPE_CHECKING:
    from fashion_assets.catalog.outfits import OutfitRules

FACET_ROWS = 200_000
"""Products a facet is counted over at the most; beyond, its counts are those of so many."""

FACET_VALUES = 50

TOO_FEW = "found too few"
PASSED_OVER = "passed over nearer products"

_PRODUCT = "SELECT product_id::text, coalesce(title, ''), embedding_space, embedding FROM {products} "
_PRODUCT_BY_ID = _PRODUCT + "WHERE product_id = %(key)s::uuid"
_PRODUCT_BY_EXTERNAL_ID = _PRODUCT + "WHERE external_id = %(key)s LIMIT 2"


CHANGED_MEANWHILE = (
    "{} was changed since the first page: a hit may come twice, or be missed; ask for the first page again"
)


class Stored(NamedTuple):
    """A product of a release."""

    product_id: str
    title: str
    space: str | None
    vector: np.ndarray | None
    """Unit vector [d]; None where it has none."""


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


class Answering:
    """All searches of one engine, and what they share: facts of releases, vectors of words, corrected words."""

    def __init__(self, settings: Settings, encoders: Encoders):
        self._settings = settings
        self.encoders = encoders
        self.releases = ServedReleases(settings)
        self._understanding = Understanding(self.releases)
        self._values = FilterValues(self.releases)

    @cached_property
    def rules(self) -> "OutfitRules":
        """The rules of outfits in use. Raises `OutfitError` for a file that is not as it must be."""
        from fashion_assets.catalog import outfits  # here: few searches ask what goes together

        return outfits.read(self._settings.outfit_rules)

    # Searching

    def search(self, query: Query) -> Work[Results]:
        """See `SearchEngine.search`."""
        cursor = Cursor.decode(query)
        release = cursor.release if cursor else query.release
        results = yield from self.releases.on(release, lambda facts: self._search(query, facts, cursor))
        return self.releases.told(results)

    def prepare(self, texts: Sequence[str], release: str | None) -> Work[None]:
        """See `SearchEngine.prepare`."""

        def work(facts: Facts) -> Work[None]:
            # As a query has them, for what is kept is looked up by it.
            asked = [Query(words=text).words for text in texts]
            yield from self._understanding.learn(facts, asked)
            understood = []
            for text in asked:
                reading, _ = yield from self._understanding.understand(facts, text)
                understood.append(reading)
            for space in facts.spaces:
                if space.name in self.encoders.spaces:
                    yield Compute(partial(self.encoders.learn, space.name, understood))

        return (yield from self.releases.on(release, work))

    def explain(self, query: Query) -> Work[dict]:
        """See `SearchEngine.explain`."""

        def work(facts: Facts) -> Work[dict]:
            asked, _ = yield from self._asked(query, facts)
            legs = self._legs(facts, asked)
            shape = self._shape(facts, asked, legs)
            explaining = Statement(
                b"EXPLAIN (FORMAT JSON) " + statements.search(shape), self._parameters(asked, shape, legs)
            )
            (((plan,),),) = yield from self.releases.read(
                facts, [explaining], statements.settings_of(shape, max(facts.ef_search, asked.window))
            )
            return plan[0]["Plan"]

        return (yield from self.releases.on(query.release, work))

    def _search(self, query: Query, facts: Facts, cursor: Cursor | None) -> Work[Results]:
        offset, revision = (cursor.offset, cursor.revision) if cursor else (0, facts.revision)
        asked, plan = yield from self._asked(query, facts, offset)
        answered = yield from self.answer(facts, asked)
        more = len(answered.hits) > query.limit
        facets = yield from self._facets(query, facts)
        strange = yield from self._values.strange(facts, query.narrowed)
        if revision != facts.revision:
            strange = (*strange, CHANGED_MEANWHILE.format(facts.release))
        return Results(
            answered.hits[: query.limit],
            replace(plan, legs=answered.paths, notes=(*plan.notes, *answered.notes, *strange)),
            facets,
            Cursor(facts.release, offset + query.limit, revision).encode(query) if more else None,
        )

    def _asked(self, query: Query, facts: Facts, offset: int = 0) -> Work[tuple[Asked, Plan]]:
        _check_vector(query, facts)
        notes: list[str] = []
        like = None
        if query.product is not None:
            like = yield from self.product(facts, query.product)
            if like.vector is None:
                query = _by_its_title(query, like, notes)
        understood, terms = yield from self._understanding.understand(facts, query.words)
        _, avoided = yield from self._understanding.understand(facts, query.avoid)
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
        if vectors and facts.bare:
            notes.append(
                f"{facts.bare:,} of {facts.products:,} products have no vector: words alone find them"
            )
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
            facts.revision,
        )
        asked = Asked(
            vectors,
            terms if with_text else (),
            " | ".join(term.tsquery for term in avoided) or None,
            query.narrowed,
            excluded=(like.product_id,) if like else (),
            exact=query.exact,
            weights=(*(weights.meaning / max(1, len(vectors)) for _ in vectors), weights.text),
            window=query.window,
            limit=query.limit,
            offset=offset,
        )
        return asked, plan

    def _vectors(
        self, query: Query, understood: str, facts: Facts, like: Stored | None
    ) -> dict[str, np.ndarray]:
        made = {}
        for space in facts.spaces:
            stored = like.vector if like and like.space == space.name else None
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
        (rows,) = yield from self.releases.read(facts, [statement], settings)
        return shape, rows

    def _shape(self, facts: Facts, asked: Asked, legs: Sequence["_Leg"]) -> Shape:
        return Shape(
            facts.release,
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

    def product(self, facts: Facts, key: str) -> Work[Stored]:
        """A stored product, by its id or its external id. Raises `SearchError`."""
        by_id = is_uuid(key)
        text = _PRODUCT_BY_ID if by_id else _PRODUCT_BY_EXTERNAL_ID
        if "\0" in key:
            raise SearchError("there is no product whose id holds a NUL character")
        (rows,) = yield from self.releases.read(
            facts, [Statement(statements.on_products(facts.release, text), {"key": key})]
        )
        if not rows:
            raise SearchError(f"there is no product {key[:80]!r} in {facts.release}")
        if len(rows) > 1:
            raise SearchError(f"several sources have a product {key[:80]!r}: give its product id")
        product_id, title, space, vector = rows[0]
        return Stored(product_id, title, space, None if vector is None else array(vector))

    # Facets

    def _facets(self, query: Query, facts: Facts) -> Work[dict[str, list[tuple[Any, int]]]]:
        unknown = [column for column in query.facets if column not in COLUMNS]
        if unknown:
            raise FilterError(f"there is no facet {unknown[0]!r}; known columns: {', '.join(COLUMNS)}")
        if not query.facets:
            return {}
        asked = []
        counted = [column for column in query.facets if column not in facts.empty]
        for column in counted:
            others = [each for each in query.narrowed if each.name != column]
            text = statements.facet(facts.release, column, tuple(each.shape for each in others))
            values = {"rows": FACET_ROWS, "values": FACET_VALUES, **statements.filter_parameters(others)}
            asked.append(Statement(text, values))
        rows = yield from self.releases.read(facts, asked, {"plan_cache_mode": "force_custom_plan"})
        return dict(zip(counted, rows, strict=True))


def _by_its_title(query: Query, like: Stored, notes: list[str]) -> Query:
    """The question without the product, which has no vector: if nothing else is asked for, with what its title says."""
    if query.words or query.picture is not None or query.vector is not None:
        notes.append(f"{like.product_id} has no vector: only the rest of the question is asked")
        return replace(query, product=None)
    if not like.title:
        raise SearchError(f"{like.product_id} has neither a vector nor a title: nothing can be like it")
    notes.append(f"{like.product_id} has no vector: what is found has the words of its title")
    return replace(query, product=None, words=like.title)


def is_uuid(text: str) -> bool:
    """Whether a key is a product's id, and not its id in the source."""
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
        hits.append(Hit.of(product, score, found))
    return tuple(hits)
