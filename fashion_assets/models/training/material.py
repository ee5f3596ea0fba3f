"""What a training learns from: products, their decoded pictures, and which of them are kept out.

What belongs here: shaping and checking it, once. What does not: drawing captions and altering pictures at every step.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from transformers import CLIPTokenizer

from fashion_assets.models.holdout import held_out_mask
from fashion_assets.models.training.captions import train_tokenizer, vocabulary_texts
from fashion_assets.models.training.configuration import TrainingConfig
from fashion_assets.models.training.labels import ATTRIBUTES, Labels, labels_of
from fashion_assets.models.training.pictures import decode_pictures

_REQUIRED = ("external_id", "image_path", "title", *ATTRIBUTES)


@dataclass(frozen=True)
class Material:
    """The products with a readable picture, one row each."""

    pairs: pd.DataFrame
    """As given to `train`."""
    pixels: np.ndarray
    """uint8 [n, height, width, 3]."""
    held_out: np.ndarray
    """Boolean [n]: kept out of the training."""
    rows: np.ndarray
    """Those learnt from, ascending."""
    titles: list[str]
    labels: Labels
    tokenizer: CLIPTokenizer
    unreadable_ids: tuple[str, ...]
    """`external_id` of the products without a readable picture."""


def material_of(
    pairs: pd.DataFrame, folder: Path, config: TrainingConfig, tokenizer: CLIPTokenizer | None
) -> Material:
    """Checks `pairs`, decodes their pictures into `folder` and parts what is learnt from what is kept out; without a
    tokenizer, one is made of their words.

    Raises:
        ValueError: as `train`.
    """
    pairs = _checked(pairs)
    pictures = decode_pictures(
        list(pairs["image_path"]), config.image_height, config.image_width, folder, config.threads
    )
    readable = np.flatnonzero(pictures.readable)
    unreadable_ids = tuple(pairs["external_id"][~pictures.readable])
    pixels = pictures.pixels if len(readable) == len(pairs) else pictures.pixels[readable]
    pairs = pairs.iloc[readable].reset_index(drop=True)
    digests = [pictures.digests[row] for row in readable]
    held_out = held_out_mask(list(pairs["external_id"]), digests, config.held_out_share)
    rows = np.flatnonzero(~held_out)
    if len(rows) < config.batch_size:
        raise ValueError(f"{len(rows)} products to train on are fewer than one batch of {config.batch_size}")
    labels = labels_of(pairs)
    if tokenizer is None:
        tokenizer = train_tokenizer(vocabulary_texts(pairs.iloc[rows], labels, rows), config)
    titles = pairs["title"].astype(str).tolist()
    return Material(pairs, pixels, held_out, rows, titles, labels, tokenizer, unreadable_ids)


def _checked(pairs: pd.DataFrame) -> pd.DataFrame:
    missing = [name for name in _REQUIRED if name not in pairs.columns]
    if missing:
        raise ValueError(f"pairs lack the columns {', '.join(missing)}")
    pairs = pairs.loc[:, list(_REQUIRED)].reset_index(drop=True)
    for name in ("external_id", "image_path", "title"):
        nulls = int(np.count_nonzero(pairs[name].isna()))
        if nulls:
            raise ValueError(f"pairs have {nulls} nulls in {name}")
        pairs[name] = pairs[name].astype(str)
    repeated = pairs.loc[pairs["external_id"].duplicated(), "external_id"].tolist()
    if repeated:
        raise ValueError(f"pairs repeat the id {repeated[0]}")
    return pairs
