"""Two releases asked the same, one beside the other: what each answers, in which order, and how fast.

What belongs here: asking both in turns, and comparing their answers. What does not: what is asked (`sent`), which rows differ (`releases`), how it is
shown (`cli`, `reports.shadow`).

Both are asked by their names, with their owner's rights where readers have none yet. Their answers are read in turns, each of them
as often first, so that what else the machine does falls on both alike.
"""

import itertools
import math
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import psycopg
from psycopg import sql

from fashion_assets.errors import FashionAssetsError
from fashion_assets.proof.sent import Sent
from fashion_assets.release.swap import previous
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.query import SHOWN, Hit, Query, Results
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.releases import Release, ReleaseError

DEPTH = 10
"""Hits of each answer that are compared: a first page."""

ROUNDS = 3
"""Times each query is asked of each release; answers are of the first."""

PERSISTENCE = 0.9
"""p of rank-biased overlap: how likely a person looks at the next hit, too (Webber, Moffat and Zobel 2010, "A similarity measure for
indefinite rankings"). With 0.9 the first ten hits have 86 % of the weight."""


class ShadowError(FashionAssetsError):
    """There is nothing to compare; the message says what to do."""


class Moved(NamedTuple):
    """A hit both answers have, at another rank (from 1). What was only pushed on by hits that came or went kept its order."""

    product: str
    former: int
    other: int
    kept_order: bool


@dataclass(frozen=True)
class Compared:
    """Two ranked lists of ids beside each other."""

    overlap: float
    """Share of the hits that both have, of the longer list: 0 to 1; 1 where both are empty."""
    rbo: float
    """Rank-biased overlap to the depth of the longer list, its weights made to sum to 1: 0 to 1, and the first ranks count most."""
    came: tuple[str, ...]
    went: tuple[str, ...]
    ranks: tuple[Moved, ...]
    """Of hits that both have and whose rank is another."""

    @property
    def moved(self) -> tuple[Moved, ...]:
        """Those that changed their order: the fewest hits one would have to take out for the others to stand as they did."""
        return tuple(each for each in self.ranks if not each.kept_order)


def compare(former: Sequence[str], other: Sequence[str], persistence: float = PERSISTENCE) -> Compared:
    """Two answers, best first; an id stands in each once."""
    before = {product: rank for rank, product in enumerate(former, 1)}
    after = {product: rank for rank, product in enumerate(other, 1)}
    shared = [product for product in former if product in after]
    kept = _longest_rising([after[product] for product in shared])
    longer = max(len(former), len(other))
    return Compared(
        overlap=len(shared) / longer if longer else 1.0,
        rbo=_rbo(former, other, persistence),
        came=tuple(product for product in other if product not in before),
        went=tuple(product for product in former if product not in after),
        ranks=tuple(
            Moved(product, before[product], after[product], after[product] in kept)
            for product in shared
            if before[product] != after[product]
        ),
    )


def _longest_rising(ranks: Sequence[int]) -> set[int]:
    """One of the longest rising runs within a list of different numbers."""
    ends: list[int] = []
    places: list[int] = []
    came_from: list[int | None] = []
    for place, rank in enumerate(ranks):
        at = bisect_left(ends, rank)
        came_from.append(places[at - 1] if at else None)
        if at == len(ends):
            ends.append(rank)
            places.append(place)
        else:
            ends[at], places[at] = rank, place
    found: set[int] = set()
    place = places[-1] if places else None
    while place is not None:
        found.add(ranks[place])
        place = came_from[place]
    return found


def _rbo(former: Sequence[str], other: Sequence[str], persistence: float) -> float:
    depth = max(len(former), len(other))
    if not depth:
        return 1.0
    seen, shared, total, weights = set(), 0, 0.0, 0.0
    for rank in range(depth):
        for ranked in (former, other):
            if rank < len(ranked):
                shared += ranked[rank] in seen
                seen.add(ranked[rank])
        # Lists of different lengths: agreement is of what each has to that depth.
        agreement = 2 * shared / (min(rank + 1, len(former)) + min(rank + 1, len(other)))
        total += persistence**rank * agreement
        weights += persistence**rank
    return total / weights


@dataclass
class Answer:
    """What one release answered to a query."""

    hits: tuple[Hit, ...] = ()
    seconds: list[float] = field(default_factory=list)
    """Of each time it was asked."""
    total: int | None = None
    """How many products it finds; None where that was not counted."""
    error: str | None = None
    """Why it did not answer."""

    @property
    def ids(self) -> list[str]:
        """Products, best first."""
        return [hit.product_id for hit in self.hits]


@dataclass(frozen=True)
class Asked:
    """A query, and what both releases answered."""

    sent: Sent
    former: Answer
    other: Answer
    compared: Compared
    unknown: frozenset[str] = frozenset()
    """Of what came or went: those that are no product of the other release at all."""

    @property
    def counts(self) -> bool:
        """Whether either answered it."""
        return self.former.error is None or self.other.error is None

    @property
    def answers_differ(self) -> bool:
        """Whether a person would see another list."""
        return bool(self.compared.came or self.compared.went or self.compared.moved or self.failed)

    @property
    def failed(self) -> bool:
        """Whether one alone answered."""
        return (self.former.error is None) != (self.other.error is None)

    @property
    def altered(self) -> dict[str, dict[str, tuple[Any, Any]]]:
        """Of hits both have, those that say something else now: attribute, and both values."""
        before = {hit.product_id: hit for hit in self.former.hits}
        found = {}
        for hit in self.other.hits:
            if (was := before.get(hit.product_id)) is not None and was.attributes != hit.attributes:
                found[hit.product_id] = {
                    name: (was.attributes[name], hit.attributes[name])
                    for name in SHOWN
                    if was.attributes[name] != hit.attributes[name]
                }
        return found

    def to_dict(self) -> dict[str, Any]:
        """For people and programs: products by id and by what their source calls them."""
        names = {hit.product_id: hit for hit in (*self.former.hits, *self.other.hits)}

        def name(product: str) -> dict[str, str]:
            return {
                "id": product,
                "source": names[product].source,
                "external_id": names[product].external_id,
            }

        return {
            "query": self.sent.label,
            "times": self.sent.times,
            "overlap": round(self.compared.overlap, 4),
            "rbo": round(self.compared.rbo, 4),
            "came": [
                name(each) | {"is_new": each in self.unknown, "rank": self.other.ids.index(each) + 1}
                for each in self.compared.came
            ],
            "went": [
                name(each) | {"is_gone": each in self.unknown, "rank": self.former.ids.index(each) + 1}
                for each in self.compared.went
            ],
            "moved": [
                name(each.product) | {"from": each.former, "to": each.other} for each in self.compared.moved
            ],
            "altered": [
                name(product)
                | {"attributes": {key: [_plain(one) for one in both] for key, both in said.items()}}
                for product, said in self.altered.items()
            ],
            **{
                side: {
                    "hits": answer.ids,
                    "total": answer.total,
                    "ms": round(1000 * float(np.median(answer.seconds)), 3) if answer.seconds else None,
                    "error": answer.error,
                }
                for side, answer in (("former", self.former), ("other", self.other))
            },
        }


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


@dataclass(frozen=True)
class Shadow:
    """Two releases beside each other on the queries asked."""

    former: Release
    other: Release
    asked: Sequence[Asked]
    depth: int
    rounds: int
    queries_of: str
    """Where the queries are from, in words."""

    @property
    def worst_first(self) -> list[Asked]:
        """Those that differ most first, of equal ones the most frequent."""
        return sorted(
            self.asked,
            key=lambda each: (not each.failed, each.compared.rbo, -each.sent.times, each.sent.label),
        )

    def mean(self, figure: Callable[[Asked], float]) -> float:
        """Over all queries that either answered, as often as each was sent."""
        counted = [each for each in self.asked if each.counts]
        times = [each.sent.times for each in counted]
        return float(np.average([figure(each) for each in counted], weights=times)) if counted else 0.0

    @property
    def overlap(self) -> float:
        """Mean overlap of the answers, 0 to 1."""
        return self.mean(lambda each: each.compared.overlap)

    def figures(self) -> dict[str, Any]:
        """What a person wants to know first, JSON-friendly."""
        return {
            "queries": len(self.asked),
            "sent": sum(each.sent.times for each in self.asked),
            "queries_of": self.queries_of,
            "depth": self.depth,
            "rounds": self.rounds,
            "overlap": round(self.overlap, 4),
            "rbo": round(self.mean(lambda each: each.compared.rbo), 4),
            "alike": round(self.mean(lambda each: not each.answers_differ), 4),
            "came": sum(len(each.compared.came) for each in self.asked),
            "went": sum(len(each.compared.went) for each in self.asked),
            "moved": sum(len(each.compared.moved) for each in self.asked),
            "altered": sum(len(each.altered) for each in self.asked),
            "totals_differ": sum(
                each.former.total != each.other.total for each in self.asked if not each.failed
            ),
            "slower_ms": self._slower_ms(),
            "former": self._side(self.former, [each.former for each in self.asked]),
            "other": self._side(self.other, [each.other for each in self.asked]),
        }

    def to_dict(self) -> dict[str, Any]:
        """All figures and every query, those that differ most first."""
        return {**self.figures(), "asked": [each.to_dict() for each in self.worst_first]}

    def _slower_ms(self) -> float | None:
        """By how much the other release typically takes longer for the same query, milliseconds; less than zero: it is faster."""
        pairs = [
            other - former
            for each in self.asked
            for former, other in zip(each.former.seconds, each.other.seconds, strict=False)
        ]
        return round(1000 * float(np.median(pairs)), 3) if pairs else None

    def _side(self, release: Release, answers: Sequence[Answer]) -> dict[str, Any]:
        seconds = [each for answer in answers for each in answer.seconds]
        p50, p95 = (1000 * np.percentile(seconds, (50, 95))) if seconds else (None, None)
        return {
            "release": release.release,
            "state": release.state,
            "revision": release.revision,
            "products": release.products,
            "p50_ms": None if p50 is None else round(float(p50), 3),
            "p95_ms": None if p95 is None else round(float(p95), 3),
            "found_nothing": sum(not answer.hits and answer.error is None for answer in answers),
            "failed": sum(answer.error is not None for answer in answers),
        }


def pair(conn: psycopg.Connection, first: str | None, second: str | None) -> tuple[Release, Release]:
    """The two releases meant, the earlier role first: those named; one and the live one; without names the live one and the newest candidate, or
    what the live one replaced and the live one.

    Raises `ReleaseError`, `ShadowError`.
    """
    live = releases.live(conn)
    if first is not None and second is not None:
        chosen = releases.get(conn, first), releases.get(conn, second)
    elif live is None:
        raise ShadowError("nothing is live yet: name two releases, or put one live (fashion-assets run)")
    elif first is not None:
        named = releases.get(conn, first)
        chosen = (named, live) if named.number < live.number else (live, named)
    elif waiting := releases.candidates(conn):
        chosen = live, waiting[0]
    else:
        try:
            chosen = previous(conn), live
        except ReleaseError as error:
            raise ShadowError(
                f"there is nothing to hold beside {live.release}: no candidate waits, and what it replaced is gone"
            ) from error
    for release in chosen:
        if release.state not in ("candidate", "live", "retired"):
            raise ShadowError(f"{release.release} is {release.state}: its tables cannot be searched")
    if chosen[0].release == chosen[1].release:
        raise ShadowError(f"{chosen[0].release} cannot be held beside itself: name another release")
    return chosen


def shadow(
    engine: SearchEngine,
    conn: psycopg.Connection,
    former: Release,
    other: Release,
    queries: Sequence[Sent],
    queries_of: str,
    depth: int = DEPTH,
    rounds: int = ROUNDS,
    asked: Callable[[], object] = lambda: None,
    seconds: float | None = None,
) -> Shadow:
    """Ask both releases every query `rounds` times; `asked` is called after each query of each round. After so many `seconds` no query but the
    first is begun, and those that were not asked are left out.

    Raises `ReleaseError` where a release cannot be read, `ShadowError` where neither answers anything. What one cannot answer as asked is said
    with its query.
    """
    sides = former.release, other.release
    words = [sent.query.words for sent in queries if sent.query.words]
    for name in sides:
        # Facts of a release, and vectors of words, are read once in an engine's life: that is no query's time.
        engine.prepare(words, name)
    answers = [{name: Answer() for name in sides} for _ in queries]
    until = math.inf if seconds is None else time.monotonic() + seconds
    for turn, (place, sent) in itertools.product(range(rounds), enumerate(queries)):
        if time.monotonic() > until and (turn, place) > (0, 0):
            if turn == 0:
                queries, answers = queries[:place], answers[:place]
            break
        for name in sides if (turn + place) % 2 == 0 else sides[::-1]:
            _ask(engine.search, sent.query, name, depth, answers[place][name])
        asked()
    compared = [compare(answered[former.release].ids, answered[other.release].ids) for answered in answers]
    unknown = _absent(conn, former, {each for one in compared for each in one.came}) | _absent(
        conn, other, {each for one in compared for each in one.went}
    )
    return Shadow(
        former,
        other,
        [
            Asked(
                sent,
                answered[former.release],
                answered[other.release],
                _failing(answered.values(), one),
                frozenset(unknown & {*one.came, *one.went}),
            )
            for sent, answered, one in zip(queries, answers, compared, strict=True)
        ],
        depth,
        rounds,
        queries_of,
    )


def _failing(answers: Any, compared: Compared) -> Compared:
    """Where one alone answered, nothing is the same, even if that one found nothing."""
    if any(answer.error is not None for answer in answers):
        return replace(compared, overlap=0.0, rbo=0.0)
    return compared


def _ask(search: Callable[[Query], Results], query: Query, release: str, depth: int, answer: Answer) -> None:
    began = time.perf_counter()
    try:
        results = search(replace(query, release=release, limit=depth))
    except FashionAssetsError as error:
        answer.error = str(error)
        return
    answer.seconds.append(time.perf_counter() - began)
    if len(answer.seconds) == 1:
        answer.hits = results.hits
        answer.total = None if results.total is None else results.total.value


def _absent(conn: psycopg.Connection, release: Release, products: set[str]) -> set[str]:
    """Those that are no product of a release."""
    if not products:
        return set()
    rows = conn.execute(
        sql.SQL("SELECT product_id::text FROM {} WHERE product_id = ANY (%s::uuid[])").format(
            release.table("products")
        ),
        (sorted(products),),
    ).fetchall()
    return products - {product for (product,) in rows}
