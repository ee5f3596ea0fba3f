"""GIF files (GIF89a): the first picture, what is transparent in it, nothing that comes after.

What belongs here: finding the way through a GIF's blocks. What does not: decoding.
"""

import struct

from fashion_assets.catalog.formats.outlines import (
    IMAGE_TOO_COSTLY,
    IMAGE_TRUNCATED,
    IMAGE_UNDECODABLE,
    MAX_PARTS,
    Outline,
    Picture,
    PictureError,
)

SIGNATURES = (b"GIF87a", b"GIF89a")

_EXTENSION, _PICTURE, _END = 0x21, 0x2C, 0x3B
_CONTROL = 0xF9


def outline(data: bytes) -> Outline:
    """The outline of a GIF's bytes: kept are the screen, the colours, the first picture and its control block. Raises
    `PictureError`.

    What follows the first picture's data is left where it is; nobody reads it.
    """
    if len(data) < 13:
        raise PictureError(IMAGE_TRUNCATED)
    screen = struct.unpack_from("<HH", data, 6)
    position = first = 13 + _colours(data[10])
    control, parts = b"", 0
    while True:
        introducer = _byte(data, position)
        if introducer == _PICTURE:
            break
        if introducer == _END:
            raise PictureError(IMAGE_UNDECODABLE)
        start = position
        if introducer == _EXTENSION:
            label = _byte(data, position + 1)
            position += 2
            while size := _byte(data, position):
                position += 1 + size
                parts += 1
                if parts > MAX_PARTS:
                    raise PictureError(IMAGE_TOO_COSTLY)
            position += 1
            if label == _CONTROL:
                control = data[start:position]
        else:  # decoders look for the next block
            position += 1
        parts += 1
        if parts > MAX_PARTS:
            raise PictureError(IMAGE_TOO_COSTLY)
    if position + 10 > len(data):
        raise PictureError(IMAGE_TRUNCATED)
    left, top, width, height = struct.unpack_from("<HHHH", data, position + 1)
    size = Picture(max(screen[0], left + width), max(screen[1], top + height))
    blocks = position + 10 + _colours(data[position + 9]) + 1
    lean = b"".join([data[:first], control, memoryview(data)[position:]])
    return Outline("GIF", size, lean, ends_early=lambda: _ends_early(data, blocks))


def _byte(data: bytes, position: int) -> int:
    if position >= len(data):
        raise PictureError(IMAGE_TRUNCATED)
    return data[position]


def _colours(flags: int) -> int:
    """Bytes of the table of colours that flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _ends_early(data: bytes, position: int) -> bool:
    while position < len(data) and data[position]:
        position += 1 + data[position]
    return position >= len(data)
