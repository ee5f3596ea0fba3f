"""How wide a search must walk a vector index of a release to find what is nearest: measured when the index is built.

What belongs here: asking an index with more and more candidates, holding it against all vectors, keeping what was enough. What does not: using
it, and proving by a sample that an answer left nothing out (`search.path`, `search.answering`).

HNSW finds more the more candidates it keeps while it searches (`hnsw.ef_search`), and takes the longer. How many are enough is a property of
the vectors, of the graph, and of how far the question is from any product: pictures lie among products, words farther off. So it is measured
for questions of both kinds, and a question is taken for one or the other by how near the nearest products of the release's sample are to it.
"""

from typing import Any

import numpy as np
import psycopg
from pgvector import HalfVector
from psycopg import sql

from fashion_assets.embedding.embed import text_sha256
from fashion_assets.release import styles
from fashion_assets.search.path import EXACT_ROWS, SAMPLE, TIE, Width, best_of
from fashion_assets.search.query import WINDOW
from fashion_assets.warehouse import release_indexes
from fashion_assets.warehouse.embedding_store import EmbeddingStore
from fashion_assets.warehouse.releases import Release

QUESTIONS = 60
"""Of each kind: products, and their titles."""

K = WINDOW
"""Nearest products that are to be found: as many as a search looks at, the least near of which are the first to be missed."""

ENOUGH = 0.998
"""Mean share of them that is found. 0.99 is promised of the first page (G3), and every miss that the sample shows has all compared: of a hundred
products some five are the sample's, so that at 0.998 one search in a hundred is."""

WIDTHS = (100, 125, 150, 200, 250, 300, 400, 500, 700, 1_000)
"""Candidates that are tried, the fewest first; pgvector takes no more than the last."""

NEAR = 0.05
"""Share of the questions by products that may be farther from the sample than what is taken for near."""


def measure(conn: psycopg.Connection[Any], release: Release) -> dict[str, Width]:
    """Find out how wide each space's index must be walked, and keep it as the index's comment, where whoever may read the release finds it.
    Spaces whose vectors are compared one by one have none. Every vector is read once, some thousands at a time."""
    found = {}
    spaces = conn.execute(
        sql.SQL(
            "SELECT embedding_space, max(vector_dims(embedding)), count(*) FROM {} WHERE embedding IS NOT NULL "
            "GROUP BY 1 ORDER BY count(*) DESC, 1"
        ).format(release.table("products"))
    ).fetchall()
    for position, (space, dimension, products) in enumerate(spaces, start=1):
        if products <= max(EXACT_ROWS, SAMPLE + QUESTIONS):
            continue
        found[space] = _measured(conn, release, space, dimension)
        conn.execute(
            sql.SQL("COMMENT ON INDEX {} IS {}").format(
                release.table(release_indexes.vector_index(position)), sql.Literal(found[space].written())
            )
        )
        conn.commit()
    return found


def _measured(conn: psycopg.Connection[Any], release: Release, space: str, dimension: int) -> Width:
    products, titles, sample = _drawn(conn, release, space)
    asked = np.concatenate([products, titles])
    farthest = _farthest(conn, release, space, dimension, asked)
    best = np.array([best_of(np.vecdot(sample, each)) for each in asked])
    border = float(np.quantile(best[: len(products)], NEAR))
    near = best >= border
    recalls = np.ones((len(asked), len(WIDTHS)))
    for place, width in enumerate(WIDTHS):
        recalls[:, place] = [
            _found(conn, release, space, dimension, question, width, last)
            for question, last in zip(asked, farthest, strict=True)
        ]
        if all(recalls[kind, place].mean() >= ENOUGH for kind in (near, ~near) if kind.any()):
            break
    return Width(_enough(recalls[near]), _enough(recalls[~near] if (~near).any() else recalls), border)


def _enough(recalls: np.ndarray) -> int:
    """The narrowest width from which on enough is found."""
    mean = recalls.mean(axis=0)
    short = np.flatnonzero(mean < ENOUGH)
    return WIDTHS[min(len(WIDTHS) - 1, int(short[-1]) + 1 if len(short) else 0)]


def _drawn(
    conn: psycopg.Connection[Any], release: Release, space: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors (float32 [n, d]) of products and of their titles, as far as these were embedded, and of the sample searches choose their way by."""
    # Ids are hashes: the first are drawn at random. Those a question is made of are not among the sample's.
    with conn.cursor(binary=True) as cursor:
        rows = cursor.execute(
            sql.SQL(
                "SELECT coalesce(title, ''), embedding FROM (SELECT title, embedding, embedding_space FROM {} ORDER BY product_id LIMIT {}) AS first "
                "WHERE embedding_space = {}"
            ).format(release.table("products"), sql.Literal(SAMPLE + 4 * QUESTIONS), sql.Literal(space))
        ).fetchall()
    vectors = np.stack([row[1].to_numpy() for row in rows]).astype(np.float32)
    chosen = rows[-QUESTIONS:]
    known, titles = EmbeddingStore(conn).get(space, "text", [text_sha256(title) for title, _ in chosen])
    return vectors[-QUESTIONS:], titles if known.any() else vectors[:0], vectors[:-QUESTIONS]


def _farthest(
    conn: psycopg.Connection[Any], release: Release, space: str, dimension: int, asked: np.ndarray
) -> np.ndarray:
    """How far the K-th nearest product is from each question, by comparing all: cosine distance, float [n]."""
    nearest = np.full((len(asked), K), -np.inf, np.float32)
    for _, vectors in styles.read_vectors(conn, release, space, dimension):
        both = np.concatenate([nearest, asked @ vectors.T], axis=1)
        nearest = -np.partition(-both, K - 1, axis=1)[:, :K]
    return 1 - nearest.min(axis=1)


def _found(
    conn: psycopg.Connection[Any],
    release: Release,
    space: str,
    dimension: int,
    question: np.ndarray,
    width: int,
    farthest: float,
) -> float:
    """The share of a question's nearest products that the index finds with so many candidates."""
    with conn.transaction():
        for name, value in (
            ("hnsw.ef_search", str(width)),
            ("enable_seqscan", "off"),
            ("enable_sort", "off"),
        ):
            conn.execute("SELECT set_config(%s, %s, true)", (name, value))
        nearness = sql.SQL("embedding::halfvec({}) <=> %(question)s").format(sql.Literal(dimension))
        rows = conn.execute(
            sql.SQL("SELECT {} FROM {} WHERE embedding_space = {} ORDER BY {} LIMIT {}").format(
                nearness, release.table("products"), sql.Literal(space), nearness, sql.Literal(K)
            ),
            {"question": HalfVector(question)},
            prepare=True,
        ).fetchall()
    return min(1.0, sum(distance <= farthest + TIE for (distance,) in rows) / K)
