"""Excel workbooks (.xlsx): the sheet with the listings, read as a table whose header names the columns.

What belongs here: which sheet is meant, which row names the columns, rows that are found again. What does not: what a cell holds
(`sheets`), what a column means (`sources.mapping`).

Mappings call a workbook what the same table is as text: `delimited`. The sheet is the one whose columns are known best; sheets of nearly
the same columns are read with it, one behind the other. A workbook cannot be entered in its middle: it is unpacked once by each process
that reads it, into a temporary file, and read from there. So memory stays flat, and a batch costs what it holds.
"""

import json
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from fashion_assets.sources.columns import folded
from fashion_assets.sources.readers.archives import is_workbook
from fashion_assets.sources.readers.footers import MOST_STATED, is_footer
from fashion_assets.sources.readers.headers import (
    MIN_KNOWN,
    header_among,
    known_names,
    unique,
    unnamed,
    why_a_row,
)
from fashion_assets.sources.readers.reader import Row, RowReader
from fashion_assets.sources.readers.sheets import MOST_ROWS, Sheet, SheetRow, Value, WorkbookFile
from fashion_assets.sources.readers.spool import Spool
from fashion_assets.sources.readers.typed import columns_digest, digest
from fashion_assets.sources.source import SourceError

HEAD_ROWS = 500
"""Looked at to find the header, and whether a sheet is a table."""

MOST_FOOTERS, FOOTER_SHOWN = 10, 60
"""Rows behind the last one that are none; characters of one that are told."""

ALIKE = 0.6
"""Of the columns of two sheets, as many are the same where they are of one catalogue."""

MOST_OPEN = 4
"""Workbooks, in one state each, that a process keeps unpacked: listings, and the tables beside them."""

FEW_PICTURES = 3
"""Pictures of a workbook that are more than a letterhead's."""

looks_like = is_workbook


class Workbook(RowReader):
    """Options: `sheet`, the name of the one to read (found out where it is not given). Locators: `SHEET:ROW`, by number."""

    format: ClassVar[str] = "workbook"

    def __init__(self, location: str, options: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Raises SourceError where it cannot be read, or no sheet of it is a table."""
        self.location = Path(location)
        self._book = _opened(self.location, options.get("sheet"))
        self.columns = self._book.columns
        self.how = self._book.how
        self._digest = columns_digest(self.columns)
        self._read = False

    @property
    def left_out(self) -> Mapping[str, int]:
        return dict(self._book.left_out) if self._read else {}

    @property
    def notes(self) -> Sequence[str]:
        return self._book.notes if self._read else ()

    def rows(self) -> Iterator[Row]:
        for number, entry in self._book.rows:
            yield self._row(number, entry)
        self._read = True
        self._book.require_unchanged()

    def again(self, locators: Sequence[str]) -> Iterator[Row]:
        for locator in locators:
            sheet, _, row = locator.partition(":")
            number = int(sheet) * 2 * MOST_ROWS + int(row)
            entry = self._book.rows.find(number)
            yield Row(locator, "", {}) if entry is None else self._row(number, entry)

    def close(self) -> None:
        """What was unpacked stays for whoever opens it next."""

    def _row(self, number: int, entry: bytes) -> Row:
        sheet, row = divmod(number, 2 * MOST_ROWS)
        said = json.loads(entry)
        if isinstance(said, str):
            return Row(f"{sheet}:{row}", digest(self._digest, [said]), {}, "unreadable_line", said, row)
        values = dict(zip(self.columns, said, strict=False))
        for place, value in enumerate(said[len(self.columns) :], len(self.columns)):
            if value is not None:
                values[unnamed(place)] = value
        if any(isinstance(value, str) and "\0" in value for value in said):
            text = repr(values).replace("\0", "\\x00")
            return Row(f"{sheet}:{row}", digest(self._digest, said), {}, "wrong_encoding", text, row)
        return Row(f"{sheet}:{row}", digest(self._digest, said), values, None, None, row)


class _Table(NamedTuple):
    """A sheet's columns."""

    sheet: Sheet
    header: int  # its row
    names: list[str]
    known: int  # names that systems give attributes
    row: str | None
    """What shows that its header is a row."""

    def is_like(self, other: "_Table") -> bool:
        """Whether another one is of the same catalogue: most columns are the same, and enough of them known."""
        own, others = (set(map(folded, each.names)) for each in (self, other))
        both = own & others
        return own == others or (
            len(both) >= ALIKE * max(len(own), len(others)) and known_names(both) >= MIN_KNOWN
        )


class _Unpacked:
    """A workbook in one state: what of it is read, and once somebody asks for them, its rows."""

    def __init__(self, path: Path, sheet: str | None) -> None:
        self.path, self._state = path, _state(path)
        self.left_out: dict[str, int] = {}
        self._file = WorkbookFile(path)
        self._lock = Lock()
        self._rows: Spool | None = None
        self._tables, self._others = self._choose(sheet)
        self.columns, self._into = _united(self._tables)
        read = [f"{each.sheet.name} (header in row {each.header})" for each in self._tables]
        self.how = {"sheets" if len(read) > 1 else "sheet": ", ".join(read)}

    @property
    def rows(self) -> Spool:
        """Each row's values as JSON, those of the first table's columns and of further ones; of one that cannot be taken apart its text."""
        with self._lock:
            if self._rows is None:
                self._rows = self._unpack()
            return self._rows

    @property
    def notes(self) -> Sequence[str]:
        """What people should know once the rows were read."""
        said = []
        if self._others:
            said.append(
                f"of {self.path.name} the sheets {', '.join(self._others)} are not read (name one in a mapping's options: sheet = …)"
            )
        if self._file.pictures >= FEW_PICTURES:
            said.append(
                f"{self._file.pictures:,} pictures lie in {self.path.name} itself, which are not read out of it: save each as images/ID.jpg beside "
                "it, with the row's id for ID"
            )
        if self._file.uncalculated:
            said.append(
                f"{self._file.uncalculated:,} cells have a formula that was never calculated, and are empty: open {self.path.name} in "
                "Excel, and save it"
            )
        return said

    def require_unchanged(self) -> None:
        """Raises SourceError where the file was written to since it was opened."""
        if _state(self.path) != self._state:
            raise SourceError(
                f"{self.path} changed while it was read. Wait until whatever writes it has ended, then run again."
            )

    def _choose(self, stated: str | None) -> tuple[list[_Table], list[str]]:
        """The tables to read, which have the same columns, and the names of other sheets that hold anything."""
        sheets = self._file.sheets
        if stated is not None:
            named = [each for each in sheets if each.name.strip().casefold() == stated.strip().casefold()]
            if not named:
                there = ", ".join(each.name for each in sheets)
                raise SourceError(f"{self.path} has no sheet {stated!r}, only {there}. Name one of them.")
            sheets = named[:1]
        tables = [table for each in sheets if (table := self._table(each)) is not None]
        # Of equals the first.
        best = max(
            tables, key=lambda each: (len(each.names) > 1, not each.sheet.hidden, each.known), default=None
        )
        if best is None:
            raise SourceError(
                f"{self.path} has no sheet with rows below a header. Its first row must name the columns."
            )
        if len(best.names) == 1 and any(best.names[0].count(sign) > 1 for sign in ",;|\t"):
            raise SourceError(
                f"The sheet {best.sheet.name} in {self.path} holds delimited text in one column: it was not taken apart when it was opened. "
                "Give the text itself, or take the column apart (Data, Text to Columns) and save it."
            )
        if best.row:
            raise SourceError(
                f"Row {best.header} of the sheet {best.sheet.name} in {self.path} is a row and no header: {best.row}. Put a row before it "
                "that names the columns."
            )
        same = [each for each in tables if each is best or (each.is_like(best) and not each.sheet.hidden)]
        return same, [each.sheet.name for each in tables if each not in same]

    def _table(self, sheet: Sheet) -> _Table | None:
        """The columns of a sheet; None where it is no table."""
        head = [row for row in islice(self._file.rows(sheet), HEAD_ROWS) if row.text is None]
        if not head:
            return None
        width = len(max(head, key=lambda row: sum(value is not None for value in row.values)).values)
        records = []
        for row in head:
            fields = [_text(value) for value in row.values]
            # Rows of the table are as wide as it is, whatever their last cells hold; a title is not.
            fields += [""] * (width - len(fields) if len(fields) * 2 > width else 0)
            records.append((row.number, fields))
        place = header_among(records)
        number, names = records[place]
        behind = [fields for _, fields in records[place + 1 :]]
        if not behind:
            return None
        # A cell somewhere to the right makes no column; it is kept with its row.
        widths = sorted((len(_trimmed(fields)) for fields in behind), reverse=True)
        filled = widths[min(1, len(widths) - 1)]
        names = _trimmed(names)
        names += [""] * (filled - len(names))
        return _Table(sheet, number, unique(names), known_names(names), why_a_row(names, behind))

    def _unpack(self) -> Spool:
        spool = Spool()
        self.left_out = {}
        self._file.uncalculated = 0
        for table, into in zip(self._tables, self._into, strict=True):
            begin = self._file.sheets.index(table.sheet) * 2 * MOST_ROWS
            footers: list[tuple[int, SheetRow]] = []  # rows that are such, as long as no other follows
            for row in self._file.rows(table.sheet):
                if row.number <= table.header or self._is_header(row, table):
                    continue
                if len(footers) < MOST_FOOTERS and _may_be_footer(row, len(into)):
                    footers.append((begin + row.number, row))
                    continue
                for number, held in (*footers, (begin + row.number, row)):
                    spool.append(number, _entry(held, into, len(self.columns)))
                footers = []
            for _, row in footers:
                said = " ".join(filter(None, map(_text, row.values)))
                self._leave_out(f'footer "{said[:FOOTER_SHOWN]}"')
        spool.written()
        self.require_unchanged()
        return spool

    def _is_header(self, row: SheetRow, table: _Table) -> bool:
        """Whether a row is the header once more, as of pages that were joined."""
        if len(row.values) < 2 or not isinstance(row.values[0], str):
            return False
        said = [_text(value).strip().casefold() for value in row.values]
        known = [name.strip().casefold() for name in table.names]
        if said != known[: len(said)] or len(said) * 2 <= len(known):
            return False
        self._leave_out("repeated headers")
        return True

    def _leave_out(self, what: str) -> None:
        self.left_out[what] = self.left_out.get(what, 0) + 1


def _united(tables: Sequence[_Table]) -> tuple[list[str], list[list[int]]]:
    """The columns of all tables, and for each table which of them its own are."""
    columns = list(tables[0].names)
    found = [list(range(len(columns)))]
    for table in tables[1:]:
        into: list[int] = []
        for name in table.names:
            free = [place for place in range(len(columns)) if place not in into]
            exact = (place for place in free if columns[place] == name)
            alike = (place for place in free if folded(columns[place]) == folded(name))
            place = next(exact, next(alike, len(columns)))
            if place == len(columns):
                columns.append(name)
            into.append(place)
        found.append(into)
    return columns, found


def _opened(path: Path, sheet: str | None) -> _Unpacked:
    """The workbook as it is now, unpacked once by this process for all who read it."""
    key = os.path.realpath(path), _state(path), sheet
    with _lock:
        if key not in _kept:
            _kept[key] = _Unpacked(path, sheet)
        _kept.move_to_end(key)
        while len(_kept) > MOST_OPEN:
            _kept.popitem(last=False)
        return _kept[key]


_kept: OrderedDict[tuple[str, tuple[int, int, int], str | None], _Unpacked] = OrderedDict()
_lock = Lock()


def _state(path: Path) -> tuple[int, int, int]:
    try:
        status = os.stat(path)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}. Name the file to read.") from None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _entry(row: SheetRow, into: Sequence[int], columns: int) -> bytes:
    """A row as it is kept: its values by the columns, then further ones."""
    if row.text is not None:
        return json.dumps(row.text).encode()
    values: list[Value] = [None] * columns
    for place, value in enumerate(row.values[: len(into)]):
        values[into[place]] = value
    values += row.values[len(into) :]
    return json.dumps(values, separators=(",", ":")).encode()


def _may_be_footer(row: SheetRow, columns: int) -> bool:
    """Whether a row is one with which an export ends, if nothing follows."""
    stated = [_text(value) for value in row.values if value is not None]
    return len(stated) <= min(MOST_STATED, columns - 2) and bool(stated) and is_footer(" ".join(stated))


def _text(value: Value) -> str:
    return "" if value is None else str(value)


def _trimmed(names: Sequence[str]) -> list[str]:
    """Without empty ones at the end."""
    last = max((place for place, name in enumerate(names) if name.strip()), default=-1)
    return list(names[: last + 1])


__all__ = ["Workbook", "looks_like"]
