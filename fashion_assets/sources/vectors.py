"""Vectors that came with records: from what a system wrote to float32, bit for bit.

What belongs here: the encodings. What does not: which column holds them (`sources.mapping`), whether one can be a vector
(`catalog.vectors`).
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

NOTHING = ("", "null", "none", "nan", "[]", "{}")
"""Texts (lower case) that are no vector."""

_UNREADABLE = np.empty(0, np.float32)

_FEW = 16
"""Numbers of a text so short that Arrow does not pay."""


def read_vector(value: Any, encoding: str = "auto") -> np.ndarray | None:
    """The vector a value is, in one of `mapping.Vector`'s encodings: float32 [d]; None where none is stated. Nothing is scaled, and
    zeros are zeros. What is no vector is one without numbers, which is refused by name later."""
    if value is None or (isinstance(value, str) and value.strip().lower() in NOTHING):
        return None
    try:
        vector = _decoded(value, encoding)
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error):
        return _UNREADABLE
    return vector if vector.ndim == 1 else _UNREADABLE


def _decoded(value: Any, encoding: str) -> np.ndarray:
    if isinstance(value, bytes | bytearray | memoryview):
        if encoding in ("auto", "bytes"):
            return np.frombuffer(bytes(value), "<f4")
        value = bytes(value).decode("ascii")
    if isinstance(value, str):
        text = value.strip()
        if encoding in ("auto", "json", "list", "pgvector") and text[:1] in ("[", "{", "("):
            # `{…}` is how Postgres writes an array as text, `(…)` how some write a tuple.
            if (found := _plain(text)) is not None:
                return found
            return _array(json.loads(text if text.startswith("[") else f"[{text[1:-1]}]"))
        if encoding in ("auto", "base64"):
            return np.frombuffer(base64.b64decode(text, validate=True), "<f4")
        raise ValueError(encoding)
    return _array(value)


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
        return value.astype(np.float32)
    if isinstance(value, Mapping) or not isinstance(value, Sequence):
        raise TypeError(type(value).__name__)
    # By way of float64: whoever wrote a float32 in decimal meant the nearest one. Null is no number.
    numbers = [np.nan if number is None else float(number) for number in value]
    with np.errstate(over="ignore"):
        return np.array(numbers, np.float64).astype(np.float32)
