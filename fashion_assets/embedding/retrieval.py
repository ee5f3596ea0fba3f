"""How well vectors find vectors: exact search by cosine, and the measures of what it finds; arrays in, arrays out.

What belongs here: pure functions over queries, documents and labels, one figure for each query, so that a training, an
evaluation and a benchmark of a release mean the same by the same word. What does not: which queries are asked
(`models`, `benchmarks`), files, databases.
"""

from collections.abc import Callable

import numpy as np

K = 10
"""Hits looked at: what a first page shows."""

QUERIES = 256
DOCUMENTS = 16_384
"""Queries and documents compared at once; their scores take 16 MB."""


def nearest(
    queries: np.ndarray,
    documents: np.ndarray,
    k: int = K,
    *,
    but: np.ndarray | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """The k documents of largest cosine for each query, by comparing all; best first, equal ones by place.

    Args:
        queries: unit vectors, float32 [q, d].
        documents: unit vectors, float32 [n, d]; may be a memory map.
        k: how many.
        but: for each query the place of a document it may not find, int [q], -1 for none: leave-one-out.
        progress: called with the queries done and all of them.

    Returns:
        Places in `documents`, int [q, k]; -1 where there are fewer.

    Raises `ValueError` where the dimensions differ: such vectors are of different spaces.
    """
    if queries.ndim != 2 or documents.ndim != 2 or queries.shape[1] != documents.shape[1]:
        raise ValueError(f"queries {queries.shape} and documents {documents.shape} are not of one space")
    found = np.full((len(queries), k), -1, np.int64)
    for first in range(0, len(queries), QUERIES):
        asked = queries[first : first + QUERIES]
        own = None if but is None else but[first : first + QUERIES]
        best = np.full((len(asked), 0), -np.inf, np.float32)
        places = np.full((len(asked), 0), -1, np.int64)
        for start in range(0, len(documents), DOCUMENTS):
            scores = asked @ documents[start : start + DOCUMENTS].T
            if own is not None:
                rows = np.flatnonzero((own >= start) & (own < start + scores.shape[1]))
                scores[rows, own[rows] - start] = -np.inf
            if scores.shape[1] > k:
                # All that equal the k-th stay in until the sort, or equal scores would fall out by chance.
                least = -np.partition(-scores, k - 1, axis=1)[:, k - 1]
                kept = np.flatnonzero((scores >= least[:, None]).any(axis=0))
            else:
                kept = np.arange(scores.shape[1])
            best = np.concatenate([best, scores[:, kept]], axis=1)
            places = np.concatenate([places, np.broadcast_to(kept + start, (len(asked), len(kept)))], axis=1)
            order = np.argsort(-best, axis=1, kind="stable")[:, :k]
            best = np.take_along_axis(best, order, axis=1)
            places = np.take_along_axis(places, order, axis=1)
        places[np.isneginf(best)] = -1
        found[first : first + len(asked), : places.shape[1]] = places
        progress(first + len(asked), len(queries))
    return found


def relevance(found: np.ndarray, wanted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether each hit bears its query's label: bool [q, k].

    `found` as of `nearest`; `wanted`, int [q], and `labels`, int [n], number the labels of queries and documents. A
    negative label is none: a query or document without one is relevant to nothing.
    """
    own = np.where(found >= 0, labels[found], -1)
    return (own == wanted[:, None]) & (own >= 0)


def totals(wanted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many documents bear each query's label, int [q]; arguments as of `relevance`."""
    counts = np.bincount(labels[labels >= 0], minlength=int(wanted.max(initial=-1)) + 1)
    return np.where(wanted >= 0, counts[wanted], 0) if len(counts) else np.zeros(len(wanted), np.int64)


def precision(relevant: np.ndarray, k: int = K) -> np.ndarray:
    """precision@k of each query: the share of the first k places that hold something relevant, float [queries].

    `relevant` is bool [queries, places], best place first; places there are none of count as misses, so that a
    short answer is not a better one. It is `P_k` of trec_eval (Manning, Raghavan, Schütze: Introduction to
    Information Retrieval, 8.4).
    """
    return relevant[:, :k].sum(axis=1) / k


def recall(relevant: np.ndarray, totals: np.ndarray, k: int = K) -> np.ndarray:
    """recall@k of each query: the share of all that is relevant found in the first k places, float [queries].

    `relevant` as in `precision`; `totals`, int [queries], is how much is relevant in the whole corpus; where that is
    nothing, recall is 0. It is `recall_k` of trec_eval: where more than k are relevant, 1 cannot be reached.
    """
    return relevant[:, :k].sum(axis=1) / np.maximum(totals, 1)


def reciprocal_rank(relevant: np.ndarray, k: int = K) -> np.ndarray:
    """One over the place, from 1, of the first relevant hit of each query; 0 where none is in the first k.

    `relevant` as in `precision`; float [queries]. Its mean is the MRR (Voorhees: The TREC-8 Question Answering Track
    Report, 1999), cut at k as the KAGL evaluation does (marqo-FashionCLIP, utils/metrics.py).
    """
    first = relevant[:, :k]
    return np.where(first.any(axis=1), 1 / (first.argmax(axis=1) + 1), 0.0)
