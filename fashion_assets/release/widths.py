"""How wide a search must walk a vector index of a release to find what is nearest: measured when the index is built.

What belongs here: asking an index with more and more candidates, holding it against all vectors, keeping what was enough. What does not: using
it, and proving by a sample that an answer left nothing out (`search.path`, `search.answering`).

HNSW finds more the more candidates it keeps while it searches (`hnsw.ef_search`), IVFFlat the more lists it reads (`ivfflat.probes`); either takes
longer for it. How many are enough depends on the vectors, on the index, and on how far the question is from any product: pictures lie among
products, words farther off. So it is measured for questions of both kinds. A question counts as one or the other by how near the nearest products
of the release's sample are to it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import psycopg
from pgvector import HalfVector
from psycopg import sql

from fashion_assets.embedding.embed import text_sha256
from fashion_assets.release import styles
from fashion_assets.search.path import (
    EXACT_AT_ONCE,
    EXACT_ROWS,
    OF_A_LIST,
    SAMPLE,
    STYLES_COMPARED,
    TIE,
    Width,
)
from fashion_assets.search.query import WINDOW
from fashion_assets.search.sample_vectors import Nearness, SampleVectors
from fashion_assets.search.statements import settings_along
from fashion_assets.warehouse import release_indexes
from fashion_assets.warehouse.embedding_store import EmbeddingStore
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import STYLE_CLUSTERS

QUESTIONS = 60
"""Of each kind: products, and their titles."""

K = WINDOW
"""Nearest products that are to be found: as many as a search looks at, the least near of which are the first to be missed."""

FIRST = 10
"""Of these so many fill a first page, of which a share is promised (`search.path.PROMISED`)."""

ENOUGH = 0.998
"""Mean share of them that is found, by the index or, where the sample shows that it passed over some, without it. 0.99 is promised of the first page
(G3)."""

LITTLE = 0.005
"""Where no width finds `ENOUGH`, as large graphs may have regions that no walk enters: what wider walks may find more."""

ROWS_PER_CANDIDATE = 15
"""Vectors compared one by one in about the time that one candidate takes, whose neighbours are read and compared: estimated from times on a busy machine."""

WIDTHS = (100, 125, 150, 200, 250, 300, 400, 500, 700, 1_000)
"""Candidates that are tried, the fewest first; pgvector takes no more than the last."""

PROBED = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 60, 80, 120)
"""Lists that are read, of an index that has lists; of a thousand the last is an eighth."""

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
        index = release.table(release_indexes.vector_index(position))
        lists = release_indexes.lists_of(conn, index)
        tried = [each for each in PROBED if each <= lists] if lists else WIDTHS
        one_more = products / lists * OF_A_LIST if lists else ROWS_PER_CANDIDATE
        compared = _compared_in_doubt(conn, release, space, products)
        found[space] = _measured(conn, release, space, dimension, tried, lists > 0, one_more, compared)
        conn.execute(
            sql.SQL("COMMENT ON INDEX {} IS {}").format(index, sql.Literal(found[space].written(lists > 0)))
        )
        conn.commit()
    return found


def _compared_in_doubt(conn: psycopg.Connection[Any], release: Release, space: str, products: int) -> float:
    """Vectors that are compared, about, where a search doubts its index."""
    row = conn.execute(
        sql.SQL("SELECT count(*) FROM {} WHERE embedding_space = %s").format(
            release.table(STYLE_CLUSTERS.name)
        ),
        (space,),
    ).fetchone()
    known = row[0] if row is not None else 0
    return products * min(1.0, STYLES_COMPARED / known) if known and products > EXACT_AT_ONCE else products


def _measured(
    conn: psycopg.Connection[Any],
    release: Release,
    space: str,
    dimension: int,
    widths: Sequence[int],
    listed: bool,
    one_more: float,
    compared: float,
) -> Width:
    """`widths`: those that are tried, of lists if it is `listed`; `one_more`: vectors compared one by one in the time that one of these takes."""
    products, titles, ids, sample = _drawn(conn, release, space)
    asked = np.concatenate([products, titles])
    farthest = _farthest(conn, release, space, dimension, asked)
    known = SampleVectors.of(sample)
    nearness = [Nearness(known, each) for each in asked]
    best = np.array([each.best for each in nearness])
    probes = [_probes(ids, each) for each in nearness]
    border = float(np.quantile(best[: len(products)], NEAR))
    near = best >= border
    tried: list[np.ndarray] = []
    for width in widths:
        settings = settings_along(width if not listed else 0, width if listed else 0)
        answers = [
            _found(conn, release, space, dimension, question, settings, last, proof)
            for question, last, proof in zip(asked, farthest, probes, strict=True)
        ]
        tried.append(np.array(answers, float))
        if all(tried[-1][kind, 0].mean() >= ENOUGH for kind in (near, ~near) if kind.any()):
            break
    found = np.stack(tried, axis=1)
    far = found[~near] if (~near).any() else found
    kinds = [(each, _enough(each, widths, one_more, compared)) for each in (found[near], far)]
    shares = [float(each[:, widths.index(width), 2].mean()) for each, width in kinds]
    return Width(kinds[0][1], kinds[1][1], border, (shares[0], shares[1]))


def _probes(ids: np.ndarray, nearness: Nearness) -> dict[str, float]:
    """What of the sample a search holds its answer against, with its distance."""
    nearest, similarities = nearness.front
    return dict(zip(ids[nearest].tolist(), (1 - similarities).tolist(), strict=True))


def _enough(found: np.ndarray, widths: Sequence[int], one_more: float, compared: float) -> int:
    """The width that takes least of those from which on enough is found. `found`: of questions and the first of the widths, the share found and whether the
    index was doubted, float [n, w, 2 or more]; `compared`: vectors that are compared then."""
    recall, doubted, *_ = found.mean(axis=0).T
    short = np.flatnonzero(recall < min(ENOUGH, recall.max() - LITTLE))
    first = min(len(recall) - 1, int(short[-1]) + 1 if len(short) else 0)
    takes = one_more * np.array(widths[: len(recall)]) + doubted * compared
    return widths[first + int(takes[first:].argmin())]


def _drawn(
    conn: psycopg.Connection[Any], release: Release, space: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors (float32 [n, d]) of products and of their titles, as far as these were embedded; ids (str [m]) and unit vectors of the sample
    searches choose their way by."""
    # Ids are hashes: the first are drawn at random. Those a question is made of are not among the sample's.
    with conn.cursor(binary=True) as cursor:
        rows = cursor.execute(
            sql.SQL(
                "SELECT coalesce(title, ''), embedding, product_id::text FROM (SELECT product_id, title, embedding, embedding_space FROM {} "
                "ORDER BY product_id LIMIT {}) AS first "
                "WHERE embedding_space = {}"
            ).format(release.table("products"), sql.Literal(SAMPLE + 4 * QUESTIONS), sql.Literal(space))
        ).fetchall()
    vectors = np.stack([row[1].to_numpy() for row in rows]).astype(np.float32)
    chosen = rows[-QUESTIONS:]
    known, titles = EmbeddingStore(conn).get(space, "text", [text_sha256(title) for title, _, _ in chosen])
    ids = np.array([row[2] for row in rows[:SAMPLE]])
    return vectors[-QUESTIONS:], titles if known.any() else vectors[:0], ids, vectors[:SAMPLE]


def _farthest(
    conn: psycopg.Connection[Any], release: Release, space: str, dimension: int, asked: np.ndarray
) -> np.ndarray:
    """How far the `FIRST`-th and the K-th nearest product are from each question, by comparing all: cosine distances, float [n, 2]."""
    nearest = np.full((len(asked), K), -np.inf, np.float32)
    for _, vectors in styles.read_vectors(conn, release, space, dimension):
        both = np.concatenate([nearest, asked @ vectors.T], axis=1)
        nearest = -np.partition(-both, K - 1, axis=1)[:, :K]
    return 1 - np.sort(nearest, axis=1)[:, [K - FIRST, 0]]


def _found(
    conn: psycopg.Connection[Any],
    release: Release,
    space: str,
    dimension: int,
    question: np.ndarray,
    settings: Mapping[str, str],
    farthest: np.ndarray,
    probes: Mapping[str, float],
) -> tuple[float, bool, float]:
    """The share of a question's nearest products that are found as the settings say: by the index, or, where the sample shows that it passed
    over some, without it (`search.answering`). Whether it shows that. And the same share of the `FIRST`
    ones. `farthest`: of those and of all, float [2]."""
    with conn.transaction():
        for name, value in settings.items():
            conn.execute("SELECT set_config(%s, %s, true)", (name, value))
        nearness = sql.SQL("embedding::halfvec({}) <=> %(question)s").format(sql.Literal(dimension))
        rows = conn.execute(
            sql.SQL(
                "SELECT product_id::text, {} FROM {} WHERE embedding_space = {} ORDER BY {} LIMIT {}"
            ).format(nearness, release.table("products"), sql.Literal(space), nearness, sql.Literal(K)),
            {"question": HalfVector(question)},
            prepare=True,
        ).fetchall()
    found = dict(rows)
    last = max(found.values(), default=0.0)
    if any(gap < last - TIE and product not in found for product, gap in probes.items()):
        return 1.0, True, 1.0
    first, whole = (
        min(1.0, sum(distance <= last + TIE for distance in found.values()) / number)
        for number, last in zip((FIRST, K), farthest, strict=True)
    )
    return whole, False, first
