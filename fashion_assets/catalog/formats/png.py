"""PNG files (W3C PNG, third edition): chunks, of an animation the default image.

What belongs here: finding the way through a PNG's chunks. What does not: decoding.
"""

import struct

from fashion_assets.catalog.formats import exif
from fashion_assets.catalog.formats.outlines import (
    IMAGE_TOO_COSTLY,
    IMAGE_TRUNCATED,
    IMAGE_UNDECODABLE,
    MAX_PARTS,
    Outline,
    Picture,
    PictureError,
)

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_END = bytes.fromhex("0000000049454e44ae426082")
_HEADER, _PALETTE, _TRANSPARENCY, _PIXELS, _EXIF = b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf"


def outline(data: bytes) -> Outline:
    """The outline of a PNG's bytes: kept are the header, the palette, what is transparent, and the pixels. Raises
    `PictureError`.

    Text, profiles and times are not looked at, however large they are or would become; of an animation the image counts
    that is shown where animations are not. What follows the pixels may be missing.
    """
    kept: dict[bytes, bytes] = {}
    pixels: tuple[int, int] | None = None  # from, to
    turn, position, parts, name = 1, len(SIGNATURE), 0, b""
    while position < len(data):
        parts += 1
        if parts > MAX_PARTS:
            raise PictureError(IMAGE_TOO_COSTLY)
        length, name = struct.unpack_from(">I4s", data, position) if position + 8 <= len(data) else (0, b"")
        start, position = position, position + 12 + length
        if position > len(data):
            if pixels is None or name == _PIXELS:
                raise PictureError(IMAGE_TRUNCATED)
            break
        if parts == 1 and name != _HEADER:
            raise PictureError(IMAGE_UNDECODABLE)
        if name == _PIXELS:
            if pixels is None:
                pixels = start, position
            elif pixels[1] == start:  # more of the same; elsewhere it is out of place
                pixels = pixels[0], position
        elif name == _EXIF:
            turn = exif.turn(data[start + 8 : position - 4])
        elif name in (_HEADER, _PALETTE, _TRANSPARENCY) and pixels is None:
            kept.setdefault(name, data[start:position])
        elif name == b"IEND":
            break
    if pixels is None:
        raise PictureError(IMAGE_UNDECODABLE if name == b"IEND" else IMAGE_TRUNCATED)
    if len(kept[_HEADER]) != 25:
        raise PictureError(IMAGE_UNDECODABLE)
    size = Picture(*struct.unpack_from(">II", kept[_HEADER], 8))
    lean = b"".join([SIGNATURE, *kept.values(), memoryview(data)[slice(*pixels)], _END])
    return Outline("PNG", size, lean, turn)
