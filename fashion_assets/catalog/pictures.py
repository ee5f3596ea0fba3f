"""Opening pictures: is this a picture, how large is it, and its pixels for the encoder.

What belongs here: the limits, decoding, and every mode of pixels made RGB. What does not: how a format's files are built
(`catalog.formats`), which listing the picture belongs to, and what a bad picture means for it (`catalog.validation`).

Judging and loading are the same steps (`PictureFile`), so that what is judged sound is what loads. Nothing here changes
Pillow's global state, so all of it may run in threads.

What bounds memory: a file is read only if its size is within the limit; what decoding will need is known of its header and
counted over all processes (`memory.MemoryBudget`). What bounds time: nothing can end a decoder that runs in a thread, so
all that makes one slow is known before: bytes of the file, pixels, scans and frames, parts, run lengths
(`catalog.formats`); further frames and metadata are not decoded at all. Then no picture within the limits takes more than
some seconds: `benchmarks/bombs.py` makes them and measures.

Two decoders, the same pixels: an everyday JPEG goes straight to libjpeg-turbo, which takes a third of the time that
Pillow needs to call it; whatever that finds odd, and everything else, goes to Pillow, whose verdict counts.
"""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType

import numpy as np
import simplejpeg
from PIL import Image

from fashion_assets.catalog import formats
from fashion_assets.catalog.formats import exif, jpeg
from fashion_assets.catalog.formats.as_text import went_as_text
from fashion_assets.catalog.formats.outlines import (
    IMAGE_FILE_TOO_LARGE,
    IMAGE_MISSING,
    IMAGE_NOT_AN_IMAGE,
    IMAGE_SENT_AS_TEXT,
    IMAGE_TOO_LARGE,
    IMAGE_TOO_SMALL,
    IMAGE_TRUNCATED,
    IMAGE_UNDECODABLE,
    IMAGE_UNREADABLE,
    MAX_EDGE,
    MIN_EDGE,
    Outline,
    Picture,
    PictureError,
)
from fashion_assets.memory import UNCOUNTED, MemoryBudget
from fashion_assets.settings import Settings

IMAGE_CHANGED = "image_changed"
"""The picture changed or went after its listing was judged: no rule of validation, it is found at embedding."""

_EVERYDAY_COLOURS = ("YCbCr", "Gray")
_EVERYDAY = 13  # bytes of a pixel that such a JPEG takes at the most: what is handed out and taken, and its coefficients
_EXIF, _SCAN = b"Exif", b"\xff\xda"

_PROBED_AT = 8
"""JPEGs are judged at an eighth of their size: all of the stream is read, few of the pixels made."""

_BAND = 1 << 20
"""Pixels made RGB at a time: a whole picture's conversions take several times what its pixels do."""

_STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
"""Bytes in which Pillow holds a pixel; of modes that are not here, four."""

_MODES = {*_STORED, "LA", "La", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "I", "F"}
_TRANSPARENT = ("RGBA", "LA", "PA", "La", "RGBa")

_BESIDE = {"WEBP": 12, "AVIF": 5}
"""Bytes of a pixel that a decoder holds beside Pillow's: of WebP two canvases and the frame handed over; of AVIF the frame
handed over (the planes it is made of: `Outline.held`)."""

_MADE, _TAKEN = 3, 4
"""Bytes of a pixel of what is handed out, and of Pillow's picture that its taker makes of it."""


@dataclass(frozen=True)
class Limits:
    """What of a picture is decoded at all, and the memory that all together may take for it."""

    max_bytes: int = Settings.model_fields["max_image_bytes"].default
    max_pixels: int = Settings.model_fields["max_image_pixels"].default
    memory: MemoryBudget = field(default_factory=MemoryBudget.own, compare=False)

    @classmethod
    def from_settings(cls, settings: Settings) -> "Limits":
        """The limits the user has set; the memory is the installation's."""
        return cls(settings.max_image_bytes, settings.max_image_pixels, MemoryBudget.of(settings))


class PictureFile:
    """A picture's bytes, within the limits or not."""

    def __init__(self, data: bytes, limits: Limits):
        self.data = data
        self._limits = limits

    @property
    def size(self) -> Picture:
        """The size that the header states; nothing is decoded. Raises `PictureError` for a picture that is known not to be
        one, or beyond the limits, without decoding."""
        return self._everyday() or self._outline().size

    def judge(self) -> Picture:
        """The picture's size. Everything is decoded (a JPEG at an eighth of its size, which still reads the whole stream),
        so that a picture that ends too early is seen. Raises `PictureError` for one that cannot be shown."""
        size = self._everyday()
        if size is None or _decoded_jpeg(self.data, size, _PROBED_AT) is None:
            outline = self._outline()
            with self._decoded(outline, _PROBED_AT if outline.format == "JPEG" else 1, 0) as decoded:
                if outline.format == "JPEG" or isinstance(decoded, np.ndarray):
                    size = outline.size
                else:
                    size = Picture(*decoded.size)
        if min(size) < MIN_EDGE:
            raise PictureError(IMAGE_TOO_SMALL)
        return size

    @contextmanager
    def pixels(self, size_hint: int | None = None) -> Iterator[np.ndarray]:
        """uint8 [height, width, 3], RGB and the right way up; the memory is counted until the `with` is left.

        Transparent parts are white, grayscale, palette, CMYK and 16-bit pictures are RGB, and the EXIF turn is applied. With
        `size_hint` (pixels) a JPEG may be decoded at a half, quarter or eighth of its size, as long as neither side falls
        below the hint. Raises `PictureError`, for what `judge` refuses and nothing else.
        """
        size = self._everyday()
        if size is not None:
            decoded = _decoded_jpeg(self.data, size, _shrinking(size, size_hint))
            if decoded is not None:
                yield decoded
                return
        outline = self._outline()
        times = _shrinking(outline.size, size_hint) if outline.format == "JPEG" else 1
        with self._decoded(outline, times, _MADE + _TAKEN) as decoded:
            if isinstance(decoded, np.ndarray):
                yield np.ascontiguousarray(_turned(decoded, outline.turn))
            else:
                turn = exif.turn(decoded.info.get("exif", b"")) if outline.format == "AVIF" else outline.turn
                yield _rgb(decoded, turn)

    def _everyday(self) -> Picture | None:
        """The size of a JPEG so small, and of so few scans, that it is decoded as it is; None for everything else, and for
        what EXIF may turn."""
        data = self.data
        if len(data) > min(UNCOUNTED // 4, self._limits.max_bytes) or not data.startswith(jpeg.SIGNATURE):
            return None
        size = _usual_size(data)
        if size is None or size.width * size.height > min(UNCOUNTED // _EVERYDAY, self._limits.max_pixels):
            return None
        # What looks like a scan elsewhere is counted, too: there may be fewer, never more.
        if _EXIF in data or data.count(_SCAN) > jpeg.MAX_SCANS or went_as_text(data, failed=False):
            return None
        return size

    def _outline(self) -> Outline:
        if len(self.data) > self._limits.max_bytes:
            raise PictureError(IMAGE_FILE_TOO_LARGE)
        try:
            outline = formats.outline(self.data)
        except PictureError as error:
            broken = error.reason == IMAGE_UNDECODABLE
            damaged = (broken or error.reason == IMAGE_TRUNCATED) and went_as_text(self.data, failed=broken)
            raise (PictureError(IMAGE_SENT_AS_TEXT) if damaged else error) from None
        self._check(outline.size)
        if outline.format == "JPEG" and went_as_text(self.data, failed=False):
            raise PictureError(IMAGE_SENT_AS_TEXT)
        return outline

    def _check(self, size: tuple[int, int]) -> None:
        if size[0] * size[1] > self._limits.max_pixels or max(size) > MAX_EDGE:
            raise PictureError(IMAGE_TOO_LARGE)

    @contextmanager
    def _decoded(self, outline: Outline, times: int, made: int) -> Iterator[np.ndarray | Image.Image]:
        """The decoded picture, so many times smaller than stored, as RGB pixels or as Pillow has it; `made` bytes are made of
        each of its pixels beside."""
        pixels = -(-outline.size.width // times) * -(-outline.size.height // times)
        files = len(self.data) + len(outline.data)
        try:
            if outline.format == "JPEG" and _usual_size(outline.data) == outline.size:
                with self._limits.memory.holding(files + outline.held + pixels * (_MADE + made)):
                    decoded = _decoded_jpeg(outline.data, outline.size, times)
                    if decoded is not None:
                        yield decoded
                        return
                # Pillow goes on where line ends were translated, and shows smears.
                if went_as_text(self.data, failed=not outline.ends_early()):
                    raise PictureError(IMAGE_SENT_AS_TEXT)
            with _opened_by_pillow(outline) as image:
                self._check(image.size)
                beside = made + _STORED.get(image.mode, 4) + _BESIDE.get(outline.format, 0)
                with self._limits.memory.holding(files + outline.held + pixels * beside):
                    _load(image, outline, times)
                    yield image
        except MemoryError:
            raise PictureError(IMAGE_UNREADABLE) from None


@contextmanager
def opened(uri: str, limits: Limits) -> Iterator[PictureFile]:
    """A picture's file, read whole.

    Raises `PictureError`: `image_missing`, `image_unreadable` (no permission, disk error, no memory), `image_not_an_image`
    (a folder, a pipe), `image_file_too_large`, of which nothing is read.
    """
    descriptor = _descriptor(uri)
    try:
        size = os.fstat(descriptor).st_size
        if size > limits.max_bytes:
            raise PictureError(IMAGE_FILE_TOO_LARGE)
        # Of a file so large not even reading it goes uncounted, and what is in it is not known yet: room for the worst.
        worst = size + limits.max_pixels * (4 + max(_BESIDE.values()) + _MADE + _TAKEN)
        with limits.memory.holding(worst if size > UNCOUNTED else 0):
            yield PictureFile(_read(descriptor, size), limits)
    finally:
        os.close(descriptor)


def _read(descriptor: int, size: int) -> bytes:
    try:
        data = os.read(descriptor, size)
        while len(data) < size and (more := os.read(descriptor, size - len(data))):
            data += more
    except (OSError, MemoryError):
        raise PictureError(IMAGE_UNREADABLE) from None
    return data


def probe(uri: str, limits: Limits) -> Picture | str:
    """The size of a picture in a file, or the reason it cannot be shown; raises nothing for bad files.

    The header is read first, so that what is beyond the limits is never decoded; of animations the first frame counts.
    Pillow itself refuses pictures above twice its `Image.MAX_IMAGE_PIXELS` (179 megapixels), whatever the limits say.
    """
    try:
        with opened(uri, limits) as picture:
            return picture.judge()
    except PictureError as error:
        return error.reason


def rgb_pixels(
    picture: str | bytes, size_hint: int | None = None, limits: Limits | None = None
) -> np.ndarray:
    """uint8 [height, width, 3] of a picture in a file or in memory, see `PictureFile.pixels`; what is made of it is counted
    no longer. Raises `PictureError` for a picture that `probe` refuses."""
    limits = limits or Limits()
    if isinstance(picture, bytes):
        with PictureFile(picture, limits).pixels(size_hint) as pixels:
            return pixels
    with opened(picture, limits) as file, file.pixels(size_hint) as pixels:
        return pixels


def load_rgb(picture: str | bytes, size_hint: int | None = None, limits: Limits | None = None) -> Image.Image:
    """As `rgb_pixels`, as Pillow's picture."""
    return Image.fromarray(rgb_pixels(picture, size_hint, limits))


def _descriptor(uri: str) -> int:
    try:
        # Not a plain `open`: a pipe in the folder would block for ever.
        descriptor = os.open(uri, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last: a NUL byte in the path
        raise PictureError(IMAGE_MISSING) from None
    except IsADirectoryError:
        raise PictureError(IMAGE_NOT_AN_IMAGE) from None
    except OSError:
        raise PictureError(IMAGE_UNREADABLE) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise PictureError(IMAGE_NOT_AN_IMAGE)
    return descriptor


# Decoding


def _usual_size(data: bytes) -> Picture | None:
    """The size of a JPEG in the usual colours; None for everything else."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    return Picture(int(width), int(height)) if colours in _EVERYDAY_COLOURS else None


def _shrinking(size: Picture, hint: int | None) -> int:
    """How many times smaller than stored Pillow's draft mode decodes a JPEG."""
    if hint is None:
        return 1
    return next((times for times in (8, 4, 2) if min(size) // times >= hint), 1)


def _decoded_jpeg(data: bytes, size: Picture, times: int) -> np.ndarray | None:
    """uint8 [height, width, 3] of a JPEG, so many times smaller; None at whatever the decoder warns of: it has then gone on
    with pixels that are not in the file."""
    width, height = (-(-edge // times) for edge in size)
    try:
        return simplejpeg.decode_jpeg(data, min_width=width, min_height=height, strict=True)
    except ValueError:
        return None


def _opened_by_pillow(outline: Outline) -> Image.Image:
    try:
        _plugin(outline.format)
        image = Image.open(io.BytesIO(outline.data), formats=(outline.format,))
    except Exception as error:  # decoders raise anything at all for bad bytes
        raise _why(outline, error) from error
    if image.mode not in _MODES:
        raise PictureError(IMAGE_UNDECODABLE)
    return image


def _plugin(name: str) -> ModuleType:
    """A format's part of Pillow. Where it is not there yet, Pillow would import every one it has."""
    return import_module(f"PIL.{'WebP' if name == 'WEBP' else name.capitalize()}ImagePlugin")


def _load(image: Image.Image, outline: Outline, times: int) -> None:
    try:
        if times > 1:
            width, height = image.size
            image.draft(None, (max(width // times, 1), max(height // times, 1)))
        image.load()
    except Exception as error:  # decoders raise anything at all for bad bytes
        raise _why(outline, error) from error


def _why(outline: Outline, error: Exception) -> Exception:
    """The reason a decoder stopped."""
    if isinstance(error, MemoryError):
        return error
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return PictureError(IMAGE_TOO_LARGE)
    early = outline.ends_early() or "truncated" in str(error).lower()
    return PictureError(IMAGE_TRUNCATED if early else IMAGE_UNDECODABLE)


# Pixels


def _turned(pixels: np.ndarray, turn: int) -> np.ndarray:
    """A view of pixels as stored, upright: see `Outline.turn`."""
    if turn in (2, 3):
        pixels = pixels[:, ::-1]
    if turn in (3, 4):
        pixels = pixels[::-1]
    if turn > 4:
        pixels = pixels.transpose(1, 0, 2)
        if turn in (6, 7):
            pixels = pixels[:, ::-1]
        if turn in (7, 8):
            pixels = pixels[::-1]
    return pixels


def _rgb(image: Image.Image, turn: int) -> np.ndarray:
    """uint8 [height, width, 3] of a loaded picture, made some lines at a time and put where the turn has them."""
    width, height = image.size
    upright = np.empty((width, height, 3) if turn > 4 else (height, width, 3), np.uint8)
    # A turn taken back is the same turn, but for a quarter to the left and one to the right.
    stored = _turned(upright, {6: 8, 8: 6}.get(turn, turn))
    lines = max(1, _BAND // width)
    for top in range(0, height, lines):
        bottom = min(top + lines, height)
        stored[top:bottom] = np.asarray(_made_rgb(image.crop((0, top, width, bottom))))
    return upright


def _made_rgb(image: Image.Image) -> Image.Image:
    transparent = image.mode in _TRANSPARENT or "transparency" in image.info
    if image.mode == "RGB" and not transparent:
        return image
    if image.mode.startswith("I"):  # 16 or 32 bits of grey: convert() would clip instead of scale
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if transparent:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
