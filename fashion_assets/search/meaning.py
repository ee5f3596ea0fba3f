"""The parts of a question as vectors of a space: words and pictures encoded once, mixed by weight.

What belongs here: the encoders at hand, what they made, refusing pictures that are none. What does not: the
models (`embedding`), vectors of stored products, which the engine reads.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from fashion_assets.catalog.formats.outlines import MIN_EDGE
from fashion_assets.catalog.pictures import Limits, PictureError, PictureFile
from fashion_assets.embedding.encoder import Encoder, encoder_of
from fashion_assets.embedding.spaces import embedding_space
from fashion_assets.search.filters import SearchError
from fashion_assets.search.kept import CACHED_BYTES, Cache, CacheFigures
from fashion_assets.search.query import Query
from fashion_assets.settings import Settings

CACHED_VECTORS = 4_096
"""Vectors of words and pictures kept; 8 MB at 512 dimensions."""

PARTS = 6
"""Times as large as the model sees a picture, at which one is decoded whose parts it is to see: a part has a sixth of it or more."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom of a part of a picture, in pixels."""


class Encoders:
    """The encoders at hand, by space; the one of the settings is loaded when it is first needed."""

    def __init__(self, settings: Settings, further: Mapping[str, Encoder] | None = None):
        self._settings = settings
        self._limits = Limits.from_settings(settings)
        self._further = dict(further or {})
        for space, encoder in self._further.items():
            if encoder.space.name != space:
                raise SearchError(
                    f"the encoder given for the space {space} makes vectors of {encoder.space.name}"
                )
        self._own = embedding_space(settings.model, settings.model_revision).name
        self._vectors: Cache[np.ndarray] = Cache(CACHED_VECTORS, CACHED_BYTES)
        self.spaces: tuple[str, ...] = tuple(dict.fromkeys((self._own, *self._further)))
        """Names of the spaces there is an encoder of."""

    def figures(self) -> CacheFigures:
        """Of the cache of words' and pictures' vectors."""
        return self._vectors.figures()

    def words(self, space: str, words: str) -> np.ndarray:
        """The unit vector [d] of words."""
        return self._vectors.get((space, words), lambda: self._encoder(space).texts([words])[0])

    def meaning(self, space: str, texts: Sequence[str]) -> np.ndarray:
        """The unit vector [d] of what several texts say together, the mean of theirs. Words that the model does not know are drawn to what a merchant
        says they are, and those it knows stay where they are."""
        if len(texts) == 1:
            return self.words(space, texts[0])
        self.learn(space, texts)
        mixed = np.sum([self.words(space, text) for text in texts], axis=0)
        length = math.sqrt(np.vecdot(mixed, mixed))
        return self.words(space, texts[0]) if length < 1e-3 else mixed / length

    def has(self, query: Query, words: Sequence[str]) -> bool:
        """Whether the vectors of all words of a question are at hand, so that it takes no time to speak of."""
        texts = [text for text in (*words, query.avoid) if text]
        return query.picture is None and all(
            self._vectors.peek((space, text)) is not None for space in self.spaces for text in texts
        )

    def learn(self, space: str, texts: Sequence[str]) -> None:
        """Encode in one call those of some texts whose vectors are not at hand."""
        new = [text for text in dict.fromkeys(texts) if text and self._vectors.peek((space, text)) is None]
        if new:
            for text, vector in zip(new, self._encoder(space).texts(new), strict=True):
                # By itself: a row of what was encoded together would keep all of it.
                self._vectors.put((space, text), vector.copy())

    def picture(self, space: str, data: bytes) -> np.ndarray:
        """The unit vector [d] of a picture's bytes. Raises `SearchError` where they are none, and says why."""
        key = (space, hashlib.sha256(data).digest())

        def make() -> np.ndarray:
            if not data:
                raise SearchError("cannot search by this picture: image empty")
            encoder = self._encoder(space)
            with self._opened(data, encoder.edge) as pixels:
                return encoder.forward([encoder.prepared(pixels)])[0]

        return self._vectors.get(key, make)

    def parts(
        self, space: str, data: bytes, boxes: Callable[[int, int], Sequence[Box]]
    ) -> list[tuple[Box, np.ndarray]]:
        """Parts of a picture, upright, and the unit vector [d] of each. `boxes` says of a picture's width and height where they are.

        Raises `SearchError` where the bytes are no picture, or a part is too small.
        """
        if not data:
            raise SearchError("cannot search by this picture: image empty")
        encoder = self._encoder(space)
        # Decoded large enough for the smallest part.
        with self._opened(data, PARTS * encoder.edge) as pixels:
            height, width, _ = pixels.shape
            cut = list(boxes(width, height))
            for left, top, right, bottom in cut:
                if min(right - left, bottom - top) < MIN_EDGE:
                    raise SearchError(
                        f"cannot search by parts of this picture: of {width} by {height} pixels a part has {right - left} by "
                        f"{bottom - top}, and {MIN_EDGE} is the least for an edge"
                    )
            prepared = [
                encoder.prepared(np.ascontiguousarray(pixels[top:bottom, left:right]))
                for left, top, right, bottom in cut
            ]
            return list(zip(cut, encoder.forward(prepared), strict=True))

    @contextmanager
    def _opened(self, data: bytes, edge: int) -> Iterator[np.ndarray]:
        """A picture's pixels, see `PictureFile.pixels`. Raises `SearchError` where it cannot be searched by."""
        try:
            picture = PictureFile(data, self._limits)
            width, height = picture.size
            if min(width, height) < MIN_EDGE:
                raise SearchError(
                    f"cannot search by this picture: it is {width} by {height} pixels, "
                    f"and {MIN_EDGE} is the least for an edge"
                )
            with picture.pixels(edge) as pixels:
                yield pixels
        except PictureError as error:
            raise SearchError(f"cannot search by this picture: {error}") from error

    def _encoder(self, space: str) -> Encoder:
        if space in self._further:
            return self._further[space]
        return encoder_of(self._settings)

    def vector(
        self, query: Query, words: Sequence[str], space: str, product: np.ndarray | None
    ) -> np.ndarray | None:
        """The unit vector [d] of a question in a space: see `Weights`. None where no part of it can be in the space.

        `words` are the query's, corrected, and what a merchant has them stand for; `product` is the stored product's vector, where it has one in the space.
        Raises `SearchError` where the parts cancel each other out.
        """
        weights, parts = query.weights, []
        if space in self.spaces:
            if words and words[0]:
                parts.append(weights.words * self.meaning(space, words))
            if query.picture is not None:
                parts.append(weights.picture * self.picture(space, query.picture))
        if product is not None:
            parts.append(weights.product * product)
        if query.vector is not None and query.space == space:
            parts.append(weights.vector * query.vector)
        if not parts:
            return None
        if query.avoid and space in self.spaces:
            parts.append(-weights.avoid * self.words(space, query.avoid))
        mixed = sum(parts[1:], start=parts[0])
        length = math.sqrt(np.vecdot(mixed, mixed))
        if length < 1e-3:
            raise SearchError("the parts of the question cancel each other out: change their weights")
        return np.asarray(mixed / length, np.float32)


def picture_file(path: Path, max_bytes: int) -> bytes:
    """The bytes of a picture file to search by. Raises `SearchError` where it cannot be read; what is in it is looked at
    when it is searched by."""
    try:
        if not path.is_file():
            reason = "image not an image" if path.exists() else "image missing"
            raise SearchError(f"cannot search by {path}: {reason}")
        if path.stat().st_size > max_bytes:
            raise SearchError(
                f"cannot search by {path}: it is larger than {max_bytes:,} bytes (FASHION_ASSETS_MAX_IMAGE_BYTES)"
            )
        return path.read_bytes()
    except OSError as error:
        raise SearchError(f"cannot search by {path}: {error.strerror}") from error
