"""JSON: one object a line, an array of objects, an object that holds one, and a folder of files of one object each.

What belongs here: where each object lies, and its values. What does not: what its names mean (`sources.mapping`).

Values stay nested as they are. Numbers never pass through a float: an integer is an `int`, any other a `Decimal`, so that ids keep
their digits and prices theirs. `NaN`, which some programs write and JSON does not know, is null.

The pieces of an array are found by their quotes and brackets alone, so that each has a place in the file, and one that is broken
stands alone. A library that parses the whole as a stream tells no places, and ends at the first fault.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, ClassVar
from urllib.parse import quote, unquote_to_bytes

from fashion_assets.sources.readers.beginnings import holds_only
from fashion_assets.sources.readers.files import CHUNK_BYTES, Place, SourceFile
from fashion_assets.sources.readers.pieces import (
    MAX_DEPTH,
    MAX_PIECE_BYTES,
    EndOf,
    Looked,
    Piece,
    Window,
    digest,
    located,
)
from fashion_assets.sources.readers.reader import Row, RowReader
from fashion_assets.sources.source import SourceError

SAMPLE_BYTES = 1 << 20
"""Looked at to find out how a file is laid out."""

SAMPLE_ROWS = 100
"""Looked at for the names of columns."""

_BOM = b"\xef\xbb\xbf"
_OTHER_UNICODE = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_STRING_REST = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.S)
_TO_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|' + _STRING + rb")*+", re.S)
_OBJECT = re.compile(rb"\s*+\{")
_LIST, _LIST_OF_LISTS = re.compile(rb"\s*+\[(?!\s*+\{)"), re.compile(rb'\[\s*+\[\s*+"')
_BEHIND_ARRAY = re.compile(rb"[\s,;\0\x1a]*+")
_BETWEEN_ITEMS = re.compile(rb"[\s,]*+")
_KEY_OR_BRACKET = re.compile(rb"(?P<key>" + _STRING + rb")\s*+:|" + _STRING + rb"|[\[\]{},]", re.S)
_BEHIND_SCALAR = re.compile(rb"[,\]]")
_ESCAPED = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LINES = (".jsonl", ".ndjson", ".jsonlines")
_USUAL = ("products", "items", "listings", "records", "data", "results", "rows")


def looks_like(location: str, head: bytes) -> bool:
    """Whether a file begins as JSON does, or a folder holds nothing but JSON files."""
    if not head:
        return holds_only(location, ".json")
    if head.startswith(_OTHER_UNICODE):
        head = head.replace(b"\0", b"")[2:]  # opening it says which encoding JSON has
    begin = head.removeprefix(_BOM).lstrip()
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
        layout = options.get("layout")
        self._offset, self._line = 0, 1  # of the first object
        self._within = 0  # objects around the array
        if self.location.is_dir():
            layout = "files"
        elif layout not in (None, "lines", "array", "objects"):
            raise SourceError(f"There is no layout {layout!r} of a JSON file: it is lines, array or objects.")
        else:
            self._file = SourceFile(self.location)
            layout = self._find_out(layout, options.get("items"))
            if self._file.compression:
                self.how["compression"] = self._file.compression
        self._layout = layout
        self.how["layout"] = layout

    @property
    def columns(self) -> Sequence[str]:
        if self._columns is None:
            names = (name for row in islice(self.rows(), SAMPLE_ROWS) for name in row.values)
            self._columns = list(dict.fromkeys(names))
        return self._columns

    def rows(self) -> Iterator[Row]:
        if self._layout == "files":
            for name in self._names():
                yield self._of_file(name)
            return
        with self._file.opened(self._offset) as file:
            if self._layout == "lines":
                pieces = _lines(file, self._offset, self._line)
            else:
                pieces = self._pieces(Window(file, self._offset, self._line))
            for piece in pieces:
                yield _row(piece)

    def _pieces(self, window: Window) -> Iterator[Piece]:
        """The objects from where the window stands. Raises SourceError where something follows that would be passed over."""
        if self._layout == "objects":
            yield from _items(window, closed=False)
            return
        more = True
        while more:
            yield from _items(window, closed=True)
            if not window.skip(_BEHIND_ARRAY):
                return
            window.advance(window.at + 1)  # its bracket
            if self._within:
                window.take(_end_of_objects(self._within))
            if not window.skip(_BEHIND_ARRAY):
                return
            more = not self._within and window.data.startswith(b"[", window.at)
            if more:
                window.advance(window.at + 1)
        what = "array" if not self._within else f"object that holds {self.how['items']}"
        raise SourceError(
            f"In line {window.line} of {self.location}, behind the {what}, something else begins: several exports in one file? Give "
            "each as a file of its own, or all objects as one array."
        )

    def again(self, locators: Sequence[str]) -> Iterator[Row]:
        if self._layout == "files":
            yield from (self._of_file(os.fsdecode(unquote_to_bytes(locator))) for locator in locators)
            return
        places = [located(locator) for locator in locators]
        pieces = self._file.pieces([read for _, read, _ in places])
        for raw, (place, _, line) in zip(pieces, places, strict=True):
            yield _row(Piece(raw, place, line))

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
        row = _row(Piece(raw.removeprefix(_BOM), Place(0, length), 1))
        return row._replace(locator=locator, digest=digest(locator.encode() + b"\0" + raw), line=None)

    # --- one file

    def _find_out(self, layout: str | None, items: str | None) -> str:
        """How the file is laid out. Sets where its first object begins, at which line."""
        with self._file.opened() as file:
            sample = file.read(SAMPLE_BYTES)
        if sample.startswith(_OTHER_UNICODE):
            raise SourceError(f"{self.location} is in UTF-16 or UTF-32. JSON is UTF-8: save it as that.")
        start = len(_BOM) if sample.startswith(_BOM) else 0
        first = len(sample) - len(sample[start:].lstrip())
        begins = sample[first : first + 1]
        if layout is None and not items:
            layout = self._layout_of(sample[start:], begins)
        if layout != "array" and not items and len(keys := by_key(sample, first)) > 1:
            raise SourceError(
                f"{self.location} is one object that holds {len(keys):,} others by their keys ({', '.join(keys[:3])} …), and no array "
                "of them. Write it as an array, each with its key as a member: "
                f"jq '[.. | objects | select(.[\"{keys[0]}\"]?) | to_entries[] | .value + {{id: .key}}]'."
            )
        if not items and (columns := _columns(sample, first)):
            raise SourceError(
                f"{self.location} is made of lists of values ({columns} …), and a listing is an object: which value belongs to which is not said "
                'for sure. Write it as an array of objects (pandas: to_json(orient="records")).'
            )
        if layout == "lines":
            self._offset = start
            return layout
        if layout == "array" and begins == b"[" and not items:
            self._set_begin(sample, first + 1)
            return layout
        held = {} if _ends_before_another(sample, first) else _arrays(sample, first)
        usual = next((path for path in held if path.rpartition(".")[2] in _USUAL), next(iter(held), None))
        path = items or usual
        if path in held and layout != "objects":
            offset, self._within = held[path]
            self._set_begin(sample, offset)
            self.how["items"] = path
            return "array"
        if items or layout == "array":
            wanted = f"array of objects called {items}" if items else "array of objects"
            raise SourceError(
                f"{self.location} holds no {wanted} in its first {SAMPLE_BYTES:,} bytes, but "
                f"{', '.join(held) or 'none'}. Name its path in the mapping (items)."
            )
        if begins != b"{":
            raise SourceError(
                f"{self.location} is no JSON of objects: it begins with {sample[first : first + 20]!r}. Name a file of one object "
                "a line, or of an array of objects."
            )
        self._set_begin(sample, first)
        return "objects"

    def _layout_of(self, sample: bytes, begins: bytes) -> str | None:
        if not begins:
            return "lines"  # of which there are none
        if begins == b"[":
            return "array"
        name = self.location.name.lower()
        for compressed in (".gz", ".zst", ".bz2"):
            name = name.removesuffix(compressed)
        if name.endswith(_LINES) or _is_lines(sample, len(sample) < SAMPLE_BYTES - len(_BOM)):
            return "lines"
        return None

    def _set_begin(self, sample: bytes, offset: int) -> None:
        self._offset, self._line = offset, 1 + sample.count(b"\n", 0, offset)


def _is_lines(sample: bytes, whole: bool) -> bool:
    """Whether most of the first lines are an object each; one object that fills a line and the file holds an array, or is the
    only one."""
    lines = [line for line in sample.splitlines()[:51] if line.strip()]
    if not whole and len(lines) > 1 and len(lines) < 51:
        lines.pop()  # it may go on
    sound = sum(
        1
        for line in lines
        if line.lstrip().startswith(b"{") and _row(Piece(line, Place(0, len(line)), 1)).defect is None
    )
    if len(lines) == 1:
        return bool(sound) and not _arrays(sample, 0)
    return sound * 2 > len(lines)


def _ends_before_another(sample: bytes, start: int) -> bool:
    """Whether the object that begins there ends in the sample, and another follows."""
    end = _item_end(sample, Looked(start))
    return end is not None and _OBJECT.match(sample, end) is not None


def _arrays(sample: bytes, start: int) -> dict[str, tuple[int, int]]:
    """The arrays of objects that stand in objects only, by dotted path: where each one's first item begins, in how many objects."""
    found: dict[str, tuple[int, int]] = {}
    path: list[str] = []  # the keys of the objects that are open, and of what stands behind them
    brackets: list[bytes] = []
    arrays = 0
    previous: tuple[bytes, int] = (b"", 0)
    for match in _KEY_OR_BRACKET.finditer(sample, start):
        token = match[0]
        if match["key"] is not None:
            if not arrays and brackets:
                path[len(brackets) - 1 :] = [_name(match["key"])]
        elif token in (b"{", b"["):
            if token == b"{" and previous[0] == b"[" and arrays == 1 and path:
                found.setdefault(".".join(path), (previous[1], len(brackets) - 1))
            brackets.append(token)
            arrays += token == b"["
        elif token in (b"}", b"]") and brackets:
            arrays -= brackets.pop() == b"["
            if not arrays:
                del path[len(brackets) :]
        previous = (token, match.end())
    return found


def by_key(sample: bytes, start: int) -> list[str]:
    """The keys of an object that holds nothing but objects, or of one that is all it holds; none where another object follows."""
    level = 1
    while not _ends_before_another(sample, start):
        keys: list[str] = []
        depth = 0
        for match in _KEY_OR_BRACKET.finditer(sample, start):
            token = match[0]
            if match["key"] is not None:
                if depth == level:
                    follows = sample[match.end() : match.end() + 100].lstrip()[:1]
                    if follows != b"{":
                        return []
                    keys.append(_name(match["key"]))
            elif token in (b"{", b"["):
                depth += 1
            elif token in (b"}", b"]"):
                depth -= 1
                if not depth:
                    break
        if len(keys) != 1 or level == 3:
            return keys
        level += 1
    return []


def _columns(sample: bytes, start: int) -> str | None:
    """What an object of nothing but lists of values begins with, or an array of lists: a table by its columns, or by rows without names; None
    of anything else."""
    if _LIST_OF_LISTS.match(sample, start):
        return "[["
    if not sample.startswith(b"{", start) or _ends_before_another(sample, start):
        return None
    keys: list[str] = []
    depth = 0
    for match in _KEY_OR_BRACKET.finditer(sample, start):
        token = match[0]
        if match["key"] is not None:
            if depth == 1:
                if not _LIST.match(sample, match.end()):
                    return None
                keys.append(_name(match["key"]))
        elif token == b"{":
            if depth:
                return None
            depth += 1
        elif token == b"[":
            depth += 1
        elif token in (b"}", b"]"):
            depth -= 1
            if not depth:
                break
    return ", ".join(keys[:3]) if len(keys) > 1 else None


def _name(key: bytes) -> str:
    try:
        return str(json.loads(key))
    except ValueError:
        return key.decode("utf-8", "replace").strip('"')


# --- pieces


def _lines(file: BinaryIO, offset: int, line: int) -> Iterator[Piece]:
    """The lines of an open file from where it stands; blank ones are none."""
    while raw := file.readline(MAX_PIECE_BYTES + 1):
        length, ended = len(raw), raw.endswith(b"\n")
        while not ended and (more := file.readline(CHUNK_BYTES)):
            length, ended = length + len(more), more.endswith(b"\n")
        kept = raw if length > len(raw) else raw.rstrip(b"\r\n")
        if kept and not kept.isspace():
            yield Piece(kept, Place(offset, length if length > len(raw) else len(kept)), line)
        offset += length
        line += 1


def _items(window: Window, *, closed: bool) -> Iterator[Piece]:
    """The items of an array from where the window stands, behind its bracket, up to the other. Where the file ends before the array does
    (which must be `closed`), what is left of it is a last item, if only an empty one."""
    while True:
        if not window.skip(_BETWEEN_ITEMS):
            if closed:
                yield Piece(b"", window.place(0), window.line)
            return
        if closed and window.data.startswith(b"]", window.at):
            return
        piece = window.take(_item_end)
        raw = piece.raw.rstrip()
        yield (
            piece._replace(raw=raw, place=Place(piece.place.offset, len(raw)))
            if len(raw) < len(piece.raw)
            else piece
        )


def _end_of_objects(depth: int) -> EndOf:
    """Where so many objects have ended."""

    def end(data: bytes, looked: Looked) -> int | None:
        if not looked.kind:
            looked.kind, looked.depth = b"{", depth
        return _item_end(data, looked)

    return end


def _item_end(data: bytes, looked: Looked) -> int | None:
    """Where an item ends (see `EndOf`): behind its last bracket or quote; one that has neither, before a comma."""
    at = looked.at
    if not looked.kind:
        looked.kind = data[at : at + 1]
        if looked.kind == b'"':
            looked.inside, at = looked.kind, at + 1
    if looked.kind not in (b"{", b"[", b'"'):
        match = _BEHIND_SCALAR.search(data, at)
        looked.at = len(data)
        return match.start() if match else None
    while True:
        if looked.inside:
            match = _STRING_REST.match(data, at)
            at = match.end() if match else at
            if data[at : at + 1] != b'"':  # the string goes on, or a backslash is the last there is
                looked.at = at
                return None
            looked.inside, at = b"", at + 1
            if not looked.depth:
                return at
        match = _TO_BRACKET.match(data, at)
        at = match.end() if match else at
        bracket = data[at : at + 1]
        looked.at = at = at + len(bracket)
        if not bracket:
            return None
        if bracket == b'"':
            looked.inside = bracket
        else:
            looked.depth += 1 if bracket in b"{[" else -1
            if looked.depth <= 0:
                return at


# --- values


def _row(piece: Piece) -> Row:
    if piece.place.length > MAX_PIECE_BYTES or _too_deep(piece.raw):
        return piece.row({}, "unreadable_line")
    try:
        text = piece.raw.decode("utf-8")
    except UnicodeDecodeError:
        return piece.row({}, "wrong_encoding")
    try:
        # An array whose brackets are gone has a comma behind each object.
        values = _decode(text.rstrip().removesuffix(","))
    except (ValueError, RecursionError):  # no JSON; an integer of thousands of digits
        return piece.row({}, "unreadable_line")
    if not isinstance(values, dict):
        return piece.row({}, "unreadable_line")
    if ("\0" in text or _ESCAPED.search(text)) and not _is_text(values):
        return piece.row({}, "wrong_encoding")
    return piece.row(values)


def _too_deep(raw: bytes) -> bool:
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:
        return False
    depth = at = 0
    while at < len(raw):
        match = _TO_BRACKET.match(raw, at)
        at = match.end() if match else at
        bracket = raw[at : at + 1]
        at += 1
        if bracket == b'"':  # a string that does not end: it will not be read at all
            return False
        depth += 1 if bracket in (b"{", b"[") else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _is_text(value: Any) -> bool:
    """Whether there is neither a NUL nor half of a surrogate pair in it, which no text in a database can hold."""
    if isinstance(value, str):
        return "\0" not in value and not _SURROGATE.search(value)
    if isinstance(value, dict):
        return all(_is_text(name) and _is_text(inner) for name, inner in value.items())
    return all(map(_is_text, value)) if isinstance(value, list) else True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are made unique: a repeated one gets a number, and loses nothing."""
    values = dict(pairs)
    if len(values) < len(pairs):
        values = {}
        for name, value in pairs:
            unique, count = name, 1
            while unique in values:
                count += 1
                unique = f"{name} ({count})"
            values[unique] = value
    return values


_decode = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_float=Decimal,
    parse_constant={"Infinity": "Infinity", "-Infinity": "-Infinity"}.get,  # and NaN is null
    strict=False,  # a tab or a line end in a string is one
).decode
