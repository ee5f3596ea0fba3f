"""Questions put to a release through the engine, as people will put them: made of products of its own.

What belongs here: which questions there are, asking each once, and how long each took. What does not: what the answers must
be like (`searching`), how a search goes (`search`).

The products asked for stay the same from release to release, so that no verdict changes by chance. Ids are hashes, so those that follow a fixed
one are a random sample. It loses only products that are gone, and takes in no more than a fair share of new ones.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Any, LiteralString, NamedTuple, Self
from uuid import UUID

import numpy as np
import psycopg
from pgvector import HalfVector
from psycopg import sql

from fashion_assets.criteria.stated import attributes_without_column
from fashion_assets.embedding.embed import combine, text_sha256
from fashion_assets.embedding.spaces import embedding_space
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.filters import COLUMNS
from fashion_assets.search.meaning import picture_file
from fashion_assets.search.path import TIE
from fashion_assets.search.query import Query, Results
from fashion_assets.settings import Settings
from fashion_assets.warehouse.embedding_store import EmbeddingStore
from fashion_assets.warehouse.releases import Release

FIRST = UUID(int=1 << 127)
"""Where the sample begins. Not at the lowest id: those that follow it are the sample the engine has of a release
(`search.path.SAMPLE`), by which it notices what its index misses."""

VALUES_FROM = 16
"""Products whose values filters are made of."""

PEOPLE = 3
"""People asked about, those with favourites first."""

TRIES = 2
"""Times a question is put before it counts as failed."""

ENCODED_ALIKE = 0.02
"""By how much the nearest product's similarity to an upload may differ from that to the picture's kept vector: an upload is decoded
and encoded by itself, in another batch and maybe in another precision."""

LIMIT = 10
"""Hits looked at: what a first page shows."""


class Drawn(NamedTuple):
    """A product asked for."""

    product_id: str
    external_id: str
    title: str | None
    article_type: str | None
    image_path: str | None
    image_sha256: str | None
    space: str | None
    original: np.ndarray | None
    """The float32 original [d] of the vector that is searched, if it has one."""


class Person(NamedTuple):
    """Somebody who has favourites, or is only known."""

    user_id: str
    source: str


class Filtered(NamedTuple):
    """What the database itself says to a filter: how many products meet it, how many of these the facet can count, and how
    many of the page do not meet it."""

    meeting: int
    counted: int
    strangers: int


class Recommended(NamedTuple):
    """What the database itself says to a recommendation: how many of its products the person has, and whether there are
    others, for people of whom they have something."""

    owned: int
    others: bool


@dataclass(frozen=True)
class Asked:
    """A question put to the engine: what it is about, the answer or the error, and how many milliseconds it took.

    What failed once and was answered then is no fault of the release's, but of a server that was busy; `stumbled` says what
    it was.
    """

    about: Any
    results: Results | None
    error: str
    ms: float
    stumbled: str = ""

    @property
    def ids(self) -> list[str]:
        """Product ids of the hits, best first."""
        return [hit.product_id for hit in self.results.hits] if self.results else []

    def tied_down_to(self, score: float) -> bool:
        """Whether the whole page scores that much, so that it may leave out others that do."""
        hits = self.results.hits if self.results else ()
        return len(hits) == LIMIT and hits[-1].score >= score - TIE


def _facet_beside(column: str) -> str:
    """A column of few values, whose counts are asked for beside a filter on a column: those of the filter's own leave it out."""
    return "gender" if column == "embedding_space" else "embedding_space"


class Searching:
    """A release's answers, each asked for when it is first wanted; leave the `with` and the engine is closed."""

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
        self.close()

    def close(self) -> None:
        """Close the engine; again is fine."""
        self._opened.close()

    @cached_property
    def engine(self) -> SearchEngine:
        """On a connection of its own, as every caller's. Raises `ModelError` where the settings' model is not there."""
        _ = self.space  # raised here, no pool was opened for nothing
        return self._opened.enter_context(SearchEngine.open(self.settings, size=1, curated=False))

    def _ask(self, about: Any, search: Callable[[], Results]) -> Asked:
        results, error, stumbled = None, "", ""
        began = time.perf_counter()
        for _ in range(TRIES):
            try:
                results, error = search(), ""
                break
            except Exception as failure:  # whatever it is, it is what a caller would get
                error = str(failure).partition("\n")[0] or type(failure).__name__
                stumbled = stumbled or error
        return Asked(about, results, error, 1000 * (time.perf_counter() - began), "" if error else stumbled)

    def _search(self, about: Any, **parts: Any) -> Asked:
        engine = self.engine
        return self._ask(about, lambda: engine.search(self.query(limit=LIMIT, **parts)))

    def query(self, **parts: Any) -> Query:
        """A question to this release."""
        return Query(release=self.release.release, **parts)

    def _draw(self, count: int, columns: Sequence[LiteralString]) -> list[tuple]:
        side = sql.SQL(
            # In releases built before a product had several vectors, `served` is the one beside it.
            "(SELECT {columns} FROM (SELECT true AS served) AS otherwise CROSS JOIN {products} p LEFT JOIN LATERAL "
            "(SELECT e.embedding FROM {embeddings} e WHERE e.product_id = p.product_id "
            "AND e.embedding_space = p.embedding_space AND served) AS e ON true "
            "WHERE p.product_id {side} %(first)s ORDER BY p.product_id LIMIT %(count)s)"
        )
        names = {
            "columns": sql.SQL(", ").join(map(sql.SQL, columns)),
            "products": self.release.table("products"),
            "embeddings": self.release.table("product_embeddings"),
        }
        with self.conn.cursor(binary=True) as cursor:
            return cursor.execute(
                sql.SQL("{} UNION ALL {} LIMIT %(count)s").format(
                    side.format(side=sql.SQL(">="), **names), side.format(side=sql.SQL("<"), **names)
                ),
                {"first": FIRST, "count": count},
            ).fetchall()

    @cached_property
    def _drawn(self) -> list[Drawn]:
        """The products asked for, and one more if there is one."""
        columns: tuple[LiteralString, ...] = (
            "p.product_id::text",
            "p.external_id",
            "p.title",
            "p.article_type",
            "p.image_path",
            "p.image_sha256",
            "p.embedding_space",
            "e.embedding",
        )
        rows = self._draw(self.settings.criteria_sample + 1, columns)
        return [Drawn(*row)._replace(original=row[-1] and row[-1].to_numpy()) for row in rows]

    @property
    def products(self) -> list[Drawn]:
        """Products to ask for."""
        return self._drawn[: self.settings.criteria_sample]

    @property
    def whole(self) -> bool:
        """Whether they are all there are."""
        return len(self._drawn) == len(self.products)

    @property
    def titled(self) -> list[Drawn]:
        """Those of them whose titles are asked for."""
        return [product for product in self.products if product.title]

    @property
    def _shown(self) -> list[Drawn]:
        return [product for product in self.products if product.image_path is not None]

    @property
    def pictured(self) -> list[Drawn]:
        """Those of them whose pictures are looked at and searched by."""
        return self._shown[: self.settings.criteria_pictures]

    @property
    def all_pictured(self) -> bool:
        """Whether they are all that have pictures."""
        return self.whole and len(self.pictured) == len(self._shown)

    @cached_property
    def space(self) -> str:
        """The space of the model at hand. Raises `ModelError` where there is none."""
        return embedding_space(self.settings.model, self.settings.model_revision).name

    @cached_property
    def own_vectors(self) -> list[Asked]:
        """Each product drawn, asked for by its own vector."""
        return [
            self._search(product, vector=product.original, space=product.space, mode="vector")
            for product in self.products
            if product.original is not None
        ]

    @cached_property
    def titles(self) -> list[Asked]:
        """Each product of the model's space, asked for by what its title means."""
        own = [product for product in self.titled if product.space == self.space]
        # Read and encoded together, in a fraction of the time. What hinders that the searches will say themselves.
        with suppress(Exception):
            self.engine.prepare([product.title or "" for product in own], self.release.release)
        return [self._search(product, words=product.title, mode="vector") for product in own]

    @cached_property
    def texts(self) -> list[Asked]:
        """Each product, asked for by the words of its title."""
        return [self._search(product, words=product.title, mode="text") for product in self.titled]

    @cached_property
    def uploads(self) -> list[Asked]:
        """Some products of the model's space, asked for by their pictures; each is encoded as an upload is, by itself."""
        return [
            self._ask(product, partial(self._upload, self.engine, Path(product.image_path or "")))
            for product in self.pictured
            if product.space == self.space
        ]

    def _upload(self, engine: SearchEngine, picture: Path) -> Results:
        return engine.search(
            self.query(picture=picture_file(picture, self.settings.max_image_bytes), limit=LIMIT)
        )

    def beyond_the_model(self, asked: Asked) -> bool:
        """Whether nothing but the model keeps a product from being found by its picture.

        That is so where all of this holds: the product's vector is the mean of its picture's and its title's own (or its picture's, where it has no
        title); its picture's vector is what the uploaded picture was encoded to; and an exact search by that does not find the product either, because
        the model puts others nearer.
        """
        product: Drawn = asked.about
        if asked.results is None or not asked.results.hits or not product.space or not product.image_sha256:
            return False
        store = EmbeddingStore(self.conn)
        has_picture, picture = store.get(product.space, "image", [product.image_sha256])
        titles = [text_sha256(product.title)] if product.title else []
        has_title, title = store.get(product.space, "text", titles)
        if not has_picture.all() or not has_title.all():
            return False
        with self.conn.transaction(), self.conn.cursor(binary=True) as cursor:
            cursor.execute("SET LOCAL enable_indexscan = off")
            nearest = cursor.execute(
                sql.SQL(
                    "SELECT product_id::text, 1 - (embedding <=> %(picture)s::halfvec) FROM {products} "
                    "WHERE embedding_space = %(space)s ORDER BY embedding <=> %(picture)s::halfvec LIMIT %(most)s"
                ).format(products=self.release.table("products")),
                {"picture": HalfVector(picture[0]), "space": product.space, "most": LIMIT},
            ).fetchall()
            (served,) = cursor.execute(
                sql.SQL("SELECT embedding FROM {} WHERE product_id = %s").format(
                    self.release.table("products")
                ),
                (product.product_id,),
            ).fetchone() or (None,)
        if served is None:
            return False
        meant = combine(picture, title)[0] if titles else picture[0]
        is_its_own = float(served.to_numpy().astype(np.float32) @ meant) >= 1 - TIE
        is_encoded_so = abs(nearest[0][1] - asked.results.hits[0].score) <= ENCODED_ALIKE
        return is_its_own and is_encoded_so and product.product_id not in [found for found, _ in nearest]

    @cached_property
    def filters(self) -> list[Asked]:
        """The first page under one filter, about column and value, for each column a product has a value in; counted by a
        facet. Numbers are asked for as ranges."""
        absent = attributes_without_column(self.conn, self.release)
        columns = [column for column in COLUMNS if column not in absent]
        rows = self._draw(VALUES_FROM, [f"p.{column}" for column in columns])  # pyright: ignore[reportArgumentType]
        values = {
            column: next((row[place] for row in rows if row[place] is not None), None)
            for place, column in enumerate(columns)
        }
        return [
            self._search(
                (column, value),
                filters={column: value if COLUMNS[column] == "text" else {"from": value}},
                facets=(_facet_beside(column),),
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
                    "count(*) FILTER (WHERE {meets}), count({facet}) FILTER (WHERE {meets}), "
                    "count(*) FILTER (WHERE ({meets}) IS NOT TRUE AND product_id = ANY({page}::uuid[]))"
                ).format(
                    meets=sql.SQL("{} {} {}").format(
                        sql.Identifier(column),
                        sql.SQL("=" if COLUMNS[column] == "text" else ">="),
                        sql.Placeholder(f"value_{place}"),
                    ),
                    page=sql.Placeholder(f"page_{place}"),
                    facet=sql.Identifier(_facet_beside(column)),
                )
            )
        (row,) = self.conn.execute(
            sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(counts), self.release.table("products")),
            values,
        ).fetchall()
        return [Filtered(*pair) for pair in zip(row[::3], row[1::3], row[2::3], strict=True)]

    @cached_property
    def recommendations(self) -> list[Asked]:
        """What some people are recommended, those who have favourites first."""
        known = self.conn.execute(
            sql.SQL(
                "SELECT user_id, source FROM (SELECT user_id, source, product_id IS NULL AS silent FROM {} "
                "UNION ALL SELECT user_id, source, true FROM {}) AS known "
                "WHERE user_id <> '' GROUP BY user_id, source ORDER BY bool_and(silent), user_id, source LIMIT %s"
            ).format(self.release.table("favourites"), self.release.table("users")),
            (PEOPLE,),
        ).fetchall()
        return [
            self._ask(
                Person(user_id, source),
                partial(self.engine.recommend, user_id, source, LIMIT, self.release.release),
            )
            for user_id, source in known
        ]

    def recommended(self) -> list[Recommended]:
        """For each of `recommendations`, what the database says. Others are products the person does not have, of the
        genders of those they have and for everybody, with vectors that compare with theirs."""
        query = sql.SQL(
            "WITH own AS MATERIALIZED (SELECT p.product_id, p.gender, p.embedding_space FROM {favourites} f JOIN {products} p "
            "USING (product_id) WHERE f.user_id = %(user)s AND f.source = %(source)s) "
            "SELECT (SELECT count(DISTINCT product_id) FROM own WHERE product_id = ANY(%(ids)s::uuid[])), "
            "EXISTS (SELECT FROM {products} p WHERE NOT EXISTS (SELECT FROM own WHERE own.product_id = p.product_id) "
            "AND (p.gender = 'unisex' OR p.gender IN (SELECT gender FROM own) OR NOT EXISTS (SELECT FROM own)) "
            "AND (p.embedding_space IN (SELECT embedding_space FROM own) "
            "OR NOT EXISTS (SELECT FROM own WHERE embedding_space IS NOT NULL)))"
        ).format(favourites=self.release.table("favourites"), products=self.release.table("products"))
        said = []
        for asked in self.recommendations:
            person: Person = asked.about
            values = {"user": person.user_id, "source": person.source, "ids": asked.ids}
            said += self.conn.execute(query, values).fetchall()
        return [Recommended(*row) for row in said]

    @property
    def asked(self) -> list[Asked]:
        """Every question."""
        return [
            *(*self.own_vectors, *self.titles, *self.texts),
            *(*self.uploads, *self.filters, *self.recommendations),
        ]
