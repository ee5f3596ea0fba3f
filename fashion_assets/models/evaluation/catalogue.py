"""The listings a model is measured on, and which of them it is asked with.

What belongs here: a folder's sound listings, and those of them no model was trained on. What does not: what is asked
(`tasks`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fashion_assets.catalog.rules import Rules
from fashion_assets.embedding.spaces import EmbeddingSpace
from fashion_assets.errors import FashionAssetsError
from fashion_assets.models.holdout import TrainingRecord, held_out_mask, training_record
from fashion_assets.models.training.pairs import training_pairs
from fashion_assets.settings import Settings
from fashion_assets.sources import open_source


class EvaluationError(FashionAssetsError):
    """What was asked cannot be measured; the message says why and what to do."""


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
