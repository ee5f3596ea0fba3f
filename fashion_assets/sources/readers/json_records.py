"""JSON: one object a line, an array of objects, an object that holds one, and a folder of files of one object each.

What belongs here: reading such a file or folder row by row. What does not: how a file is laid out (`json_layout`), where an object ends and its values
(`json_pieces`), what its names mean (`sources.mapping`).
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import quote, unquote_to_bytes

from fashion_assets.sources.readers import json_layout
from fashion_assets.sources.readers.beginnings import holds_only
from fashion_assets.sources.readers.files import Place, SourceFile
from fashion_assets.sources.readers.json_layout import BOM, OTHER_UNICODE
from fashion_assets.sources.readers.json_pieces import end_of_objects, items, lines, row_of
from fashion_assets.sources.readers.pieces import MAX_PIECE_BYTES, Piece, Window, digest, located
from fashion_assets.sources.readers.reader import Row, RowReader
from fashion_assets.sources.source import SourceError

SAMPLE_ROWS = 100
"""Looked at for the names of columns."""

_BEHIND_ARRAY = re.compile(rb"[\s,;\0\x1a]*+")


def looks_like(location: str, head: bytes) -> bool:
    """Whether a file begins as JSON does, or a folder holds nothing but JSON files."""
    if not head:
        return holds_only(location, ".json")
    if head.startswith(OTHER_UNICODE):
        head = head.replace(b"\0", b"")[2:]  # opening it says which encoding JSON has
    begin = head.removeprefix(BOM).lstrip()
    # Of a bracket alone some delimited file could begin, too.
    return re.match(rb'\{\s*("|\})|\[\s*(\{|\]|\[\s*")', begin) is not None


class JsonRecords(RowReader):
    """Options: `layout` (`lines`, an `array`, `objects` behind each other; of a folder always `files`; found out where it is not
    given) and `items`, the dotted path of the array in the object that holds it.

    A line or an item that is no object is a row with a defect. So is one of more than MAX_PIECE_BYTES, with the beginning of its
    text and its length. Locators: `OFFSET:LENGTH:LINE`, or the file's name. What a folder's files are called is held in memory, some
    hundred bytes each.
    """

    format: ClassVar[str] = "json_records"

    def __init__(self, location: str, options: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Raises SourceError where nothing can be read, or no objects are found in it."""
        self.location = Path(location)
        self.how: dict[str, str] = {}
        self._columns: list[str] | None = None
        self._layout: json_layout.Layout | None = None  # of a file; a folder has none
        kind = options.get("layout")
        if self.location.is_dir():
            self.how["layout"] = "files"
            return
        if kind not in (None, "lines", "array", "objects"):
            raise SourceError(f"There is no layout {kind!r} of a JSON file: it is lines, array or objects.")
        self._file = SourceFile(self.location)
        with self._file.opened() as file:
            sample = file.read(json_layout.SAMPLE_BYTES)
        self._layout = json_layout.find_out(self.location, sample, kind, options.get("items"))
        if self._layout.items:
            self.how["items"] = self._layout.items
        if self._file.compression:
            self.how["compression"] = self._file.compression
        self.how["layout"] = self._layout.kind

    @property
    def columns(self) -> Sequence[str]:
        if self._columns is None:
            names = (name for row in islice(self.rows(), SAMPLE_ROWS) for name in row.values)
            self._columns = list(dict.fromkeys(names))
        return self._columns

    def rows(self) -> Iterator[Row]:
        if self._layout is None:
            for name in self._names():
                yield self._of_file(name)
            return
        offset, line = self._layout.offset, self._layout.line
        with self._file.opened(offset) as file:
            if self._layout.kind == "lines":
                pieces = lines(file, offset, line)
            elif self._layout.kind == "objects":
                pieces = items(Window(file, offset, line), closed=False)
            else:
                pieces = self._in_arrays(Window(file, offset, line), self._layout)
            for piece in pieces:
                yield row_of(piece)

    def _in_arrays(self, window: Window, layout: json_layout.Layout) -> Iterator[Piece]:
        """The objects from where the window stands, in an array. Raises SourceError where something follows that would be passed over."""
        more = True
        while more:
            yield from items(window, closed=True)
            if not window.skip(_BEHIND_ARRAY):
                return
            window.advance(window.at + 1)  # its bracket
            if layout.within:
                window.take(end_of_objects(layout.within))
            if not window.skip(_BEHIND_ARRAY):
                return
            more = not layout.within and window.data.startswith(b"[", window.at)
            if more:
                window.advance(window.at + 1)
        what = "array" if not layout.within else f"object that holds {layout.items}"
        raise SourceError(
            f"In line {window.line} of {self.location}, behind the {what}, something else begins: several exports in one file? Give "
            "each as a file of its own, or all objects as one array."
        )

    def again(self, locators: Sequence[str]) -> Iterator[Row]:
        if self._layout is None:
            yield from (self._of_file(os.fsdecode(unquote_to_bytes(locator))) for locator in locators)
            return
        places = [located(locator) for locator in locators]
        pieces = self._file.pieces([read for _, read, _ in places])
        for raw, (place, _, line) in zip(pieces, places, strict=True):
            yield row_of(Piece(raw, place, line))

    def close(self) -> None:
        """Nothing is held open."""

    # --- files of one object

    def _names(self) -> list[str]:
        try:
            with os.scandir(self.location) as entries:
                return sorted(entry.name for entry in entries if entry.name.lower().endswith(".json"))
        except OSError as error:
            raise SourceError(
                f"{self.location} cannot be read: {error.strerror}. Give this user the right to read it."
            ) from None

    def _of_file(self, name: str) -> Row:
        path, locator = os.path.join(self.location, name), quote(os.fsencode(name), safe="")
        try:
            if os.path.realpath(path) != os.path.join(os.path.realpath(self.location), name):
                raise SourceError(
                    "It is a link, which may lead anywhere: put the file itself into the folder."
                )
            with SourceFile(path).opened() as file:
                raw = file.read(MAX_PIECE_BYTES + 1)
                length = os.fstat(file.fileno()).st_size if len(raw) > MAX_PIECE_BYTES else len(raw)
        except (OSError, SourceError) as error:
            if not os.path.lexists(path):
                return Row(locator, "", {})
            return Row(locator, digest(str(error).encode()), {}, "unreadable_line", f"{locator}: {error}")
        row = row_of(Piece(raw.removeprefix(BOM), Place(0, length), 1))
        return row._replace(locator=locator, digest=digest(locator.encode() + b"\0" + raw), line=None)
