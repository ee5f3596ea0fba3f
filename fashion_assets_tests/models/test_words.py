"""A sheet shows what words bring, and nothing that was spoiled on purpose."""

import numpy as np
from PIL import Image

from fashion_assets.embedding.encoder import Encoder
from fashion_assets.embedding.spaces import embedding_space
from fashion_assets.models import words as sheets


def cell(sheet: Image.Image, row: int, place: int) -> np.ndarray:
    left, top = place * sheets._WIDE, row * (sheets._HIGH + sheets._HEADING) + sheets._HEADING
    return np.asarray(sheet.crop((left, top, left + sheets._WIDE, top + sheets._HIGH)))


def test_other_words_bring_other_pictures(monkeypatch):
    monkeypatch.setattr(sheets, "DRAWN", 200)
    shipped = Encoder(embedding_space(None), device="cpu")
    words = ("sunglasses", "blue tshirt", "sunglasses")
    sheet = sheets.drawn_sheet(shipped, words)
    cells = [[cell(sheet, row, place) for place in range(sheets.ACROSS)] for row in range(3)]
    assert all((picture < 250).any() for row in cells for picture in row)  # none is empty
    assert all(np.array_equal(a, b) for a, b in zip(cells[0], cells[2], strict=True))
    assert not any(np.array_equal(cells[0][0], picture) for picture in cells[1])
    # Blue is what the nearest is, but for the background and its shadow.
    red, _, blue = (cells[1][0][..., channel].astype(int) for channel in range(3))
    assert (blue - red).max() > 80
