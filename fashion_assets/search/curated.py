"""What a merchant's decisions do to a search: which of them are for a question, and where pinned products stand among what is found.

What belongs here: reading decisions now and then, compiling them, choosing those that hold for one question at one moment, putting pins in
their places. What does not: whether decisions make sense (`merchandising`), the statements that leave out, count and lift (`page_statement`).

A process looks at most `FRESH_SECONDS` apart whether anything was decided since; that is one row. So a decision shows in every process
so long after it was made.
"""

import time
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from uuid import UUID
from zlib import crc32

from psycopg import sql

from fashion_assets.search import words
from fashion_assets.search.asked import Boost, Hidden, Pinned
from fashion_assets.search.filters import Between, Filter, FilterError, Holds, parse_filters
from fashion_assets.search.kept import CACHED_BYTES, Cache
from fashion_assets.search.merchandising import holds, normalized
from fashion_assets.search.path import Facts
from fashion_assets.search.query import HIT_COLUMNS, Decision, Hit, Query
from fashion_assets.search.reading import Statement
from fashion_assets.search.served import ServedReleases
from fashion_assets.search.statements import condition_parameters, each_condition, table
from fashion_assets.search.words import Other, Synonyms, Term
from fashion_assets.search.work import Compute, Once, Read, Work
from fashion_assets.warehouse import merchandising
from fashion_assets.warehouse.merchandising import Rule, Synonym

FRESH_SECONDS = 5.0

NOBODY = Hidden()

MOST_BOOSTS = 8
"""Boosts that one search follows, of all that are for it: each is a condition on whatever is ranked."""


@dataclass(frozen=True)
class Chosen:
    """What is decided for one question at one moment."""

    hidden: Hidden = NOBODY
    pins: tuple[Rule, ...] = ()
    """In the order of their places."""
    boosts: tuple[Boost, ...] = ()

    def digest(self, synonyms: Sequence[str] = ()) -> str | None:
        """What tells it, and the synonyms that were applied, from what is decided at another moment; None where nothing is."""
        if not self.hidden.ids and not self.pins and not self.boosts and not synonyms:
            return None
        said = (
            self.hidden.digest,
            [(each.id, each.product, each.place) for each in self.pins],
            [(each.rule, each.filters, each.factor) for each in self.boosts],
            synonyms,
        )
        return f"{crc32(repr(said).encode()):08x}"


@dataclass(frozen=True)
class Decisions:
    """All that was decided, as searches look it up."""

    revision: int | None = None
    synonyms: Synonyms | None = None
    for_words: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    for_filters: Mapping[Hashable, tuple[tuple[frozenset[Hashable], Rule], ...]] = field(default_factory=dict)
    """By one of the filters that a search has to have, with all of them."""
    everywhere: tuple[Rule, ...] = ()
    filters: Mapping[str, tuple[Filter, ...]] = field(default_factory=dict)
    """Which products a rule boosts."""
    _hidden: list[tuple[float, float, Hidden]] = field(default_factory=list, compare=False)

    def hidden(self, at: datetime) -> Hidden:
        """The products that are in no search at a moment."""
        moment = at.timestamp()
        if self._hidden and self._hidden[0][0] <= moment < self._hidden[0][1]:
            return self._hidden[0][2]
        hiding = [each for each in self.everywhere if each.action == "hide"]
        # As it is until the next of them begins or ends.
        turns = sorted(
            turn.timestamp() for each in hiding for turn in (each.starts_at, each.ends_at) if turn is not None
        )
        since = max((turn for turn in turns if turn <= moment), default=float("-inf"))
        until = min((turn for turn in turns if turn > moment), default=float("inf"))
        hidden = Hidden(frozenset(str(each.product) for each in hiding if holds(each, at)))
        self._hidden[:] = [(since, until, hidden)]
        return hidden

    def chosen(self, query: Query, understood: str, at: datetime) -> Chosen:
        """What is for a question, whose words were read as `understood`."""
        hidden = self.hidden(at)
        own = [each for each in self._for(query, understood) if holds(each, at)]
        if hiding := {str(each.product) for each in own if each.action == "hide"}:
            hidden = Hidden(hidden.ids | hiding)
        ranked = query.sort == "relevance"
        pins: tuple[Rule, ...] = ()
        # A listing in another order shows what is pinned where it stands; a search finds what is pinned in any order.
        if not query.avoid and (ranked or query.words):
            pins = _pins(each for each in own if str(each.product) not in hidden.ids)
        boosts: list[Boost] = []
        if ranked:
            for each in (*own, *(each for each in self.everywhere if holds(each, at))):
                if each.action == "boost" and each.id in self.filters and each.factor is not None:
                    boosts.append(Boost(each.id, self.filters[each.id], each.factor))
        return Chosen(hidden, pins, tuple(boosts[:MOST_BOOSTS]))

    def _for(self, query: Query, understood: str) -> list[Rule]:
        found: list[Rule] = []
        alone = query.picture is None and query.product is None and query.vector is None
        if self.for_words and query.words and alone:
            # As they were typed, and as they were read: who misspells a word means the same.
            for typed in dict.fromkeys((normalized(query.words), normalized(understood))):
                found += self.for_words.get(typed, ())
        if self.for_filters and query.narrowed:
            there = {_key(each) for each in query.narrowed}
            for key in there:
                for needed, each in self.for_filters.get(key, ()):
                    # Pins for filters are of listings, where everything is found that the filters leave.
                    if needed <= there and (each.action == "boost" or not query.has_meaning):
                        found.append(each)
        return found


NOTHING = Decisions()


def _pins(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Each product once, at the first of its places; of two at one place the one that was decided last stands before the other."""
    pinned = sorted(
        (each for each in rules if each.action == "pin"),
        key=lambda each: (each.place, -each.changed_at.timestamp() if each.changed_at else 0.0, each.id),
    )
    first: dict[UUID | None, Rule] = {}
    for each in pinned:
        first.setdefault(each.product, each)
    return tuple(first.values())


def _key(each: Filter) -> Hashable:
    """Filters that ask for the same are the same, whatever the order of their values."""
    if isinstance(each, Between):
        return each
    return type(each), each.key if isinstance(each, Holds) else each.column, frozenset(each.values)


def compiled(revision: int, synonyms: Sequence[Synonym], rules: Sequence[Rule]) -> Decisions:
    """Decisions as searches look them up. A rule whose filters a version of the program no longer has is left out."""
    for_words: dict[str, list[Rule]] = {}
    for_filters: dict[Hashable, list[tuple[frozenset[Hashable], Rule]]] = {}
    everywhere: list[Rule] = []
    filters: dict[str, tuple[Filter, ...]] = {}
    for each in rules:
        try:
            needed = frozenset(_key(one) for one in parse_filters(each.filters))
            if each.action == "boost":
                filters[each.id] = parse_filters(each.products)
        except FilterError:
            continue
        if each.words is not None:
            for_words.setdefault(each.words, []).append(each)
        elif needed:
            for_filters.setdefault(min(needed, key=repr), []).append((needed, each))
        else:
            everywhere.append(each)
    return Decisions(
        revision,
        _synonyms(synonyms),
        {typed: tuple(found) for typed, found in for_words.items()},
        {key: tuple(found) for key, found in for_filters.items()},
        tuple(everywhere),
        filters,
    )


def _synonyms(synonyms: Sequence[Synonym]) -> Synonyms | None:
    found: dict[str, dict[str, Other]] = {}
    read = lru_cache(maxsize=None)(lambda phrase: tuple(words.read(phrase)))
    for each in synonyms:
        for word in each.words:
            others = each.becomes or [other for other in each.words if other != word]
            sign = "→" if each.becomes else "="
            for other in others:
                found.setdefault(word, {}).setdefault(
                    other, Other(f"{word} {sign} {other}", read(other), other)
                )
    return {word: tuple(others.values()) for word, others in found.items()} or None


def applied(terms: Iterable[Term]) -> tuple[str, ...]:
    """Which synonyms the terms of a question were widened by."""
    return tuple(dict.fromkeys(other.told for term in terms for other in term.also if other.told))


class Curation:
    """The decisions that all searches of one engine follow; none, where it is not `followed`."""

    def __init__(self, followed: bool = True):
        self._followed = followed
        self._known: Decisions | None = None
        self._looked = float("-inf")
        self._pinned: Cache[tuple[Pinned, ...]] = Cache(1_024, CACHED_BYTES)

    def known(self) -> Work[Decisions]:
        """What was decided, `FRESH_SECONDS` ago at most."""
        if not self._followed:
            return NOTHING
        now = time.monotonic()
        if self._known is not None and now - self._looked < FRESH_SECONDS:
            return self._known
        if self._known is None:
            return (yield Once("decisions", lambda: self._known, self._read))
        # Meanwhile others go on with what is known.
        self._looked = now
        try:
            if self._known.revision is not None:
                (rows,) = yield Read([Statement(merchandising.REVISION, {})], {})
                if rows and rows[0][0] == self._known.revision:
                    return self._known
            return (yield from self._read())
        except BaseException:
            self._looked = float("-inf")
            raise

    def _read(self) -> Work[Decisions]:
        (((there,),),) = yield Read([Statement(merchandising.THERE, {})], {})
        found = NOTHING
        if there:
            # The revision first: what is newer than it is read again.
            ((revision,),), synonyms, rules = yield Read(
                [
                    Statement(each, {})
                    for each in (merchandising.REVISION, merchandising.SYNONYMS, merchandising.RULES)
                ],
                {},
            )
            found = yield Compute(
                partial(
                    compiled, revision, [Synonym(*row) for row in synonyms], [Rule(*row) for row in rules]
                )
            )
        self._known, self._looked = found, time.monotonic()
        return found

    def look_again(self) -> None:
        """Have the next search look whether anything was decided."""
        self._looked = float("-inf")

    def hidden(self) -> Work[Hidden]:
        """The products that are in no search now."""
        decisions = yield from self.known()
        return decisions.hidden(datetime.now(UTC)) if decisions.everywhere else NOBODY

    def pinned(
        self, releases: ServedReleases, facts: Facts, pins: Sequence[Rule], filters: Sequence[Filter]
    ) -> Work[tuple[Pinned, ...]]:
        """The pinned products that a release has, in the order of their places; read once for each of its revisions."""
        if not pins:
            return ()
        key = (
            facts.release,
            facts.revision,
            tuple((each.id, each.product, each.place) for each in pins),
            filters,
        )
        found = None if facts.revision is None else self._pinned.peek(key)
        if found is None:
            found = yield from _read_pinned(releases, facts, pins, filters)
            if facts.revision is not None:
                self._pinned.put(key, found)
        return found


def chosen(decisions: Decisions, query: Query, understood: str) -> Chosen:
    """What is decided for a question now, whose words were read as `understood`."""
    if decisions is NOTHING:
        return Chosen()
    return decisions.chosen(query, understood, datetime.now(UTC))


# Pins


def _read_pinned(
    releases: ServedReleases, facts: Facts, pins: Sequence[Rule], filters: Sequence[Filter]
) -> Work[tuple[Pinned, ...]]:
    text = _pinned(facts.release, tuple(each.shape for each in filters))
    asked = {"ids": [str(each.product) for each in pins], **condition_parameters(filters, "filter")}
    (rows,) = yield from releases.read(facts, [Statement(text, asked)])
    known = {row[0]: row for row in rows}
    found = []
    for each in pins:
        if (row := known.get(str(each.product))) is None:
            continue
        assert each.place is not None
        *product, met = row
        fails = frozenset(one.name for one, meets in zip(filters, met, strict=True) if not meets)
        hit = Hit.of(product, 0.0, rules=(Decision(each.id, "pin", place=each.place),))
        found.append(Pinned(hit, each.place, fails))
    return tuple(found)


@lru_cache(maxsize=256)
def _pinned(schema: str, filters: tuple[tuple, ...]) -> bytes:
    met = [sql.SQL("({}) IS TRUE").format(each) for each in each_condition(filters, "filter")]
    return (
        sql.SQL(
            "SELECT product_id::text, {}, ARRAY[{}]::bool[] FROM {} WHERE product_id = ANY(%(ids)s::uuid[])"
        )
        .format(sql.SQL(", ").join(map(sql.Identifier, HIT_COLUMNS)), sql.SQL(", ").join(met), table(schema))
        .as_bytes(None)
    )


def placed(places: Sequence[int], others: float) -> list[int]:
    """Where products stand, from 0, that are pinned at places, from 1 and in their order, among so many others: one whose place is taken
    stands behind; beyond the last of the others they close up."""
    at: list[int] = []
    for number, place in enumerate(places):
        wished = max(place - 1, at[-1] + 1 if at else 0)
        at.append(int(min(wished, others + number)))
    return at


def before(pins: Sequence[Pinned], offset: int) -> int:
    """How many of the pinned products stand before an offset, if enough others are found."""
    return sum(place < offset for place in placed([each.place for each in pins], float("inf")))


def joined(
    pins: Sequence[Pinned], hits: Sequence[Hit], others: int, offset: int, first: int, limit: int
) -> tuple[list[Hit], int]:
    """`limit` places from an offset on, and one more if there is one: pins, and of `others` that are found those of which `hits` are a
    stretch that begins with the `first`. Beside them how many of `hits` stand in the first `limit`."""
    at = placed([each.place for each in pins], others)
    there = dict(zip(at, pins, strict=True))
    passed = sum(place < offset for place in at)
    page: list[Hit] = []
    taken = 0
    for place in range(offset, offset + limit + 1):
        if place in there:
            page.append(there[place].hit)
            passed += 1
            continue
        number = place - passed - first
        if not 0 <= number < len(hits):
            break
        page.append(hits[number])
        taken += len(page) <= limit
    return page, taken


def marked(hits: Sequence[Hit], pins: Sequence[Pinned]) -> list[Hit]:
    """Hits in an order of their own, those marked that are pinned."""
    known = {each.hit.product_id: each.hit.rules for each in pins}
    return [replace(hit, rules=known.get(hit.product_id, hit.rules)) for hit in hits]
