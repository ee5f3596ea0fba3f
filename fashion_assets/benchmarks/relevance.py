"""How relevant the search is: for words as people type them, and from captions and category words to pictures.

What belongs here: the list of queries and what each should find, and the measurements on one release. What does not:
the measures (`embedding.retrieval`), a model on a folder (`models.evaluation`), thresholds (`criteria`), searching (`search`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Annotated, Literal, Self, get_args
from uuid import UUID

import numpy as np
import psycopg
from psycopg import sql
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass as validated

from fashion_assets.benchmarks.results import Row
from fashion_assets.catalog.attributes import ALONE, IMPORTANCE, JUDGED
from fashion_assets.catalog.normalization import FIELDS, canonical
from fashion_assets.embedding.embed import combine, text_sha256
from fashion_assets.embedding.retrieval import K, precision, recall, reciprocal_rank
from fashion_assets.search.query import Mode, Query, Results
from fashion_assets.warehouse.embedding_store import EmbeddingStore
from fashion_assets.warehouse.releases import Release, ReleaseError

CAPTIONS = 2_000
"""Captions sampled at most, as in the evaluation `measure_captions` follows."""

WORD_COLUMNS = ALONE
"""Columns whose values are asked for as words: category, sub-category, fine category and colour of the KAGL tasks."""

WORD_TEXT_WEIGHT = 0.1
"""Share of the title in a product's vector where words are asked for: `doc_weights` of the KAGL tasks (0.9 and 0.1)."""

BLOCK = 2_048
"""Products held in memory at a time; with 2,000 queries their scores take 16 MB."""

_Text = Annotated[str, Field(pattern=r"\S")]


def _named_by_words(column: str) -> str:
    if column not in IMPORTANCE:
        raise ValueError(f"{column!r} is no column words name a value of; there are {', '.join(IMPORTANCE)}")
    return column


_Column = Annotated[str, AfterValidator(_named_by_words)]


# Words as people type them

Kind = Literal["plain", "synonym", "plural", "misspelling", "brand", "combination", "occasion"]


@validated(frozen=True, config=ConfigDict(extra="forbid"))
class TypedQuery:
    """Words as a person types them, and what they should find: for each column named, one of its values."""

    words: _Text
    kind: Kind
    finds: Annotated[dict[_Column, Annotated[tuple[_Text, ...], Field(min_length=1)]], Field(min_length=1)]

    @model_validator(mode="after")
    def _values_are_canonical(self) -> Self:
        for column, values in self.finds.items():
            strangers = [
                value for value in values if column in FIELDS and canonical(column, value) != (value, True)
            ]
            if strangers:
                raise ValueError(
                    f"{self.words!r} should find a {column} the catalogue never has: {strangers}"
                )
        return self


def parse_queries(text: str) -> tuple[TypedQuery, ...]:
    """The queries of a JSON list. Raises `ValueError` for what is no such list, names columns or values that do not
    exist, or has the same words twice."""
    queries = TypeAdapter(tuple[TypedQuery, ...]).validate_json(text)
    words = [query.words for query in queries]
    twice = sorted({each for each in words if words.count(each) > 1})
    if twice:
        raise ValueError(f"words that stand twice in the list: {twice}")
    return queries


def load_queries() -> tuple[TypedQuery, ...]:
    """The list that comes with the package, written without looking at what any search answers.

    It judges by what the columns hold: of "aviator sunglasses" only the sunglasses. A colour stands for its family as
    shoppers see it (blue for navy blue and turquoise blue too), "men" and "women" for unisex too.
    """
    return parse_queries(
        resources.files("fashion_assets.benchmarks").joinpath("queries.json").read_text("utf-8")
    )


@dataclass(frozen=True)
class QueryFigures:
    """precision@10 of one query by each leg."""

    words: str
    kind: str
    precision_at_10: Mapping[str, float]


@dataclass(frozen=True)
class RelevanceFigures:
    """What was asked, and the words skipped because the catalogue has fewer than ten products they should find."""

    queries: tuple[QueryFigures, ...]
    skipped: tuple[str, ...]

    def table(self) -> list[dict[str, str | int | float]]:
        """For each kind, and `overall` as the last row: number of queries and mean precision@10 of each leg. No rows
        where nothing was asked."""
        kinds = dict.fromkeys(query.kind for query in self.queries)
        groups = {kind: [query for query in self.queries if query.kind == kind] for kind in kinds}
        if self.queries:
            groups["overall"] = list(self.queries)
        return [
            {
                "kind": kind,
                "queries": len(group),
                **{
                    leg: float(np.mean([query.precision_at_10[leg] for query in group]))
                    for leg in group[0].precision_at_10
                },
            }
            for kind, group in groups.items()
        ]


def legs(search: Callable[[Query], Results], release: Release) -> dict[str, Callable[[str], list[str]]]:
    """An engine's ways to answer words (`SearchEngine.search`), each from words to product ids, best first."""

    def leg(mode: Mode) -> Callable[[str], list[str]]:
        def answer(words: str) -> list[str]:
            results = search(Query(words=words, mode=mode, limit=K, release=release.release))
            return [hit.product_id for hit in results.hits]

        return answer

    return {mode: leg(mode) for mode in get_args(Mode)}


def measure_queries(
    searches: Mapping[str, Callable[[str], Sequence[str]]],
    conn: psycopg.Connection,
    release: Release,
    queries: Sequence[TypedQuery] | None = None,
) -> RelevanceFigures:
    """Ask every leg each query (the package's list unless given) and judge the first ten hits by the release's own
    products.

    A hit is relevant if its product meets all of the query's conditions. Queries that fewer than ten products of the
    release meet are skipped: their precision could not reach 1.
    """
    figures, skipped = [], []
    for query in load_queries() if queries is None else queries:
        if len(_relevant(conn, release, query)) < K:
            skipped.append(query.words)
            continue
        found = {leg: list(dict.fromkeys(search(query.words)))[:K] for leg, search in searches.items()}
        relevant = _relevant(conn, release, query, sorted(set().union(*found.values())))
        judged = np.zeros((len(found), K), bool)
        for row, hits in zip(judged, found.values(), strict=True):
            row[: len(hits)] = [hit in relevant for hit in hits]
        values = precision(judged).tolist()
        figures.append(QueryFigures(query.words, query.kind, dict(zip(found, values, strict=True))))
    return RelevanceFigures(tuple(figures), tuple(skipped))


def _relevant(
    conn: psycopg.Connection, release: Release, query: TypedQuery, among: Sequence[str] | None = None
) -> set[str]:
    """The ids of products the query should find: those of `among`, or else any, ten at most."""
    conditions: list[sql.Composable] = [
        sql.SQL("{} = ANY({})").format(sql.Identifier(column), sql.Placeholder(column))
        for column in query.finds
    ]
    if among is not None:
        conditions.append(sql.SQL("product_id = ANY(%(among)s::uuid[])"))
    rows = conn.execute(
        sql.SQL("SELECT product_id::text FROM {} WHERE {} LIMIT %(limit)s").format(
            release.table("products"), sql.SQL(" AND ").join(conditions)
        ),
        {column: list(values) for column, values in query.finds.items()}
        | {"among": among, "limit": K if among is None else len(among)},
    ).fetchall()
    return {product_id for (product_id,) in rows}


# From captions and category words to pictures


@dataclass(frozen=True)
class CaptionFigures:
    """Means over the captions asked, 0 to 1; all 0 where there was none. `pictures` is the size of the corpus.

    `precision`, by attribute, leaves out captions whose product lacks the attribute.
    """

    captions: int
    pictures: int
    recall_at_1: float
    recall_at_10: float
    mrr: float
    precision: Mapping[str, float]

    def row(self) -> Row:
        """As the table has it."""
        figures = {name: value for name, value in vars(self).items() if name != "precision"}
        return figures | {f"{name}_precision_at_10": share for name, share in self.precision.items()}


@dataclass(frozen=True)
class WordFigures:
    """Means over the values of one column asked for as words, 0 to 1."""

    column: str
    words: int
    precision_at_1: float
    precision_at_10: float
    mrr: float


def measure_captions(
    conn: psycopg.Connection, release: Release, captions: int = CAPTIONS, seed: int = 0
) -> CaptionFigures:
    """Find pictures by their captions, which are products' titles: the KAGL text-to-image task of marqo-FashionCLIP
    (github.com/marqo-ai/marqo-FashionCLIP, configs/KAGL.json, eval.py) on this release.

    Up to `captions` distinct titles are drawn, the same ones for the same seed. Each is held against the picture of
    every product by exact cosine; every product that bears the title is relevant. Further, how many of the ten
    nearest have the article type, colour and gender of the product drawn: the first by id that bears the title.

    The captions may belong to pictures the shipped model was trained on: these are figures of the catalogue as it is
    searched, not of what the model makes of pictures it never saw. Raises `ReleaseError` for a release without a
    space.
    """
    space = _space(release)
    drawn = conn.execute(
        sql.SQL(
            "SELECT title, {columns} FROM (SELECT DISTINCT ON (title) title, {columns} FROM {products} "
            "WHERE title IS NOT NULL ORDER BY title, product_id) AS titles ORDER BY md5(%s || title), title LIMIT %s"
        ).format(columns=_columns(JUDGED), products=release.table("products")),
        (f"{seed}:", captions),
    ).fetchall()
    found, queries = EmbeddingStore(conn).get(space, "text", [text_sha256(row[0]) for row in drawn])
    asked = [row for row, known in zip(drawn, found, strict=True) if known]
    if not asked:
        return CaptionFigures(0, 0, 0.0, 0.0, 0.0, dict.fromkeys(JUDGED, 0.0))
    wanted = [_numbered(values) for values in zip(*asked, strict=True)]
    blocks = (
        (images, _codes(rows, wanted))
        for rows, images, _ in _corpus(conn, release, space, JUDGED, titles=False)
    )
    nearest, totals, pictures = _nearest(queries, blocks, [len(numbers) for numbers in wanted])
    own = _codes(asked, wanted)
    relevant = nearest == own[:, None, :]
    captioned = relevant[:, :, 0]
    each = totals[0][own[:, 0]]
    shares = {
        name: _mean(precision(relevant[:, :, place])[own[:, place] >= 0])
        for place, name in enumerate(JUDGED, start=1)
    }
    return CaptionFigures(
        len(asked),
        pictures,
        _mean(recall(captioned, each, 1)),
        _mean(recall(captioned, each)),
        _mean(reciprocal_rank(captioned)),
        shares,
    )


def measure_words(
    conn: psycopg.Connection, release: Release, encode: Callable[[Sequence[str]], np.ndarray]
) -> tuple[WordFigures, ...]:
    """Find products by the name of their category, sub-category, article type and colour: the KAGL
    category-to-product tasks and the colour one (see `measure_captions`, also for what the model may have seen).

    Every value the release has is asked for, by exact cosine against every product's weighted mean of picture and
    title, in the task's weights, not the index's. Values with fewer than ten products cannot reach 1 at ten.
    `encode` gives words' unit-length vectors, float32 [n, dimension], in the release's space (`Encoder.texts`).
    Raises `ReleaseError` for a release without a space.
    """
    space = _space(release)
    wanted: list[dict[str, int]] = []
    for column in WORD_COLUMNS:
        rows = conn.execute(
            sql.SQL("SELECT DISTINCT {column} FROM {products} WHERE {column} IS NOT NULL ORDER BY 1").format(
                column=sql.Identifier(column), products=release.table("products")
            )
        ).fetchall()
        wanted.append(_numbered([value for (value,) in rows]))
    words = [word for numbers in wanted for word in numbers]
    if not words:
        return ()
    blocks = (
        (combine(images, titles, WORD_TEXT_WEIGHT), _codes([row[1:] for row in rows], wanted))
        for rows, images, titles in _corpus(conn, release, space, WORD_COLUMNS, titles=True)
    )
    nearest, _, _ = _nearest(encode(words), blocks, [len(numbers) for numbers in wanted])
    figures, start = [], 0
    for place, (column, numbers) in enumerate(zip(WORD_COLUMNS, wanted, strict=True)):
        own = np.arange(len(numbers))
        relevant = nearest[start : start + len(numbers), :, place] == own[:, None]
        start += len(numbers)
        figures.append(
            WordFigures(
                column,
                len(numbers),
                _mean(precision(relevant, 1)),
                _mean(precision(relevant)),
                _mean(reciprocal_rank(relevant)),
            )
        )
    return tuple(figures)


def _space(release: Release) -> str:
    if release.space is None:
        raise ReleaseError(
            f"{release.release} has no space of its own: its vectors were preserved, not made here"
        )
    return release.space


def _columns(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _numbered(values: Sequence[str | None]) -> dict[str, int]:
    """A number for each distinct value, from 0 in order of appearance."""
    return {value: number for number, value in enumerate(dict.fromkeys(v for v in values if v is not None))}


def _codes(rows: Sequence[tuple], numbers: Sequence[Mapping[str, int]]) -> np.ndarray:
    """Rows of values as the values' numbers, int [rows, columns]; -1 for a value that has none."""
    return np.array(
        [[own.get(value, -1) for own, value in zip(numbers, row, strict=True)] for row in rows], np.int64
    ).reshape(len(rows), len(numbers))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0


def _corpus(
    conn: psycopg.Connection, release: Release, space: str, columns: Sequence[str], *, titles: bool
) -> Iterator[tuple[list[tuple], np.ndarray, np.ndarray]]:
    """The release's products in blocks, by id: rows of title and `columns`, image vectors and title vectors (empty
    unless `titles`), float32 [rows, dimension]. Products without a vector in the space are left out."""
    store = EmbeddingStore(conn)
    page = sql.SQL(
        "SELECT product_id, image_sha256, title, {columns} FROM {products} "
        "WHERE product_id > %(last)s ORDER BY product_id LIMIT %(block)s"
    ).format(columns=_columns(columns), products=release.table("products"))
    last = UUID(int=0)
    while rows := conn.execute(page, {"last": last, "block": BLOCK}).fetchall():
        last = rows[-1][0]
        rows = [row for row in rows if row[1] is not None and row[2] is not None]
        pictured, images = store.get(space, "image", [row[1] for row in rows])
        rows = [row for row, found in zip(rows, pictured, strict=True) if found]
        texts = np.empty((0, images.shape[1]), np.float32)
        if titles:
            titled, texts = store.get(space, "text", [text_sha256(row[2]) for row in rows])
            rows = [row for row, found in zip(rows, titled, strict=True) if found]
            images = images[titled]
        if rows:
            yield [row[2:] for row in rows], images, texts


def _nearest(
    queries: np.ndarray, blocks: Iterator[tuple[np.ndarray, np.ndarray]], sizes: Sequence[int]
) -> tuple[np.ndarray, list[np.ndarray], int]:
    """Search unit vectors exactly in blocks of (unit vectors [b, d], codes [b, columns]).

    Returns the codes of each query's ten nearest, int [queries, 10, columns] (-2, which is no code, where there are
    fewer); how often each column's codes occur in all blocks, one array of `sizes` each; and how many vectors there
    were. Only the best ten of each query are kept from block to block.
    """
    scores = np.full((len(queries), K), -np.inf, np.float32)
    nearest = np.full((len(queries), K, len(sizes)), -2, np.int64)
    totals = [np.zeros(size, np.int64) for size in sizes]
    seen = 0
    for vectors, codes in blocks:
        seen += len(vectors)
        for total, column in zip(totals, codes.T, strict=True):
            total += np.bincount(column[column >= 0], minlength=len(total))
        block = queries @ vectors.T
        best = np.argpartition(-block, min(K, len(vectors)) - 1, axis=1)[:, :K]
        scores = np.concatenate([scores, np.take_along_axis(block, best, axis=1)], axis=1)
        nearest = np.concatenate([nearest, codes[best]], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :K]
        scores = np.take_along_axis(scores, order, axis=1)
        nearest = np.take_along_axis(nearest, order[:, :, None], axis=1)
    return nearest, totals, seen
