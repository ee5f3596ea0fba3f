"""Records of a source: one row of its file, or several that belong together.

What belongs here: which rows are one record, where a record lies, a record as JSON. What does not: what it says of a listing
(`sources.listings`).
"""

import base64
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from fashion_assets.sources.readers.reader import Row

FURTHER_ROWS = "further_rows"
"""Key of a record under which its rows beyond the first one stand."""

MOST_ROWS = 10_000
"""Rows of one record. What goes on after them begins a record of its own, so that memory stays bounded."""

BETWEEN = "|"
"""Between the locators of a record's rows."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Record(NamedTuple):
    """The rows of one listing, in the file's order; one with a defect is alone."""

    rows: tuple[Row, ...]

    @property
    def locator(self) -> str:
        """Where its rows are found again."""
        if len(self.rows) == 1:
            return self.rows[0].locator
        return BETWEEN.join(row.locator for row in self.rows)

    @property
    def digest(self) -> str:
        """Another one whenever one of its rows may be another."""
        if len(self.rows) == 1:
            return self.rows[0].digest
        said = BETWEEN.join(row.digest for row in self.rows)
        return hashlib.blake2b(said.encode(), digest_size=12).hexdigest()

    @property
    def defect(self) -> str | None:
        """Why it cannot be taken apart; None where it can."""
        return self.rows[0].defect

    @property
    def line(self) -> int | None:
        """Line it begins in, in formats that have lines."""
        return self.rows[0].line

    def as_json(self, instead: Mapping[str, Any] = MappingProxyType({})) -> str:
        """The record whole, as JSON. `instead` has what stands for a value that is kept beside it."""
        first, *further = self.rows
        if first.defect:
            place = {} if first.line is None else {"line_number": first.line}
            return encoded({**place, "text": first.text or ""})
        # What something stands for is not asked for: JSON of a database is taken apart when it is, and a vector is long.
        values = (
            {
                name: instead[name] if name in instead else first.values[name]
                for name in (*first.values, *(name for name in instead if name not in first.values))
            }
            if instead
            else first.values
        )
        if not further:
            return encoded(values)
        key = FURTHER_ROWS
        while key in first.values:
            key += "_"
        return encoded({**values, key: [dict(row.values) for row in further]})


def grouped(
    rows: Iterable[Row],
    keys: Callable[[Mapping[str, Any]], tuple[str, ...]] | None,
    *,
    continued: bool = False,
) -> Iterator[Record]:
    """The records of rows: each alone without `keys`; else rows one after another that share any key are one, and where they are `continued` those
    without any go on with the record before.

    A row with a defect is a record of its own and ends no other.
    """
    if keys is None:
        for row in rows:
            yield Record((row,))
        return
    held: list[Row] = []
    known: set[str] = set()
    aside: list[Record] = []
    for row in rows:
        if row.defect:
            aside.append(Record((row,)))
            if len(aside) < MOST_ROWS:
                continue
        own = set() if row.defect else {key for key in keys(row.values) if key.strip()}
        if not row.defect and held and len(held) < MOST_ROWS and (own & known or (continued and not own)):
            held.append(row)
            known |= own
            continue
        if held:
            yield Record(tuple(held))
        yield from aside
        held, known, aside = ([], set(), []) if row.defect else ([row], own, [])
    if held:
        yield Record(tuple(held))
    yield from aside


def encoded(value: Any) -> str:
    """A value as JSON that PostgreSQL can keep: what JSON has no word for is text."""
    try:
        text = _strict(value)
    except (TypeError, ValueError):
        text = _encode(_plain(value))
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair, which only escapes can spell
        text = json.dumps(_plain(value), separators=(",", ":"))
    return text


_strict = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        # As a number only where it comes back as it was.
        if not value.is_finite():
            return str(value)
        if value == value.to_integral_value() and abs(value) < 10**18:
            return int(value)
        return float(value) if Decimal(repr(float(value))) == value else format(value, "f")
    if isinstance(value, Mapping):
        return {str(key): _plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(member) for member in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return "base64:" + base64.b64encode(bytes(value)).decode()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays
        return _plain(value.tolist())
    return str(value)
