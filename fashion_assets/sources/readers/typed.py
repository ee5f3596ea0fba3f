"""Values of formats that have types, hashed as exactly as they are.

What belongs here: the one digest of a row of such a format. What does not: where the values are from.
"""

import json
from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from typing import Any


def digest(columns: bytes, values: Sequence[Any]) -> str:
    """Of a row: 24 hex digits over its values as JSON, numbers with all of their digits, times as ISO 8601, vectors by their bytes.
    `columns` stands for the columns' names (`columns_digest`)."""
    said = _encode(values)
    return blake2b(said.encode("utf-8", "surrogatepass"), digest_size=12, key=columns).hexdigest()


def columns_digest(names: Sequence[str]) -> bytes:
    """Stands for the names of a row's columns in its digest."""
    return blake2b("\0".join(names).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _said(value: Any) -> Any:
    """What JSON has no way to write, with its type."""
    kind = type(value).__name__
    if hasattr(value, "tobytes"):  # an array of numpy, a memoryview
        return [kind, _name(getattr(value, "dtype", "")), blake2b(value.tobytes()).hexdigest()]
    if isinstance(value, bytes | bytearray):
        return [kind, blake2b(value).hexdigest()]
    if isinstance(value, set | frozenset):
        return [kind, *sorted(map(str, value))]
    return [kind, value.isoformat() if hasattr(value, "isoformat") else str(value)]


_name = cache(str)
"""What a type of numbers is called, which numpy puts together each time anew."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_said).encode
