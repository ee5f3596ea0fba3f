"""Questions put to a release through the engine, as people will put them: made of products drawn from it.

What belongs here: which questions there are, asking each once, and how long each took. What does not: what the answers must
be like (`searching`), how a search goes (`search`).
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

from fashion_assets.embedding.spaces import embedding_space
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.filters import COLUMNS
from fashion_assets.search.meaning import picture_file
from fashion_assets.search.path import TIE
from fashion_assets.search.query import Query, Results
from fashion_assets.settings import Settings
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
