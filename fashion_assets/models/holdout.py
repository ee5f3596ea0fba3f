"""Which products a training keeps out, so that it can be asked again later of any model: by ids and pictures alone.

What belongs here: that rule, without torch, and what a model's folder says of its own training. What does not: learning
(`training`), and what is measured on the products kept out (`models.evaluation`).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fashion_assets.embedding.spaces import ModelError


def held_out_mask(external_ids: Sequence[str], digests: Sequence[bytes], share: float) -> np.ndarray:
    """Which products are kept out of the training.

    A product's side follows from the SHA-1 of its id, so it does not depend on order or on a random state.
    Products with byte-identical pictures follow the smallest id among them, so no picture is on both sides.

    Args:
        external_ids: n product ids, as `training_pairs` gives them: with their source's name.
        digests: n hashes of the pictures' bytes.
        share: the share to keep out, 0 to 1.

    Returns:
        Boolean array [n], true for what is kept out.
    """
    smallest: dict[bytes, str] = {}
    for external_id, digest in zip(external_ids, digests, strict=True):
        known = smallest.get(digest)
        if known is None or external_id < known:
            smallest[digest] = external_id
    sides = [
        int.from_bytes(hashlib.sha1(smallest[digest].encode()).digest()[:4]) / 2**32 < share
        for digest in digests
    ]
    return np.array(sides, dtype=bool)


@dataclass(frozen=True)
class TrainingRecord:
    """What a model's `metrics.json` says of what it was trained on."""

    share: float
    """The share of products kept out."""
    products: int | None = None
    """Products there were, and how many of them were kept out; None where it does not say."""
    held_out: int | None = None


def training_record(folder: Path) -> TrainingRecord | None:
    """The record in a model's folder; None for a model without one.

    Raises `ModelError` where the file is there and does not say which share was kept out.
    """
    path = folder / "metrics.json"
    if not path.is_file():
        return None
    try:
        said = json.loads(path.read_text("utf-8"))
        share, data = float(said["config"]["held_out_share"]), said.get("data", {})
        record = TrainingRecord(share, data.get("products"), data.get("held_out"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{path} does not say what share of the products was kept out of the training (config.held_out_share). "
            "Say it with --held-out, or measure on all with --all-queries."
        ) from error
    if not 0 <= share <= 1:
        raise ModelError(f"{path} says a share of {share} was kept out of the training; shares are 0 to 1")
    return record
