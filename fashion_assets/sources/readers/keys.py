"""The key of a table's row as a locator: text without blanks that gives the same values again.

What belongs here: writing and reading such a text. What does not: which columns are a key (`databases`), rows (`sql`).

Each value has a letter before it that says its type: `i34029`, `sNavy%20Blue`; values of one key stand behind commas, and a digest
behind `@` where a key alone may mean several rows.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote, unquote
from uuid import UUID

import sqlalchemy as sa

_READ: dict[str, Callable[[str], Any]] = {
    "n": lambda text: None,
    "b": lambda text: text == "1",
    "i": int,
    "f": float,
    "d": Decimal,
    "t": datetime.fromisoformat,
    "D": date.fromisoformat,
    "u": UUID,
    "x": bytes.fromhex,
    "s": str,
}


def written(values: Sequence[Any], digest: str | None = None) -> str:
    """The locator of a row with this key; with a digest, of the one of several that has it."""
    key = ",".join(map(_written, values))
    return key if digest is None else f"{key}@{digest[:12]}"


def _written(value: Any) -> str:
    text = _letter(value)
    # Most keys are numbers, of which nothing needs quoting; to find that out takes `quote` ten times as long.
    return text if text.isascii() and text.isalnum() else quote(text, safe=":+")


def as_database_writes(type_: sa.types.TypeEngine[Any]) -> str | None:
    """The letter before keys of this type, where PostgreSQL's text of them is what stands behind it; None where it may not be."""
    if isinstance(type_, sa.Integer):
        return "i"
    return "u" if isinstance(type_, sa.Uuid) else None


def read(locator: str) -> tuple[tuple[Any, ...], str | None]:
    """The key's values, and the digest where there is one."""
    key, _, digest = locator.partition("@")
    parts = (unquote(part) for part in key.split(","))
    return tuple(_READ[part[0]](part[1:]) for part in parts), digest or None


def of(locator: str) -> str:
    """The key alone."""
    return locator.partition("@")[0]


def _letter(value: Any) -> str:
    match value:
        case None:
            return "n"
        case bool():
            return f"b{value:d}"
        case int():
            return f"i{value}"
        case float():
            return f"f{value!r}"
        case Decimal():
            return f"d{value}"
        case datetime():
            return f"t{value.isoformat()}"
        case date():
            return f"D{value.isoformat()}"
        case UUID():
            return f"u{value}"
        case bytes() | memoryview():
            return f"x{bytes(value).hex()}"
        case _:
            return f"s{value}"
