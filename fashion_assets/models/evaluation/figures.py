"""What a task counts: a value for each query, of vectors and of what is right.

What belongs here: figures of arrays, and their difference. What does not: models and catalogues (`tasks`), the measures
(`embedding.retrieval`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fashion_assets.embedding.retrieval import nearest, precision, recall, reciprocal_rank, relevance, totals


@dataclass(frozen=True)
class Figure:
    """One measure of one task: a value for each query, in an order two models share."""

    task: str
    measure: str
    documents: int
    values: np.ndarray = field(repr=False)

    @property
    def key(self) -> tuple[str, str]:
        return self.task, self.measure

    @property
    def mean(self) -> float:
        return float(self.values.mean())

    def to_dict(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "measure": self.measure,
            "queries": len(self.values),
            "documents": self.documents,
            "value": round(self.mean, 4),
        }


def difference(figure: Figure, other: Figure) -> tuple[float, float]:
    """How much more `other` has, and the half width of the 95 % interval of that: 1.96 standard errors of the paired
    differences, query by query. Raises `ValueError` for figures of other queries."""
    if figure.key != other.key or len(figure.values) != len(other.values):
        raise ValueError(f"{figure.key} and {other.key} were not asked the same")
    gaps = other.values - figure.values
    spread = float(gaps.std(ddof=1)) if len(gaps) > 1 else 0.0
    return float(gaps.mean()), 1.96 * spread / len(gaps) ** 0.5


def caption_figures(
    task: str,
    queries: np.ndarray,
    pictures: np.ndarray,
    captions: np.ndarray,
    bears: np.ndarray,
    attributes: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
    but: np.ndarray | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Figure]:
    """Captions find the pictures that bear them.

    Args:
        task: what the figures are called.
        queries: unit vectors of the captions, float32 [q, d].
        pictures: unit vectors of all pictures, float32 [n, d].
        captions: the number of each query's caption, int [q].
        bears: the number of each picture's caption, int [n].
        attributes: by name, the number of its value for each query and each picture, -1 for none.
        but: see `retrieval.nearest`.
        progress: see `retrieval.nearest`.
    """
    found = nearest(queries, pictures, but=but, progress=progress)
    relevant, each = relevance(found, captions, bears), totals(captions, bears)
    return [
        Figure(task, "recall@1", len(pictures), recall(relevant, each, 1)),
        Figure(task, "recall@10", len(pictures), recall(relevant, each)),
        Figure(task, "MRR", len(pictures), reciprocal_rank(relevant)),
        *attribute_figures(task, found, attributes or {}, len(pictures)),
    ]


def attribute_figures(
    task: str, found: np.ndarray, attributes: Mapping[str, tuple[np.ndarray, np.ndarray]], documents: int
) -> list[Figure]:
    """precision@10 of each attribute among the places `found` (of `retrieval.nearest`), over the queries that have it;
    none for an attribute no query has."""
    return [
        Figure(
            task,
            f"{name.replace('_', ' ')} precision@10",
            documents,
            precision(relevance(found, wanted, labels))[wanted >= 0],
        )
        for name, (wanted, labels) in attributes.items()
        if (wanted >= 0).any()
    ]


def word_figures(
    task: str, queries: np.ndarray, products: np.ndarray, wanted: np.ndarray, labels: np.ndarray
) -> list[Figure]:
    """Words of a column find the products that bear them: unit vectors float32 [q, d] and [n, d], and the numbers of the
    words, int [q], and of each product's word, int [n]."""
    relevant = relevance(nearest(queries, products), wanted, labels)
    return [
        Figure(task, "precision@1", len(products), precision(relevant, 1)),
        Figure(task, "precision@10", len(products), precision(relevant)),
        Figure(task, "MRR", len(products), reciprocal_rank(relevant)),
    ]


def disturbance_figures(
    task: str, queries: np.ndarray, pictures: np.ndarray, originals: np.ndarray, same: np.ndarray
) -> list[Figure]:
    """Disturbed pictures find their original. `originals`, int [q], and `same`, int [n], number the pictures by their
    bytes; of pictures with the same bytes one is a document, so that finding any of them is finding the original."""
    _, first = np.unique(same, return_index=True)
    first.sort()
    found = nearest(queries, pictures[first])
    relevant = relevance(found, originals, same[first])
    return [
        Figure(task, "recall@1", len(first), recall(relevant, totals(originals, same[first]), 1)),
        Figure(task, "recall@10", len(first), recall(relevant, totals(originals, same[first]))),
    ]


def neighbour_figures(
    task: str,
    pictures: np.ndarray,
    rows: np.ndarray,
    attributes: Mapping[str, np.ndarray],
    among: np.ndarray | None = None,
) -> list[Figure]:
    """precision@10 of each attribute among the ten nearest other pictures.

    Args:
        pictures: unit vectors, float32 [n, d].
        rows: the pictures asked with, int [q].
        attributes: by name the number of each picture's value, int [n]; -1 for none.
        among: the pictures looked at, int [m], none of those asked with; default: all others.
    """
    if among is None:
        documents, found = slice(None), nearest(pictures[rows], pictures, but=rows)
    else:
        documents, found = among, nearest(pictures[rows], pictures[among])
    pairs = {name: (labels[rows], labels[documents]) for name, labels in attributes.items()}
    return attribute_figures(task, found, pairs, len(pictures) if among is None else len(among))


# Disturbances
