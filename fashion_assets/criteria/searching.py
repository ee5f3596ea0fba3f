"""Criteria of a release judged by asking it, through the engine, what people will ask.

What belongs here: the questions, made of products drawn from the release, and what their answers and their times must be
like. What does not: how a search goes (`search`), thresholds (`thresholds`), what takes long to measure (`measured`).

Each question is asked once: A7 judges its answer, A8 the time it took.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Any, LiteralString, NamedTuple, Self

import numpy as np
import psycopg
from psycopg import sql

from fashion_assets.catalog.pictures import probe
from fashion_assets.criteria.thresholds import MIN_ARTICLE_TYPE_PRECISION, MIN_FOUND, P95_MS
from fashion_assets.criteria.verdict import Criterion, Finding, holds, not_applicable
from fashion_assets.embedding.spaces import embedding_space
from fashion_assets.search.answering import FACET_ROWS
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.filters import COLUMNS
from fashion_assets.search.meaning import picture_file
from fashion_assets.search.path import TIE
from fashion_assets.search.query import Query, Results
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.releases import Release

DRAWN = 10
"""Products asked for."""

UPLOADS = 5
"""Of them, those searched by their pictures, which costs three times as much."""

PICTURES = 16
"""Pictures decoded; all of them were when their batches were validated."""

PEOPLE = 3
"""People asked about, those with favourites first."""

LIMIT = 10
"""Hits looked at: what a first page shows."""


class Drawn(NamedTuple):
    """A product drawn from the release."""

    product_id: str
    external_id: str
    title: str
    article_type: str
    image_path: str
    image_sha256: str
    space: str
    original: list[float] | None
    """Its float32 vector of `product_embeddings`, if it has one."""


class Person(NamedTuple):
    """Somebody, and the products they own."""

    user_id: str
    source: str
    owned: Sequence[str]


class Filtered(NamedTuple):
    """What the database itself says to a filter: how many products meet it, and how many of the page do not."""

    meeting: int
    strangers: int


@dataclass(frozen=True)
class Asked:
    """A question put to the engine: what it is about, the answer or the error, and how many milliseconds it took."""

    about: Any
    results: Results | None
    error: str
    ms: float

    @property
    def ids(self) -> list[str]:
        """Product ids of the hits, best first."""
        return [hit.product_id for hit in self.results.hits] if self.results else []

    def tied_down_to(self, score: float) -> bool:
        """Whether the whole page scores that much, so that it may leave out others that do."""
        hits = self.results.hits if self.results else ()
        return len(hits) == LIMIT and hits[-1].score >= score - TIE


class Searching:
    """A release's answers, each asked for when it is first wanted; leave the `with` and the engine is closed.

    Which products are asked for depends on the release alone: a verdict stays what it is, and the next release has others.
    """

    def __init__(self, conn: psycopg.Connection, release: Release, settings: Settings):
        self.conn = conn
        self.release = release
        self.settings = settings
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    @cached_property
    def engine(self) -> SearchEngine:
        """On a connection of its own, as every caller's. Raises `ModelError` where the settings' model is not there."""
        _ = self.space  # raised here, no pool was opened for nothing
        return self._opened.enter_context(SearchEngine.open(self.settings, size=1))

    def _ask(self, about: Any, search: Callable[[], Results]) -> Asked:
        results, said = None, ""
        began = time.perf_counter()
        try:
            results = search()
        except Exception as error:  # whatever it is, it is what a caller would get
            said = str(error).partition("\n")[0]
        return Asked(about, results, said, 1000 * (time.perf_counter() - began))

    def _search(self, about: Any, **parts: Any) -> Asked:
        engine = self.engine
        return self._ask(about, lambda: engine.search(self.query(limit=LIMIT, **parts)))

    def query(self, **parts: Any) -> Query:
        """A question to this release."""
        return Query(release=self.release.release, **parts)

    def _draw(self, count: int, columns: Sequence[LiteralString]) -> list[tuple]:
        # Ids are hashes: those that follow any one are products drawn at random.
        side = sql.SQL(
            "(SELECT {columns} FROM {products} p LEFT JOIN {embeddings} e USING (product_id, embedding_space) "
            "WHERE p.product_id {side} md5(%(release)s)::uuid ORDER BY p.product_id LIMIT %(count)s)"
        )
        names = {
            "columns": sql.SQL(", ").join(map(sql.SQL, columns)),
            "products": self.release.table("products"),
            "embeddings": self.release.table("product_embeddings"),
        }
        return self.conn.execute(
            sql.SQL("{} UNION ALL {} LIMIT %(count)s").format(
                side.format(side=sql.SQL(">="), **names), side.format(side=sql.SQL("<"), **names)
            ),
            {"release": self.release.release, "count": count},
        ).fetchall()

    @cached_property
    def products(self) -> list[Drawn]:
        """Products to ask for."""
        columns: tuple[LiteralString, ...] = (
            "p.product_id::text",
            "p.external_id",
            "p.title",
            "p.article_type",
            "p.image_path",
            "p.image_sha256",
            "embedding_space",
            "e.embedding::real[]",
        )
        return [Drawn(*row) for row in self._draw(DRAWN, columns)]

    @cached_property
    def pictures(self) -> list[tuple[str, str]]:
        """External ids and paths of pictures to decode."""
        return self._draw(PICTURES, ("p.external_id", "p.image_path"))

    @cached_property
    def space(self) -> str:
        """The space of the model at hand. Raises `ModelError` where there is none."""
        return embedding_space(self.settings.model, self.settings.model_revision).name

    @cached_property
    def own_vectors(self) -> list[Asked]:
        """Each product drawn, asked for by its own vector."""
        return [
            self._search(product, vector=np.array(product.original), space=product.space, mode="vector")
            for product in self.products
            if product.original is not None
        ]

    @cached_property
    def titles(self) -> list[Asked]:
        """Each product of the model's space, asked for by what its title means."""
        return [
            self._search(product, words=product.title, mode="vector")
            for product in self.products
            if product.space == self.space
        ]

    @cached_property
    def texts(self) -> list[Asked]:
        """Each product, asked for by the words of its title."""
        return [self._search(product, words=product.title, mode="text") for product in self.products]

    @cached_property
    def uploads(self) -> list[Asked]:
        """Some products of the model's space, asked for by their pictures."""
        return [
            self._ask(product, partial(self._upload, self.engine, Path(product.image_path)))
            for product in self.products[:UPLOADS]
            if product.space == self.space
        ]

    def _upload(self, engine: SearchEngine, picture: Path) -> Results:
        return engine.search(self.query(picture=picture_file(picture), limit=LIMIT))

    @cached_property
    def filters(self) -> list[Asked]:
        """The first page under one filter, about column and value, for each column a product drawn has a value in; counted
        by a facet. Numbers are asked for as ranges."""
        rows = self._draw(PICTURES, [f"p.{column}" for column in COLUMNS])  # pyright: ignore[reportArgumentType]
        values = {
            column: next((row[place] for row in rows if row[place] is not None), None)
            for place, column in enumerate(COLUMNS)
        }
        return [
            self._search(
                (column, value),
                filters={column: value if COLUMNS[column] == "text" else {"from": value}},
                # Columns of few values, which every product has; the counts of one leave the filter on it out.
                facets=("gender" if column == "embedding_space" else "embedding_space",),
            )
            for column, value in values.items()
            if value is not None
        ]

    def filtered(self) -> list[Filtered]:
        """For each of `filters`, what the database says."""
        counts, values = [], {}
        for place, asked in enumerate(self.filters):
            column, value = asked.about
            values |= {f"value_{place}": value, f"page_{place}": asked.ids}
            counts.append(
                sql.SQL(
                    "count(*) FILTER (WHERE {meets}), "
                    "count(*) FILTER (WHERE ({meets}) IS NOT TRUE AND product_id = ANY({page}::uuid[]))"
                ).format(
                    meets=sql.SQL("{} {} {}").format(
                        sql.Identifier(column),
                        sql.SQL("=" if COLUMNS[column] == "text" else ">="),
                        sql.Placeholder(f"value_{place}"),
                    ),
                    page=sql.Placeholder(f"page_{place}"),
                )
            )
        (row,) = self.conn.execute(
            sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(counts), self.release.table("products")),
            values,
        ).fetchall()
        return [Filtered(*pair) for pair in zip(row[::2], row[1::2], strict=True)]

    @cached_property
    def recommendations(self) -> list[Asked]:
        """What some people are recommended."""
        rows = self.conn.execute(
            sql.SQL(
                "SELECT user_id, source, array_agg(product_id::text) FILTER (WHERE product_id IS NOT NULL) AS owned "
                "FROM (SELECT user_id, source, product_id FROM {} UNION ALL SELECT user_id, source, NULL FROM {}) AS known "
                "WHERE user_id <> '' GROUP BY user_id, source ORDER BY count(product_id) = 0, user_id, source LIMIT %s"
            ).format(self.release.table("favourites"), self.release.table("users")),
            (PEOPLE,),
        ).fetchall()
        known = [Person(user_id, source, owned or ()) for user_id, source, owned in rows]
        return [
            self._ask(
                person,
                partial(self.engine.recommend, person.user_id, person.source, LIMIT, self.release.release),
            )
            for person in known
        ]

    @property
    def asked(self) -> list[Asked]:
        """Every question."""
        return [
            *(*self.own_vectors, *self.titles, *self.texts),
            *(*self.uploads, *self.filters, *self.recommendations),
        ]


_EMPTY = "there are no products to ask for"


def _not_encodable(searching: Searching) -> str:
    if not searching.products:
        return _EMPTY
    spaces = ", ".join(sorted({product.space for product in searching.products}))
    return f"the model at hand is {searching.space}, and the products asked for were embedded by {spaces}"


def _found(asked: Sequence[Asked], is_found: Callable[[Asked], bool], nothing: str) -> Finding:
    """That most of the products asked for were found."""
    if not asked:
        return not_applicable(nothing)
    missed = [each for each in asked if not is_found(each)]
    share = 1 - len(missed) / len(asked)
    return holds(
        share >= MIN_FOUND,
        f"{len(asked) - len(missed)} of {len(asked)}",
        [f"{each.about.external_id}: {each.error or each.about.title}" for each in missed],
    )


def _vector_search_finds_the_product(searching: Searching) -> Finding:
    def is_found(asked: Asked) -> bool:
        scores = {hit.product_id: hit.score for hit in asked.results.hits} if asked.results else {}
        own = scores.get(asked.about.product_id)
        return asked.tied_down_to(1.0) if own is None else own >= max(scores.values()) - TIE

    return _found(searching.own_vectors, is_found, _EMPTY)


def _titles_find_their_article_type(searching: Searching) -> Finding:
    if not searching.titles:
        return not_applicable(_not_encodable(searching))
    counted = searching.conn.execute(
        sql.SQL(
            "SELECT article_type FROM {} WHERE article_type = ANY(%s) GROUP BY 1 HAVING count(*) >= %s"
        ).format(searching.release.table("products")),
        ([asked.about.article_type for asked in searching.titles], LIMIT),
    ).fetchall()
    common = {article_type for (article_type,) in counted}
    judged = [asked for asked in searching.titles if asked.about.article_type in common]
    if not judged:
        return not_applicable(f"no article type asked for has {LIMIT} products to find")
    shares = [
        sum(hit.article_type == asked.about.article_type for hit in asked.results.hits) / LIMIT
        if asked.results
        else 0.0
        for asked in judged
    ]
    return holds(
        float(np.mean(shares)) >= MIN_ARTICLE_TYPE_PRECISION,
        round(float(np.mean(shares)), 3),
        [
            f"{asked.error or asked.about.title}: {share:.1f}"
            for asked, share in zip(judged, shares, strict=True)
            if share < MIN_ARTICLE_TYPE_PRECISION
        ],
    )


def _text_search_finds_the_product(searching: Searching) -> Finding:
    return _found(
        searching.texts,
        # A page of hits that have every word leaves out others that have.
        lambda asked: asked.about.product_id in asked.ids or asked.tied_down_to(1.0),
        _EMPTY,
    )


def _picture_search_finds_the_product(searching: Searching) -> Finding:
    ids = [product_id for asked in searching.uploads for product_id in asked.ids]
    pictures = dict(
        searching.conn.execute(
            sql.SQL(
                "SELECT product_id::text, image_sha256 FROM {} WHERE product_id = ANY(%s::uuid[])"
            ).format(searching.release.table("products")),
            (ids,),
        ).fetchall()
    )
    return _found(
        searching.uploads,
        lambda asked: asked.about.image_sha256 in {pictures.get(product_id) for product_id in asked.ids},
        _not_encodable(searching),
    )


def _filters_leave_what_meets_them(searching: Searching) -> Finding:
    if not searching.filters:
        return not_applicable(_EMPTY)
    offenders = []
    for asked, (meeting, strangers) in zip(searching.filters, searching.filtered(), strict=True):
        column, value = asked.about
        counted = [
            count
            for counts in (asked.results.facets if asked.results else {}).values()
            for _, count in counts
        ]
        if asked.error:
            offenders.append(f"{column}={value}: {asked.error}")
        elif strangers:
            offenders.append(f"{column}={value}: {strangers} of the hits do not meet it")
        elif sum(counted) != min(meeting, FACET_ROWS) or len(asked.ids) != min(meeting, LIMIT):
            offenders.append(f"{column}={value}: {sum(counted)} found, {meeting} meet it")
    unasked = sorted(set(COLUMNS) - {asked.about[0] for asked in searching.filters})
    return holds(
        not offenders,
        f"{len(searching.filters)} columns",
        offenders,
        f"no product drawn has a value in {', '.join(unasked)}" if unasked else "",
    )


def _pictures_load(searching: Searching) -> Finding:
    if not searching.pictures:
        return not_applicable(_EMPTY)
    seen = {
        external_id: probe(path, searching.settings.max_image_pixels)
        for external_id, path in searching.pictures
    }
    offenders = [
        f"{external_id}: {reason}" for external_id, reason in seen.items() if isinstance(reason, str)
    ]
    return holds(not offenders, f"{len(seen) - len(offenders)} of {len(seen)}", offenders)


def _recommendations_are_new(searching: Searching) -> Finding:
    if not searching.recommendations:
        return not_applicable("the sources name no people, neither users nor favourites")
    offenders = []
    for asked in searching.recommendations:
        owned = set(asked.ids) & set(asked.about.owned)
        if asked.error or owned or not asked.ids:
            said = asked.error or (f"{len(owned)} they own" if owned else "nothing")
            offenders.append(f"{asked.about.user_id}: {said}")
    return holds(not offenders, f"{len(searching.recommendations)} people", offenders)


def _answered_in_time(kind: str, asked: Sequence[Asked], nothing: str) -> Finding:
    """The first question is not counted: it may be the one that loads the model and learns what the release is like."""
    taken = [each.ms for each in asked][1:]
    if not taken:
        return not_applicable(nothing)
    p95 = float(np.percentile(taken, 95))
    return holds(p95 < P95_MS[kind], f"{p95:.1f} ms", reason=f"{len(taken)} asked")


def _listing_is_quick(searching: Searching) -> Finding:
    return _answered_in_time("listing", searching.filters, _EMPTY)


def _vector_search_is_quick(searching: Searching) -> Finding:
    return _answered_in_time("vector search", searching.own_vectors, _EMPTY)


def _picture_search_is_quick(searching: Searching) -> Finding:
    return _answered_in_time("picture search", searching.uploads, _not_encodable(searching))


def _errors_are_no_more_than_before(searching: Searching) -> Finding:
    if not searching.products:
        return not_applicable(_EMPTY)
    errors = [asked.error for asked in searching.asked if asked.error]
    rate, before = len(errors) / len(searching.asked), 0.0
    live = releases.live(searching.conn)
    if errors and live is not None and live.release != searching.release.release:
        with Searching(searching.conn, live, searching.settings) as old:
            before = sum(bool(asked.error) for asked in old.asked) / max(1, len(old.asked))
    return holds(rate <= before, f"{len(errors)} of {len(searching.asked)}", sorted(set(errors)))


_INDEX, _MOSTLY = "product_embeddings_index", f">= {MIN_FOUND:.0%} of those asked for"

SEARCH_CRITERIA: list[Criterion[Searching]] = [
    Criterion(
        "vector_search_finds_the_product",
        "A7",
        "A product's own vector finds it first",
        _MOSTLY,
        _INDEX,
        _vector_search_finds_the_product,
    ),
    Criterion(
        "titles_find_their_article_type",
        "A7",
        "What a title means finds things of its product's kind",
        f"precision@{LIMIT} of the article type >= {MIN_ARTICLE_TYPE_PRECISION}",
        _INDEX,
        _titles_find_their_article_type,
    ),
    Criterion(
        "text_search_finds_the_product",
        "A7",
        "The words of a product's title find it",
        _MOSTLY,
        _INDEX,
        _text_search_finds_the_product,
    ),
    Criterion(
        "picture_search_finds_the_product",
        "A7",
        "An uploaded picture of a product finds it, or one with the same picture",
        _MOSTLY,
        _INDEX,
        _picture_search_finds_the_product,
    ),
    Criterion(
        "filters_leave_what_meets_them",
        "A7",
        "Every hit meets the filter, and as many are counted as there are, for each column that can be filtered by",
        "all",
        _INDEX,
        _filters_leave_what_meets_them,
    ),
    Criterion(
        "pictures_load",
        "A7",
        f"Pictures can be decoded ({PICTURES} drawn; every one was when it was validated)",
        "all",
        "products",
        _pictures_load,
    ),
    Criterion(
        "recommendations_are_new",
        "A7",
        "People are recommended products, and none they own",
        "all",
        _INDEX,
        _recommendations_are_new,
    ),
    Criterion(
        "listing_is_quick",
        "A8",
        "A page of products under a filter, counted, comes in time",
        f"p95 < {P95_MS['listing']} ms",
        _INDEX,
        _listing_is_quick,
    ),
    Criterion(
        "vector_search_is_quick",
        "A8",
        "A vector search is answered in time",
        f"p95 < {P95_MS['vector search']} ms",
        _INDEX,
        _vector_search_is_quick,
    ),
    Criterion(
        "picture_search_is_quick",
        "A8",
        "A search by an uploaded picture is answered in time",
        f"p95 < {P95_MS['picture search']} ms",
        _INDEX,
        _picture_search_is_quick,
    ),
    Criterion(
        "errors_are_no_more_than_before",
        "A8",
        "No larger share of searches fails than in the live release; none, where nothing is live",
        "<= the live release's",
        _INDEX,
        _errors_are_no_more_than_before,
    ),
]
