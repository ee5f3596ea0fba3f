"""Vectors as systems write them down."""

import base64
import io
import json
import pickle
from collections.abc import Callable

import numpy as np
import pytest

from fashion_assets.sources.vectors import read_vector

D = 96
VECTOR = np.random.default_rng(3).normal(size=D).astype(np.float32)
VECTOR /= np.linalg.norm(VECTOR)
NUMBERS = VECTOR.tolist()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, array)
    return file.getvalue()


WRITTEN: dict[str, Callable[[], object]] = {
    "float32": VECTOR.tobytes,
    "float64": VECTOR.astype("f8").tobytes,
    "big-endian float32": VECTOR.astype(">f4").tobytes,
    "big-endian float64": VECTOR.astype(">f8").tobytes,
    ".npy": lambda: npy(VECTOR),
    ".npy of float64 in Fortran's order": lambda: npy(np.asfortranarray(VECTOR[None].astype(">f8"))),
    "base64": lambda: base64.b64encode(VECTOR.tobytes()).decode(),
    "base64 in lines": lambda: base64.encodebytes(VECTOR.tobytes()).decode(),
    "base64 for addresses": lambda: base64.urlsafe_b64encode(VECTOR.tobytes()).decode().rstrip("="),
    "base64 of float64": lambda: base64.b64encode(VECTOR.astype("f8").tobytes()).decode(),
    "bytea": lambda: "\\x" + VECTOR.tobytes().hex(),
    "hexadecimal digits": lambda: VECTOR.tobytes().hex(),
    "JSON": lambda: json.dumps(NUMBERS),
    "JSON in JSON": lambda: json.dumps(json.dumps(NUMBERS)),
    "a batch of one": lambda: json.dumps([NUMBERS]),
    "numpy, printed": lambda: np.array2string(VECTOR, threshold=D, precision=12),
    "numpy's repr": lambda: f"array({NUMBERS}, dtype=float32)",
    "torch's repr": lambda: f"tensor({NUMBERS}, device='cuda:0')",
    "a list of scalars": lambda: str([np.float32(each) for each in NUMBERS]),
    "blanks": lambda: " ".join(map(str, NUMBERS)),
    "semicolons": lambda: ";".join(map(str, NUMBERS)),
    "decimal commas": lambda: "; ".join(str(each).replace(".", ",") for each in NUMBERS),
    "sparsevec": lambda: (
        "{" + ",".join(f"{place + 1}:{each}" for place, each in enumerate(NUMBERS)) + f"}}/{D}"
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_vector_is_the_same_however_it_is_written(name: str):
    read = read_vector(WRITTEN[name](), lengths=(D,))
    assert read is not None and read.dtype == np.float32 and read.shape == (D,)
    assert np.array_equal(read, VECTOR), np.abs(read - VECTOR).max()


def test_half_precision_is_read_as_what_it_is():
    half = VECTOR.astype("f2")
    read = read_vector(half.tobytes(), lengths=(D,))
    assert read is not None and np.array_equal(read, half.astype(np.float32))
    # A column that has had two models may have either in as many bytes.
    for vector in (half, VECTOR[: D // 2]):
        read = read_vector(vector.tobytes(), lengths=(D, D // 2))
        assert read is not None and np.array_equal(read, vector.astype(np.float32))


def test_upper_halves_of_float32_are_no_half_precision():
    halves = (VECTOR.view("<u4") >> 16).astype("<u2")
    read = read_vector(halves.tobytes(), lengths=(D,))
    assert read is not None and np.array_equal(read, (halves.astype("<u4") << 16).view(np.float32))
    for vector in (np.sign(VECTOR), np.clip(VECTOR, -0.4, 0.4)):
        read = read_vector(vector.astype("f2").tobytes(), lengths=(D,))
        assert read is not None and np.array_equal(read, vector.astype("f2").astype(np.float32))


def test_what_is_no_number_or_zero_stays_so():
    broken = VECTOR.copy()
    broken[3] = np.nan
    for vector in (broken, np.zeros(D, np.float32)):
        read = read_vector(vector.tobytes(), lengths=(D,))
        assert read is not None and np.array_equal(read, vector, equal_nan=True)


@pytest.mark.parametrize(
    "value",
    [
        pickle.dumps(VECTOR),
        pickle.dumps(NUMBERS, protocol=2),
        npz(VECTOR),
        npy(VECTOR.reshape(2, -1)),
        "[0.1 0.2 ... 0.3]",
        "550e8400-e29b-41d4-a716-446655440000",
        "not made yet",
        "2024-01-01",
        json.dumps({"vector": NUMBERS}),
        "{0:1}/3",
    ],
)
def test_what_is_no_vector_has_no_numbers(value: object):
    read = read_vector(value, lengths=(D,))
    assert read is not None and read.size == 0


def test_nothing_stated_is_no_vector():
    assert all(read_vector(value) is None for value in (None, "", " NULL ", "[]", "nan"))
