"""How a model's preprocessor brings a picture to the size the model sees: by Pillow, or as two matrices for a graph.

What belongs here: sizes, crops and resampling as the preprocessor states them. What does not: opening pictures
(`catalog.pictures`), and running the matrices (`towers`).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

MOST_RESIZED = 16_000_000
"""Pixels a picture may become on the way. One of 1 by 65,535, whose shorter edge a model wants to be 224, would become three
thousand megapixels, of which all but the middle is cut off."""

EDGES_KEPT = 512
"""Matrices kept, one for each pair of edges: a catalogue's pictures come in few sizes."""


@dataclass(frozen=True)
class Sizing:
    """A preprocessor's resize and crop, in Pillow's resampling, as transformers uses it."""

    width: int
    height: int | None
    """None where `width` is that of the shorter edge."""
    crop: tuple[int, int] | None
    """Width and height cut out of the middle."""
    resample: Image.Resampling

    @classmethod
    def of(cls, preprocessing: dict[str, Any]) -> "Sizing":
        width, height = edges(preprocessing["size"])
        crop = edges(preprocessing["crop_size"]) if preprocessing.get("do_center_crop") else None
        return cls(
            width,
            height,
            None if crop is None else (crop[0], crop[1] or crop[0]),
            Image.Resampling(preprocessing.get("resample", Image.Resampling.BICUBIC)),
        )

    @property
    def seen(self) -> tuple[int, int]:
        """Width and height of what the model sees."""
        return self.crop or (self.width, self.height or self.width)

    def __call__(self, picture: Image.Image) -> Image.Image:
        """An RGB picture at the model's size; outside the interpreter's lock."""
        size = self._resized(picture.size)
        if size[0] * size[1] > MOST_RESIZED and self.crop is not None:
            picture = self._middle(picture)
            size = self._resized(picture.size)
        sized = picture if picture.size == size else picture.resize(size, self.resample)
        if self.crop is None:
            return sized
        (left, across), (top, down) = zip(self._corner(size), self.crop, strict=True)
        return sized.crop((left, top, left + across, top + down))

    def matrices(self, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """What the same does to a picture of `size` (width w, height h) as float32 [w, W] and [H, h]: the picture's lines
        times the first, then the second times its columns. Not to be written to."""
        resized = self._resized(size)
        start = self._corner(resized) if self.crop else (0, 0)
        across, down = (
            _matrix(given, to, int(first), seen, int(self.resample))
            for given, to, first, seen in zip(size, resized, start, self.seen, strict=True)
        )
        return across, down.T

    def _middle(self, picture: Image.Image) -> Image.Image:
        """What of a picture far longer than wide, or the other way round, can be in the crop, and as much again on each
        side."""
        assert self.crop is not None
        reach = 3 * math.ceil(min(picture.size) * max(self.crop) / self.width)
        (left, width), (top, height) = (
            (max(0, (edge - reach) // 2), min(edge, reach)) for edge in picture.size
        )
        return picture.crop((left, top, left + width, top + height))

    def _resized(self, size: tuple[int, int]) -> tuple[int, int]:
        if self.height is not None:
            return self.width, self.height
        scale = self.width / min(size)
        width, height = (max(self.width, int(edge * scale)) for edge in size)
        return width, height

    def _corner(self, size: tuple[int, int]) -> tuple[int, int]:
        assert self.crop is not None
        return (size[0] - self.crop[0]) // 2, (size[1] - self.crop[1]) // 2


def edges(size: int | dict[str, int]) -> tuple[int, int | None]:
    """Width and height of a preprocessor's size; no height where it names the shorter edge alone."""
    if isinstance(size, int):
        return size, None
    return (size["shortest_edge"], None) if "shortest_edge" in size else (size["width"], size["height"])


@lru_cache(maxsize=EDGES_KEPT)
def _matrix(given: int, to: int, start: int, seen: int, resample: int) -> np.ndarray:
    """float32 [given, seen]: Pillow's own coefficients from `given` pixels to `to`, read off by having it resize the unit
    matrix; of them the `seen` columns from `start` on, zero (black) where there is no such column."""
    unit = Image.fromarray(np.eye(given, dtype=np.float32))
    whole = np.asarray(unit.resize((to, given), Image.Resampling(resample)))
    matrix = np.zeros((given, seen), np.float32)
    first, last = max(start, 0), min(start + seen, to)
    matrix[:, first - start : last - start] = _in_bfloat16(whole[:, first:last])
    matrix.flags.writeable = False
    return matrix


def _in_bfloat16(matrix: np.ndarray) -> np.ndarray:
    """The matrix in numbers that bfloat16 holds exactly, each column's sum kept: what rounding takes from a coefficient
    is given to the next smaller one, which is held more finely. Rounded one by one their sums are off by up to two in
    a thousand, and a white background is no longer white: of 1,600 photographs some then had a cosine of 0.998 to the
    vector of Pillow's pixels, and 0.9999 at the least with this."""
    descending = np.argsort(-np.abs(matrix), axis=0, kind="stable")
    columns, owed = np.arange(matrix.shape[1]), np.zeros(matrix.shape[1], np.float32)
    made = np.zeros_like(matrix)
    for rows in descending:
        wanted = matrix[rows, columns]
        if not wanted.any():
            break
        wanted = np.where(wanted == 0, 0, wanted + owed).astype(np.float32)
        # The upper half of a float32's bits, to the nearest.
        kept = ((wanted.view(np.uint32) + 0x8000) & 0xFFFF0000).view(np.float32)
        owed = np.where(wanted == 0, owed, wanted - kept)
        made[rows, columns] = kept
    return made
