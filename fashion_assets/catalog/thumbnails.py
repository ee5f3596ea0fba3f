"""Small pictures that illustrate a page: of anything there is, and never a reason for the page to fail.

What belongs here: making them small, and how much one page may cost. What does not: judging a listing's picture
(`catalog.validation`), how pages look (`release`, `search`, `defs`).
"""

import base64
from functools import lru_cache
from io import BytesIO
from threading import Lock
from typing import NamedTuple

from PIL import Image

from fashion_assets.catalog.pictures import IMAGE_UNREADABLE, Limits, PictureError, opened

PAGE_COST = 400_000_000
"""Pixels and bytes of files one page may look at, all its pictures together: some seconds' work. Those beyond are not
drawn."""

QUALITY = 80


class Thumbnail(NamedTuple):
    """A picture made small, or why there is none."""

    picture: Image.Image | None
    reason: str
    """In words; empty where there is a picture."""

    @property
    def data(self) -> str:
        """As a JPEG in a `data:` address; empty where there is no picture."""
        if self.picture is None:
            return ""
        stream = BytesIO()
        self.picture.save(stream, "JPEG", quality=QUALITY)
        return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


class Thumbnails:
    """The thumbnails of one page: each picture is within the limits and decoded once. May be asked from several threads."""

    def __init__(self, limits: Limits, size: tuple[int, int], page_cost: int = PAGE_COST):
        """`size`: width and height that none is larger than, in pixels."""
        self._limits = limits
        self._size = size
        self._left = page_cost
        self._lock = Lock()
        self.of = lru_cache(maxsize=None)(self._of)

    def _of(self, path: str | None) -> Thumbnail:
        """The thumbnail of a picture file. Raises nothing."""
        if not path:
            return Thumbnail(None, "no picture")
        try:
            return self._made(path)
        except PictureError as error:
            return Thumbnail(None, _words(error.reason))
        except Exception:  # it only illustrates, and whatever is wrong is said where the picture counts
            return Thumbnail(None, _words(IMAGE_UNREADABLE))

    def _made(self, path: str) -> Thumbnail:
        if self._left < 0:
            return Thumbnail(None, _TOO_MANY)
        with opened(path, self._limits) as file:
            width, height = file.size
            with self._lock:
                self._left -= width * height + len(file.data)
                if self._left < 0:
                    return Thumbnail(None, _TOO_MANY)
            with file.pixels(max(self._size)) as pixels:
                picture = Image.fromarray(pixels)
                picture.thumbnail(self._size)
                return Thumbnail(picture, "")


_TOO_MANY = "not drawn: the page has many large pictures"


def _words(reason: str) -> str:
    """`image_not_an_image` as "not an image"."""
    return reason.removeprefix("image_").replace("_", " ")
