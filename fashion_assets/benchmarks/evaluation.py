"""How good a model is: any CLIP on a folder's own pictures and words, beside other models and beside foreign vectors.

What belongs here: which listings are asked with, what each task asks and counts, and the published figures of others.
What does not: the measures and the exact search (`embedding.retrieval`), which products a training kept out
(`embedding.holdout`), measurements of a release (`relevance`), how a comparison looks (`release.comparison`).

The protocol of the words' tasks is that of KAGL in marqo-FashionCLIP (github.com/marqo-ai/marqo-FashionCLIP: eval.py,
configs/KAGL.json, utils/metrics.py, data/KAGL/gt_query_doc); `PROTOCOL` says what is the same and what is not.
"""

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from fashion_assets.benchmarks.relevance import CAPTIONS, WORD_COLUMNS, WORD_TEXT_WEIGHT
from fashion_assets.catalog.pictures import load_rgb
from fashion_assets.catalog.validation import Rules
from fashion_assets.embedding.embed import combine
from fashion_assets.embedding.encoder import Encoder
from fashion_assets.embedding.holdout import TrainingRecord, held_out_mask, training_record
from fashion_assets.embedding.retrieval import (
    nearest,
    precision,
    recall,
    reciprocal_rank,
    relevance,
    totals,
)
from fashion_assets.embedding.spaces import EmbeddingSpace
from fashion_assets.embedding.training.pairs import training_pairs
from fashion_assets.settings import Settings
from fashion_assets.sources import open_source

DISTURBED = 1_000
"""Pictures disturbed at most, in each way."""

ATTRIBUTES = ("article_type", "colour", "gender")
"""Attributes whose precision is measured."""

CHUNK = 1_024
"""Pictures and texts encoded between two words of progress."""

PROTOCOL = {
    "caption to picture": (
        "As KAGL's text-to-image task: each distinct caption is one query, every listing that bears exactly it is "
        "relevant, documents are all pictures, the search is exact, recall@k is the share of all that is relevant found "
        "in the first k (trec_eval's recall_k, so recall@1 of a caption two pictures bear is 0.5 at the most), MRR is cut "
        "at 10. Different: captions are those of the products asked with, not drawn from all; the draw is by a hash of "
        "seed and caption, where KAGL's 2,000 stand in a file whose seed is not told; the listings are this folder's "
        "sound ones, where KAGL has the whole catalogue; titles and values are as this catalogue normalizes them."
    ),
    "category to product": (
        "As KAGL's category tasks: each value is one query as a bare word, a product is 0.9 picture and 0.1 title, "
        "P@k is trec_eval's. Different as above. All products are documents, those a model was trained on too; the rows "
        "of products asked with only have no others."
    ),
    "disturbed picture": (
        "Not in KAGL: a picture cropped (to 80 % of its edges, anywhere), mirrored, blurred (Gaussian, 2 % of the longer "
        "edge) or made 1.4 times as bright finds its original among all distinct pictures."
    ),
    "neighbours": (
        "Not in KAGL: pictures only, the ten nearest other pictures by cosine (leave-one-out), and the share of them "
        "with the picture's own article type, colour, gender."
    ),
}
"""What each group of tasks asks, and how it compares with the published evaluation."""

PUBLISHED_PROTOCOL = (
    "zero-shot, as published in marqo-FashionCLIP's LEADERBOARD.md (KAGL, 2024-08-09): 2,000 captions of the whole "
    "catalogue, documents all its pictures. A model trained on a part of the catalogue "
    "is no zero-shot model: the figures stand beside each other, not in one contest."
)

PUBLISHED: Mapping[str, Mapping[tuple[str, str], float]] = {
    name: {
        ("caption to picture", "recall@1"): caption[0],
        ("caption to picture", "recall@10"): caption[1],
        ("caption to picture", "MRR"): caption[2],
        **{
            (f"{column} to product", measure): value
            for column, pair in zip(("category", "sub-category", "article type", "colour"), words, strict=True)
            for measure, value in zip(("precision@1", "precision@10"), pair, strict=True)
        },
    }
    for name, caption, words in (
        ("FashionCLIP 2.0", (0.122, 0.404, 0.217), ((0.714, 0.686), (0.600, 0.571), (0.634, 0.577), (0.413, 0.443))),
        ("Marqo-FashionCLIP", (0.159, 0.446, 0.265), ((0.714, 0.571), (0.667, 0.613), (0.725, 0.613), (0.500, 0.496))),
        ("Marqo-FashionSigLIP", (0.179, 0.489, 0.293), ((0.571, 0.686), (0.711, 0.687), (0.704, 0.629), (0.587, 0.502))),
    )
}  # fmt: skip
"""Published zero-shot figures by model, task and measure: see `PUBLISHED_PROTOCOL`."""

Progress = Callable[[str, int, int], None]


class EvaluationError(Exception):
    """What was asked cannot be measured; the message says why and what to do."""


# Listings, and which of them are asked with


@dataclass(frozen=True)
class Catalogue:
    """The sound listings of a folder, in the order of their ids, and the SHA-256 of their pictures."""

    name: str
    pairs: pd.DataFrame
    digests: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.pairs)

    def only(self, rows: np.ndarray) -> "Catalogue":
        """Some of the listings, by place."""
        pairs = self.pairs.iloc[rows].reset_index(drop=True)
        return Catalogue(self.name, pairs, tuple(self.digests[row] for row in rows))

    def codes(self, column: str) -> np.ndarray:
        """A number for each value of a column, int [n]; -1 where there is none."""
        return pd.factorize(self.pairs[column], sort=True)[0].astype(np.int64)


def read_catalogue(folder: Path, settings: Settings) -> Catalogue:
    """A folder's listings as `train` reads them: by the product's own reader and rules.

    Raises `SourceError` where the folder is none of a catalogue, `EvaluationError` where no listing is sound.
    """
    source = open_source("folder", settings.source_name, str(folder), settings)
    pairs = training_pairs([source], Rules.from_settings(settings))
    if pairs.empty:
        raise EvaluationError(f"no listing of {folder} is sound: there is nothing to measure a model on")
    pairs = pairs.sort_values("external_id", ignore_index=True)
    digests = (hashlib.sha256(Path(path).read_bytes()).digest() for path in pairs["image_path"])
    return Catalogue(folder.resolve().name, pairs, tuple(digests))


@dataclass(frozen=True)
class Asked:
    """Which listings are asked with, bool [n], and why these, in words."""

    rows: np.ndarray
    note: str


def unseen(
    catalogue: Catalogue,
    spaces: Sequence[EmbeddingSpace],
    *,
    share: float | None = None,
    ids: Sequence[str] | None = None,
    everything: bool = False,
) -> Asked:
    """The listings no model was trained on, as far as that can be known.

    Without `share` (kept out of every model's training) or `ids` (never trained on), each model's folder is asked; where
    several models are compared, what none of them was trained on. A model that says nothing restricts nothing. The rule
    goes by ids that carry the source's name (FASHION_ASSETS_SOURCE_NAME): it must be the one the model was trained under.

    Raises `ModelError` for a record that cannot be read, `EvaluationError` where nothing is left to ask with.
    """
    all_rows = np.ones(len(catalogue), bool)
    if everything:
        return Asked(all_rows, "all products, whether a model was trained on them or not, as asked for")
    if ids is not None:
        rows = _bearing(catalogue, ids)
        return _some(Asked(rows, f"the {rows.sum():,} products named as never trained on"))
    rows, notes = all_rows, []
    for space in spaces:
        record = training_record(space.folder)
        kept = share if share is not None else record and record.share
        said = "as asked for"
        if share is None:
            checked = record is not None and record.products == len(catalogue)
            said = "by its own record" if checked else "by its own record, of another number of products"
        if kept is None:
            notes.append(f"{space.name} does not say what it was trained on: all products, seen or not")
        elif kept == 0:
            notes.append(f"{space.name} was trained on all products, {said}: it has seen what is asked")
        else:
            own = _kept_out(catalogue, kept, space, record if share is None else None)
            rows = rows & own
            notes.append(
                f"{space.name} was not trained on {own.sum():,} of {len(own):,} products ({kept:.1%}, {said})"
            )
    return _some(Asked(rows, "; ".join(notes)))


def _kept_out(
    catalogue: Catalogue, share: float, space: EmbeddingSpace, record: TrainingRecord | None
) -> np.ndarray:
    """The products a training kept out, bool [n]. Where the record is of as many products as the catalogue has, its count
    must be met: by ids with their source's name, as `train` makes them, or by bare ids."""
    whole = catalogue.pairs["external_id"]
    rows = held_out_mask(whole.tolist(), catalogue.digests, share)
    if record is None or record.products != len(catalogue) or record.held_out in (None, rows.sum()):
        return rows
    bare = held_out_mask(whole.str.split(":", n=1).str[1].tolist(), catalogue.digests, share)
    if bare.sum() == record.held_out:
        return bare
    raise EvaluationError(
        f"{space.name} says {record.held_out:,} of {record.products:,} products were kept out of its training, and here "
        f"{rows.sum():,} of as many would be: another catalogue, or another FASHION_ASSETS_SOURCE_NAME than it was "
        "trained under. Name the products it never saw with --unseen-ids, or say --all-queries."
    )


def _bearing(catalogue: Catalogue, ids: Sequence[str]) -> np.ndarray:
    """Which listings bear one of the ids, with their source's name or without it."""
    whole = catalogue.pairs["external_id"]
    wanted = list(ids)
    return (whole.isin(wanted) | whole.str.split(":", n=1).str[1].isin(wanted)).to_numpy(bool)


def _some(asked: Asked) -> Asked:
    if not asked.rows.any():
        raise EvaluationError(
            f"no product is left to ask with: {asked.note}. Say --all-queries to measure on all of them."
        )
    return asked


# Figures


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
    task: str, pictures: np.ndarray, rows: np.ndarray, attributes: Mapping[str, np.ndarray]
) -> list[Figure]:
    """precision@10 of each attribute among the ten nearest other pictures: unit vectors float32 [n, d], the places asked
    with, int [q], and the number of each picture's value, int [n], -1 for none."""
    found = nearest(pictures[rows], pictures, but=rows)
    pairs = {name: (labels[rows], labels) for name, labels in attributes.items()}
    return attribute_figures(task, found, pairs, len(pictures))


# Disturbances


def crop(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """80 % of the edges, from anywhere."""
    width, height = (max(1, round(edge * 0.8)) for edge in picture.size)
    left, top = (
        int(random.integers(0, edge - kept + 1))
        for edge, kept in zip(picture.size, (width, height), strict=True)
    )
    return picture.crop((left, top, left + width, top + height))


def flip(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Mirrored, left for right."""
    return ImageOps.mirror(picture)


def blur(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """A Gaussian whose standard deviation is 2 % of the longer edge."""
    return picture.filter(ImageFilter.GaussianBlur(0.02 * max(picture.size)))


def brightness(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """1.4 times as bright."""
    return ImageEnhance.Brightness(picture).enhance(1.4)


DISTURBANCES = {"crop": crop, "flip": flip, "blur": blur, "brightness": brightness}


# A model on a catalogue


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
    unseen: np.ndarray
    """Which products are asked with, bool [n]."""
    seed: int


def draw(
    catalogue: Catalogue, asked: Asked, *, captions: int = CAPTIONS, disturbed: int = DISTURBED, seed: int = 0
) -> Questions:
    """Draw what is asked, of the products asked with: the same for the same seed, whatever else the catalogue has."""

    def drawn(column: str, count: int) -> np.ndarray:
        own = catalogue.pairs.loc[asked.rows, column].drop_duplicates()
        ranked = sorted((hashlib.md5(f"{seed}:{text}".encode()).digest(), row) for row, text in own.items())
        return np.array(sorted(row for _, row in ranked[:count]), np.int64)

    return Questions(
        drawn("title", captions),
        drawn("external_id", disturbed),
        drawn("external_id", captions),
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
        *neighbour_figures(
            "neighbours", pictures, questions.neighbours, {each: catalogue.codes(each) for each in ATTRIBUTES}
        ),
    ]
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
    codes = {each: catalogue.codes(each) for each in ATTRIBUTES}
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
            disturbed = [disturb(load_rgb(io.BytesIO(Path(path).read_bytes())), random) for path in paths]
            vectors[start : start + len(disturbed)] = encoder.pictures(disturbed)
            progress(f"{encoder.space.name}: pictures after {name}", start + len(disturbed), len(rows))
        figures += disturbance_figures(f"picture after {name}", vectors, pictures, same[rows], same)
    return figures


# Foreign vectors


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
    codes = {each: listings.codes(each) for each in ATTRIBUTES}
    unseen_rows = np.flatnonzero(asked.rows[rows])
    evaluations = []
    for space, matrix in ((name, vectors[own]), *((each, made[rows]) for each, made in models)):
        figures = neighbour_figures("neighbours", matrix, np.arange(len(rows)), codes)
        if 0 < len(unseen_rows) < len(rows):
            figures += neighbour_figures("neighbours of unseen pictures", matrix, unseen_rows, codes)
        evaluations.append(Evaluation(space, matrix.shape[1], tuple(figures)))
    return evaluations


# All of it


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
