"""Vectors that came with listings: which of them can be vectors at all, and which of a product's several is served.

What belongs here: pure functions over the `vectors` column of products. What does not: making vectors (`embedding`), keeping
them (`warehouse`).

A vector that came is kept bit for bit. One that cannot be a vector (all zeros, not a number, of another length than its space's)
is refused by name: it is in no release, and its product goes on without it. Zeros are not nulls, and a search over them is
wrong without an error.
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion_assets.arrow import one_array
from fashion_assets.catalog.listing import PRODUCT, VECTOR_KINDS, VECTORS

LONGEST_VECTOR = 4_000
"""Numbers of a vector: what pgvector's index takes of half-precision vectors."""

BROUGHT_VERSION = "2"
"""Raise it when vectors come to be refused that were not, or the other way."""

BROUGHT_SCHEMA = pa.schema(
    [
        pa.field("product_id", pa.string(), nullable=False),
        *(VECTORS.value_type.field(name) for name in ("space", "kind", "vector")),
    ]
)
"""A vector that came with a product."""

REASONS = {
    "vector_without_space": "no space is named: nobody knows what it may be compared with",
    "vector_of_unknown_kind": f"its kind is none of {', '.join(VECTOR_KINDS)}",
    "vector_empty": "it has no numbers, or none that can be read",
    "vector_too_long": f"it has more than {LONGEST_VECTOR:,} numbers, and no index takes it",
    "vector_not_finite": "some of its numbers are null, NaN or infinite",
    "vector_all_zero": "all of its numbers are zero: it points nowhere",
    "vector_repeats_itself": "it is a few numbers over and over, as a hash that stands in for a vector is",
    "vector_of_another_length": "it has another length than the vectors of its space",
    "vector_repeated": "the product has one of this space and kind already; the first counts",
}
"""Why a vector is refused, by the reason's name, in the order in which they are looked for."""


class Brought(NamedTuple):
    """Vectors that came with products, in their order (BROUGHT_SCHEMA): those that can be vectors, and those that are refused,
    with their `reason` beside them."""

    sound: pa.Table
    refused: pa.Table


def brought(products: pa.Table, dimensions: Mapping[str, int] | None = None) -> Brought:
    """The vectors of products (`product_id`, `vectors`). `dimensions`: those of spaces that are known; of another space it is
    the length most of its vectors have."""
    came = pc.greater(pc.fill_null(pc.list_value_length(products["vectors"]), 0), 0)
    bringing = products.select(["product_id", "vectors"]).filter(came).combine_chunks()
    lists = one_array(bringing["vectors"])
    structs = pc.list_flatten(lists)
    parents = pc.list_parent_indices(lists)
    rows = pa.Table.from_arrays(
        [
            one_array(bringing["product_id"]).take(parents),
            *(pc.struct_field(structs, name) for name in BROUGHT_SCHEMA.names[1:]),
        ],
        schema=BROUGHT_SCHEMA,
    )
    if not rows.num_rows:
        return Brought(rows, rows.append_column("reason", pa.array([], pa.string())))
    reasons = _reasons(rows, dimensions or {})
    sound = pc.is_null(reasons)
    refused = rows.append_column("reason", reasons).filter(pc.invert(sound))
    return Brought(rows.filter(sound), refused)


def refused_counts(refused: pa.Table) -> list[dict[str, Any]]:
    """How many vectors were refused of each space and kind for each reason, with some of their products: `space`, `kind`,
    `reason`, `vectors`, `products`."""
    keys = ["space", "kind", "reason"]
    counted = refused.group_by(keys).aggregate([("product_id", "count"), ("product_id", "list")])
    return [
        {
            **{key: row[key] for key in keys},
            "vectors": row["product_id_count"],
            "products": row["product_id_list"][:EXAMPLES],
        }
        for row in counted.to_pylist()
    ]


EXAMPLES = 5
"""Products named of those whose vectors were refused."""


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors [n, d] at length 1, float32; in double precision meanwhile, in which squares of float32 neither overflow nor
    vanish. Those that have it within what float32 can say stay as they are."""
    length = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    if (np.abs(length - 1) <= UNIT).all():
        return vectors.astype(np.float32, copy=False)
    return np.where(np.abs(length - 1) <= UNIT, vectors, vectors / length).astype(np.float32)


UNIT = 1e-6
"""How far from 1 the length of a float32 vector of length 1 may be."""


def served_first(
    spaces: np.ndarray, kinds: np.ndarray, owners: np.ndarray, preferred: str | None
) -> np.ndarray:
    """Which vector of each product is served, bool [n]: of several, one in the `preferred` space, then by kind (product, image,
    text), then the first. `owners` numbers the products."""
    rank = np.array([KIND_RANK[kind] for kind in kinds.tolist()], np.int64)
    order = np.lexsort((np.arange(len(owners)), rank, spaces != preferred, owners))
    first = np.ones(len(owners), bool)
    first[1:] = owners[order][1:] != owners[order][:-1]
    served = np.zeros(len(owners), bool)
    served[order[first]] = True
    return served


KIND_RANK = {
    kind: rank for rank, kind in enumerate((PRODUCT, *(each for each in VECTOR_KINDS if each != PRODUCT)))
}
"""The vector of picture and words together answers either; a picture's says more of a garment than its title's."""


def _reasons(rows: pa.Table, dimensions: Mapping[str, int]) -> pa.Array:
    """Why each vector is refused; null where it is not."""
    spaces, vectors = one_array(rows["space"]), one_array(rows["vector"])
    lengths = pc.fill_null(pc.list_value_length(vectors), 0)
    numbers = np.asarray(pc.list_flatten(vectors).fill_null(float("nan")))
    widths = np.asarray(lengths, np.int64)
    starts = np.concatenate([[0], np.cumsum(widths)])[:-1]
    some = widths > 0
    finite, zero = np.ones(len(widths), bool), np.zeros(len(widths), bool)
    if some.any():
        finite[some] = np.logical_and.reduceat(np.isfinite(numbers), starts[some])
        zero[some] = ~np.logical_or.reduceat(numbers != 0, starts[some])
    named = np.asarray(pc.fill_null(pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(spaces)), 0), False))
    known = np.asarray(pc.is_in(one_array(rows["kind"]), value_set=pa.array(VECTOR_KINDS)))
    found = {
        "vector_without_space": ~named,
        "vector_of_unknown_kind": ~known,
        "vector_empty": ~some,
        "vector_too_long": widths > LONGEST_VECTOR,
        "vector_not_finite": ~finite,
        "vector_all_zero": zero,
        "vector_repeats_itself": _repeat_themselves(numbers, starts, widths, finite & ~zero),
    }
    sound = ~np.logical_or.reduce(list(found.values()))
    found["vector_of_another_length"] = _of_another_length(spaces, widths, sound, dimensions)
    sound &= ~found["vector_of_another_length"]
    found["vector_repeated"] = _repeated(rows, sound)
    reasons: np.ndarray = np.full(rows.num_rows, None, dtype=object)
    for reason, mask in reversed(found.items()):
        reasons[mask] = reason
    return pa.array(reasons, pa.string())


SHORTEST_REPEATING = 64
"""Numbers of a vector from which on no model makes one that repeats itself."""


def _repeat_themselves(
    numbers: np.ndarray, starts: np.ndarray, widths: np.ndarray, among: np.ndarray
) -> np.ndarray:
    """Which vectors are their own first part, over and over. What is so with any period is so with the width divided by a prime."""
    found = np.zeros(len(widths), bool)
    for width in np.unique(widths[among & (widths >= SHORTEST_REPEATING)]).tolist():
        own = np.flatnonzero(among & (widths == width))
        for prime in (each for each in range(2, width + 1) if width % each == 0 and _is_prime(each)):
            period = width // prime
            # A few numbers first: nearly all vectors end there.
            few = np.arange(min(4, width - period))
            at = starts[own][:, None] + few
            for row in own[(numbers[at] == numbers[at + period]).all(axis=1)].tolist():
                vector = numbers[starts[row] : starts[row] + width]
                found[row] |= bool((vector[period:] == vector[:-period]).all())
    return found


def _is_prime(number: int) -> bool:
    return all(number % divisor for divisor in range(2, int(number**0.5) + 1))


def _of_another_length(
    spaces: pa.Array, widths: np.ndarray, sound: np.ndarray, dimensions: Mapping[str, int]
) -> np.ndarray:
    """Which of the sound vectors are not as long as their space's are."""
    other = np.zeros(len(widths), bool)
    for space in pc.unique(spaces.filter(pa.array(sound))).to_pylist():
        own = np.asarray(pc.fill_null(pc.equal(spaces, space), False)) & sound
        if space in dimensions:
            right = dimensions[space]
        else:
            found, counts = np.unique(widths[own], return_counts=True)
            right = found[counts.argmax()]
        other |= own & (widths != right)
    return other


def _repeated(rows: pa.Table, sound: np.ndarray) -> np.ndarray:
    """Which of the sound vectors follow another one of the same product, space and kind."""
    keys = pc.binary_join_element_wise(
        *(pc.fill_null(one_array(rows[name]), "") for name in ("product_id", "space", "kind")), "\0"
    ).dictionary_encode()
    codes = np.asarray(keys.indices)[sound]
    _, first = np.unique(codes, return_index=True)
    again = np.ones(len(codes), bool)
    again[first] = False
    repeated = np.zeros(len(sound), bool)
    repeated[sound] = again
    return repeated
