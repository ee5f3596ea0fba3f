"""How a search goes, from the question to a page of hits, without touching a connection.

What belongs here: the generators that yield what is to be read or computed and receive the answer. What does not:
connections (`engine`), what is known of releases (`served`), unknown words (`understanding`), the legs and what a statement is given (`legs`),
what is done where an index is in doubt (`ways`), statements, choosing paths, what people like (`people`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np

from fashion_assets.search import (
    arranging,
    conditions,
    curated,
    near_statement,
    page_statement,
    preferences,
    statements,
    ways,
    words,
)
from fashion_assets.search.asked import NOTHING_NEAR, Answered, Asked, Stored, total_of
from fashion_assets.search.curated import Chosen, Curation
from fashion_assets.search.filters import COLUMNS, FilterError, SearchError
from fashion_assets.search.highlighting import highlighted
from fashion_assets.search.lacking import LackingWords
from fashion_assets.search.legs import legs_of, parameters_of, shape_of, walk_of
from fashion_assets.search.meaning import Encoders
from fashion_assets.search.paging import (
    CUT_SHORT,
    PASSED_OVER,
    TOO_FEW,
    Page,
    hits_of,
    page_of,
    passed_over,
    too_few,
)
from fashion_assets.search.path import Facts
from fashion_assets.search.query import SORTS, Aside, Cursor, Plan, Query, Results
from fashion_assets.search.reading import Statement, array
from fashion_assets.search.served import ServedReleases
from fashion_assets.search.statements import Shape
from fashion_assets.search.tallies import FOUND_MOST, Tally
from fashion_assets.search.tallies import read as tallied
from fashion_assets.search.understanding import Understanding
from fashion_assets.search.values import FilterValues
from fashion_assets.search.ways import Way
from fashion_assets.search.work import Compute, Work
from fashion_assets.settings import Settings
from fashion_assets.warehouse.releases import ReleaseError

if TYPE_CHECKING:
    from fashion_assets.catalog.outfits import OutfitRules

_PRODUCT = "SELECT product_id::text, coalesce(title, ''), embedding_space, embedding FROM {products} "
_PRODUCT_BY_ID = _PRODUCT + "WHERE product_id = %(key)s::uuid"
_PRODUCT_BY_EXTERNAL_ID = _PRODUCT + "WHERE external_id = %(key)s LIMIT 2"


CHANGED_MEANWHILE = (
    "{} was changed since the first page: a hit may come twice, or be missed; ask for the first page again"
)


DECIDED_MEANWHILE = "rules for these words changed since the first page: a hit may come twice, or be missed; ask for the first page again"


class Answering:
    """All searches of one engine, and what they share: facts of releases, vectors of words, corrected words."""

    def __init__(self, settings: Settings, encoders: Encoders, *, curated: bool = True):
        """`curated`: whether searches follow what a merchant decided."""
        self._settings = settings
        self.encoders = encoders
        self.releases = ServedReleases(settings)
        self._values = FilterValues(self.releases)
        self._understanding = Understanding(self.releases, self._values)
        self.curation = Curation(curated)
        self._lacking = LackingWords(self.releases, self._values)

    @cached_property
    def rules(self) -> "OutfitRules":
        """The rules of outfits in use. Raises `OutfitError` for a file that is not as it must be."""
        from fashion_assets.catalog import outfits  # here: few searches ask what goes together

        return outfits.read(self._settings.outfit_rules)

    def values_of(self, facts: Facts, column: str) -> Work[Mapping[str, int]]:
        """The most frequent values of a column, with how many products have each."""
        return (yield from self._values.known(facts, column))

    def lexicon(self, facts: Facts) -> Work[Mapping[str, int]]:
        """Words of titles, with how many products have each."""
        return (yield from self._understanding.lexicon(facts))

    # Searching

    def search(self, query: Query) -> Work[Results]:
        """See `SearchEngine.search`."""
        cursor = Cursor.decode(query)
        release = cursor.release if cursor else query.release
        results = yield from self.releases.on(
            release,
            lambda facts: preferences.lifted(self.releases, facts, query, self._search(query, facts, cursor)),
        )
        return self.releases.told(results)

    def prepare(self, texts: Sequence[str], release: str | None) -> Work[None]:
        """See `SearchEngine.prepare`."""

        def work(facts: Facts) -> Work[None]:
            # As a query has them, for what is kept is looked up by it.
            asked = [Query(words=text).words for text in texts]
            yield from self._understanding.learn(facts, asked)
            understood: list[str] = []
            decided = yield from self.curation.known()
            for text in asked:
                read = yield from self._understanding.understand(facts, text, decided.synonyms)
                understood += read.texts
            for space in facts.spaces:
                if space.name in self.encoders.spaces:
                    yield Compute(partial(self.encoders.learn, space.name, understood))

        return (yield from self.releases.on(release, work))

    def explain(self, query: Query) -> Work[dict]:
        """See `SearchEngine.explain`."""

        def work(facts: Facts) -> Work[dict]:
            asked, *_ = yield from self._asked(query, facts)
            legs = legs_of(facts, asked)
            shape = shape_of(facts, asked, legs)
            explaining = Statement(
                b"EXPLAIN (FORMAT JSON) " + page_statement.search(shape), parameters_of(asked, legs)
            )
            (((plan,),),) = yield from self.releases.read(
                facts, [explaining], statements.settings_of(shape, walk_of(legs))
            )
            return plan[0]["Plan"]

        return (yield from self.releases.on(query.release, work))

    def _search(self, query: Query, facts: Facts, cursor: Cursor | None) -> Work[Results]:
        columns = _facets(query, facts)
        asked, plan, chosen = yield from self._asked(query, facts, cursor)
        decided = chosen.digest(plan.synonyms)
        cursor = cursor or Cursor(facts.release, 0, facts.revision, decided=decided)
        # Pinned products stand among those found; a page of an order of its own has them where that puts them.
        pins = asked.pinned if asked.sort is None else ()
        first = asked.offset - curated.before(pins, asked.offset)
        asked = replace(asked, counted=columns, offset=first)
        together = 0
        if arranging.arranged(query):
            answered, together = yield from arranging.page(self.releases, facts, query, asked, self.answer)
        else:
            answered = yield from self.answer(facts, asked)
        tally = answered.tally
        assert tally is not None
        strange = yield from self._values.strange(facts, query.narrowed)
        if cursor.revision != facts.revision:
            strange = (*strange, CHANGED_MEANWHILE.format(facts.release))
        elif cursor.decided != decided:
            strange = (*strange, DECIDED_MEANWHILE)
        found, taken, page = answered.hits, query.limit, None
        if pins:
            others = tally.found - len(pins) - together
            found, taken = curated.joined(pins, found, others, cursor.offset, first, query.limit)
        elif asked.pins:
            found = curated.marked(found, asked.pinned)
        if len(found) > query.limit and arranging.arranged(query):
            page = cursor.ahead(query)
        elif len(found) > query.limit:
            last = (answered.hits[taken - 1].product_id, answered.keys[taken - 1]) if taken else None
            page = cursor.beyond(query, last)
        hits = tuple(found[: query.limit])
        if query.highlight:
            terms = [term for term in asked.terms if term in asked.ranked]
            hits = yield from highlighted(self.releases, facts, hits, terms)
        return Results(
            hits,
            replace(plan, legs=answered.paths, notes=(*plan.notes, *answered.notes, *strange)),
            {column: tally.facets[column] for column in columns if column in tally.facets},
            None if page is None else (page, query),
            total_of(asked, answered, together),
            tally.ranges,
        )

    def _asked(
        self, query: Query, facts: Facts, cursor: Cursor | None = None
    ) -> Work[tuple[Asked, Plan, Chosen]]:
        _check_vector(query, facts)
        notes: list[str] = []
        query = yield from conditions.read(query, facts, notes)
        like = None
        if query.product is not None:
            like = yield from self.product(facts, query.product)
            if like.vector is None:
                query = _by_its_title(query, like, notes)
        decided = yield from self.curation.known()
        read = yield from self._understanding.understand(facts, query.words, decided.synonyms)
        understood, terms, absent, _ = read
        lacking = yield from self._lacking.of(facts, terms, absent)
        chosen = curated.chosen(decided, query, understood)
        pins = yield from self.curation.pinned(self.releases, facts, chosen.pins, query.narrowed)
        avoided = (yield from self._understanding.understand(facts, query.avoid, widely=False)).terms
        vectors = yield from self._meant(query, read.texts, facts, like, notes)
        if vectors and facts.bare:
            notes.append(
                Aside(f"{facts.bare:,} of {facts.products:,} products have no vector: words alone find them")
            )
        with_text = query.mode != "vector" and bool(terms)
        avoid = " | ".join(words.refusing(term) for term in avoided) or None
        level = None
        if with_text:
            ranked = words.asked_for(terms)
            level = yield from self._understanding.level(facts, ranked, avoid, alone=not vectors)
        weights = query.weights
        offset = cursor.offset if cursor else 0
        plan = Plan(
            facts.release,
            {},
            tuple(vectors),
            facts.selectivity(query.narrowed),
            understood,
            tuple(term.written for term in terms),
            curated.applied(terms) if with_text or vectors else (),
            tuple(notes),
            facts.revision,
            lacking,
        )
        asked = Asked(
            vectors,
            terms if with_text else (),
            query.words,
            avoid,
            query.narrowed,
            excluded=(
                *((like.product_id,) if like else ()),
                *(each.hit.product_id for each in pins),
            ),
            exact=query.exact,
            weights=(*(weights.meaning / max(1, len(vectors)) for _ in vectors), weights.text),
            window=query.window,
            limit=query.limit,
            offset=offset,
            level=level,
            # A vector is a program's question, which says itself how many it wants.
            ends=bool(query.words) or query.picture is not None or query.product is not None,
            counted=(),
            sort=SORTS[query.sort],
            after=cursor.after if cursor else None,
            whole=level is not None and offset + query.limit > query.window,
            hidden=chosen.hidden,
            pins=pins,
            boosts=chosen.boosts,
        )
        return asked, plan, chosen

    def _meant(
        self, query: Query, texts: Sequence[str], facts: Facts, like: Stored | None, notes: list[str]
    ) -> Work[dict[str, np.ndarray]]:
        """The unit vectors of a question by space; none where it is asked by words alone. Notes the spaces in which it has none.

        Raises `SearchError` for a vector search that asks for nothing, `ReleaseError` for a release of another model.
        """
        if query.mode == "text" or not query.has_meaning:
            if query.mode == "vector":
                raise SearchError("a vector search needs words, a picture, a product or a vector")
            return {}
        if self.encoders.has(query, texts):
            # To hand it to another thread would take longer.
            vectors = self._vectors(query, texts, facts, like)
        else:
            vectors = yield Compute(lambda: self._vectors(query, texts, facts, like))
        silent = [space.name for space in facts.spaces if space.name not in vectors]
        if silent and (vectors or (query.words and query.mode == "hybrid")):
            notes.append(Aside(f"not searched, as nothing asked for is in the space: {', '.join(silent)}"))
        elif silent:
            raise ReleaseError(
                f"{facts.release} was made with the model {', '.join(silent)}, and the model in use is "
                f"{', '.join(self.encoders.spaces)}: set FASHION_ASSETS_MODEL to the former, or run again to "
                "embed the catalogue with the latter"
            )
        return vectors

    def _vectors(
        self, query: Query, texts: Sequence[str], facts: Facts, like: Stored | None
    ) -> dict[str, np.ndarray]:
        made = {}
        for space in facts.spaces:
            stored = like.vector if like and like.space == space.name else None
            vector = self.encoders.vector(query, texts, space.name, stored)
            if vector is not None:
                made[space.name] = vector
        return made

    def answer(self, facts: Facts, asked: Asked) -> Work[Answered]:
        """One page of hits. Where the filters leave nothing near, the nearest of what they leave are found."""
        if asked.hidden is None:
            hidden = yield from self.curation.hidden()
            asked = replace(asked, hidden=hidden)
        answered = yield from self._answer(facts, asked)
        if asked.apart and answered.tally is not None:
            if answered.tally.looked >= FOUND_MOST:
                # More than are looked at have the words: those that the filters leave come first.
                asked = replace(asked, together=False)
                answered = yield from self._answer(facts, asked)
            assert answered.tally is not None
            tally = yield from self._counted_apart(facts, asked, answered.tally)
            answered = replace(answered, tally=tally)
        tally, shown = answered.tally, len(answered.hits)
        # What is pinned is there whether anything is found or not.
        found = tally.found - len(asked.pinned) if tally is not None else shown
        if not found and asked.ends and asked.filters and asked.vectors and asked.limit:
            return (yield from self._nearest_left(facts, asked, tally))
        ranked_alone = asked.level is not None and not asked.whole and asked.sort is None
        if ranked_alone and shown <= asked.limit and asked.offset + shown < found and asked.limit:
            whole = yield from self._answer(facts, replace(asked, whole=True))
            answered = replace(whole, tally=tally)
        return answered

    def _counted_apart(self, facts: Facts, asked: Asked, tally: Tally) -> Work[Tally]:
        """A tally with the values of the columns by which the question is narrowed: of each what is found without the filters on it."""
        for column in asked.apart:
            others = tuple(asked.filters[place] for place in asked.beside(column))
            aside = replace(
                asked, filters=others, counted=(column,), limit=0, offset=0, after=None, whole=False
            )
            found = tally.beside.get(column)
            if found is None:
                tallied = yield from self._answer(facts, aside)
                assert tallied.tally is not None
                tally, found = tally.joined(tallied.tally), tallied.tally.found
            if found == len(aside.pinned) and aside.ends and others and aside.vectors:
                # As that search would by itself (`_nearest_left`).
                tallied = yield from self._answer(facts, replace(aside, ends=False, level=None))
                assert tallied.tally is not None
                tally = tally.joined(tallied.tally)
        return tally

    def _nearest_left(self, facts: Facts, asked: Asked, tally: Tally | None) -> Work[Answered]:
        """The nearest of what the filters leave, of which nothing is near. No words match it either, or it would have been found."""
        answered = yield from self._answer(facts, replace(asked, ends=False, level=None, whole=False))
        if answered.hits:
            answered = replace(answered, notes=(*answered.notes, NOTHING_NEAR))
        if answered.tally is not None and tally is not None:
            # What other values would find, they find within the cut-off.
            answered = replace(answered, tally=answered.tally.joined(tally.of(asked.apart)))
        return answered

    def _answer(self, facts: Facts, asked: Asked) -> Work[Answered]:
        """One page of hits, each way gone in turn until the answer is sure (`ways`)."""
        way = ways.begun(facts, asked)
        page = yield from self._page(facts, asked, way)
        doubt = yield from self._doubted(facts, asked, way, page)
        notes = [way.note] if way.note is not None else []
        for other in ways.IN_DOUBT:
            if doubt is None:
                break
            next_way = other(facts, asked, way, doubt)
            if next_way is None:
                continue
            way = next_way
            page = yield from self._page(facts, asked, way)
            doubt = yield from self._doubted(facts, asked, way, page)
            notes += [way.note] if way.note is not None else []
            if way.detour is not None:
                facts.took(asked.near_what, way.detour)
        paths: dict[str, str] = {leg.shape.space: leg.shape.path for leg in way.legs}
        if page.shape.terms:
            paths["text"] = "terms"
        hits, keys = hits_of(page.rows, page.shape, asked.weights, asked.offset, asked.boosts)
        return Answered(
            hits,
            paths or {"listing": "exact"},
            tuple(notes),
            keys,
            page.tally,
            {leg.shape.space: leg.cut for leg in way.legs if leg.cut is not None},
            page.is_full,
        )

    def _doubted(self, facts: Facts, asked: Asked, way: Way, page: Page) -> Work[str | None]:
        """Why an answer is in doubt: there may be more within the cut-off than was looked at, or index legs found too few, or passed over one of the
        probes. Where a release follows its sources a probe may have changed since the sample was drawn, so it is looked up, which takes a tenth of
        searching again."""
        if way.first and page.is_cut_short:
            return CUT_SHORT
        if too_few(page):
            return TOO_FEW
        for place, products, nearer_than in passed_over(page):
            parameters = {
                **parameters_of(asked, way.legs),
                "passed_over": list(products),
                "nearer_than": nearer_than,
            }
            looking = Statement(near_statement.still_nearer(page.shape, place), parameters)
            (nearer,) = yield from self.releases.read(facts, [looking])
            if nearer:
                return PASSED_OVER
        return None

    def _page(self, facts: Facts, asked: Asked, way: Way) -> Work[Page]:
        legs = way.legs
        known = None if asked.matching_what is None else facts.matching.peek(asked.matching_what)
        shape = shape_of(facts, asked, legs, matches_known=known is not None)
        statement = Statement(page_statement.search(shape), {**parameters_of(asked, legs), "matching": known})
        settings = statements.settings_of(shape, way.walk)
        (rows,) = yield from self.releases.read(
            facts, [statement], settings, lambda: [leg.probes for leg in legs]
        )
        tally = _tally(rows[0][-1], shape)
        if tally is not None and tally.matching is not None and known is None:
            facts.matching.put(asked.matching_what, tally.matching)
        page = page_of(rows, shape, legs, tally)
        if any(leg.falls_short(proof) for leg, proof in page.proofs):
            return (yield from self._page(facts, asked, way._replace(legs=[leg.unbounded for leg in legs])))
        return page

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


def _facets(query: Query, facts: Facts) -> tuple[str, ...]:
    """The columns to count. Raises `FilterError` for one that is not there."""
    unknown = [column for column in query.facets if column not in COLUMNS]
    if unknown:
        raise FilterError(f"there is no facet {unknown[0]!r}; known columns: {', '.join(COLUMNS)}")
    return tuple(column for column in query.facets if column not in facts.empty)


def _tally(text: str | None, shape: Shape) -> Tally | None:
    """What the first row of a page says is found."""
    if shape.counted is None:
        return None
    columns = (*shape.counted, *(column for column, _ in shape.aside))
    return tallied(text, columns, len(shape.aside))


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
