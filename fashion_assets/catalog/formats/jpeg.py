"""JPEG files (ITU-T T.81): segments, the frame's size, how many scans.

What belongs here: finding the way through a JPEG's markers. What does not: decoding.
"""

import re

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

SIGNATURE = b"\xff\xd8\xff"

MAX_SCANS = 100
"""Scans of a picture. A decoder goes over all of the picture for each, though a scan may say nothing in a few bytes ("Two
Issues with the JPEG Standard", which led libjpeg-turbo to give its fuzzers a limit of 500). Encoders write about ten. Skia
(`SkJpegDecoderMgr`) and libtiff (`LIBTIFF_JPEG_MAX_ALLOWED_SCAN_NUMBER`) stop at a hundred, too."""

_FILLED = bytes(64)
"""What stands at the end of a file whose place was taken before it was copied, and the copying broken off. Decoders make grey of it."""

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_TABLES = {0xC4, 0xCC, 0xDB, 0xDD}
_JFIF, _ADOBE, _EXIF = (0xE0, b"JFIF\0"), (0xEE, b"Adobe"), (0xE1, b"Exif\0\0")
_BLOCK = 128  # bytes of 64 coefficients

_MARKER = re.compile(rb"\xff+([^\x00\xff])")
"""A marker, whatever lies before it: decoders skip that, and so do they any number of 0xFF."""

_BETWEEN_SCANS = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")


def outline(data: bytes) -> Outline:
    """The outline of a JPEG's bytes: kept are the tables, the frame, and what says which colours it has. Raises
    `PictureError`."""
    view = memoryview(data)
    kept: list[bytes | memoryview] = [data[:2]]
    frame, progressive, turn, seen, parts = b"", False, 1, set(), 0
    position = 2
    while True:
        found = _MARKER.search(data, position)
        if found is None:
            raise PictureError(IMAGE_TRUNCATED)
        parts += 1
        if parts > MAX_PARTS:
            raise PictureError(IMAGE_TOO_COSTLY)
        start, marker = found.end() - 2, found[1][0]
        if marker in _WITHOUT_LENGTH:
            position = found.end()
            continue
        if marker == _END:
            raise PictureError(IMAGE_UNDECODABLE)
        position = _segment_end(data, found.end())
        content = start + 4
        if marker == _SCAN:
            break
        if marker in _FRAMES:
            if frame:
                raise PictureError(IMAGE_UNDECODABLE)
            frame, progressive = data[content:position], marker in _PROGRESSIVE
            kept.append(view[start:position])
        elif marker in _TABLES:
            kept.append(view[start:position])
        else:
            for kind in (_JFIF, _ADOBE, _EXIF):
                if kind not in seen and marker == kind[0] and data.startswith(kind[1], content, position):
                    seen.add(kind)
                    if kind is _EXIF:
                        turn = exif.turn(data[content:position])
                    else:
                        kept.append(view[start:position])
    size, blocks, components = _frame(frame)
    if data.endswith(_FILLED) and data.find(b"\xff\xd9", position) < 0:
        raise PictureError(IMAGE_TRUNCATED)
    several = data[content : content + 1] != bytes([components])
    scans = _scans(data, position) if data.count(b"\xff\xda", position) else 1
    if scans > MAX_SCANS:
        raise PictureError(IMAGE_TOO_COSTLY)
    kept.append(view[start:])
    return Outline(
        "JPEG",
        size,
        b"".join(kept),
        turn,
        held=blocks * _BLOCK if progressive or several else 0,
        scans=scans,
        ends_early=lambda: data.find(b"\xff\xd9", position) < 0,
    )


def _segment_end(data: bytes, length_at: int) -> int:
    length = int.from_bytes(data[length_at : length_at + 2], "big")
    if length_at + max(length, 2) > len(data):
        raise PictureError(IMAGE_TRUNCATED)
    if length < 2:
        raise PictureError(IMAGE_UNDECODABLE)
    return length_at + length


def _frame(frame: bytes) -> tuple[Picture, int, int]:
    """Size, blocks of 8 by 8 over all components, and how many components there are."""
    components = frame[5] if len(frame) > 5 else 0
    if not components or len(frame) < 6 + 3 * components:
        raise PictureError(IMAGE_UNDECODABLE)
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    factors = [(frame[at] >> 4, frame[at] & 15) for at in range(7, 6 + 3 * components, 3)]
    across, down = (max(factor[axis] for factor in factors) for axis in (0, 1))
    if not width or not height or not across or not down:
        raise PictureError(IMAGE_UNDECODABLE)
    # Whole units of the interleaved scan, as decoders allocate them.
    columns, rows = -(-width // (8 * across)), -(-height // (8 * down))
    return Picture(width, height), sum(columns * x * rows * y for x, y in factors), components


def _scans(data: bytes, position: int) -> int:
    """Scans, the first of which has its header before `position`; no more than one beyond `MAX_SCANS`."""
    scans = parts = 1
    while scans <= MAX_SCANS and parts <= MAX_PARTS:
        found = _BETWEEN_SCANS.search(data, position)
        if found is None or found[1][0] == _END:
            return scans
        parts += 1
        marker, position = found[1][0], found.end()
        if marker in _WITHOUT_LENGTH:
            continue
        scans += marker == _SCAN
        position += max(2, int.from_bytes(data[position : position + 2], "big"))
    return MAX_SCANS + 1
