"""The pieces of a JSON text: where each object ends, and its values.

What belongs here: cutting lines and items out of a text, and reading one. What does not: the window that slides over a file (`pieces`), how a file is
laid out (`json_layout`).

Quotes and brackets alone say where a piece ends, so that each has a place in the file, and a broken one stands alone. A library that parses the whole
as a stream tells no places, and ends at the first fault.

Values stay nested as they are. Numbers never pass through a float: an integer is an `int`, any other a `Decimal`, so that ids keep their digits and
prices theirs. `NaN`, which some programs write and JSON does not know, is null.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, BinaryIO

from fashion_assets.sources.readers.files import CHUNK_BYTES, Place
from fashion_assets.sources.readers.pieces import MAX_DEPTH, MAX_PIECE_BYTES, EndOf, Looked, Piece, Window
from fashion_assets.sources.readers.reader import Row

STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
"""A string, as a pattern."""

_STRING_REST = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.S)
_TO_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|' + STRING + rb")*+", re.S)
_BETWEEN_ITEMS = re.compile(rb"[\s,]*+")
_BEHIND_SCALAR = re.compile(rb"[,\]]")
_ESCAPED = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_SURROGATE = re.compile("[\ud800-\udfff]")


def lines(file: BinaryIO, offset: int, line: int) -> Iterator[Piece]:
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


def items(window: Window, *, closed: bool) -> Iterator[Piece]:
    """The items of an array from where the window stands, behind its bracket, up to the other. Where the file ends before the array does
    (which must be `closed`), what is left of it is a last item, if only an empty one."""
    while True:
        if not window.skip(_BETWEEN_ITEMS):
            if closed:
                yield Piece(b"", window.place(0), window.line)
            return
        if closed and window.data.startswith(b"]", window.at):
            return
        piece = window.take(item_end)
        raw = piece.raw.rstrip()
        yield (
            piece._replace(raw=raw, place=Place(piece.place.offset, len(raw)))
            if len(raw) < len(piece.raw)
            else piece
        )


def end_of_objects(depth: int) -> EndOf:
    """Where so many objects have ended."""

    def end(data: bytes, looked: Looked) -> int | None:
        if not looked.kind:
            looked.kind, looked.depth = b"{", depth
        return item_end(data, looked)

    return end


def item_end(data: bytes, looked: Looked) -> int | None:
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


def row_of(piece: Piece) -> Row:
    """A piece as a row: an object's values, or a defect."""
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
