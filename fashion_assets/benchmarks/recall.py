"""Whether filtered vector search finds what is nearest, for filters of every selectivity.

What belongs here: making filters of a wanted selectivity, tied to the question or not, and measuring the search under
them against an exact one. What does not: thresholds (`criteria`), choosing how to search (`search.path`).
"""

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import numpy as np
import psycopg
from psycopg import sql

from fashion_assets.benchmarks.results import Row
from fashion_assets.catalog.attributes import TELLING
from fashion_assets.embedding.embed import text_sha256
from fashion_assets.search.filters import AnyOf, Filter
from fashion_assets.search.query import Query, Results
from fashion_assets.warehouse.embedding_store import EmbeddingStore
from fashion_assets.warehouse.releases import Release

K = 10
"""Hits looked at: what a first page shows."""

TIE = 1e-3
"""Recall counts a hit whose distance is within this of the exact tenth's: ties are not misses (as ann-benchmarks does).
Half-precision distances of unit vectors differ by about so much."""

SELECTIVITIES = (0.001, 0.01, 0.05, 0.1, 0.3, 1.0)
"""Shares of the products that filters leave (G3)."""

QUESTIONS = 50
"""For each row of the table, as many for either way to be tied: 500 neighbours, so that 0.99 is told from 0.98."""

TRIES = 3
"""Times each question is put either way, in turns; the median counts, so that whatever else the machine does does not
decide a comparison of two figures that may be of the same work."""

DRAWN = 100_000
"""Products whose columns filters are made of; a larger catalogue's shares are those of so many."""

PLACED = 2_000
"""Products by whose vectors values are said to be near a question or far from it."""

TOLERANCE = 1.5
"""A filter may leave so many times more or less than wanted before it is narrowed by a further column."""

LOOKS = TELLING
"""Columns that say what a product looks like, the most telling first: filters on them are tied to a question."""

NAMES = tuple(reversed(LOOKS))
"""The same, the least telling first; drawn at random they have little to do with a question."""

Relation = Literal["unrelated", "near", "far"]

_RELATIONS: tuple[tuple[bool, tuple[Relation, ...]], ...] = ((False, ("unrelated",)), (True, ("near", "far")))
"""The rows of each selectivity: whether filters are tied to the question, and the ways of which the worse one counts."""


@dataclass(frozen=True)
class Catalogue:
    """Products drawn at random, and questions, all of one space.

    `values`: by column of `LOOKS`, object [n], None for none. `vectors`: unit vectors of the first products, float32 [m, d]. `questions`: float32
    [q, d].
    """

    space: str
    values: dict[str, np.ndarray]
    vectors: np.ndarray
    questions: np.ndarray

    def narrowed(
        self, share: float, relation: Relation, question: np.ndarray, draw: np.random.Generator
    ) -> tuple[Filter, ...]:
        """Any-of filters that together leave about `share` of the products.

        The values of a column are taken in an order until they reach the share: for `unrelated` at random, for `near`
        those whose products lie nearest to the question, for `far` those farthest from it. Where the last one taken
        overshoots, what all leave is narrowed by the next column in the same way. The whole is no filter for
        `unrelated`, and every value of the first column otherwise.
        """
        if share >= 1 and relation == "unrelated":
            return ()
        columns = NAMES if relation == "unrelated" else LOOKS
        left = np.ones(len(self.values[columns[0]]), bool)
        wanted = max(1, round(share * len(left)))
        filters: list[Filter] = []
        for column in columns:
            ordered, counts = self._ordered(column, left, relation, question, draw)
            reached = np.cumsum(counts)
            if not len(reached):
                break
            closest = int(np.abs(reached - wanted).argmin())
            fits = wanted / TOLERANCE <= reached[closest] <= wanted * TOLERANCE
            if not fits and column != columns[-1] and reached[-1] > wanted:
                closest = int(np.searchsorted(reached, wanted))
            taken = ordered[: closest + 1]
            names, numbers = self._numbered[column]
            filters.append(AnyOf(column, tuple(names[taken])))
            if fits:
                break
            left &= np.isin(numbers, taken)
        return tuple(filters)

    def _ordered(
        self,
        column: str,
        left: np.ndarray,
        relation: Relation,
        question: np.ndarray,
        draw: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of a column's values among the products that are left, in the order to take them, and how often each
        is."""
        names, numbers = self._numbered[column]
        present = left & (numbers >= 0)
        counts = np.bincount(numbers[present], minlength=len(names))
        if relation == "unrelated":
            order = draw.permutation(len(names))
        else:
            placed = present[: len(self.vectors)]
            own = numbers[: len(self.vectors)][placed]
            seen = np.bincount(own, minlength=len(names))
            nearness = np.bincount(own, self.vectors[placed] @ question, len(names)) / np.maximum(seen, 1)
            # What has no vector here is neither near nor far: it comes last.
            order = np.lexsort((-nearness if relation == "near" else nearness, seen == 0))
        order = order[counts[order] > 0]
        return order, counts[order]

    @cached_property
    def _numbered(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """For each column its distinct values (object), and each product's number among them, -1 for none."""
        numbered = {}
        for column, values in self.values.items():
            names = sorted({value for value in values if value is not None})
            places = {name: place for place, name in enumerate(names)}
            numbers = np.array([places.get(value, -1) for value in values], np.int64)
            numbered[column] = (np.array(names, object), numbers)
        return numbered


def draw(conn: psycopg.Connection, release: Release, questions: int, seed: int = 0) -> Catalogue | None:
    """Products and questions of a release's largest space, the same for the same seed, in the next release too; None for an
    empty release.

    The questions are the vectors of products and, for about half of them where the store has it, of their titles: pictures
    and words lie apart in the space, and the index was built of vectors nearer to pictures.
    """
    found = conn.execute(
        sql.SQL(
            "SELECT embedding_space FROM {} WHERE embedding IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
        ).format(release.table("products"))
    ).fetchone()
    if found is None:
        return None
    (space,) = found
    products = release.table("products")
    # Ids are hashes, so that their order is a random one.
    rows = conn.execute(
        sql.SQL("SELECT {} FROM {} WHERE embedding_space = %s ORDER BY product_id LIMIT %s").format(
            sql.SQL(", ").join(map(sql.Identifier, LOOKS)), products
        ),
        (space, DRAWN),
    ).fetchall()
    with conn.cursor(binary=True) as cursor:
        placed = cursor.execute(
            sql.SQL(
                "SELECT title, embedding, product_id::text FROM {} WHERE embedding_space = %s ORDER BY product_id LIMIT %s"
            ).format(products),
            (space, PLACED),
        ).fetchall()
    vectors = np.stack([row[1].to_numpy() for row in placed]).astype(np.float32)
    # By their ids and not by their places: other products leave the questions what they are.
    ranks = [hashlib.blake2b(f"{seed} {product_id}".encode()).digest() for _, _, product_id in placed]
    chosen = np.array(sorted(range(len(ranks)), key=ranks.__getitem__)[:questions])
    asked = vectors[chosen]
    known, titles = EmbeddingStore(conn).get(
        space, "text", [text_sha256(placed[place][0] or "") for place in chosen]
    )
    by_words = known & np.array([ranks[place][-1] % 2 == 1 for place in chosen])
    if by_words.any():  # a space whose titles nobody embedded has none
        asked[by_words] = titles[by_words[known]]
    columns = zip(*rows, strict=True)
    return Catalogue(
        space,
        {name: np.array(values, object) for name, values in zip(LOOKS, columns, strict=True)},
        vectors,
        asked,
    )


@dataclass(frozen=True)
class Measured:
    """Questions asked under filters of one kind: recall of each, and milliseconds both ways."""

    recalls: list[float]
    engine_ms: list[float]
    exact_ms: list[float]

    def row(self, share: float, tied: bool, asked: str) -> Row:
        """As the table has it."""
        p50, p95 = np.percentile(self.engine_ms, (50, 95))
        return {
            "selectivity": share,
            "tied": tied,
            "recall": float(np.mean(self.recalls)),
            "p50_ms": float(p50),
            "p95_ms": float(p95),
            "exact_p95_ms": float(np.percentile(self.exact_ms, 95)),
            "asked": asked,
            "questions": len(self.recalls),
        }


@dataclass(frozen=True)
class _Asking:
    """An engine asked by vectors, as it would by itself and exactly."""

    search: Callable[[Query], Results]
    space: str
    release: Release
    tries: int

    def timed(self, question: np.ndarray, filters: tuple[Filter, ...], exact: bool) -> tuple[Results, float]:
        """The answer, and how many milliseconds it took."""
        query = Query(
            vector=question,
            space=self.space,
            filters=filters,
            mode="vector",
            exact=exact,
            limit=K,
            release=self.release.release,
        )
        started = time.perf_counter()
        return self.search(query), 1000 * (time.perf_counter() - started)

    def put(self, question: np.ndarray, place: int, filters: tuple[Filter, ...], kept: Measured) -> None:
        """Ask the question that stands at this place both ways, and note recall and times."""
        # Whichever goes first finds its pages cold: they take turns.
        turns = [(place + turn) % 2 == 0 for turn in range(2 * self.tries)]
        timings = [(exact, *self.timed(question, filters, exact)) for exact in turns]
        answers = {exact: answer for exact, answer, _ in timings}
        ms = {way: float(np.median([ms for exact, _, ms in timings if exact == way])) for way in answers}
        kept.engine_ms.append(ms[False])
        kept.exact_ms.append(ms[True])
        kept.recalls.append(recall(answers[False], answers[True]))


def measure_recall(
    search: Callable[[Query], Results],
    conn: psycopg.Connection,
    release: Release,
    *,
    words: Mapping[str, np.ndarray] = MappingProxyType({}),
    questions: int = QUESTIONS,
    tries: int = TRIES,
    selectivities: Sequence[float] = SELECTIVITIES,
    seconds: float = math.inf,
    fewest: int = 1,
    seed: int = 0,
    progress: Callable[[str], None] = lambda step: None,
) -> list[Row]:
    """recall@10 and latency of an engine (`SearchEngine.search`) under filters, one row for each selectivity, unrelated
    and tied; no rows for an empty release.

    `words`: unit vectors (float32 [n, d]) of queries in words, by space; where the release's is among them, as many of
    them as `questions` are asked too, in rows of their own.

    Rows: `selectivity` (wanted share of the products, 0 to 1), `tied`, `recall` (mean share of the ten nearest that were
    found, ties by `TIE`), `p50_ms` and `p95_ms` over the questions as the caller sees them, `exact_p95_ms` of the same
    questions with `exact=True`, `asked`: `products` (their vectors and their titles') or `words`, `questions`: how many were
    asked. Once so many `seconds` have passed and the `fewest` were asked, no further one is: each row has the same ones. A question's time is the median of
    `tries`. How filters are made: `Catalogue.narrowed`. A tied row is the worse one, in recall and then in
    latency, of `near` and `far`. The row of everything, unrelated, is that without a filter.
    """
    catalogue = draw(conn, release, questions, seed)
    if catalogue is None:
        return []
    asked = {"products": catalogue.questions}
    if catalogue.space in words:
        typed = words[catalogue.space]
        chosen = np.random.default_rng(seed).choice(len(typed), min(questions, len(typed)), replace=False)
        asked["words"] = typed[chosen]

    asking = _Asking(search, catalogue.space, release, tries)
    ends = time.monotonic() + seconds
    # A server that has just started has neither index nor products in memory, and an engine's first search reads what
    # the release is like.
    asking.timed(catalogue.questions[0], (), True)
    if math.isinf(seconds):
        for question in np.concatenate(list(asked.values())):
            asking.timed(question, (), False)
    rows = []
    for kind, vectors in asked.items():
        ways: list[tuple[float, Relation]] = [
            (share, relation) for share in selectivities for _, each in _RELATIONS for relation in each
        ]
        kept = {way: Measured([], [], []) for way in ways}
        draws = {
            (share, relation): np.random.default_rng((seed, round(share * 1e6), len(relation)))
            for share, relation in ways
        }
        for place, question in enumerate(vectors):
            if place >= fewest and time.monotonic() > ends:
                break
            progress(f"{kind}, {place + 1} of {len(vectors)}")
            for share, relation in ways:
                filters = catalogue.narrowed(share, relation, question, draws[share, relation])
                asking.put(question, place, filters, kept[share, relation])
        for share in selectivities:
            for tied, relations in _RELATIONS:
                each = [kept[share, relation].row(share, tied, kind) for relation in relations]
                rows.append(min(each, key=lambda row: (row["recall"], -row["p95_ms"])))
    return rows


def recall(answer: Results, exact: Results) -> float:
    """Share of an exact answer's first ten that another has: hits as near as the tenth, within `TIE`. An answer to a
    question that nothing meets is right if it is empty."""
    wanted = exact.hits[:K]
    if not wanted:
        return float(not answer.hits)
    found = {hit.product_id for hit in answer.hits[:K] if hit.score >= wanted[-1].score - TIE}
    return min(1.0, len(found) / len(wanted))
