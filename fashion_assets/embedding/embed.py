"""Vectors for a batch's pictures and words, made only where the store does not have them yet.

What belongs here: the meeting of encoder and content-addressed store, and how a product's vector is made of both.
What does not: the model (`encoder`), the tables (`warehouse.embedding_store`).
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion_assets.arrow import one_array
from fashion_assets.embedding.encoder import Encodes, Failure
from fashion_assets.embedding.spaces import EmbeddingSpace
from fashion_assets.warehouse.embedding_store import EmbeddingStore

TEXT_WEIGHT = 0.25
"""Share of the text vector in a product's vector."""


@dataclass(frozen=True)
class Embedded:
    """Vectors [n, dimension] in the order asked for, and how many distinct contents were made new or found.

    What could not be embedded is in `failures`, by its position, and has NaN for a vector.
    """

    vectors: np.ndarray
    made: int
    reused: int
    failures: dict[int, Failure] = field(default_factory=dict)


def text_sha256(text: str) -> str:
    """The content address of a text: hex SHA-256 of its UTF-8 bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


def _embed(
    store: EmbeddingStore,
    space: EmbeddingSpace,
    kind: str,
    sha256s: Sequence[str],
    make: Callable[[list[int]], tuple[np.ndarray, dict[int, Failure]]],
) -> Embedded:
    """Look the distinct contents up, `make` the missing ones, keep them, hand all back.

    `make` takes positions into `sha256s` and gives their vectors in that order, and why some of them, by position,
    have none. A content that fails at one position is made of the next that has it: another file may be sound.
    """
    distinct, first, inverse = np.unique(
        np.asarray(sha256s, dtype=object), return_index=True, return_inverse=True
    )
    # First-seen order rather than hash order: an interrupted batch makes the same vectors in the same groups again.
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    distinct, first, inverse = distinct[order], first[order], rank[inverse]
    vectors = np.empty((len(distinct), space.dimension), np.float32)
    found, known = store.get(space.name, kind, list(distinct))
    if found.any():
        vectors[found] = known
    missing = np.flatnonzero(~found)
    failures: dict[int, Failure] = {}
    pending = {content: first[content] for content in missing.tolist()}
    while pending:
        positions = [int(position) for position in pending.values()]
        given, failed = make(positions)
        contents = np.fromiter(pending, np.int64, len(pending))
        vectors[contents] = given
        failures |= failed
        pending = {
            content: again[0]
            for content, position in zip(contents.tolist(), positions, strict=True)
            if position in failed
            and len(again := (same := np.flatnonzero(inverse == content))[same > position])
        }
    sound = missing[~np.isnan(vectors[missing, :1]).any(axis=1)] if len(missing) else missing
    if len(sound):
        # Not before: until this transaction ends, another that registers the same space waits.
        store.register(space)
        store.put(space.name, kind, [distinct[i] for i in sound], vectors[sound])
    handed = vectors[inverse]
    failures = {position: failed for position, failed in failures.items() if np.isnan(handed[position, 0])}
    return Embedded(handed, made=len(sound), reused=len(distinct) - len(missing), failures=failures)


def embed_images(
    encoder_of: Callable[[], Encodes],
    space: EmbeddingSpace,
    store: EmbeddingStore,
    uris: Sequence[str],
    sha256s: Sequence[str],
) -> Embedded:
    """Image vectors of picture files; `encoder_of` is called only when a picture is new to the space.

    A file that is gone, changed or broken is among the failures; the vectors of the others are kept.
    """

    def make(positions: list[int]) -> tuple[np.ndarray, dict[int, Failure]]:
        encoded = encoder_of().files([uris[i] for i in positions], [sha256s[i] for i in positions])
        return encoded.vectors, {positions[each.position]: each for each in encoded.failures}

    return _embed(store, space, "image", sha256s, make)


def embed_texts(
    encoder_of: Callable[[], Encodes], space: EmbeddingSpace, store: EmbeddingStore, texts: Sequence[str]
) -> Embedded:
    """Text vectors; `encoder_of` is called only when a text is new to the space."""
    return _embed(
        store,
        space,
        "text",
        [text_sha256(text) for text in texts],
        lambda positions: (encoder_of().texts([texts[i] for i in positions]), {}),
    )


def combine(image: np.ndarray, text: np.ndarray, text_weight: float = TEXT_WEIGHT) -> np.ndarray:
    """A product's vector of its image and text vectors (both unit length, [n, d] float32): their weighted mean,
    scaled to unit length. One index over it answers text, image and mixed queries."""
    mixed = (1 - text_weight) * image + text_weight * text
    return (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)


def vector_column(vectors: np.ndarray) -> pa.ListArray:
    """A [n, d] float32 array as an Arrow list column; lists rather than fixed-size lists, because preserved vectors
    of several spaces may stand in one column."""
    rows, dimension = vectors.shape
    offsets = np.arange(rows + 1, dtype=np.int32) * dimension
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
    )


def vector_matrix(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """The [n, d] float32 array of a list column whose lists are equally long; `ValueError` where they are not."""
    array = one_array(column)
    if len(array) == 0:
        return np.empty((0, 0), np.float32)
    lengths = np.unique(np.asarray(pc.list_value_length(array)))
    if len(lengths) != 1:
        raise ValueError(f"vectors of different dimensions stand in one column: {lengths.tolist()}")
    values = np.asarray(array.flatten(), np.float32)
    return values.reshape(len(array), -1)
