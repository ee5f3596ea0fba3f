"""XML: a feed's items, as of RSS 2.0 with Google's names, Atom, or any file of records behind each other.

What belongs here: where each item lies, and its values. What does not: what its names mean (`sources.mapping`).

Items are found by their tags alone and taken apart one by one: so each has a place in the file, one that is broken stands alone, and
no declaration of entities is ever read, inner or outer. Names lose their prefix: `g:price` is `price`, and stays `g:price` only
in an item that has a `price` as well.

An element of text is that text, one without anything null; one with elements in it has them by name; those of one name are a list. An
attribute is a value of its own, `link@href`; of the item itself `@id`. Text and elements in one element (HTML) stay text as they
stand.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html.entities import name2codepoint
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar
from xml.parsers import expat

from fashion_assets.sources.readers.files import HEAD_BYTES, SourceFile
from fashion_assets.sources.readers.opening import is_spreadsheet_as_page
from fashion_assets.sources.readers.pieces import MAX_DEPTH, MAX_PIECE_BYTES, Looked, Piece, Window, located
from fashion_assets.sources.readers.reader import Row, RowReader
from fashion_assets.sources.source import SourceError

SAMPLE_BYTES = 1 << 20
"""Looked at to find out which element is an item."""

SAMPLE_ROWS = 100
"""Looked at for the names of columns."""

_BOM = b"\xef\xbb\xbf"
_DECLARED = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([\w.-]+)[\"']")
_ATTRIBUTES = rb"(?:[^<>\"']++|\"[^\"<]*+\"|'[^'<]*+')*+"
_TAG = re.compile(
    rb"<!\[CDATA\[.*?\]\]>|<!--.*?-->|<\?.*?\?>|<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>|<(/?)([\w:.\x80-\xff-]+)("
    + _ATTRIBUTES
    + rb")>",
    re.S,
)
_MAX_TAG_BYTES = 1 << 16
_ENTITY = re.compile(rb"&(\w+);")
_OWN_ENTITIES = (b"amp", b"lt", b"gt", b"quot", b"apos")
_USUAL = (b"item", b"entry", b"product", b"offer", b"listing", b"record", b"row")


def looks_like(location: str, head: bytes) -> bool:
    """Whether a file begins as XML does, and is no page."""
    begin = head.removeprefix(_BOM).lstrip().lower()
    return (
        re.match(rb"<(\?xml|rss|feed|[a-z_\x80-\xff][\w:.\x80-\xff-]*[\s>])", begin) is not None
        and b"<html" not in begin[:1000]
        and not is_spreadsheet_as_page(head)
    )


class Xml(RowReader):
    """Options: `item`, the name of the element that is one (found out where it is not given).

    An item that cannot be taken apart is a row with a defect. Locators: `OFFSET:LENGTH:LINE`.
    """

    format: ClassVar[str] = "xml"

    def __init__(self, location: str, options: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Raises SourceError where nothing can be read, or no element is found that may be an item."""
        self.location = Path(location)
        self._file = SourceFile(self.location)
        self._columns: list[str] | None = None
        with self._file.opened() as file:
            sample = file.read(SAMPLE_BYTES)
        if sample.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise SourceError(f"{self.location} is in UTF-16. Save it as UTF-8.")
        declared = _DECLARED.search(sample[:HEAD_BYTES])
        self._encoding = declared[1].decode() if declared else "utf-8"
        wanted = options.get("item")
        names = _names(sample)
        item = _bytes(wanted, self._encoding) if wanted else _item_of(names)
        if item and wanted and not re.search(rb"<" + re.escape(item) + rb"[\s/>]", sample):
            item = None
        if item is None:
            there = _text(b", ".join(dict.fromkeys(name for name, _ in names)), self._encoding)[:300]
            looked = f"no element {wanted}" if wanted else "no element that comes again and again"
            raise SourceError(
                f"{self.location} has {looked} in its first {SAMPLE_BYTES:,} bytes, but {there or 'none'}. Name that of an item "
                "in the mapping (item)."
            )
        self._brackets = re.compile(
            rb"<!\[CDATA\[|<!--|</"
            + re.escape(item)
            + rb"\s*>|<"
            + re.escape(item)
            + rb"(?=[\s/>])(?:"
            + _ATTRIBUTES
            + rb">)?"
        )
        self._item = item
        self.how = {"item": _text(item, self._encoding), "encoding": self._encoding.lower()}
        if self._file.compression:
            self.how["compression"] = self._file.compression
        try:
            expat.ParserCreate(self._encoding).Parse(b"<a/>", True)
        except (expat.ExpatError, LookupError, ValueError):
            raise SourceError(
                f"{self.location} says it is in {self._encoding}, which is not known here. Save it as UTF-8."
            ) from None

    @property
    def columns(self) -> Sequence[str]:
        if self._columns is None:
            names = (name for row in islice(self.rows(), SAMPLE_ROWS) for name in row.values)
            self._columns = list(dict.fromkeys(names))
        return self._columns

    def rows(self) -> Iterator[Row]:
        with self._file.opened() as file:
            window, looked, tail = Window(file, 0, 1), Looked(0), b""
            while True:
                while (begin := self._begin_of(window.data, looked)) is None:
                    tail = (tail + window.data)[-512:]
                    window.advance(looked.at)
                    if not window.more():
                        if self._is_cut(tail):
                            yield Piece(b"", window.place(0), window.line).row({}, "unreadable_line")
                        return
                    looked.at = 0
                window.advance(begin)
                yield self._row(window.take(self._end_of))
                looked = Looked(window.at)

    def again(self, locators: Sequence[str]) -> Iterator[Row]:
        places = [located(locator) for locator in locators]
        pieces = self._file.pieces([read for _, read, _ in places])
        for raw, (place, _, line) in zip(pieces, places, strict=True):
            yield self._row(Piece(raw, place, line))

    def close(self) -> None:
        """Nothing is held open."""

    # --- pieces

    def _begin_of(self, data: bytes, looked: Looked) -> int | None:
        """Where the next item begins (see `EndOf`)."""
        while (found := self._next(data, looked)) is not None:
            if found[0].startswith(b"<" + self._item):
                return found.start()
        return None

    def _end_of(self, data: bytes, looked: Looked) -> int | None:
        """Where the item ends that is looked at (see `EndOf`)."""
        while (found := self._next(data, looked)) is not None:
            if found[0].startswith(b"</"):
                looked.depth -= 1
            elif not found[0].endswith(b"/>"):
                looked.depth += 1
            if looked.depth <= 0:
                return looked.at
        return None

    def _next(self, data: bytes, looked: Looked) -> re.Match[bytes] | None:
        """The next tag of an item; None where the data ends before it does."""
        while True:
            if looked.inside:
                end = data.find(looked.inside, looked.at)
                if end < 0:
                    looked.at = max(looked.at, len(data) - 2)
                    return None
                looked.at, looked.inside = end + len(looked.inside), b""
            found = self._brackets.search(data, looked.at)
            if found is None or _goes_on(found, data):
                cut = data.rfind(b"<", looked.at)  # a tag may have begun
                looked.at = cut if cut >= 0 else len(data)
                return None
            looked.at = found.end()
            if found[0] == b"<!--":
                looked.inside = b"-->"
            elif found[0] == b"<![CDATA[":
                looked.inside = b"]]>"
            else:
                return found

    def _is_cut(self, tail: bytes) -> bool:
        """Whether the file ends before the element does that holds the items."""
        closed = re.findall(rb"</([\w:.\x80-\xff-]+)\s*>", tail)
        return not closed or closed[-1] == self._item

    # --- values

    def _row(self, piece: Piece) -> Row:
        if piece.place.length > MAX_PIECE_BYTES:
            return piece.row({}, "unreadable_line")
        try:
            return piece.row(_Item(piece.raw, self._encoding).values)
        except expat.ExpatError as error:
            known = expat.errors.codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY]
            if error.code == known and (mended := _ENTITY.sub(_character, piece.raw)) != piece.raw:
                try:
                    return piece.row(_Item(mended, self._encoding).values)
                except (expat.ExpatError, _TooDeep):
                    pass
        except _TooDeep:
            pass
        try:
            piece.raw.decode(self._encoding)
        except (UnicodeDecodeError, LookupError):
            return piece.row({}, "wrong_encoding")
        return piece.row({}, "unreadable_line")


class _TooDeep(Exception):
    """More elements within each other than MAX_DEPTH."""


class _Element:
    """An element that is being read."""

    def __init__(self, name: str, attributes: Mapping[str, str], begin: int) -> None:
        self.name = name
        self.attributes = attributes
        self.begin = begin
        self.inner: list[tuple[str, str, Any]] = []  # prefix, name, value
        self.text: list[str] = []


class _Item:
    """An item taken apart."""

    def __init__(self, raw: bytes, encoding: str) -> None:
        self._raw = raw
        self._encoding = encoding
        self._open: list[_Element] = []
        self.values: dict[str, Any] = {}
        self._parser = parser = expat.ParserCreate(encoding)
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._said
        parser.Parse(raw, True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) > MAX_DEPTH:
            raise _TooDeep
        self._open.append(_Element(name, attributes, self._parser.CurrentByteIndex))

    def _said(self, text: str) -> None:
        self._open[-1].text.append(text)

    def _end(self, _: str) -> None:
        element = self._open.pop()
        text = "".join(element.text).strip()
        if not self._open:
            own = [("", f"@{_local(name)[1]}", value) for name, value in element.attributes.items()]
            said = [("", "text", text)] if text else []
            self.values = _named([*own, *element.inner, *said])
            return
        if not element.inner:
            value: Any = text or None
        elif text:  # elements among text: HTML that was not escaped
            begin = self._raw.index(b">", element.begin) + 1
            value = self._raw[begin : self._parser.CurrentByteIndex].decode(self._encoding, "replace").strip()
        else:
            value = _named(element.inner)
        prefix, name = _local(element.name)
        inner = self._open[-1].inner
        inner.append((prefix, name, value))
        inner += [(prefix, f"{name}@{_local(of)[1]}", said) for of, said in element.attributes.items()]


def _named(inner: Sequence[tuple[str, str, Any]]) -> dict[str, Any]:
    """Values by name, those of one name as a list."""
    prefixes: dict[str, set[str]] = {}
    for prefix, name, _ in inner:
        prefixes.setdefault(name, set()).add(prefix)
    values: dict[str, Any] = {}
    several: set[str] = set()
    for prefix, name, value in inner:
        full = f"{prefix}:{name}" if prefix and len(prefixes[name]) > 1 else name
        if full not in values:
            values[full] = value
        elif full in several:
            values[full].append(value)
        else:
            several.add(full)
            values[full] = [values[full], value]
    return values


def _bytes(name: object, encoding: str) -> bytes:
    try:
        return str(name).encode(encoding)
    except (LookupError, UnicodeEncodeError):
        return str(name).encode()


def _text(name: bytes, encoding: str) -> str:
    try:
        return name.decode(encoding, "replace")
    except LookupError:
        return name.decode("utf-8", "replace")


def _local(name: str) -> tuple[str, str]:
    prefix, _, local = name.rpartition(":")
    return prefix, local


def _character(found: re.Match[bytes]) -> bytes:
    """An entity of HTML, which XML does not know, by its number."""
    name = found[1]
    number = name2codepoint.get(name.decode()) if name not in _OWN_ENTITIES else None
    return found[0] if number is None else b"&#%d;" % number


def _goes_on(tag: re.Match[bytes], data: bytes) -> bool:
    """Whether a tag may end behind the data."""
    if tag[0].endswith((b">", b"[", b"--")):
        return False
    return data.find(b"<", tag.end()) < 0 and len(data) - tag.start() < _MAX_TAG_BYTES


# --- what is an item


def _names(sample: bytes) -> list[tuple[bytes, int]]:
    """Names and depths of the elements that hold elements, or attributes alone, once for each."""
    seen: list[list[Any]] = []
    stack: list[list[Any]] = []
    for tag in _TAG.finditer(sample):
        closing, name, attributes = tag.groups()
        if name is None:
            continue
        if closing:
            if stack:
                stack.pop()
            continue
        empty = attributes.endswith(b"/")
        if stack:
            stack[-1][2] = True
        element = [name, len(stack), empty and attributes.count(b"=") > 1]
        seen.append(element)
        if not empty:
            stack.append(element)
    return [(name, depth) for name, depth, holds in seen if holds]


def _item_of(names: Sequence[tuple[bytes, int]]) -> bytes | None:
    """The element that is an item: one of a usual name, else the outermost that comes again and again."""
    usual = Counter(name for name, _ in names if name.rpartition(b":")[2].lower() in _USUAL)
    if usual:
        return usual.most_common(1)[0][0]
    again = [(depth, -count, name) for (name, depth), count in Counter(names).items() if depth and count > 1]
    return min(again)[2] if again else None
