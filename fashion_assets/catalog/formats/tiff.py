"""TIFF files (TIFF 6.0, BigTIFF): the first directory, with the entries that pixels need.

What belongs here: finding the way through a TIFF's directory. What does not: decoding.
"""

import struct
from typing import NamedTuple

from fashion_assets.catalog.formats.outlines import (
    IMAGE_TOO_COSTLY,
    IMAGE_TRUNCATED,
    IMAGE_UNDECODABLE,
    MAX_PARTS,
    Outline,
    Picture,
    PictureError,
)

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _ORIENTATION, _SAMPLES, _ROWS = 256, 257, 258, 259, 274, 277, 278
_STRIPS, _STRIP_SIZES, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_SIZES = 273, 279, 322, 323, 324, 325
_FURTHER = {262, 266, 284, 292, 293, 317, 320, 332, 338, 339, 347, 529, 530, 531, 532}
"""Colours, fill order, planes, options of compressions, predictor, palette, inks, extra samples, sample format, tables of
JPEGs, YCbCr."""

_KEPT = _FURTHER | {
    _WIDTH,
    _HEIGHT,
    _BITS,
    _COMPRESSION,
    _SAMPLES,
    _ROWS,
    _STRIPS,
    _STRIP_SIZES,
    _TILE_WIDTH,
    _TILE_HEIGHT,
    _TILES,
    _TILE_SIZES,
}

_COMPRESSIONS = {1, 2, 3, 4, 5, 7, 8, 32773, 32946}
"""None, the three of fax, LZW, JPEG, deflate, PackBits, deflate's older number. Of the others some take memory by what a
header of their own says (LZMA, Zstandard), and none is found in catalogues."""

_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
"""Bytes of a value, by its type."""

_LETTERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}
_SMALL_TILE = 1024 * 1024  # pixels; a tile of a small picture may be larger than that
_OF_A_PART = 512  # bytes that Pillow holds of each strip or tile
_MAX_VALUES = 3 * MAX_PARTS  # of an entry: a palette of 16 bits


class _Entry(NamedTuple):
    raw: bytes
    kind: int
    count: int
    at: int  # where its values lie


def outline(data: bytes) -> Outline:
    """The outline of a TIFF's bytes: kept is all of the file but its directories, in place of which it has one of the first
    picture's entries that pixels need. Raises `PictureError`."""
    order, big = ("<" if data[:1] == b"I" else ">"), 43 in data[2:4]
    if len(data) < (16 if big else 8):
        raise PictureError(IMAGE_TRUNCATED)
    entries = _entries(data, order, big)

    def values(tag: int) -> tuple[int, ...]:
        entry = entries.get(tag)
        if entry is None or entry.kind not in _LETTERS:
            return ()
        return struct.unpack_from(f"{order}{entry.count}{_LETTERS[entry.kind]}", data, entry.at)

    def value(tag: int, otherwise: int) -> int:
        return next(iter(values(tag)), otherwise)

    size = Picture(value(_WIDTH, 0), value(_HEIGHT, 0))
    if not size.width or not size.height or value(_COMPRESSION, 1) not in _COMPRESSIONS:
        raise PictureError(IMAGE_UNDECODABLE)
    places, sizes = (
        (values(_TILES), values(_TILE_SIZES))
        if _TILES in entries
        else (values(_STRIPS), values(_STRIP_SIZES))
    )
    samples = value(_SAMPLES, 1) * max(values(_BITS), default=1) / 8
    tile = (value(_TILE_WIDTH, 1), value(_TILE_HEIGHT, 1)) if _TILES in entries else (size.width, 1)
    if tile[0] * tile[1] > max(_SMALL_TILE, 4 * size.width * size.height):
        raise PictureError(IMAGE_TOO_COSTLY)
    rows = min(value(_ROWS, size.height), size.height)
    part = tile[0] * tile[1] if _TILES in entries else size.width * rows
    turn = value(_ORIENTATION, 1)
    return Outline(
        "TIFF",
        size,
        _lean(data, order, big, entries),
        turn if 1 <= turn <= 8 else 1,
        held=int(part * samples) + _OF_A_PART * len(places),
        ends_early=lambda: any(map(len(data).__lt__, map(sum, zip(places, sizes, strict=False)))),
    )


def _entries(data: bytes, order: str, big: bool) -> dict[int, _Entry]:
    """The entries of the first directory that are kept, and the orientation, by tag; the first of each."""
    head, step, inside = (f"{order}Q", 20, 8) if big else (f"{order}H", 12, 4)
    (start,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, 8 if big else 4)
    try:
        (count,) = struct.unpack_from(head, data, start)
    except struct.error:
        raise PictureError(IMAGE_TRUNCATED) from None
    except OverflowError:
        raise PictureError(IMAGE_UNDECODABLE) from None
    start += struct.calcsize(head)
    if count > MAX_PARTS:
        raise PictureError(IMAGE_TOO_COSTLY)
    if start + step * count > len(data):
        raise PictureError(IMAGE_TRUNCATED)
    found: dict[int, _Entry] = {}
    for at in range(start, start + step * count, step):
        tag, kind, values = struct.unpack_from(f"{order}HH{'Q' if big else 'I'}", data, at)
        if (tag not in _KEPT and tag != _ORIENTATION) or tag in found or kind not in _SIZES:
            continue
        if tag in (_STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES) and values > MAX_PARTS:
            raise PictureError(IMAGE_TOO_COSTLY)
        if values > _MAX_VALUES:
            raise PictureError(IMAGE_UNDECODABLE)
        length, place = values * _SIZES[kind], at + step - inside
        if length > inside:
            (place,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, place)
            if place + length > len(data):
                raise PictureError(IMAGE_TRUNCATED)
        found[tag] = _Entry(data[at : at + step], kind, values, place)
    return found


def _lean(data: bytes, order: str, big: bool, entries: dict[int, _Entry]) -> bytes:
    """The file with a directory of these entries at its end, and no further one."""
    kept = [entries[tag].raw for tag in sorted(entries) if tag != _ORIENTATION]
    padding = b"\0" * (-len(data) % 8)
    at = struct.pack(f"{order}{'Q' if big else 'I'}", len(data) + len(padding))
    head = data[:8] + at if big else data[:4] + at
    count = struct.pack(f"{order}{'Q' if big else 'H'}", len(kept))
    last = bytes(8 if big else 4)
    return b"".join([head, memoryview(data)[len(head) :], padding, count, *kept, last])
