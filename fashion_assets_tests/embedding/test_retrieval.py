"""Exact search and its measures, by hand and against comparing everything one by one."""

import numpy as np
import pytest

from fashion_assets.embedding import retrieval
from fashion_assets.embedding.retrieval import (
    nearest,
    precision,
    recall,
    reciprocal_rank,
    relevance,
    totals,
)

# Two relevant of ten, at places 2 and 4; none; all.
JUDGED = np.array([[0, 1, 0, 1, 0, 0, 0, 0, 0, 0], [0] * 10, [1] * 10], bool)


# Measures


def test_precision_by_hand():
    assert precision(JUDGED).tolist() == [0.2, 0.0, 1.0]
    assert precision(JUDGED, 1).tolist() == [0.0, 0.0, 1.0]
    assert precision(JUDGED, 4).tolist() == [0.5, 0.0, 1.0]


def test_a_short_answer_is_no_better_than_its_misses():
    assert precision(np.array([[True, True]])).tolist() == [0.2]


def test_recall_by_hand():
    totals = np.array([4, 1, 40])
    assert recall(JUDGED, totals).tolist() == [0.5, 0.0, 0.25]
    assert recall(JUDGED, totals, 1).tolist() == [0.0, 0.0, 0.025]
    assert recall(JUDGED[1:2], np.array([0])).tolist() == [0.0]


def test_reciprocal_rank_by_hand():
    assert reciprocal_rank(JUDGED).tolist() == [0.5, 0.0, 1.0]
    assert reciprocal_rank(JUDGED, 1).tolist() == [0.0, 0.0, 1.0]


# Exact search


def unit(rows: int, seed: int, dimension: int = 16) -> np.ndarray:
    """Vectors of quarters, of unit length where there are 16 of them. Their scores are exact, and so alike for like ones,
    in whatever order a processor's matrix product adds."""
    return np.random.default_rng(seed).choice(np.float32([-0.25, 0.25]), (rows, dimension))


@pytest.mark.parametrize("chunks", [(3, 7), (100, 11), (256, 16_384)])
def test_the_nearest_are_those_of_a_whole_sort(monkeypatch: pytest.MonkeyPatch, chunks: tuple[int, int]):
    monkeypatch.setattr(retrieval, "QUERIES", chunks[0])
    monkeypatch.setattr(retrieval, "DOCUMENTS", chunks[1])
    queries, documents = unit(20, 1), unit(60, 2)
    documents[40:50] = documents[:10]  # equal ones come by place
    expected = np.argsort(-(queries @ documents.T), axis=1, kind="stable")
    said: list[tuple[int, int]] = []
    found = nearest(queries, documents, progress=lambda *step: said.append(step))
    assert np.array_equal(found, expected[:, :10])
    assert said[-1] == (20, 20)


def test_leaving_one_out_leaves_that_one_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retrieval, "DOCUMENTS", 7)
    documents = unit(30, 3)
    own = np.array([0, 29, 13, -1])
    found = nearest(documents[own], documents, but=own)
    assert not (found[:3] == own[:3, None]).any()
    assert found[3, 0] == 29
    whole = nearest(documents[own], documents, 11)
    assert np.array_equal(found[:3], whole[:3, 1:])


def test_fewer_documents_than_asked_for_leave_places_empty():
    documents = unit(3, 4)
    found = nearest(documents[:2], documents, but=np.array([0, -1]))
    assert found.shape == (2, 10)
    assert (found >= 0).sum(axis=1).tolist() == [2, 3]
    assert nearest(documents[:1], np.empty((0, 16), np.float32)).tolist() == [[-1] * 10]


def test_vectors_of_other_dimensions_are_never_compared():
    with pytest.raises(ValueError, match="not of one space"):
        nearest(unit(2, 1, 16), unit(5, 1, 9))


def test_what_bears_the_label_is_relevant_and_what_has_none_never():
    found = np.array([[0, 1, -1], [2, 3, 0], [1, 2, 3]])
    labels = np.array([5, 6, -1, 5])
    wanted = np.array([5, -1, 9])
    assert relevance(found, wanted, labels).tolist() == [
        [True, False, False],
        [False, False, False],
        [False, False, False],
    ]
    assert totals(wanted, labels).tolist() == [2, 0, 0]
    assert totals(wanted, np.array([-1])).tolist() == [0, 0, 0]
