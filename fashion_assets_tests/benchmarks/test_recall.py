"""Recall under filters: the filters are what they are said to be, and a search that misses measures badly."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from psycopg import sql

from fashion_assets.benchmarks import recall
from fashion_assets.benchmarks.recall import Catalogue, measure_recall
from fashion_assets.criteria.subject import Candidate
from fashion_assets.embedding.embed import text_sha256
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.filters import AnyOf, Filter
from fashion_assets.search.query import Plan, Query, Results
from fashion_assets.warehouse.embedding_store import EmbeddingStore

TYPES, PRODUCTS = 20, 4_000


@pytest.fixture
def engine(candidate: Candidate) -> Iterator[SearchEngine]:
    with SearchEngine.open(candidate.settings, size=1) as engine:
        yield engine


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """Article types of very different sizes that lie on a circle, with brands and colours drawn at random."""
    draw = np.random.default_rng(1)
    types = draw.choice(TYPES, PRODUCTS, p=np.arange(1, TYPES + 1) / sum(range(1, TYPES + 1)))
    angles = types * 2 * np.pi / TYPES + draw.normal(0, 0.05, PRODUCTS)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    values = {
        "article_type": np.array([f"type {number}" for number in types], object),
        "colour": np.array([f"colour {number}" for number in draw.integers(12, size=PRODUCTS)], object),
        "brand": np.array([f"brand {number}" for number in draw.integers(200, size=PRODUCTS)], object),
    }
    values["brand"][::50] = None
    return Catalogue("space", values, vectors, vectors[:10])


def left_by(catalogue: Catalogue, filters: tuple[Filter, ...]) -> np.ndarray:
    left = np.ones(PRODUCTS, bool)
    for each in filters:
        assert isinstance(each, AnyOf)
        left &= np.isin(catalogue.values[each.column], list(map(str, each.values)))
    return left


@pytest.mark.parametrize("share", [0.001, 0.01, 0.05, 0.1, 0.3])
@pytest.mark.parametrize("relation", ["unrelated", "near", "far"])
def test_filters_leave_about_the_share_that_is_wanted(catalogue: Catalogue, share: float, relation):
    draw = np.random.default_rng(0)
    left = [
        left_by(catalogue, catalogue.narrowed(share, relation, question, draw)).mean()
        for question in catalogue.questions
    ]
    assert share / 2 <= np.median(left) <= share * 2
    assert min(left) > 0


def test_tied_filters_keep_what_is_nearest_or_farthest(catalogue: Catalogue):
    draw = np.random.default_rng(0)
    for question in catalogue.questions:
        nearness = catalogue.vectors @ question
        means = {
            relation: nearness[left_by(catalogue, catalogue.narrowed(0.1, relation, question, draw))].mean()
            for relation in ("near", "unrelated", "far")
        }
        assert means["near"] > 0.7 > means["unrelated"] > means["far"]
        assert means["far"] < -0.7


def test_everything_is_no_filter_or_every_value(catalogue: Catalogue):
    draw = np.random.default_rng(0)
    assert catalogue.narrowed(1.0, "unrelated", catalogue.questions[0], draw) == ()
    (every,) = catalogue.narrowed(1.0, "near", catalogue.questions[0], draw)
    assert isinstance(every, AnyOf) and len(every.values) == TYPES


def test_a_sound_search_has_full_recall(candidate: Candidate, engine: SearchEngine):
    rows = measure_recall(
        engine.search, candidate.conn, candidate.release, questions=6, selectivities=(0.125, 1.0)
    )
    assert [(row["selectivity"], row["tied"]) for row in rows] == [
        (0.125, False),
        (0.125, True),
        (1.0, False),
        (1.0, True),
    ]
    for row in rows:
        assert list(row) == [
            "selectivity",
            "tied",
            "recall",
            "p50_ms",
            "p95_ms",
            "exact_p95_ms",
            "asked",
            "questions",
        ]
        assert row["recall"] == 1.0
        assert 0 < row["p50_ms"] <= row["p95_ms"]


def test_words_are_rows_of_their_own(candidate: Candidate, engine: SearchEngine):
    space = candidate.release.space
    assert space is not None
    words = np.eye(2, 512, dtype=np.float32)
    rows = measure_recall(
        engine.search,
        candidate.conn,
        candidate.release,
        words={space: words, "other": words},
        questions=3,
        tries=1,
        selectivities=(1.0,),
    )
    assert [(row["asked"], row["tied"]) for row in rows] == [
        ("products", False),
        ("products", True),
        ("words", False),
        ("words", True),
    ]
    assert all(row["recall"] == 1.0 for row in rows)


def test_a_space_without_embedded_titles_is_asked_by_its_products(candidate: Candidate, engine: SearchEngine):
    candidate.conn.execute("DELETE FROM fashion_ops.embeddings WHERE kind = 'text'")
    (row, _) = measure_recall(
        engine.search, candidate.conn, candidate.release, questions=4, tries=1, selectivities=(1.0,)
    )
    assert row["recall"] == 1.0


def test_the_same_seed_asks_the_same(candidate: Candidate, engine: SearchEngine):
    asked: list[list[Query]] = [[], []]
    for kept in asked:

        def search(query: Query, kept: list[Query] = kept) -> Results:
            kept.append(query)
            return engine.search(query)

        measure_recall(search, candidate.conn, candidate.release, questions=5, selectivities=(0.125,), seed=3)
    assert [query.digest() for query in asked[0]] == [query.digest() for query in asked[1]]
    assert any(query.filters for query in asked[0])


def test_questions_stay_when_other_products_come_and_go(candidate: Candidate):
    before = recall.draw(candidate.conn, candidate.release, 10)
    assert before is not None
    # The first of all ids, so that every product moves up, and not one that is asked about.
    rows = candidate.rows("SELECT product_id, embedding, title FROM {products} ORDER BY product_id")
    asked = {question.tobytes() for question in before.questions}
    kept = EmbeddingStore(candidate.conn)
    texts = kept.get(before.space, "text", [text_sha256(title) for _, _, title in rows])[1]
    gone = next(
        product_id
        for (product_id, vector, _), text in zip(rows, texts, strict=True)
        if vector.to_numpy().astype(np.float32).tobytes() not in asked and text.tobytes() not in asked
    )
    candidate.conn.execute(
        sql.SQL("DELETE FROM {} WHERE product_id = %s").format(candidate.release.table("products")), (gone,)
    )
    after = recall.draw(candidate.conn, candidate.release, 10)
    assert after is not None and np.array_equal(after.questions, before.questions)


def test_a_search_that_leaves_out_hits_measures_badly(candidate: Candidate, engine: SearchEngine):
    def forgetful(query: Query) -> Results:
        results = engine.search(query)
        return results if query.exact else replace(results, hits=results.hits[::2])

    rows = measure_recall(
        forgetful, candidate.conn, candidate.release, questions=6, selectivities=(0.125, 1.0)
    )
    assert all(0.4 <= row["recall"] <= 0.6 for row in rows)


def test_the_worse_way_to_be_tied_is_reported(candidate: Candidate, engine: SearchEngine):
    """Blind where the question's own product is not among what the filter leaves: far filters are, near ones are not."""

    def blind(query: Query) -> Results:
        results = engine.search(query)
        if query.exact or (results.hits and results.hits[0].score > 0.9999):
            return results
        return replace(results, hits=())

    # The one question of this seed is a product's own vector, and not its title's.
    unfiltered, tied = measure_recall(
        blind, candidate.conn, candidate.release, questions=1, selectivities=(1.0,), seed=3
    )
    assert unfiltered["recall"] == tied["recall"] == 1.0
    _, tied = measure_recall(
        blind, candidate.conn, candidate.release, questions=1, selectivities=(0.125,), seed=3
    )
    assert tied["recall"] == 0.0


def test_recall_by_hand(candidate: Candidate, engine: SearchEngine):
    everything = engine.search(
        Query(words="red t-shirt", mode="vector", exact=True, limit=40, release=candidate.release.release)
    ).hits
    plan = Plan("r", {})
    far, near = Results(everything[30:], plan), Results(everything[:10], plan)
    assert recall.recall(near, near) == 1.0
    assert recall.recall(Results((), plan), near) == 0.0
    assert recall.recall(Results(everything[:4], plan), near) == 0.4
    assert recall.recall(Results((everything[0],) * 10, plan), near) == 0.1
    lowered = tuple(replace(hit, score=hit.score - 1) for hit in far.hits)
    assert recall.recall(Results(lowered, plan), near) == 0.0
    # As near as the tenth, within a tie, is as good.
    tied = replace(everything[-1], score=near.hits[-1].score - recall.TIE / 2)
    assert recall.recall(Results((*near.hits[:9], tied), plan), near) == 1.0
    assert recall.recall(Results((), plan), Results((), plan)) == 1.0
    assert recall.recall(near, Results((), plan)) == 0.0


def test_an_empty_release_has_no_rows(candidate: Candidate, engine: SearchEngine):
    candidate.conn.execute(sql.SQL("DELETE FROM {}").format(candidate.release.table("products")))
    assert measure_recall(engine.search, candidate.conn, candidate.release) == []
