"""Several models, and vectors made elsewhere, on the same questions.

What belongs here: foreign vectors, everything measured in one go, and the differences. What does not: how it looks
(`reports.comparison`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fashion_assets.benchmarks.relevance import CAPTIONS
from fashion_assets.catalog.attributes import JUDGED
from fashion_assets.embedding.encoder import Encoder
from fashion_assets.models.evaluation.catalogue import Asked, Catalogue, EvaluationError
from fashion_assets.models.evaluation.figures import (
    difference,
    neighbour_figures,
)
from fashion_assets.models.evaluation.published import PROTOCOL, PUBLISHED, PUBLISHED_PROTOCOL
from fashion_assets.models.evaluation.tasks import (
    DISTURBED,
    Evaluation,
    Progress,
    Questions,
    draw,
    evaluate,
)


def read_vectors(path: Path) -> tuple[list[str], np.ndarray]:
    """Ids and unit vectors, float32 [n, d], of an .npz file with `ids` and `embeddings`. Raises `EvaluationError`."""
    try:
        with np.load(path, allow_pickle=False) as file:
            ids, vectors = [str(each) for each in file["ids"]], np.asarray(file["embeddings"], np.float32)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise EvaluationError(
            f"{path} cannot be read as an .npz with `ids` and `embeddings`: {error}"
        ) from error
    if vectors.ndim != 2 or len(ids) != len(vectors):
        raise EvaluationError(f"{path}: {len(ids)} ids and embeddings of shape {vectors.shape} do not match")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(vectors).all() or not (lengths > 0).all():
        raise EvaluationError(f"{path} has vectors that are zero or not finite")
    if len(set(ids)) != len(ids):
        raise EvaluationError(f"{path} has the same id twice")
    return ids, vectors / lengths


def compare_neighbours(
    catalogue: Catalogue,
    asked: Asked,
    foreign: tuple[str, Sequence[str], np.ndarray],
    models: Sequence[tuple[str, np.ndarray]],
) -> list[Evaluation]:
    """Neighbours by foreign vectors (name, ids, unit vectors [m, d]) and by each model's (name, vectors [n, d] of all
    pictures), on the same listings: those the foreign vectors are of; asked with all of them, and with those of `asked`.

    Raises `EvaluationError` where none of the ids is a sound listing of the catalogue.
    """
    name, ids, vectors = foreign
    whole = catalogue.pairs["external_id"].tolist()
    place = {each.split(":", 1)[1]: row for row, each in enumerate(whole)} | {
        each: row for row, each in enumerate(whole)
    }
    known = [(place[each], row) for row, each in enumerate(ids) if each in place]
    if not known:
        raise EvaluationError(
            f"none of the {len(ids):,} ids of {name} is a sound listing of {catalogue.name}"
        )
    rows, own = (np.array(each) for each in zip(*known, strict=True))
    listings = catalogue.only(rows)
    codes = {each: listings.codes(each) for each in JUDGED}
    unseen_rows = np.flatnonzero(asked.rows[rows])
    evaluations = []
    for space, matrix in ((name, vectors[own]), *((each, made[rows]) for each, made in models)):
        figures = neighbour_figures("neighbours", matrix, np.arange(len(rows)), codes)
        if 0 < len(unseen_rows) < len(rows):
            figures += neighbour_figures("neighbours of unseen pictures", matrix, unseen_rows, codes)
        evaluations.append(Evaluation(space, matrix.shape[1], tuple(figures)))
    return evaluations


@dataclass(frozen=True)
class Comparison:
    """Everything measured in one go: one model or several on the same questions, and foreign vectors where given."""

    catalogue: str
    listings: int
    asked: Asked
    questions: Questions
    models: tuple[Evaluation, ...]
    vectors: tuple[Evaluation, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain data: what was asked, of whom, every figure, the published ones, differences of the first two."""
        return {
            "catalogue": self.catalogue,
            "listings": self.listings,
            "asked_with": {"products": int(self.asked.rows.sum()), "which": self.asked.note},
            "seed": self.questions.seed,
            "models": [each.to_dict() for each in self.models],
            "differences": self.differences(),
            "vectors": [each.to_dict() for each in self.vectors],
            "protocol": PROTOCOL,
            "published": {
                "protocol": PUBLISHED_PROTOCOL,
                "models": {
                    name: [
                        {"task": task, "measure": measure, "value": value}
                        for (task, measure), value in own.items()
                    ]
                    for name, own in PUBLISHED.items()
                },
            },
        }

    def rows(self) -> list[dict[str, Any]]:
        """One row for each task and measure, with the value of each model in order, and of each published one."""
        rows = []
        for figure in self.models[0].figures:
            own = [each.figure(*figure.key) for each in self.models]
            rows.append(
                {
                    "task": figure.task,
                    "measure": figure.measure,
                    "queries": len(figure.values),
                    "documents": figure.documents,
                    "values": [None if each is None else each.mean for each in own],
                    "published": [known.get(figure.key) for known in PUBLISHED.values()],
                }
            )
        return rows

    def differences(self) -> list[dict[str, Any]]:
        """Of two models: what the second has more than the first, with the half width of its 95 % interval."""
        if len(self.models) != 2:
            return []
        first, second = self.models
        rows = []
        for figure in first.figures:
            other = second.figure(*figure.key)
            if other is not None:
                more, margin = difference(figure, other)
                rows.append(
                    {
                        "task": figure.task,
                        "measure": figure.measure,
                        "difference": round(more, 4),
                        "margin": round(margin, 4),
                        "beyond_chance": abs(more) > margin,
                    }
                )
        return rows


def compare(
    encoders: Sequence[Encoder],
    catalogue: Catalogue,
    asked: Asked,
    *,
    vectors: Path | None = None,
    captions: int = CAPTIONS,
    disturbed: int = DISTURBED,
    seed: int = 0,
    progress: Progress = lambda step, done, total: None,
) -> Comparison:
    """Ask every model the same. `vectors` is a file of foreign vectors: see `read_vectors`."""
    foreign = None if vectors is None else read_vectors(vectors)
    questions = draw(catalogue, asked, captions=captions, disturbed=disturbed, seed=seed)
    models, beside = [], []
    for encoder in encoders:
        evaluation, pictures = evaluate(encoder, catalogue, questions, progress)
        models.append(evaluation)
        if foreign is not None:
            beside.append((evaluation.name, pictures))
    others: list[Evaluation] = []
    if foreign is not None and vectors is not None:
        others = compare_neighbours(catalogue, asked, (vectors.stem, *foreign), beside)
    return Comparison(catalogue.name, len(catalogue), asked, questions, tuple(models), tuple(others))
