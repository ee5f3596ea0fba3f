"""Pictures made to hurt: few bytes that cost a decoder much, and files whose damage lies beside the picture.

Each maker gives a whole file. Those that take an edge are as many pixels wide and high: small ones for tests, large ones
for `benchmarks/bombs.py`.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def saved(picture: Image.Image, kind: str, **options) -> bytes:
    """A picture as a file of a format."""
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def flat(mode: str, edge: int) -> Image.Image:
    """One colour: as few bytes as a format can make of it."""
    return Image.new(mode, (edge, edge))


def noisy(mode: str, edge: int) -> Image.Image:
    """Every pixel another, so that nothing is saved."""
    channels = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(0).integers(0, 256, (edge, edge, channels), np.uint8)
    return Image.fromarray(
        values[..., 0] if channels == 1 else values, mode if channels == 1 else None
    ).convert(mode)


# JPEG


def progressive(scans: int, edge: int, colours: int = 1) -> bytes:
    """A progressive JPEG most of whose scans say nothing, in few bytes: a decoder walks over all blocks for each."""
    made = b"\xff\xd8\xff\xdb\0\x43\0" + bytes([1] * 64)
    components = b"".join(bytes([number + 1, 0x11, 0]) for number in range(colours))
    made += b"\xff\xc2" + struct.pack(">HBHHB", 8 + 3 * colours, 8, edge, edge, colours) + components
    # A table of one code for a difference of zero, and one for runs of 16,384 to 32,767 blocks without anything.
    made += b"\xff\xc4" + struct.pack(">HB", 20, 0x00) + bytes([1] + [0] * 15) + b"\0"
    made += b"\xff\xc4" + struct.pack(">HB", 20, 0x10) + bytes([1] + [0] * 15) + b"\xe0"
    blocks = (-(-edge // 8)) ** 2
    selected = b"".join(bytes([number + 1, 0]) for number in range(colours))
    made += b"\xff\xda" + struct.pack(">HB", 6 + 2 * colours, colours) + selected + b"\0\0\0"
    made += b"\0" * (-(-blocks * colours // 8))
    bits, left = "", blocks
    while left > 0:
        run = min(max(left, 16_384), 32_767)
        bits += "0" + format(run - 16_384, "014b")
        left -= run
    bits += "1" * (-len(bits) % 8)
    body = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    for scan in range(scans - 1):
        made += b"\xff\xda" + struct.pack(">HB", 8, 1) + bytes([scan % colours + 1, 0, 1, 63, 0]) + body
    return made + b"\xff\xd9"


def with_segments(jpeg: bytes, segments: bytes) -> bytes:
    """A JPEG with further segments before its own."""
    return jpeg[:2] + segments + jpeg[2:]


def exif_segment(exif: bytes) -> bytes:
    """A JPEG's segment of EXIF."""
    return b"\xff\xe1" + struct.pack(">H", 8 + len(exif)) + b"Exif\0\0" + exif


def overlapping_exif(entries: int) -> bytes:
    """An EXIF whose every entry says that nearly all of it is its value."""
    size = 8 + 2 + 12 * entries + 4
    directory = b"".join(struct.pack("<HHII", 1_000 + number, 7, size - 16, 8) for number in range(entries))
    return struct.pack("<2sHIH", b"II", 42, 8, entries) + directory + bytes(4)


def turned_exif(turn: int) -> bytes:
    """An EXIF that says nothing but which way up."""
    return struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, turn, 0, 0)


# PNG


def chunk(name: bytes, content: bytes) -> bytes:
    """A PNG's chunk."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(
    width: int, height: int, depth: int = 8, colour: int = 6, before: bytes = b"", after: bytes = b""
) -> bytes:
    """A black PNG with chunks before and behind its pixels."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = bytes(1 + (width * channels * depth + 7) // 8)
    deflate = zlib.compressobj(9)
    pixels = b"".join(deflate.compress(row) for _ in range(height)) + deflate.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", pixels) + after + chunk(b"IEND", b"")


def unfolding(megabytes: int) -> bytes:
    """Deflated zeros."""
    deflate = zlib.compressobj(9)
    return b"".join(deflate.compress(bytes(1 << 20)) for _ in range(megabytes)) + deflate.flush()


def text_chunk(megabytes: int) -> bytes:
    """A compressed text that becomes so many megabytes."""
    return chunk(b"zTXt", b"Comment\0\0" + unfolding(megabytes))


def profile_chunk(megabytes: int) -> bytes:
    """A colour profile that becomes so many megabytes."""
    return chunk(b"iCCP", b"profile\0\0" + unfolding(megabytes))


def with_chunks(png: bytes, chunks: bytes) -> bytes:
    """A PNG with further chunks behind its header."""
    return png[:33] + chunks + png[33:]


# GIF


def gif_with_comments(gif: bytes, blocks: int) -> bytes:
    """A GIF with a comment of so many blocks of one byte before its picture."""
    first = 13 + (3 << ((gif[10] & 7) + 1) if gif[10] & 0x80 else 0)
    return gif[:first] + b"!\xfe" + b"\1x" * blocks + b"\0" + gif[first:]


# BMP


def run_length_bmp(edge: int) -> bytes:
    """A BMP whose every line is four bytes: one pixel, and that the rest is empty."""
    pixels = b"\1\5\0\0" * edge + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, edge, edge, 1, 8, 1, len(pixels), 0, 0, 256, 0)
    colours = b"".join(bytes([value, value // 2, 9, 0]) for value in range(256))
    start = 14 + len(header) + len(colours)
    return struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start) + header + colours + pixels


# TIFF


def tiff(entries: dict[int, tuple[int, tuple[int, ...]]], body: bytes) -> bytes:
    """A little-endian TIFF: body, then a directory of tag: (type, values)."""
    letters = {3: "H", 4: "I", 7: "B"}
    data = bytearray(b"II*\0" + bytes(4) + body)
    directory = b""
    for tag, (kind, values) in sorted(entries.items()):
        packed = struct.pack(f"<{len(values)}{letters[kind]}", *values)
        if len(packed) > 4:
            data += bytes(-len(data) % 4)
            place = len(data)
            data += packed
            packed = struct.pack("<I", place)
        directory += struct.pack("<HHI4s", tag, kind, len(values), packed.ljust(4, b"\0"))
    data += bytes(-len(data) % 4)
    data[4:8] = struct.pack("<I", len(data))
    return bytes(data) + struct.pack("<H", len(directory) // 12) + directory + bytes(4)


def grey_tiff(
    width: int, height: int, rows: int, more: dict[int, tuple[int, tuple[int, ...]]] | None = None
) -> bytes:
    """An uncompressed grey TIFF in strips of so many rows, all of which are the same bytes of the file."""
    strips = -(-height // rows)
    entries = {
        256: (4, (width,)),
        257: (4, (height,)),
        258: (3, (8,)),
        259: (3, (1,)),
        262: (3, (1,)),
        273: (4, (8,) * strips),
        277: (3, (1,)),
        278: (4, (rows,)),
        279: (4, (width * rows,) * strips),
    }
    return tiff(entries | (more or {}), bytes(width * rows))


def tiled_tiff(edge: int, tile: int, count: int) -> bytes:
    """An uncompressed grey TIFF in so many tiles, all of which are the same bytes."""
    entries = {
        256: (4, (edge,)),
        257: (4, (edge,)),
        258: (3, (8,)),
        259: (3, (1,)),
        262: (3, (1,)),
        277: (3, (1,)),
        322: (4, (tile,)),
        323: (4, (tile,)),
        324: (4, (8,) * count),
        325: (4, (min(tile * tile, 1 << 20),) * count),
    }
    return tiff(entries, bytes(min(tile * tile, 1 << 20)))


# AVIF


def _units(payload: bytes) -> list[tuple[int, bytes]]:
    units, position = [], 0
    while position < len(payload):
        start, header = position, payload[position]
        position += 1 + (header >> 2 & 1)
        length = shift = 0
        while True:
            byte = payload[position]
            length |= (byte & 0x7F) << shift
            position, shift = position + 1, shift + 7
            if not byte & 0x80:
                break
        position += length
        units.append((header >> 3 & 15, payload[start:position]))
    return units


def _with_payload(avif: bytes, payload: bytes) -> bytes:
    """An AVIF of one item with other bytes for it."""
    start = avif.index(b"mdat") + 4
    before = struct.pack(">I", len(avif) - start)
    head = avif[: start - 8]
    assert head.count(before) == 1
    return (
        head.replace(before, struct.pack(">I", len(payload)))
        + struct.pack(">I4s", 8 + len(payload), b"mdat")
        + payload
    )


def hidden_frames(edge: int, frames: int) -> bytes:
    """An AVIF that has its one frame so many times: one is shown, all are decoded."""
    whole = saved(flat("RGB", edge), "AVIF", speed=10)
    payload = whole[whole.index(b"mdat") + 4 :]
    (frame,) = (unit for kind, unit in _units(payload) if kind == 6)
    return _with_payload(whole, payload + frame * (frames - 1))


def larger_than_it_says(edge: int) -> bytes:
    """An AVIF whose boxes say 64 by 64 pixels and whose frame has more."""
    large, small = (saved(flat("RGB", size), "AVIF", speed=10) for size in (edge, 64))
    return _with_payload(small, large[large.index(b"mdat") + 4 :])


# WebP


def webp_with_frames(edge: int, frames: int) -> bytes:
    """An animation."""
    first, *further = (
        Image.new("RGB", (edge, edge), (number % 256, number // 256, 9)) for number in range(frames)
    )
    return saved(first, "WEBP", save_all=True, append_images=further, duration=20)


def with_riff_chunk(webp: bytes, name: bytes, content: bytes) -> bytes:
    """A WebP with a further chunk at its end."""
    body = webp[8:] + struct.pack("<4sI", name, len(content)) + content + bytes(len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def write_sparse(path: str, size: int) -> None:
    """A small JPEG, then nothing as far as `size`, which takes no place on a disk."""
    with open(path, "wb") as file:
        file.write(saved(flat("RGB", 400), "JPEG"))
        file.truncate(size)
