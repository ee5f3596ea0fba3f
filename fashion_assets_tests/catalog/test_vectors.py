import hashlib

import numpy as np
import pyarrow as pa
import pytest

from fashion_assets.catalog.listing import VECTORS
from fashion_assets.catalog.vectors import REASONS, brought, refused_counts, unit

NAN, INFINITE = float("nan"), float("inf")


def products(*vectors: list[tuple] | None) -> pa.Table:
    """Products `0`, `1`, … with the vectors they brought: space, kind and numbers of each."""
    lists = [
        None if each is None else [dict(zip(("space", "kind", "vector"), one, strict=True)) for one in each]
        for each in vectors
    ]
    return pa.table({"product_id": [str(n) for n in range(len(lists))], "vectors": pa.array(lists, VECTORS)})


HASH = np.tile(np.frombuffer(hashlib.blake2b(b"picture", digest_size=32).digest(), np.uint8), 16).tolist()
"""What stood in for a picture's vector in a system without its model: 32 bytes of a hash, sixteen times."""

SOUND = ("clip", "image", [0.6, 0.8])


@pytest.mark.parametrize(
    ("vector", "reason"),
    [
        ((None, "image", [1.0, 0.0]), "vector_without_space"),
        ((" ", "image", [1.0, 0.0]), "vector_without_space"),
        (("clip", "hybrid", [1.0, 0.0]), "vector_of_unknown_kind"),
        (("clip", None, [1.0, 0.0]), "vector_of_unknown_kind"),
        (("clip", "text", []), "vector_empty"),
        (("clip", "text", None), "vector_empty"),
        (("other", "text", [1.0] * 4_001), "vector_too_long"),
        (("clip", "text", [1.0, NAN]), "vector_not_finite"),
        (("clip", "text", [1.0, -INFINITE]), "vector_not_finite"),
        (("clip", "text", [1.0, None]), "vector_not_finite"),
        (("clip", "text", [0.0, -0.0]), "vector_all_zero"),
        (("hash", "image", HASH), "vector_repeats_itself"),
        (("constant", "image", [0.125] * 77), "vector_repeats_itself"),
        (("clip", "text", [1.0, 0.0, 0.0]), "vector_of_another_length"),
        (("clip", "image", [1.0, 0.0]), "vector_repeated"),
    ],
)
def test_what_can_be_no_vector_is_refused_by_name_and_the_others_stay(vector, reason):
    came = brought(products(None, [SOUND, vector], [("clip", "product", [0.0, 1.0])], []))
    assert came.refused["reason"].to_pylist() == [reason] and reason in REASONS
    assert came.refused["product_id"].to_pylist() == ["1"]
    assert came.sound["product_id"].to_pylist() == ["1", "2"]
    assert came.sound["vector"].to_pylist() == [
        pa.scalar([0.6, 0.8], pa.list_(pa.float32())).as_py(),
        [0.0, 1.0],
    ]


def test_a_vector_that_nearly_repeats_itself_is_one():
    near = np.array(HASH, np.float32)
    near[300] += 1
    for sound in (near, np.arange(512), np.eye(1, 512)[0]):
        came = brought(products([("clip", "image", sound.tolist())]))
        assert came.refused.num_rows == 0 and came.sound.num_rows == 1


def test_every_reason_has_a_test():
    tested = {
        mark.args[1][place][1]
        for mark in test_what_can_be_no_vector_is_refused_by_name_and_the_others_stay.pytestmark
        for place in range(len(mark.args[1]))
    }
    assert tested == REASONS.keys()


def test_the_length_of_a_space_is_what_is_known_of_it_or_what_most_have():
    rows = products([("a", "image", [1.0, 2.0])], [("a", "image", [1.0])], [("a", "image", [3.0])])
    assert brought(rows).refused["product_id"].to_pylist() == ["0"]
    assert brought(rows, {"a": 2}).refused["product_id"].to_pylist() == ["1", "2"]


def test_refused_vectors_are_counted_by_space_and_kind_and_reason():
    zeros = [("clip", "text", [0.0, 0.0])]
    (counted,) = refused_counts(brought(products(*[zeros] * 7)).refused)
    assert counted == {
        "space": "clip",
        "kind": "text",
        "reason": "vector_all_zero",
        "vectors": 7,
        "products": ["0", "1", "2", "3", "4"],
    }


def test_products_without_vectors_bring_none():
    came = brought(products(None, []))
    assert came.sound.num_rows == came.refused.num_rows == 0 and "reason" in came.refused.column_names


def test_lengths_are_made_one_whatever_they_were():
    sound = np.array([[0.6, 0.8]], np.float32)
    assert unit(sound) is sound
    made = unit(np.array([[3.0, 4.0], [3e30, 4e30], [3e-40, 4e-40]], np.float32))
    assert np.allclose(made, [0.6, 0.8], atol=1e-5)
