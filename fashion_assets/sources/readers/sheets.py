"""The inside of an Excel workbook (.xlsx): its sheets, and their rows as plain values.

What belongs here: the parts of the archive within bounds, rows of cells. What does not: what a format shows (`cell_formats`), which sheet is meant and which row names the
columns (`workbook`), what a column means (`sources.mapping`).

openpyxl says what a cell holds. Its own way through a workbook keeps all texts and something of each row in memory; here rows go by
one at a time, and the texts that cells share lie in a temporary file.

A value is a text, a number, a truth or nothing; a number is what its format shows (`cell_formats`). A formula is what it came to when the
workbook was saved.
"""

import posixpath
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast
from xml.etree import ElementTree

from openpyxl.utils import coordinate_to_tuple, range_boundaries
from openpyxl.utils.datetime import MAC_EPOCH, WINDOWS_EPOCH
from openpyxl.utils.escape import unescape
from openpyxl.worksheet._reader import FORMULA_TAG, WorkSheetParser

from fashion_assets.sources.readers.cell_formats import Value, moment_of, number_of, shown_by, usual
from fashion_assets.sources.readers.files import CHUNK_BYTES
from fashion_assets.sources.readers.spool import Spool
from fashion_assets.sources.source import SourceError

MOST_UNPACKED = 4 << 30
"""Bytes of a sheet, or of a workbook's texts, unpacked. A full sheet of a million rows has a quarter of it."""

MOST_TIMES, FREE_BYTES = 200, 64 << 20
"""How many times its packed bytes a part may have beyond the first ones: of sheets it is 5 to 50."""

MOST_ROW_BYTES = 1 << 24
"""Of one row, or one text, as XML."""

MOST_ROWS, MOST_COLUMNS = 1 << 20, 1 << 14
"""Of a sheet, as Excel has them."""

_STRICT = b"http://purl.oclc.org/ooxml/spreadsheetml/main"
_MAIN = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_MERGED = re.compile(rb"<(?:\w+:)?mergeCell\b[^>]{0,100}?ref\s*=\s*[\"']([A-Z0-9:$]{3,30})[\"']")
_IMAGE = re.compile(r'\s*(?:_xlfn\.)?IMAGE\(\s*"([^"]+)"', re.IGNORECASE)
_SURROGATES = re.compile("[\ud800-\udfff]")
_SHORT = 200  # characters of a text that is kept at hand


class Sheet(NamedTuple):
    """A sheet of cells."""

    name: str
    part: str
    hidden: bool


class SheetRow(NamedTuple):
    """A row that holds anything."""

    number: int
    """From 1, as the sheet counts; greater than that of the row before."""
    values: list[Value]
    """From the first column to the last one that holds anything."""
    text: str | None = None
    """Of a row that cannot be taken apart, its XML; it has no values then."""


class WorkbookFile:
    """An open workbook."""

    def __init__(self, path: Path) -> None:
        """Raises SourceError where it is none, is damaged, or too much of it would be unpacked."""
        self.path = path
        self.uncalculated = 0
        """Cells met whose formula has no value: nobody has calculated it."""
        self._texts: Spool | None = None
        self._at_hand: dict[int, str] = {}
        with self._archive() as archive:
            self._parts = {
                each.filename.replace("\\", "/").lstrip("/").lower(): each for each in archive.infolist()
            }
        root = self._related("")
        self._book = next(
            (part for kind, part in root.values() if kind == "officeDocument"), "xl/workbook.xml"
        )
        self._relations = self._related(self._book)

    @property
    def pictures(self) -> int:
        """How many pictures lie in it."""
        return sum(name.startswith("xl/media/") for name in self._parts)

    @cached_property
    def sheets(self) -> Sequence[Sheet]:
        """Its sheets of cells, in the order of their tabs."""
        found = []
        for element in self._whole(self._book).iter():
            if _local(element.tag) != "sheet":
                continue
            named = {_local(name): value for name, value in element.attrib.items()}
            kind, part = self._relations.get(named.get("id", ""), ("", ""))
            if kind == "worksheet" and part in self._parts:
                hidden = named.get("state", "visible") != "visible"
                found.append(Sheet(named.get("name", ""), part, hidden))
        return found

    def rows(self, sheet: Sheet) -> Iterator[SheetRow]:
        """The rows of a sheet that hold anything. A cell that was merged of those of several rows belongs to each of them."""
        merged = _Merged(self._merged(sheet))
        cells = _Cells(self._text)
        before = 0
        for element in self._elements(sheet.part, "row", 2):
            try:
                number, found = cells.parse_row(element)  # type: ignore[arg-type]
                values: list[Value] = []
                for cell in found:
                    if (column := cell["column"]) > MOST_COLUMNS:
                        raise ValueError(f"column {column}")
                    if (value := self._value(cell)) is not None:
                        values += [None] * (column - len(values))
                        values[column - 1] = value
                text = None
            except (
                ValueError,
                TypeError,
                IndexError,
                KeyError,
                OverflowError,
                AttributeError,
                AssertionError,
            ):
                number, values = cells.row_counter, []
                text = ElementTree.tostring(element, "unicode")
            number = number if before < number <= MOST_ROWS else before + 1
            before = number
            if text is None:
                merged.fill(number, values)
            if text is not None or any(map(_is_stated, values)):
                yield SheetRow(number, values, text)
            cells.row_dimensions.clear()
        self.uncalculated += cells.uncalculated

    # --- cells

    def _value(self, cell: dict[str, Any]) -> Value:
        value, kind = cell["value"], cell["data_type"]
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            if "_x" in value:
                value = unescape(value)
                if _SURROGATES.search(value):
                    value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            return value or None
        if isinstance(value, int | float) and kind == "n":
            style = cell["style_id"]
            shown = self._shown[style] if style < len(self._shown) else None
            return number_of(value) if shown is None else shown(value)
        return moment_of(value)

    @cached_property
    def _shown(self) -> Sequence[Callable[[float], Value] | None]:
        """By style, what makes of a number what is shown; None where that is the number."""
        part = next((part for kind, part in self._relations.values() if kind == "styles"), None)
        if part is None or part not in self._parts:
            return []
        codes: dict[int, str] = {}
        styles: list[int] = []
        for group in self._whole(part):
            for each in group:
                number = each.get("numFmtId", "0")
                format = int(number) if number.isdecimal() else 0
                if _local(each.tag) == "numFmt":
                    codes[format] = each.get("formatCode", "")
                elif _local(each.tag) == "xf" and _local(group.tag) == "cellXfs":
                    styles.append(format)
        of_code = {
            number: shown_by(codes.get(number) or usual(number), self._epoch) for number in set(styles)
        }
        return [of_code[number] for number in styles]

    @cached_property
    def _epoch(self) -> datetime:
        for element in self._whole(self._book).iter():
            if _local(element.tag) == "workbookPr" and element.get("date1904", "0") in ("1", "true"):
                return MAC_EPOCH
        return WINDOWS_EPOCH

    def _text(self, number: int) -> str:
        """One of the texts that cells share."""
        if self._texts is None:
            self._texts = texts = Spool()
            part = next((part for kind, part in self._relations.values() if kind == "sharedStrings"), None)
            if part is not None and part in self._parts:
                for place, element in enumerate(self._elements(part, "si", 1)):
                    texts.append(place, _said(element).encode("utf-8", "surrogatepass"))
            texts.written()
        if (known := self._at_hand.get(number)) is not None:
            return known
        found = self._texts.find(number)
        if found is None:
            raise IndexError(number)
        text = found.decode("utf-8", "surrogatepass")
        if len(text) <= _SHORT:
            if len(self._at_hand) > 10_000:
                self._at_hand.clear()
            self._at_hand[number] = text
        return text

    # --- parts of the archive

    def _merged(self, sheet: Sheet) -> list[tuple[int, int, int]]:
        """Of cells merged over several rows: the first and last one, and the column. They stand behind the rows that need them."""
        found = []
        rest = b""
        with self._part(sheet.part) as file:
            while chunk := self._read(file):
                said = rest + chunk
                end = 0
                for match in _MERGED.finditer(said):
                    end = match.end()
                    try:
                        column, first, _, last = range_boundaries(match[1].decode())
                    except ValueError:
                        continue
                    if column and first and last and last > first:
                        found.append((first, last, column))
                rest = said[max(end, len(said) - 200) :]
        return sorted(found)

    def _elements(self, part: str, name: str, depth: int) -> Iterator[ElementTree.Element]:
        """The elements of this name, one at a time, which stand in so many others."""
        parser = ElementTree.XMLPullParser(("start", "end"))
        around: list[ElementTree.Element] = []
        since, first = 0, True
        try:
            with self._part(part) as file:
                while chunk := self._read(file):
                    parser.feed(chunk.replace(_STRICT, _MAIN) if first else chunk)
                    since, first = since + len(chunk), False
                    for event, element in parser.read_events():  # type: ignore[misc]
                        if event == "start":
                            around.append(element)  # type: ignore[arg-type]
                            continue
                        around.pop()
                        if len(around) <= depth:
                            since = 0
                            if len(around) == depth and _local(element.tag) == name:  # type: ignore[union-attr]
                                yield element  # type: ignore[misc]
                            if around:
                                around[-1].clear()
                    if since > MOST_ROW_BYTES:
                        raise SourceError(
                            f"{self.path} has a row or a text of more than {MOST_ROW_BYTES:,} bytes: it is damaged, or no table. Save the "
                            "sheet with the listings as CSV (UTF-8)."
                        )
                parser.close()
        except ElementTree.ParseError as error:
            raise self._damaged(error) from error

    def _whole(self, part: str) -> ElementTree.Element:
        """A small part as a whole."""
        with self._part(part) as file:
            said = b""
            while chunk := self._read(file):
                said += chunk
                if len(said) > 4 * MOST_ROW_BYTES:
                    raise self._damaged(ValueError(f"{part} is too large"))
        try:
            return ElementTree.fromstring(said)
        except ElementTree.ParseError as error:
            raise self._damaged(error) from error

    def _related(self, part: str) -> dict[str, tuple[str, str]]:
        """By id, the kinds and names of the parts a part relates to."""
        folder, name = posixpath.split(part)
        where = posixpath.join(folder, "_rels", f"{name}.rels").lower()
        found = {}
        if where in self._parts:
            for element in self._whole(where).iter():
                target = element.get("Target")
                if target is None or element.get("TargetMode") == "External":
                    continue
                path = posixpath.normpath(posixpath.join("/", folder, target.replace("\\", "/"))).lstrip("/")
                found[element.get("Id", "")] = (element.get("Type", "").rpartition("/")[2], path.lower())
        return found

    @contextmanager
    def _archive(self) -> Iterator[zipfile.ZipFile]:
        """The archive, opened anew: of one that is held open, processes forked from this one would share the place they read at."""
        try:
            archive = zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise self._damaged(error) from error
        with archive:
            yield archive

    @contextmanager
    def _part(self, name: str) -> Iterator[Any]:
        info = self._parts.get(name)
        if info is None:
            raise self._damaged(KeyError(f"there is no {name} in it"))
        if info.file_size > MOST_UNPACKED or (
            info.file_size > FREE_BYTES and info.file_size > MOST_TIMES * max(info.compress_size, 1)
        ):
            raise SourceError(
                f"{self.path} would unpack {name} to {info.file_size:,} bytes, of {info.compress_size:,}: more than a sheet of listings "
                "has. Save the sheet as CSV (UTF-8)."
            )
        if info.flag_bits & 1:
            raise SourceError(f"{self.path} is protected by a password. Save it without one.")
        with self._archive() as archive:
            try:
                file = archive.open(info)
            except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError) as error:
                raise self._damaged(error) from error
            with file:
                yield file

    def _read(self, file: Any) -> bytes:
        try:
            return file.read(CHUNK_BYTES)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> SourceError:
        said = str(error.args[0] if isinstance(error, KeyError) else error).splitlines()
        return SourceError(
            f"{self.path} cannot be read as a workbook: {said[0].rstrip('.') if said else type(error).__name__}. It is damaged or not "
            "whole: save or copy it anew."
        )


class _Cells(WorkSheetParser):
    """openpyxl's reading of cells, which counts formulas that have no value, and takes the address of pictures that formulas show."""

    def __init__(self, text: Callable[[int], str]) -> None:
        super().__init__(cast(Any, None), _Texts(text), data_only=True)
        self.uncalculated = 0

    def parse_cell(self, element: Any) -> dict[str, Any]:
        if element.get("t") == "inlineStr":
            return self._in_place(element)
        cell = super().parse_cell(element)
        if (cell["value"] is None or cell["data_type"] == "e") and (
            formula := element.find(FORMULA_TAG)
        ) is not None:
            if image := _IMAGE.match(formula.text or ""):
                cell.update(value=image[1], data_type="s")
            elif cell["value"] is None and element.get("t", "n") == "n":  # a text may be empty
                self.uncalculated += 1
        return cell

    def _in_place(self, element: Any) -> dict[str, Any]:
        """A cell with a text of its own: openpyxl takes each apart as an object, for half of the time a sheet takes."""
        place = element.get("r")
        self.col_counter = coordinate_to_tuple(place)[1] if place else self.col_counter + 1
        text = next((_said(child) for child in element if _local(child.tag) == "is"), None)
        return {"column": self.col_counter, "value": text, "data_type": "s", "style_id": 0}


class _Texts:
    """As the list openpyxl has of them."""

    def __init__(self, text: Callable[[int], str]) -> None:
        self._text = text

    def __getitem__(self, number: int) -> str:
        return self._text(number)


class _Merged:
    """Cells merged over several rows, as their rows go by."""

    def __init__(self, merged: Sequence[tuple[int, int, int]]) -> None:
        """First row, last row and column of each, in order."""
        self._merged, self._next = merged, 0
        self._open: dict[int, tuple[int, Value]] = {}  # by column, the last row and the value

    def fill(self, number: int, values: list[Value]) -> None:
        """Give a row the values of the cells that begin above it. One that is all of a row otherwise empty makes none of it."""
        if self._next == len(self._merged) and not self._open:
            return
        while self._next < len(self._merged) and self._merged[self._next][0] <= number:
            first, last, column = self._merged[self._next]
            self._next += 1
            if first == number and column <= len(values) and values[column - 1] is not None:
                self._open[column] = (last, values[column - 1])
        for column, (last, value) in list(self._open.items()):
            if last < number:
                del self._open[column]
            elif values:
                values += [None] * (column - len(values))
                if values[column - 1] is None:
                    values[column - 1] = value


def _said(element: ElementTree.Element) -> str:
    """A shared text: of its runs, without how they are to be spoken."""
    parts = []
    for child in element:
        if _local(child.tag) == "t":
            parts.append(child.text or "")
        elif _local(child.tag) == "r":
            parts += [each.text or "" for each in child if _local(each.tag) == "t"]
    return "".join(parts)


def _is_stated(value: Value) -> bool:
    return value is not None and (not isinstance(value, str) or not value.isspace())


def _local(name: str) -> str:
    return name.rpartition("}")[2]
