"""What a model is asked on a catalogue, and how it answers.

What belongs here: drawing the questions, and every task of one model. What does not: what a task counts (`figures`),
several models side by side (`comparison`).
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fashion_assets.benchmarks.relevance import CAPTIONS, WORD_COLUMNS, WORD_TEXT_WEIGHT
from fashion_assets.catalog.attributes import JUDGED
from fashion_assets.catalog.pictures import load_rgb
from fashion_assets.embedding.embed import combine
from fashion_assets.embedding.encoder import Encoder
from fashion_assets.models.evaluation.catalogue import Asked, Catalogue, EvaluationError
from fashion_assets.models.evaluation.disturbances import DISTURBANCES
from fashion_assets.models.evaluation.figures import (
    Figure,
    caption_figures,
    disturbance_figures,
    neighbour_figures,
    word_figures,
)

DISTURBED = 1_000
"""Pictures disturbed at most, in each way."""

NEIGHBOURHOOD = 2_000
"""Pictures among which neighbours are looked for a second time: in a smaller catalogue ten of a kind lie further apart."""

CHUNK = 1_024
"""Pictures and texts encoded between two words of progress."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Evaluation:
    """Figures of one model, or of foreign vectors, on one catalogue."""

    name: str
    dimension: int
    figures: tuple[Figure, ...]

    def figure(self, task: str, measure: str) -> Figure | None:
        return next((each for each in self.figures if each.key == (task, measure)), None)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "dimension": self.dimension,
            "figures": [each.to_dict() for each in self.figures],
        }


@dataclass(frozen=True)
class Questions:
    """What every model is asked on a catalogue, drawn once."""

    captions: np.ndarray
    """Places of the products whose captions are asked, int [q]: of each caption the first by id."""
    disturbed: np.ndarray
    """Places of the products whose pictures are disturbed."""
    neighbours: np.ndarray
    """Places of the products whose neighbours are looked at."""
    neighbourhood: np.ndarray
    """Places of `NEIGHBOURHOOD` other products; empty where there are not as many others."""
    unseen: np.ndarray
    """Which products are asked with, bool [n]."""
    seed: int


def draw(
    catalogue: Catalogue, asked: Asked, *, captions: int = CAPTIONS, disturbed: int = DISTURBED, seed: int = 0
) -> Questions:
    """Draw what is asked, of the products asked with: the same for the same seed, whatever else the catalogue has."""

    def drawn(column: str, count: int, of: np.ndarray = asked.rows) -> np.ndarray:
        own = catalogue.pairs.loc[of, column].drop_duplicates()
        ranked = sorted((hashlib.md5(f"{seed}:{text}".encode()).digest(), row) for row, text in own.items())
        return np.array(sorted(row for _, row in ranked[:count]), np.int64)

    neighbours = drawn("external_id", captions)
    others = np.ones(len(catalogue), bool)
    others[neighbours] = False
    enough = others.sum() >= NEIGHBOURHOOD
    return Questions(
        drawn("title", captions),
        drawn("external_id", disturbed),
        neighbours,
        drawn("external_id", NEIGHBOURHOOD if enough else 0, others),
        asked.rows,
        seed,
    )


def evaluate(
    encoder: Encoder,
    catalogue: Catalogue,
    questions: Questions,
    progress: Progress = lambda step, done, total: None,
) -> tuple[Evaluation, np.ndarray]:
    """Every task of one model; also its vectors of all pictures, float32 [n, dimension].

    Memory: the vectors of pictures and titles, and some chunks. Raises `ModelError` where the model cannot be run, and
    `EvaluationError` for a picture that can no longer be read.
    """

    def of_files(paths: Sequence[str]) -> np.ndarray:
        made = encoder.files(paths)
        for failure in made.failures:
            raise EvaluationError(f"the picture {failure.uri} cannot be embedded: {failure.reason}")
        return made.vectors

    name = encoder.space.name
    codes = {each: catalogue.codes(each) for each in JUDGED}
    pictures = _in_chunks(
        of_files, catalogue.pairs["image_path"].tolist(), encoder, progress, f"{name}: pictures"
    )
    titles = _in_chunks(
        encoder.texts, catalogue.pairs["title"].tolist(), encoder, progress, f"{name}: titles"
    )
    figures = [
        *_captions(
            catalogue,
            questions,
            titles,
            pictures,
            lambda done, total: progress(f"{name}: captions", done, total),
        ),
        *_words(encoder, catalogue, questions, combine(pictures, titles, WORD_TEXT_WEIGHT)),
        *_disturbances(encoder, catalogue, questions, pictures, progress),
        *neighbour_figures("neighbours", pictures, questions.neighbours, codes),
    ]
    if len(questions.neighbourhood):
        figures += neighbour_figures(
            f"neighbours among {NEIGHBOURHOOD:,}",
            pictures,
            questions.neighbours,
            codes,
            questions.neighbourhood,
        )
    return Evaluation(name, encoder.space.dimension, tuple(figures)), pictures


def _in_chunks(
    encode: Callable[[Sequence[str]], np.ndarray],
    given: Sequence[str],
    encoder: Encoder,
    progress: Progress,
    step: str,
) -> np.ndarray:
    vectors = np.empty((len(given), encoder.space.dimension), np.float32)
    for start in range(0, len(given), CHUNK):
        chunk = given[start : start + CHUNK]
        vectors[start : start + len(chunk)] = encode(chunk)
        progress(step, start + len(chunk), len(given))
    return vectors


def _captions(
    catalogue: Catalogue,
    questions: Questions,
    titles: np.ndarray,
    pictures: np.ndarray,
    progress: Callable[[int, int], None],
) -> list[Figure]:
    rows, bears = questions.captions, catalogue.codes("title")
    codes = {each: catalogue.codes(each) for each in JUDGED}
    attributes = {each: (own[rows], own) for each, own in codes.items()}
    figures = caption_figures(
        "caption to picture", titles[rows], pictures, bears[rows], bears, attributes, progress=progress
    )
    # A caption a seen product bears as well is an easier question: the others are told apart.
    new = ~np.isin(bears[rows], bears[~questions.unseen])
    if new.any() and not new.all():
        figures += [
            Figure("caption no seen product bears", each.measure, each.documents, each.values[new])
            for each in figures[:3]
        ]
    return figures


def _words(
    encoder: Encoder, catalogue: Catalogue, questions: Questions, products: np.ndarray
) -> list[Figure]:
    figures = []
    for column in WORD_COLUMNS:
        values = sorted(catalogue.pairs[column].dropna().unique())
        if not values:
            continue
        codes, words = catalogue.codes(column), encoder.texts(values)
        task = f"{_called(column)} to product"
        figures += word_figures(task, words, products, np.arange(len(values)), codes)
        if not questions.unseen.all():
            there = np.unique(codes[questions.unseen])
            there = there[there >= 0]
            own = codes[questions.unseen]
            figures += word_figures(
                f"{task}, unseen only", words[there], products[questions.unseen], there, own
            )
    return figures


def _called(column: str) -> str:
    return "sub-category" if column == "sub_category" else column.replace("_", " ")


def _disturbances(
    encoder: Encoder, catalogue: Catalogue, questions: Questions, pictures: np.ndarray, progress: Progress
) -> list[Figure]:
    rows, same = questions.disturbed, pd.factorize(pd.Series(catalogue.digests))[0].astype(np.int64)
    figures = []
    for name, disturb in DISTURBANCES.items():
        random = np.random.default_rng(questions.seed)
        vectors = np.empty((len(rows), encoder.space.dimension), np.float32)
        for start in range(0, len(rows), CHUNK):
            paths = catalogue.pairs["image_path"].iloc[rows[start : start + CHUNK]]
            disturbed = [disturb(load_rgb(path), random) for path in paths]
            vectors[start : start + len(disturbed)] = encoder.pictures(disturbed)
            progress(f"{encoder.space.name}: pictures after {name}", start + len(disturbed), len(rows))
        figures += disturbance_figures(f"picture after {name}", vectors, pictures, same[rows], same)
    return figures
