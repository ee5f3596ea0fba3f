"""What a person's words bring, as pictures to look at.

What belongs here: the sheet, and the one of drawn pictures that a model's card shows. What does not: figures
(`training.figures`, `models.evaluation`), searching a release (`search`).
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fashion_assets.catalog.pictures import Limits
from fashion_assets.catalog.thumbnails import Thumbnails
from fashion_assets.embedding.encoder import Encoder
from fashion_assets.sources.drawn.shop import draw_catalogue

WORDS = (
    "red summer dress for women",
    "black leather wallet",
    "kids blue t-shirt",
    "striped shirt for men",
    "white running shoes",
    "gold earrings",
    "brown handbag",
    "sunglasses",
)
"""Asked where nobody says otherwise."""

ACROSS = 8
"""Pictures of a row."""

DRAWN = 1000
"""Listings of the drawn catalogue: the sample that a first migration draws."""

_WIDE, _HIGH, _HEADING = 84, 96, 24


def sheet(rows: Sequence[tuple[str, Sequence[str]]]) -> Image.Image:
    """Words above the picture files they bring, a row each; the place of one that cannot be shown stays empty."""
    thumbnails = Thumbnails(Limits(), (_WIDE - 8, _HIGH - 8))
    made = Image.new("RGB", (ACROSS * _WIDE, len(rows) * (_HIGH + _HEADING)), "white")
    draw = ImageDraw.Draw(made)
    for number, (words, paths) in enumerate(rows):
        top = number * (_HIGH + _HEADING)
        draw.text((6, top + 4), words, fill="black", font=ImageFont.load_default(15))
        for place, path in enumerate(paths[:ACROSS]):
            picture = thumbnails.of(path).picture
            if picture is not None:
                made.paste(picture, (place * _WIDE + 4, top + _HEADING))
    return made


def drawn_sheet(encoder: Encoder, words: Sequence[str] = WORDS) -> Image.Image:
    """The sheet of the drawn sample: nobody's pictures, and the same for every model, so that sheets can be compared."""
    with tempfile.TemporaryDirectory() as folder:
        draw_catalogue(Path(folder), DRAWN, 0)
        paths = sorted(str(path) for path in (Path(folder) / "images").iterdir() if path.is_file())
        encoded = encoder.files(paths)
        # Some are spoiled on purpose.
        sound = ~np.isnan(encoded.vectors[:, 0])
        paths = [path for path, good in zip(paths, sound.tolist(), strict=True) if good]
        nearest = np.argsort(-encoder.texts(words) @ encoded.vectors[sound].T, axis=1, kind="stable")
        return sheet(
            [
                (said, [paths[place] for place in found])
                for said, found in zip(words, nearest[:, :ACROSS].tolist(), strict=True)
            ]
        )
