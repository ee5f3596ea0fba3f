"""Vectors that came with records: from what a system wrote to float32, bit for bit.

What belongs here: the encodings. What does not: which column holds them (`sources.mapping`), whether one can be a vector
(`catalog.vectors`).
"""

import base64
import binascii
import io
import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

NOTHING = ("", "null", "none", "nan", "[]", "{}")
"""Texts (lower case) that are no vector."""

_UNREADABLE = np.empty(0, np.float32)

_FEW = 16
"""Numbers of a text so short that Arrow does not pay."""


def read_vector(value: Any, encoding: str = "auto", lengths: Collection[int] = ()) -> np.ndarray | None:
    """The vector a value is, in one of `mapping.Vector`'s encodings: float32 [d]; None where none is stated. Nothing is scaled, and
    zeros are zeros. What is no vector is one without numbers, which is refused by name later. `lengths`: of vectors that are expected."""
    if value is None or (isinstance(value, str) and value.strip().lower() in NOTHING):
        return None
    try:
        vector = _decoded(value, encoding, lengths)
    except (ValueError, TypeError, OverflowError, RecursionError, EOFError, binascii.Error):
        return _UNREADABLE
    if vector.ndim == 2 and len(vector) == 1:
        vector = vector[0]
    return vector if vector.ndim == 1 else _UNREADABLE


def _decoded(value: Any, encoding: str, lengths: Collection[int]) -> np.ndarray:
    if isinstance(value, bytes | bytearray | memoryview):
        if encoding == "bytes":
            return np.frombuffer(bytes(value), "<f4")
        if encoding == "auto":
            return _of_bytes(bytes(value), lengths)
        value = bytes(value).decode("ascii")
    if isinstance(value, str):
        return _of_text(value.strip(), encoding, lengths)
    return _array(value)


def _of_text(text: str, encoding: str, lengths: Collection[int]) -> np.ndarray:
    if encoding in ("auto", "json", "list", "pgvector") and text[:1] in ("[", "{", "("):
        # `{…}` is how Postgres writes an array as text, `(…)` how some write a tuple.
        if (found := _plain(text)) is not None:
            return found
        try:
            return _array(json.loads(text if text.startswith("[") else f"[{text[1:-1]}]"))
        except json.JSONDecodeError:
            return _as_printed(text)
    if encoding == "auto":
        if text.startswith('"'):
            return _of_text(str(json.loads(text)).strip(), encoding, lengths)
        if _HEX.fullmatch(text):
            # In hexadecimal digits, as Postgres writes `bytea`: base64 of that many bytes has other letters, too.
            return _of_bytes(bytes.fromhex(text.removeprefix("\\x")), lengths)
        if _PRINTED.match(text):
            return _as_printed(text)
    if encoding == "base64":
        return np.frombuffer(base64.b64decode(text, validate=True), "<f4")
    if encoding == "auto":
        letters = "".join(text.splitlines()).translate(_URL_SAFE).rstrip("=")
        return _of_bytes(base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True), lengths)
    raise ValueError(encoding)


_HEX = re.compile(r"\\x(?:[0-9a-fA-F]{2})+|(?:[0-9a-fA-F]{8}){4,}")
_URL_SAFE = str.maketrans("-_", "+/")

_PRINTED = re.compile(
    r"(?:(?:np|numpy|torch)\.)?(?:array|tensor)\s*\(|[-+]?(?:\d|\.\d|nan\b|inf\b)[\d.]*[\s,;eE]",
    re.IGNORECASE,
)
_AROUND = re.compile(
    r"^(?:(?:(?:np|numpy|torch)\.)?(?:array|tensor)\s*\()?([\[({]*)(.*?)([\])}]*)(?:,\s*\w+\s*=[^)]*)*\)?$",
    re.DOTALL | re.IGNORECASE,
)
_SCALAR = re.compile(r"(?:np|numpy)\.float\d+\(([^()]*)\)")
_SPARSE = re.compile(r"\{([^{}]*)\}/(\d{1,5})")
_BETWEEN = re.compile(r"[\s,;]+")
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")


def _as_printed(text: str) -> np.ndarray:
    """Numbers as programs print them, which is what comes of arrays in a CSV: `[0.1 0.2]` over several lines, `array([…], dtype=float32)`,
    `tensor([…])`, `0.1;0.2`, `0,1; 0,2`, pgvector's `{1:0.1,3:0.2}/512`. What was cut short (`...`) is no vector. Raises `ValueError`."""
    if sparse := _SPARSE.fullmatch(text):
        vector = np.zeros(int(sparse[2]), np.float32)
        for place, _, number in (each.partition(":") for each in sparse[1].split(",") if each.strip()):
            if not 1 <= int(place) <= len(vector):
                raise ValueError(place)
            vector[int(place) - 1] = float(number)
        return vector
    around = _AROUND.match(_SCALAR.sub(r"\1", text))
    if around is None:
        raise ValueError(text[:80])
    inside = around[2].strip(" \t\r\n,;")
    numbers = re.split(r"[\s;]+", inside)
    if len(numbers) > 1 and all(_DECIMAL_COMMA.fullmatch(each) for each in numbers):
        return _array([each.replace(",", ".") for each in numbers])
    # Blanks between some and commas between others: one was lost, and who knows what else.
    if len({"," in each or ";" in each for each in _BETWEEN.findall(inside)}) > 1:
        raise ValueError(text[:80])
    return _array(_BETWEEN.split(inside))


_KINDS = ("<f4", "<f8", "<f2")
"""How numbers lie in bytes, what is usual first."""

_LIKELY = (1e-6, 1e6)
"""Between these lies the largest number of a vector of a model. Bytes that are read as another kind of number hardly ever do: exponents are then
made of what was a fraction."""


def _of_bytes(data: bytes, lengths: Collection[int]) -> np.ndarray:
    """The numbers that bytes are: a file of numpy's, or numbers alone, of the kind whose vectors have an expected length; float32 where none has.
    A pickle is never loaded. Raises `ValueError`."""
    if data.startswith(b"\x93NUMPY"):
        return _array(np.load(io.BytesIO(data), allow_pickle=False))
    if data.startswith((b"PK\x03\x04", b"\x1f\x8b")) or (
        data[:1] == b"\x80" and data[1:2] in b"\2\3\4\5" and data.endswith(b".")
    ):
        raise ValueError("an archive or a pickle")
    expected = [
        kind for kind in _KINDS if any(len(data) == length * np.dtype(kind).itemsize for length in lengths)
    ]
    kinds = expected or _KINDS[:1]
    read = np.frombuffer(data, kinds[0])
    if not (expected and _is_likely(read)):
        others = (*kinds[1:], *(kind.replace("<", ">") for kind in expected))
        likely = (np.frombuffer(data, kind) for kind in others)
        read = next(filter(_is_likely, likely), read)
    if read.dtype == np.float16 and _are_upper_halves(read):
        read = (np.frombuffer(data, read.dtype.str.replace("f", "u")).astype(np.uint32) << 16).view(
            np.float32
        )
    return _array(read) if read.dtype != np.float32 else read.astype("<f4", copy=False)


def _are_upper_halves(numbers: np.ndarray) -> bool:
    """Whether numbers of two bytes are the upper halves of float32 (bfloat16): what is from 2^-15 to 2 there is from 0.5 to 2 where it is read
    as float16, every number of a vector, which none of a model has."""
    sizes = np.abs(numbers[numbers != 0])
    return len(np.unique(sizes)) > 2 and bool(((sizes >= 0.5) & (sizes < 2)).mean() > 0.99)


def _is_likely(numbers: np.ndarray) -> bool:
    if not np.isfinite(numbers).all():
        return False
    largest = float(np.abs(numbers).max(initial=0))
    return largest == 0 or _LIKELY[0] <= largest <= _LIKELY[1]


def _plain(text: str) -> np.ndarray | None:
    """A flat list of numbers, brackets and all, by Arrow, which reads decimals three times as fast as `json.loads`; None for a short
    one and for anything else."""
    if text.count(",") < _FEW or text.find("[", 1) >= 0:
        return None
    import pyarrow as pa
    import pyarrow.compute as pc  # here: few sources have vectors

    inside = text[1:-1].strip()
    split = pc.split_pattern(pa.array([inside]), ", " if ", " in inside else ",")  # pyright: ignore[reportAttributeAccessIssue]
    try:
        numbers = split.values.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    with np.errstate(over="ignore"):
        return np.asarray(numbers).astype(np.float32)


def _array(value: Any) -> np.ndarray:
    if isinstance(value, np.ndarray):
        with np.errstate(over="ignore"):
            return value.astype(np.float32)
    if isinstance(value, Mapping) or not isinstance(value, Sequence):
        raise TypeError(type(value).__name__)
    if len(value) == 1 and isinstance(value[0], list):
        value = value[0]  # what was encoded in a batch of one
    # By way of float64: whoever wrote a float32 in decimal meant the nearest one. Null is no number.
    numbers = [np.nan if number is None else float(number) for number in value]
    with np.errstate(over="ignore"):
        return np.array(numbers, np.float64).astype(np.float32)
