"""Relevance: the list of queries, and both measurements on a finished candidate."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import LiteralString
from uuid import uuid4

import numpy as np
import pytest
from psycopg import sql

from fashion_assets.benchmarks import relevance
from fashion_assets.benchmarks.relevance import (
    CaptionFigures,
    QueryFigures,
    RelevanceFigures,
    TypedQuery,
    legs,
    load_queries,
    measure_captions,
    measure_queries,
    measure_words,
    parse_queries,
)
from fashion_assets.catalog.attributes import JUDGED
from fashion_assets.criteria.subject import Candidate
from fashion_assets.embedding.embed import text_sha256
from fashion_assets.search.engine import SearchEngine
from fashion_assets.warehouse.embedding_store import EmbeddingStore
from fashion_assets.warehouse.releases import ReleaseError

# The list


def test_the_list_is_long_and_varied():
    queries = load_queries()
    kinds = Counter(query.kind for query in queries)
    assert len(queries) >= 240
    assert len(kinds) == 7 and min(kinds.values()) >= 30


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"words": " "}, "words"),
        ({"kind": "typo"}, "kind"),
        ({"finds": {}}, "finds"),
        ({"finds": {"article_type": []}}, "article_type"),
        ({"finds": {"material": ["wool"]}}, "material"),
        ({"finds": {"article_type": ["t-shirtz"]}}, "article_type the catalogue never has"),
        ({"finds": {"colour": ["gray"]}}, "colour the catalogue never has"),
        ({"note": "?"}, "note"),
    ],
)
def test_an_entry_that_could_never_be_right_is_refused(entry: dict, said: str):
    sound = {"words": "red tee", "kind": "synonym", "finds": {"article_type": ["tshirts"], "colour": ["red"]}}
    assert parse_queries(json.dumps([sound]))[0].words == "red tee"
    with pytest.raises(ValueError, match=said):
        parse_queries(json.dumps([sound | entry]))


def test_the_same_words_twice_are_refused():
    entry = {"words": "tee", "kind": "synonym", "finds": {"article_type": ["tshirts"]}}
    with pytest.raises(ValueError, match="twice"):
        parse_queries(json.dumps([entry, entry]))


# Words as people type them

TEES = TypedQuery("tees", "synonym", {"article_type": ("tshirts",)})
RED_OR_BLUE_TEES = TypedQuery("tees", "plain", {"article_type": ("tshirts",), "colour": ("red", "blue")})
RED_TEES = TypedQuery("red tees", "plain", {"article_type": ("tshirts",), "colour": ("red",)})


def ids(candidate: Candidate, condition: LiteralString = "true") -> list[str]:
    rows = candidate.rows("SELECT product_id::text FROM {products} WHERE " + condition + " ORDER BY 1")
    return [product_id for (product_id,) in rows]


def change(candidate: Candidate, statement: LiteralString) -> None:
    candidate.conn.execute(sql.SQL(statement).format(products=candidate.release.table("products")))


def measured(candidate: Candidate, hits: Sequence[str], query: TypedQuery = TEES) -> float:
    figures = measure_queries({"leg": lambda _: hits}, candidate.conn, candidate.release, [query])
    return figures.queries[0].precision_at_10["leg"]


def test_hits_are_judged_by_the_release(candidate: Candidate):
    everything = ids(candidate)
    assert measured(candidate, everything[:10]) == 1.0
    assert measured(candidate, everything) == 1.0
    red_or_blue = ids(candidate, "colour IN ('red', 'blue')")
    others = ids(candidate, "colour NOT IN ('red', 'blue')")
    assert measured(candidate, red_or_blue, RED_OR_BLUE_TEES) == 1.0
    assert measured(candidate, [*others[:7], *red_or_blue], RED_OR_BLUE_TEES) == 0.3


def test_bad_answers_measure_badly(candidate: Candidate):
    everything = ids(candidate)
    assert measured(candidate, []) == 0.0
    assert measured(candidate, [str(uuid4())]) == 0.0
    assert measured(candidate, everything[:4]) == 0.4
    assert measured(candidate, everything[:1] * 10) == 0.1
    assert measured(candidate, ids(candidate, "colour = 'green'"), RED_OR_BLUE_TEES) == 0.0


def test_queries_a_catalogue_cannot_answer_are_skipped_and_counted(candidate: Candidate):
    def never(words: str) -> list[str]:
        raise AssertionError(f"{words!r} was asked")

    figures = measure_queries({"leg": never}, candidate.conn, candidate.release, [RED_TEES])
    assert figures == RelevanceFigures((), ("red tees",))
    assert figures.table() == []


def test_the_engine_is_asked_by_each_of_its_legs(candidate: Candidate):
    with SearchEngine.open(candidate.settings, size=1) as engine:
        searches = legs(engine.search, candidate.release)
        figures = measure_queries(searches, candidate.conn, candidate.release, [TEES])
    assert figures.queries[0].precision_at_10 == {"vector": 1.0, "text": 1.0, "hybrid": 1.0}


def test_the_packages_list_runs_on_any_catalogue(candidate: Candidate):
    everything = ids(candidate)
    figures = measure_queries({"leg": lambda _: everything}, candidate.conn, candidate.release)
    assert len(figures.queries) + len(figures.skipped) == len(load_queries())
    assert {query.precision_at_10["leg"] for query in figures.queries} == {1.0}


def test_the_table_has_a_mean_for_each_kind_and_leg():
    figures = RelevanceFigures(
        (
            QueryFigures("a", "plain", {"vector": 1.0, "text": 0.0}),
            QueryFigures("b", "plural", {"vector": 0.5, "text": 0.2}),
            QueryFigures("c", "plain", {"vector": 0.0, "text": 0.4}),
        ),
        ("d",),
    )
    assert figures.table() == [
        {"kind": "plain", "queries": 2, "vector": 0.5, "text": 0.2},
        {"kind": "plural", "queries": 1, "vector": 0.5, "text": 0.2},
        {"kind": "overall", "queries": 3, "vector": 0.5, "text": pytest.approx(0.2)},
    ]


# From captions and category words to pictures


def around(steps: np.ndarray) -> np.ndarray:
    """Unit vectors of the space's dimension on a circle of 40 steps."""
    angles = steps * 2 * np.pi / 40
    vectors = np.zeros((len(steps), 512), np.float32)
    vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
    return vectors


def place(candidate: Candidate, titles: float, from_pictures: int = 0) -> None:
    """Put the 40 pictures on a circle in the order of their ids, one step apart, and their titles so many steps ahead
    of them; the first `from_pictures` pictures get no vector."""
    space = candidate.release.space
    assert space is not None
    rows = candidate.rows("SELECT image_sha256, title FROM {products} ORDER BY external_id::int")
    steps = np.arange(len(rows))
    candidate.conn.execute("DELETE FROM fashion_ops.embeddings")
    store = EmbeddingStore(candidate.conn)
    store.put(space, "image", [row[0] for row in rows][from_pictures:], around(steps)[from_pictures:])
    store.put(space, "text", [text_sha256(row[1]) for row in rows], around(steps + titles))


def captions(candidate: Candidate, **options: int) -> CaptionFigures:
    return measure_captions(candidate.conn, candidate.release, **options)


def test_captions_beside_their_pictures_find_them(candidate: Candidate):
    place(candidate, titles=0.1)
    # Of ten neighbours in a row one has the same of eight colours.
    assert captions(candidate).row() == pytest.approx(
        {
            "captions": 40,
            "pictures": 40,
            "recall_at_1": 1.0,
            "recall_at_10": 1.0,
            "mrr": 1.0,
            "article_type_precision_at_10": 1.0,
            "colour_precision_at_10": 0.1,
            "gender_precision_at_10": 1.0,
        }
    )


def test_captions_off_their_pictures_measure_worse_and_far_off_badly(candidate: Candidate):
    place(candidate, titles=1.4)  # the pictures 1 and 2 steps ahead are nearer
    off = captions(candidate)
    assert (off.recall_at_1, off.recall_at_10) == (0.0, 1.0)
    assert off.mrr == pytest.approx(1 / 3)

    place(candidate, titles=20.1)
    far = captions(candidate)
    assert (far.recall_at_1, far.recall_at_10, far.mrr) == (0.0, 0.0, 0.0)


def test_neighbours_of_another_kind_lower_the_attributes_precision(candidate: Candidate):
    place(candidate, titles=0.1)
    change(
        candidate,
        "UPDATE {products} SET gender = 'women', article_type = 'tops', colour = NULL "
        "WHERE mod(external_id::int, 2) = 0",
    )
    figures = captions(candidate)
    assert figures.precision["gender"] == pytest.approx(0.5)
    assert figures.precision["article_type"] == pytest.approx(0.5)
    assert figures.precision["colour"] == pytest.approx(0.1)

    change(candidate, "UPDATE {products} SET colour = NULL")
    assert captions(candidate).precision["colour"] == 0.0


def test_all_products_that_bear_a_caption_are_relevant(candidate: Candidate):
    change(candidate, "UPDATE {products} SET title = 'One T-shirt'")
    place(candidate, titles=0.1)
    figures = captions(candidate)
    assert figures.captions == 1
    assert (figures.recall_at_1, figures.recall_at_10, figures.mrr) == (1 / 40, 10 / 40, 1.0)


def test_the_same_seed_draws_the_same_captions(candidate: Candidate):
    place(candidate, titles=0.1)
    # Every other picture lies elsewhere: which captions are drawn shows in the recall.
    candidate.conn.execute(
        "UPDATE fashion_ops.embeddings SET vector = %s::real[]::vector WHERE kind = 'image' "
        "AND get_byte(sha256, 0) %% 2 = 0",
        (around(np.array([20]))[0].tolist(),),
    )
    drawn = [captions(candidate, captions=5, seed=seed) for seed in range(5)]
    assert {figures.captions for figures in drawn} == {5}
    assert drawn == [captions(candidate, captions=5, seed=seed) for seed in range(5)]
    assert len({figures.recall_at_1 for figures in drawn}) > 1


def test_the_size_of_a_block_changes_nothing(candidate: Candidate, monkeypatch: pytest.MonkeyPatch):
    place(candidate, titles=1.4)
    whole = captions(candidate), words(candidate)
    monkeypatch.setattr(relevance, "BLOCK", 7)
    assert (captions(candidate), words(candidate)) == whole


def test_only_what_has_vectors_is_searched_and_asked_for(candidate: Candidate):
    place(candidate, titles=0.1, from_pictures=10)
    figures = captions(candidate)
    assert (figures.captions, figures.pictures, figures.recall_at_10) == (40, 30, 0.75)

    candidate.conn.execute("DELETE FROM fashion_ops.embeddings")
    assert captions(candidate) == CaptionFigures(0, 0, 0.0, 0.0, 0.0, dict.fromkeys(JUDGED, 0.0))


def test_a_release_of_preserved_vectors_only_has_no_captions_to_measure(candidate: Candidate):
    without = replace(candidate.release, space=None)
    with pytest.raises(ReleaseError, match="preserved"):
        measure_captions(candidate.conn, without)
    with pytest.raises(ReleaseError, match="preserved"):
        measure_words(candidate.conn, without, lambda words: around(np.zeros(len(words))))


def words(candidate: Candidate, **steps: float) -> dict[str, tuple[int, float, float, float]]:
    """Figures by column; each word lies so many steps along the circle, 0 unless given."""
    figures = measure_words(
        candidate.conn,
        candidate.release,
        lambda asked: around(np.array([steps.get(word.replace(" ", "_"), 0.0) for word in asked])),
    )
    return {
        each.column: (each.words, each.precision_at_1, each.precision_at_10, each.mrr) for each in figures
    }


def test_category_words_find_their_products_by_picture_rather_than_title(candidate: Candidate):
    # The first 20 are shirts, the rest tops; every title lies opposite its picture.
    change(
        candidate,
        "UPDATE {products} SET article_type = CASE WHEN external_id::int <= 20 THEN 'shirts' ELSE 'tops' END",
    )
    place(candidate, titles=20)
    right = words(candidate, shirts=9.6, tops=29.6)
    assert right["category"] == right["sub_category"] == (1, 1.0, 1.0, 1.0)
    assert right["article_type"] == (2, 1.0, 1.0, 1.0)

    wrong = words(candidate, shirts=29.6, tops=9.6)
    assert wrong["article_type"] == (2, 0.0, 0.0, 0.0)

    half = words(candidate, shirts=9.6, tops=9.6)
    assert half["article_type"] == (2, 0.5, 0.5, 0.5)


def test_a_value_no_product_has_is_not_asked_for(candidate: Candidate):
    place(candidate, titles=0)
    assert words(candidate)["colour"][0] == 8
    change(candidate, "UPDATE {products} SET colour = NULL")
    assert words(candidate)["colour"] == (0, 0.0, 0.0, 0.0)
    candidate.conn.execute("DELETE FROM fashion_ops.embeddings")
    assert words(candidate)["article_type"] == (1, 0.0, 0.0, 0.0)
