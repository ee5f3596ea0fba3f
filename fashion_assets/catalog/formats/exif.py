"""Which way up a picture is, of its EXIF.

What belongs here: the one value of EXIF that changes pixels. What does not: anything else that cameras write.

Read here rather than by a library: a damaged EXIF says nothing and costs nothing, whereas a parser of all of it raises, or
reads as many megabytes as the damage tells it to.
"""

import struct

_ORIENTATION = 0x0112
_PREFIX = b"Exif\0\0"
_SHORT, _LONG = 3, 4


def turn(exif: bytes) -> int:
    """The orientation, 1 to 8, that an EXIF block states (TIFF 6.0 and EXIF 2.3, tag 0x0112); 1, which is upright, where it
    states none or is damaged."""
    if exif.startswith(_PREFIX):
        exif = exif[len(_PREFIX) :]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (offset,) = struct.unpack_from(f"{order}I", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, offset)
    except struct.error:
        return 1
    directory = exif[offset + 2 : offset + 2 + 12 * entries]
    directory = directory[: len(directory) // 12 * 12]
    for tag, kind, count, value in struct.iter_unpack(f"{order}HHI4s", directory):
        if tag == _ORIENTATION:
            stated = 0
            if count == 1 and kind in (_SHORT, _LONG):
                (stated,) = struct.unpack_from(f"{order}{'H' if kind == _SHORT else 'I'}", value)
            return stated if 1 <= stated <= 8 else 1
    return 1
