"""WebP files (RFC 9649): chunks, of an animation the first frame.

What belongs here: finding the way through a WebP's chunks. What does not: decoding.
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

_ANIMATED, _ALPHA = 0x02, 0x10
_SHOWN = (b"VP8 ", b"VP8L")


def is_webp(data: bytes) -> bool:
    """Whether the first bytes say so."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def outline(data: bytes) -> Outline:
    """The outline of a WebP's bytes: kept are the picture and what is transparent in it, or the first frame. Raises
    `PictureError`."""
    kept: dict[bytes, bytes] = {}
    turn, parts = 1, 0
    position, end = 12, min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    cut = end < 8 + int.from_bytes(data[4:8], "little")
    while position + 8 <= end:
        parts += 1
        if parts > MAX_PARTS:
            raise PictureError(IMAGE_TOO_COSTLY)
        name, length = struct.unpack_from("<4sI", data, position)
        start, position = position, position + 8 + length + length % 2
        if start + 8 + length > len(data):
            cut = True
            break
        if name == b"EXIF":
            turn = exif.turn(data[start + 8 : start + 8 + length])
        elif name in (b"VP8X", b"ANIM", b"ALPH", b"ANMF", *_SHOWN) and name not in kept:
            kept[name] = data[start : start + 8 + length] + b"\0" * (length % 2)
    shown = next((kept[name] for name in _SHOWN if name in kept), None)
    canvas, first = kept.get(b"VP8X"), kept.get(b"ANMF")
    animated = canvas is not None and len(canvas) >= 18 and bool(canvas[8] & _ANIMATED)
    if (first if animated else shown) is None:
        raise PictureError(IMAGE_TRUNCATED if cut else IMAGE_UNDECODABLE)
    if canvas is not None and len(canvas) < 18:
        raise PictureError(IMAGE_UNDECODABLE)
    size = _canvas(canvas) if canvas is not None else _bitstream(shown or b"")
    if animated:
        chunks = [kept.get(b"ANIM", b""), first]
    else:
        # The transparency of a VP8L is inside it.
        chunks = [kept.get(b"ALPH", b"") if shown and shown.startswith(b"VP8 ") else b"", shown]
    if canvas is not None:
        flags = canvas[8] & (_ANIMATED | _ALPHA)
        chunks.insert(0, canvas[:8] + bytes([flags]) + canvas[9:])
    body = b"WEBP" + b"".join(chunk for chunk in chunks if chunk)
    return Outline(
        "WEBP",
        size,
        b"RIFF" + struct.pack("<I", len(body)) + body,
        turn,
        ends_early=lambda: cut,
    )


def _canvas(chunk: bytes) -> Picture:
    width, height = (int.from_bytes(chunk[at : at + 3], "little") + 1 for at in (12, 15))
    return Picture(width, height)


def _bitstream(chunk: bytes) -> Picture:
    """The size that a picture without a canvas states itself."""
    if chunk.startswith(b"VP8 ") and chunk[11:14] == b"\x9d\x01\x2a" and len(chunk) >= 18:
        width, height = struct.unpack_from("<HH", chunk, 14)
        return Picture(width & 0x3FFF, height & 0x3FFF)
    if chunk.startswith(b"VP8L") and chunk[8:9] == b"\x2f" and len(chunk) >= 13:
        bits = int.from_bytes(chunk[9:13], "little")
        return Picture((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    raise PictureError(IMAGE_UNDECODABLE)
