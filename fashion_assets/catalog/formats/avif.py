"""AVIF files (ISO/IEC 23000-22, AV1 Image File Format): boxes, and how many frames of which size the picture is made of.

What belongs here: finding the way through an AVIF's boxes and through AV1's units as far as their headers. What does not:
decoding.

A still picture may hold frames that are never shown: a decoder takes as long for each as for one that is. Neither they nor a
frame far larger than the picture can be seen in the boxes, so the units are walked.
"""

import struct
from collections.abc import Iterator

from fashion_assets.catalog.formats.outlines import (
    IMAGE_TOO_COSTLY,
    IMAGE_TOO_LARGE,
    IMAGE_TRUNCATED,
    IMAGE_UNDECODABLE,
    MAX_EDGE,
    MAX_PARTS,
    Outline,
    Picture,
    PictureError,
)

MAX_FRAMES = 4
"""Frames of a picture, a tile of it or its transparency: AV1 has at most four layers of quality."""

_SMALL = 256 * 256  # pixels; frames of smaller pictures may be larger than these
_HELD = 4  # bytes of a pixel's planes: six with ten bits unreduced, one and a half as most are, less of transparency
_BRANDS = (b"avif", b"avis")
_SEQUENCE, _FRAME_HEADER, _FRAME = 1, 3, 6  # types of units
_Box = tuple[bytes, int, int]  # name, first byte of its content, end


def is_avif(data: bytes) -> bool:
    """Whether the first bytes say so: a brand of AVIF's, as the major one or among the compatible."""
    if data[4:8] != b"ftyp":
        return False
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    return any(brands[at : at + 4] in _BRANDS for at in range(0, len(brands), 4) if at != 4)


def outline(data: bytes) -> Outline:
    """The outline of an AVIF's bytes: kept is the still picture; a film and EXIF are renamed, so that nobody looks at them.
    Its turn is said by its own boxes, not by EXIF. Raises `PictureError`."""
    every = list(_boxes(data, 0, len(data)))
    boxes = {name: (start, end) for name, start, end in reversed(every)}
    if b"meta" not in boxes:  # a film has none; of a picture it may come later
        raise PictureError(IMAGE_UNDECODABLE if b"moov" in boxes else IMAGE_TRUNCATED)
    start, end = boxes[b"meta"]
    inner = {name: (first, last) for name, first, last in reversed(list(_boxes(data, start + 4, end)))}
    if not inner.keys() >= {b"iloc", b"iinf", b"iprp"}:
        raise PictureError(IMAGE_UNDECODABLE)
    size = _size(data, *inner[b"iprp"])
    try:
        kinds = dict(_items(data, *inner[b"iinf"]))
        pixels = sum(
            _frames(payload)
            for item, payload in _payloads(data, inner[b"iloc"], inner.get(b"idat", (0, 0))[0])
            if kinds.get(item) == b"av01"
        )
    except (struct.error, IndexError):
        raise PictureError(IMAGE_UNDECODABLE) from None
    if pixels > 2 * MAX_FRAMES * max(size.width * size.height, _SMALL):  # with as much for transparency
        raise PictureError(IMAGE_TOO_COSTLY)
    films = [start for name, start, _ in every if name == b"moov"]
    return Outline("AVIF", size, _still(data, films, inner[b"iinf"]), held=pixels * _HELD)


def _boxes(data: bytes, position: int, end: int) -> Iterator[_Box]:
    """The boxes between two places. Raises `PictureError` where one reaches beyond the end."""
    for _ in range(MAX_PARTS):
        if position + 8 > end:
            if position < end:
                raise PictureError(IMAGE_TRUNCATED if end == len(data) else IMAGE_UNDECODABLE)
            return
        length, name = struct.unpack_from(">I4s", data, position)
        start = position + 8
        if length == 1:
            length, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        elif length == 0:
            length = end - position
        position += length
        if position > end:
            raise PictureError(IMAGE_TRUNCATED if end == len(data) else IMAGE_UNDECODABLE)
        if position < start:
            raise PictureError(IMAGE_UNDECODABLE)
        yield name, start, position
    raise PictureError(IMAGE_TOO_COSTLY)


def _size(data: bytes, start: int, end: int) -> Picture:
    """The largest of the sizes that pictures, tiles and their transparency have; the whole is the largest."""
    sizes = [
        Picture(*struct.unpack_from(">II", data, first + 4))
        for name, inside, outside in _boxes(data, start, end)
        if name == b"ipco"
        for kind, first, last in _boxes(data, inside, outside)
        if kind == b"ispe" and last - first >= 12
    ]
    if not sizes:
        raise PictureError(IMAGE_UNDECODABLE)
    return max(sizes, key=lambda size: size.width * size.height)


def _items(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Numbers of items and of what kind they are (`iinf`)."""
    first = start + (6 if data[start] == 0 else 8)
    for name, inside, _ in _boxes(data, first, end):
        version = data[inside]
        if name == b"infe" and version in (2, 3):
            wide = 4 if version == 3 else 2
            number = int.from_bytes(data[inside + 4 : inside + 4 + wide], "big")
            yield number, data[inside + 6 + wide : inside + 10 + wide]


def _payloads(data: bytes, place: tuple[int, int], idat: int) -> Iterator[tuple[int, bytes]]:
    """Numbers of items and their bytes (`iloc`). Raises `PictureError` where these are not there."""
    position, version = place[0] + 4, data[place[0]]
    if version > 2:
        raise PictureError(IMAGE_UNDECODABLE)

    def number(width: int) -> int:
        nonlocal position
        position += width
        if position > place[1]:
            raise PictureError(IMAGE_UNDECODABLE)
        return int.from_bytes(data[position - width : position], "big")

    sizes = number(2)
    of_offset, of_length, of_base, of_index = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, sizes & 15
    parts = 0
    for _ in range(number(4 if version == 2 else 2)):
        item = number(4 if version == 2 else 2)
        inside = version > 0 and number(2) & 15 == 1
        number(2)
        base = number(of_base)
        extents = []
        for _ in range(number(2)):
            parts += 1
            if parts > MAX_PARTS:
                raise PictureError(IMAGE_TOO_COSTLY)
            if version > 0:
                number(of_index)
            first, length = base + number(of_offset) + (idat if inside else 0), number(of_length)
            if first + length > len(data):
                raise PictureError(IMAGE_TRUNCATED)
            extents.append(data[first : first + length] if length else data[first:])
        yield item, extents[0] if len(extents) == 1 else b"".join(extents)


def _frames(payload: bytes) -> int:
    """Pixels of an item's frames, all together, by the headers of its units (AV1 specification, 5.3 to 5.5). Raises
    `PictureError` where there are more of them, or larger ones, than a picture needs."""
    position, frames, size = 0, 0, Picture(0, 0)
    for _ in range(MAX_PARTS):
        if position >= len(payload):
            return frames * size.width * size.height
        header = payload[position]
        kind, extended, sized = header >> 3 & 15, header >> 2 & 1, header >> 1 & 1
        position += 1 + extended
        length = len(payload) - position
        if sized:
            length, position = _leb128(payload, position)
        if kind == _SEQUENCE:
            found = _frame_size(_Bits(payload[position : position + min(length, 1024)]))
            size = Picture(max(size.width, found.width), max(size.height, found.height))
            if max(size) > MAX_EDGE:
                raise PictureError(IMAGE_TOO_LARGE)
        frames += kind in (_FRAME_HEADER, _FRAME)
        if frames > MAX_FRAMES:
            raise PictureError(IMAGE_TOO_COSTLY)
        position += length
    raise PictureError(IMAGE_TOO_COSTLY)


def _leb128(payload: bytes, position: int) -> tuple[int, int]:
    """A number of up to eight bytes, and where it ends."""
    value = 0
    for count in range(8):
        byte = payload[position + count]
        value |= (byte & 0x7F) << 7 * count
        if not byte & 0x80:
            return value, position + count + 1
    raise PictureError(IMAGE_UNDECODABLE)


class _Bits:
    """Bits of a header, read one after the other; those beyond its end are an IndexError."""

    def __init__(self, data: bytes):
        self._data, self._at = data, 0

    def read(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self._data[self._at >> 3] >> 7 - (self._at & 7) & 1
            self._at += 1
        return value


def _frame_size(bits: _Bits) -> Picture:
    """The largest width and height of frames that a sequence header allows (AV1 specification, 5.5.1)."""
    bits.read(4)  # profile, still picture
    if bits.read(1):  # reduced header
        bits.read(5)
    else:
        delay = 0
        timed = bits.read(1)
        if timed:
            bits.read(64)
            if bits.read(1):
                _skip_uvlc(bits)
            if bits.read(1):  # decoder model
                delay = bits.read(5) + 1
                bits.read(42)
        displayed = bits.read(1)
        for _ in range(bits.read(5) + 1):
            bits.read(12)
            if bits.read(5) > 7:
                bits.read(1)
            if delay and bits.read(1):
                bits.read(2 * delay + 1)
            if displayed and bits.read(1):
                bits.read(4)
    of_width, of_height = bits.read(4) + 1, bits.read(4) + 1
    return Picture(bits.read(of_width) + 1, bits.read(of_height) + 1)


def _skip_uvlc(bits: _Bits) -> None:
    zeros = 0
    while not bits.read(1):
        zeros += 1
    bits.read(min(zeros, 32))


def _still(data: bytes, films: list[int], items: tuple[int, int]) -> bytes:
    """The file as one of a still picture by its brands, films' boxes and items of EXIF by names nobody knows."""
    made = bytearray(data)
    brands = int.from_bytes(data[:4], "big")
    made[8:brands] = made[8:brands].replace(b"avis", b"avif")
    for start in films:
        at = made.rindex(b"moov", 0, start)
        made[at : at + 4] = b"free"
    first, last = items
    for at in _places(data, b"Exif", first, last):
        made[at : at + 4] = b"none"
    return bytes(made)


def _places(data: bytes, word: bytes, start: int, end: int) -> Iterator[int]:
    at = data.find(word, start, end)
    while at >= 0:
        yield at
        at = data.find(word, at + 1, end)
