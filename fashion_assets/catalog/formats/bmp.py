"""BMP files: the header's size, and how much the pixels must be.

What belongs here: a BMP's header. What does not: decoding.
"""

import struct

from fashion_assets.catalog.formats.outlines import (
    IMAGE_TOO_COSTLY,
    IMAGE_TRUNCATED,
    IMAGE_UNDECODABLE,
    Outline,
    Picture,
    PictureError,
)

MAX_RUN_LENGTH_PIXELS = 4_000_000
"""Pixels of a picture in run-length code, which Pillow decodes in Python, pixel by pixel: a second's work."""

_HEADERS = (12, 40, 52, 56, 64, 108, 124)
_PLAIN, _BITFIELDS, _RUN_LENGTHS = 0, 3, (1, 2)


def is_bmp(data: bytes) -> bool:
    """Whether the first bytes say so; two letters alone do not."""
    return data[:2] == b"BM" and len(data) >= 18 and struct.unpack_from("<I", data, 14)[0] in _HEADERS


def outline(data: bytes) -> Outline:
    """The outline of a BMP's bytes, which are kept as they are. Raises `PictureError`."""
    start, header = struct.unpack_from("<II", data, 10)
    if len(data) < 14 + header:
        raise PictureError(IMAGE_TRUNCATED)
    if header == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = _PLAIN
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
        height = abs(height)
    if width <= 0 or not height:
        raise PictureError(IMAGE_UNDECODABLE)
    if compression in _RUN_LENGTHS and width * height > MAX_RUN_LENGTH_PIXELS:
        raise PictureError(IMAGE_TOO_COSTLY)
    line = (width * bits + 31) // 32 * 4

    def ends_early() -> bool:
        if compression in _RUN_LENGTHS:
            return not _says_its_end(data, start, halves=compression == 2)
        return len(data) < start + line * height

    return Outline("BMP", Picture(width, height), data, ends_early=ends_early)


def _says_its_end(data: bytes, position: int, halves: bool) -> bool:
    """Whether a picture in run lengths, of 8 bits or half as many a pixel, comes to the code that ends it."""
    while position + 1 < len(data):
        count, code = data[position], data[position + 1]
        position += 2
        if count == 0 and code == 1:
            return True
        if count == 0 and code == 2:  # a place
            position += 2
        elif count == 0 and code > 2:  # pixels as they are, in whole words
            size = -(-code // 2) if halves else code
            position += size + size % 2
    return False
