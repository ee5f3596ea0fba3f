"""The files of pictures, taken apart before a decoder sees them.

What belongs here: what a file says of itself, and the part of it that its first picture needs. What does not: decoding
(`catalog.pictures`), what a bad picture means for its listing (`catalog.validation`).

Decoders are made to read everything that is in a file: text that unfolds to a gigabyte, an EXIF whose values overlap, a
thousand scans or frames that say nothing. What costs them much is of no use here. So a file's structure is walked first,
in steps whose number is bounded, and a decoder is given the first picture's pixels and nothing else. What is damaged
elsewhere does not matter then, and what is too much is known before anything is decoded.
"""

from collections.abc import Callable

from fashion_assets.catalog.formats import as_text, avif, bmp, gif, jpeg, png, tiff, webp
from fashion_assets.catalog.formats.outlines import (
    IMAGE_NOT_AN_IMAGE,
    IMAGE_SENT_AS_TEXT,
    IMAGE_UNDECODABLE,
    Outline,
    PictureError,
)

FORMATS: dict[str, tuple[Callable[[bytes], bool], Callable[[bytes], Outline]]] = {
    "JPEG": (lambda data: data.startswith(jpeg.SIGNATURE), jpeg.outline),
    "PNG": (lambda data: data.startswith(png.SIGNATURE), png.outline),
    "WEBP": (webp.is_webp, webp.outline),
    "GIF": (lambda data: data.startswith(gif.SIGNATURES), gif.outline),
    "BMP": (bmp.is_bmp, bmp.outline),
    "TIFF": (lambda data: data.startswith(tiff.SIGNATURES), tiff.outline),
    "AVIF": (avif.is_avif, avif.outline),
}
"""Formats a catalogue shows, by Pillow's names: whether a file is of it, and its outline. Pillow knows many more, some of
which run other programs or read other files."""


def outline(data: bytes) -> Outline:
    """What a picture's bytes say of it. Raises `PictureError` for what is no picture, ends before its pixels begin, or is
    more than any picture is."""
    for is_one, walk in FORMATS.values():
        if is_one(data):
            try:
                return walk(data)
            except PictureError:
                raise
            except Exception as error:  # a picture never stops its batch, whatever a walk did not think of
                raise PictureError(IMAGE_UNDECODABLE) from error
    raise PictureError(IMAGE_SENT_AS_TEXT if as_text.begins_as_text(data) else IMAGE_NOT_AN_IMAGE)
