"""Rows of delimited text: commas, semicolons, tabs, pipes; plain or compressed.

What belongs here: the file as a reader of rows that are found again. What does not: how the file is written (`dialect`), where its
records end (`records`), what a column means (`sources.mapping`).
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from fashion_assets.sources.damage import out_of_formula
from fashion_assets.sources.readers.dialect import Dialect, Quoting, find_dialect, from_how, looks_delimited
from fashion_assets.sources.readers.fields import MAX_RECORD_BYTES
from fashion_assets.sources.readers.headers import unique
from fashion_assets.sources.readers.lines import BEGINNING_BYTES, Line
from fashion_assets.sources.readers.opening import OpenFile
from fashion_assets.sources.readers.reader import Row, RowReader
from fashion_assets.sources.readers.records import LONG, NARROW, PLACED, SHORTENED, UNREADABLE, Records

_LOST = "\ufffd".encode()

OPTIONS = frozenset({"delimiter", "encoding", "quoting", "how"})
"""What may be stated of a file; a mapping's options."""


def looks_like(location: str, head: bytes) -> bool:
    """Whether a file is delimited text of several columns."""
    return bool(head) and looks_delimited(location, head)


class Delimited(RowReader):
    """A file of delimited text with a header."""

    format: ClassVar[str] = "delimited"

    def __init__(
        self,
        path: Path,
        *,
        delimiter: str | None = None,
        encoding: str | None = None,
        quoting: Quoting | None = None,
        how: Mapping[str, str] | None = None,
    ) -> None:
        """`delimiter`: the sign or its name (comma, semicolon, tab, pipe). What is null is found out, for which the file is read
        once. `how`: that of an earlier opening of the same file; then
        nothing is found out again. Raises SourceError where there is no such file, it may not be read, is empty, is no text, or
        is no table that can be read for sure."""
        self.path = Path(path)
        self.prose: Collection[str] | None = None
        """Columns whose text may hold an unquoted delimiter: titles, descriptions, and all nothing is known of. Who knows what
        the columns mean sets it before reading rows; null: any. A surplus of fields is put back where it makes every value fit
        its column; where that may be in several columns, or none, the row is unreadable."""
        self._file = OpenFile(self.path)
        try:
            dialect = from_how(how) if how is not None else None
            if dialect is None:
                dialect = find_dialect(self._file, delimiter=delimiter, encoding=encoding, quoting=quoting)
            self._records = Records(self._file, dialect)
        except BaseException:
            self._file.close()
            raise
        self.columns: Sequence[str] = unique(self._records.header)
        packed = {} if self._file.compression is None else {"compression": self._file.compression}
        self.how: Mapping[str, str] = {**dialect.how, **packed}
        self._encoding = dialect.encoding
        self._lost = 0
        self._key = _key(self.columns, dialect)

    @property
    def left_out(self) -> Mapping[str, int]:
        """After `rows`: lines that are no rows, by what they are (`blank lines`, `repeated headers`), and how many."""
        return dict(self._records.left_out)

    @property
    def notes(self) -> Sequence[str]:
        """Where letters were lost before the file was written, and marks stand in their place."""
        if not self._lost:
            return ()
        return (
            f"{self._lost:,} rows hold \ufffd in place of letters that were lost before: export them anew as UTF-8",
        )

    def rows(self) -> Iterator[Row]:
        columns, key, blake2b = self.columns, self._key, hashlib.blake2b
        self._lost = 0
        if self.prose is not None:
            self._records.prose = {position for position, name in enumerate(columns) if name in self.prose}
        for line, decided, fields in self._records:
            if _LOST in line.raw:
                self._lost += 1
            if fields is None:
                yield self._row(line, decided)
                continue
            offset, raw, number, size = line
            values = dict(zip(columns, fields, strict=False))  # as many, or `Records` had not given them
            digest = blake2b(raw, digest_size=12, key=key).hexdigest()
            yield Row(f"{offset}:{size}:{number}", digest, values, None, None, number)
        self._file.require_unchanged()

    def again(self, locators: Sequence[str]) -> Iterator[Row]:
        for locator in locators:
            offset, size, number, *decided = locator.split(":")
            place, length = int(offset), int(size)
            raw = self._file.at(place, length if LONG not in decided else min(length, BEGINNING_BYTES))
            yield self._row(Line(place, raw, int(number), length), *decided)

    def close(self) -> None:
        self._file.close()

    def _row(self, line: Line, decided: str = "") -> Row:
        """The row of a record whose fields are not known yet."""
        locator = f"{line.offset}:{line.size}:{line.number}" + (f":{decided}" if decided else "")
        digest = hashlib.blake2b(line.raw, digest_size=12, key=self._key)
        digest.update(decided.encode())
        defect, fields = "unreadable_line", None
        said = ""
        if decided == LONG:
            left = line.size - len(line.raw)
            for block in self._file.blocks(line.offset + len(line.raw)):
                digest.update(block[:left])
                left -= len(block)
                if left <= 0:
                    break
            said = f"… ({line.size:,} bytes; a record has at most {MAX_RECORD_BYTES:,})"
        elif (text := self._records.text(line.raw, "utf-8" if decided == NARROW else None)) is None:
            defect = "wrong_encoding"
        elif decided == NARROW:
            fields = self._records.fields(text.rstrip("\r"))
        elif decided == SHORTENED:
            fields = self._records.filled_up(text)
        elif decided != UNREADABLE:
            into = int(decided.removeprefix(PLACED)) if decided else None
            fields = self._records.fields(text) if into is None else self._records.placed(text, into)
        if fields is None:
            encoding = "utf-8" if decided == NARROW else self._encoding
            shown = line.raw.decode(encoding, "backslashreplace").replace("\0", "\\x00")
            return Row(locator, digest.hexdigest(), {}, defect, shown + said, line.number)
        values = dict(zip(self.columns, map(out_of_formula, fields), strict=True))
        return Row(locator, digest.hexdigest(), values, None, None, line.number)


def _key(columns: Sequence[str], dialect: Dialect) -> bytes:
    """What the digests of rows depend on beside their bytes."""
    said = json.dumps([list(columns), dialect.encoding, dialect.delimiter, dialect.quoting])
    return hashlib.blake2b(said.encode(), digest_size=16).digest()
