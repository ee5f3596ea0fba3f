"""A search as a person asks it: words, a picture, or both, in the space of the live release.

What belongs here: turning the question into one vector. What does not: SQL (`vector`).
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import psycopg

from fashion_assets.catalog.pictures import load_rgb, probe
from fashion_assets.embedding.encoder import Encoder, encoder
from fashion_assets.search.vector import FilterError, Hit, nearest
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.releases import ReleaseError


def query_vector(model: Encoder, max_pixels: int, text: str = "", image: Path | None = None) -> np.ndarray:
    """The unit-length vector [d] of words, a picture, or the mean of both.

    Raises `FilterError` where the picture is missing, truncated, too large or no picture.
    """
    parts = []
    if text.strip():
        parts.append(model.texts([text])[0])
    if image is not None:
        seen = probe(str(image), max_pixels)
        if isinstance(seen, str):
            raise FilterError(f"cannot search by {image}: {seen.replace('_', ' ')}")
        parts.append(model.pictures([load_rgb(str(image))])[0])
    mixed = np.mean(parts, axis=0)
    return (mixed / np.linalg.norm(mixed)).astype(np.float32)


def search(
    conn: psycopg.Connection,
    settings: Settings,
    *,
    text: str = "",
    image: Path | None = None,
    filters: Mapping[str, str] | None = None,
    limit: int = 10,
) -> list[Hit]:
    """The live products nearest to the question, best first.

    Raises `ReleaseError` where nothing is live, or where the model is not the one the release was made with: vectors
    of different spaces cannot be compared.
    """
    live = releases.live(conn)
    if live is None:
        raise ReleaseError("nothing is live yet: fashion-assets run")
    model = encoder(settings.model, settings.model_revision, settings.device, settings.encode_batch_size)
    if live.space != model.space.name:
        raise ReleaseError(
            f"{live.release} was made with the model {live.space}, and the model in use is {model.space.name}: set "
            "FASHION_ASSETS_MODEL to the former, or run again to embed the catalogue with the latter"
        )
    vector = query_vector(model, settings.max_image_pixels, text, image)
    return nearest(conn, vector, model.space.name, limit=limit, filters=filters)
