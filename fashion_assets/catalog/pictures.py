"""Opening pictures: is this a picture, how large is it, and its pixels for the encoder.

What belongs here: everything that knows about picture formats and broken picture files.
What does not: which listing the picture belongs to, and what a bad picture means for it
(`catalog.validation`).

Nothing here changes Pillow's global state, so all of it may run in threads.

Two decoders, the same pixels: an everyday JPEG goes straight to libjpeg-turbo, which takes a third of the time that
Pillow needs to call it; whatever that finds odd, and everything else, goes to Pillow, whose verdict counts.
"""

import io
import os
import stat
from typing import IO, NamedTuple

import numpy as np
import simplejpeg
from PIL import Image, ImageOps

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""Formats a catalogue shows. Pillow knows many more, some of which run other programs or read other files."""

IMAGE_MISSING = "image_missing"
IMAGE_TRUNCATED = "image_truncated"
IMAGE_NOT_AN_IMAGE = "image_not_an_image"
IMAGE_TOO_LARGE = "image_too_large"
IMAGE_UNREADABLE = "image_unreadable"
IMAGE_CHANGED = "image_changed"
"""The picture changed, went or broke after its listing was judged: no rule of validation, it is found at embedding."""

_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
"""First bytes that only pictures have: a file with them that cannot be opened was cut off in its header."""


_SOI = b"\xff\xd8\xff"
_EXIF = b"Exif\0\0"
_EVERYDAY_COLOURS = ("YCbCr", "Gray")
_EVERYDAY_BYTES, _EVERYDAY_PIXELS = 32 * 2**20, 64_000_000
"""Larger files are read by Pillow, piece by piece; of more pixels it knows when to refuse them."""

_PROBED_AT = 8
"""JPEGs are judged at an eighth of their size: all of the stream is read, few of the pixels made."""


class Picture(NamedTuple):
    """Size of a sound picture in pixels, as stored (before any EXIF turn)."""

    width: int
    height: int


def probe(uri: str, max_pixels: int) -> Picture | str:
    """The picture's size, or the reason it cannot be shown; raises nothing for bad files.

    The header is read first, so that a picture declaring more than `max_pixels` is never decoded. Then
    everything is decoded (JPEG at an eighth of its size, which still reads the whole stream), so that a
    picture that ends too early is seen. Of animations the first frame counts. Pillow itself refuses to open
    pictures above twice its `Image.MAX_IMAGE_PIXELS` (179 megapixels), whatever `max_pixels` says.

    Reasons: `image_missing`, `image_unreadable` (no permission, disk error), `image_not_an_image`,
    `image_too_large`, `image_truncated`.
    """
    try:
        # Not a plain `open`: a pipe in the folder would block for ever.
        descriptor = os.open(uri, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (FileNotFoundError, NotADirectoryError):
        return IMAGE_MISSING
    except IsADirectoryError:
        return IMAGE_NOT_AN_IMAGE
    except ValueError:  # NUL byte in the path
        return IMAGE_MISSING
    except OSError:
        return IMAGE_UNREADABLE
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode):
        os.close(descriptor)
        return IMAGE_NOT_AN_IMAGE
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if state.st_size > _EVERYDAY_BYTES:
            return probe_file(file, max_pixels)
        try:
            data = file.readall()
        except OSError:
            return IMAGE_UNREADABLE
    size = _everyday_jpeg(data)
    if (
        size is not None
        and size.width * size.height <= max_pixels
        and _decoded(data, size, _PROBED_AT) is not None
    ):
        return size
    return probe_file(io.BytesIO(data), max_pixels)


def probe_file(file: IO[bytes], max_pixels: int) -> Picture | str:
    """As `probe`, of an open file, or of bytes in memory (`io.BytesIO`)."""
    try:
        image = Image.open(file, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return IMAGE_TOO_LARGE
    except Exception as error:  # decoders raise anything at all for bad bytes
        return _reason_unopened(file, error)
    width, height = image.size
    if width * height > max_pixels:
        return IMAGE_TOO_LARGE
    try:
        image.draft(None, (max(width // _PROBED_AT, 1), max(height // _PROBED_AT, 1)))
        image.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return IMAGE_TOO_LARGE
    except Exception as error:
        # The header was sound: a decoder that stops in the middle either says so or cannot tell why.
        said = str(error).lower()
        early = (
            "truncated",
            "decoder object",
            "unexpected end",
            "eof",
            "not enough",
            "broken data stream",
        )
        return IMAGE_TRUNCATED if any(word in said for word in early) else IMAGE_NOT_AN_IMAGE
    return Picture(width, height)


def _reason_unopened(file, error: Exception) -> str:
    try:
        file.seek(0)
        start = file.read(16)
    except OSError:
        return IMAGE_UNREADABLE
    if isinstance(error, OSError) and error.errno is not None:
        return IMAGE_UNREADABLE
    cut_off = (
        start.startswith(_MAGIC)
        or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")
        or start[4:12] == b"ftypavif"
    )
    return IMAGE_TRUNCATED if cut_off else IMAGE_NOT_AN_IMAGE


def load_rgb(uri: str | IO[bytes], size_hint: int | None = None) -> Image.Image:
    """The picture at a path, or in an open file, as RGB and the right way up, for the encoder.

    Transparent parts become white, grayscale, palette, CMYK and 16-bit pictures become RGB, and the EXIF turn
    is applied. With `size_hint` (pixels) a JPEG may be decoded at a half, quarter or eighth of its size, as
    long as neither side falls below the hint.

    Raises OSError (or what else Pillow raises) for a file `probe` would have refused.
    """
    with Image.open(uri, formats=FORMATS) as image:
        if size_hint is not None:
            image.draft(None, (size_hint, size_hint))
        image.load()
        return to_rgb(image)


def rgb_pixels(data: bytes, size_hint: int | None = None) -> np.ndarray:
    """uint8 [height, width, 3] of a picture's bytes: the pixels of `load_rgb`, and its errors."""
    size = _everyday_jpeg(data)
    # A picture is turned by its EXIF, which only Pillow reads.
    if size is not None and _EXIF not in data:
        decoded = _decoded(data, size, _shrinking(size, size_hint))
        if decoded is not None:
            return decoded
    return np.asarray(load_rgb(io.BytesIO(data), size_hint))


def _everyday_jpeg(data: bytes) -> Picture | None:
    """The size of a JPEG in the usual colours and of a usual size; None for everything else."""
    if not data.startswith(_SOI):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    size = Picture(int(width), int(height))
    everyday = colours in _EVERYDAY_COLOURS and size.width * size.height <= _EVERYDAY_PIXELS
    return size if everyday else None


def _shrinking(size: Picture, hint: int | None) -> int:
    """How many times smaller than stored Pillow's draft mode decodes a JPEG."""
    if hint is None:
        return 1
    return next((times for times in (8, 4, 2) if min(size) // times >= hint), 1)


def _decoded(data: bytes, size: Picture, times: int) -> np.ndarray | None:
    """uint8 [height, width, 3] of a JPEG, so many times smaller; None at whatever the decoder warns of: it has then gone
    on with pixels that are not in the file."""
    width, height = (-(-edge // times) for edge in size)
    try:
        return simplejpeg.decode_jpeg(data, min_width=width, min_height=height, strict=True)
    except ValueError:
        return None


def to_rgb(image: Image.Image) -> Image.Image:
    """An opened picture as RGB: see `load_rgb`. Never the same object, so the file may be closed."""
    if image.mode == "RGB" and "transparency" not in image.info:
        if image.format != "JPEG" or "exif" in image.info:
            return ImageOps.exif_transpose(image)
        return image.copy()
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):  # 16 or 32 bits of grey: convert() would clip instead of scale
        upright = upright.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if upright.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in upright.info:
        upright = upright.convert("RGBA")
        white = Image.new("RGBA", upright.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, upright).convert("RGB")
    return upright.convert("RGB")
