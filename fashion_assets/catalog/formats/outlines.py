"""What is known of a picture before anything of it is decoded, and why a picture cannot be shown.

What belongs here: the shape every format's walk gives, the reasons, the limits that bound a walk. What does not: any one
format.
"""

from collections.abc import Callable
from typing import NamedTuple

IMAGE_MISSING = "image_missing"
IMAGE_UNREADABLE = "image_unreadable"
IMAGE_FILE_TOO_LARGE = "image_file_too_large"
IMAGE_NOT_AN_IMAGE = "image_not_an_image"
IMAGE_TOO_LARGE = "image_too_large"
IMAGE_TOO_SMALL = "image_too_small"
IMAGE_TOO_COSTLY = "image_too_costly"
IMAGE_TRUNCATED = "image_truncated"
IMAGE_UNDECODABLE = "image_undecodable"
IMAGE_SENT_AS_TEXT = "image_sent_as_text"
IMAGE_NOT_FETCHED = "image_not_fetched"
IMAGE_URL_REFUSED = "image_url_refused"
IMAGE_UNREACHABLE = "image_unreachable"
IMAGE_GONE = "image_gone"
"""Reasons; what each means stands with the rules (`catalog.rules.RULES`)."""

NOT_HAD = (IMAGE_NOT_FETCHED, IMAGE_URL_REFUSED, IMAGE_UNREACHABLE, IMAGE_GONE)
"""Those of pictures that are stated as URLs, and are not here."""

MIN_EDGE = 8
"""Pixels. Scaled to the 64 a model sees, a picture narrower than this is stripes and no garment: most are a page's counting pixels."""

MAX_EDGE = 65_535
"""Pixels of an edge, which is as long as a JPEG's can be. Decoders keep an account of each line: a picture of one pixel's
width and as many lines as a PNG can have takes more for that than for its pixels."""

MAX_PARTS = 65_536
"""Segments, chunks, blocks, strips or tiles of a file. Each costs a decoder a step in Python, and may hold nothing: a file of
64 MB has millions of such. Encoders write kilobytes into each."""


class Picture(NamedTuple):
    """Size of a sound picture in pixels, as stored (before any EXIF turn)."""

    width: int
    height: int


class PictureError(Exception):
    """A picture that cannot be shown; `reason` is one of the reasons above."""

    def __init__(self, reason: str):
        super().__init__(reason.replace("_", " "))
        self.reason = reason


def _ends_where_it_should() -> bool:
    return False


class Outline(NamedTuple):
    """A picture's file, taken apart."""

    format: str
    """As Pillow calls it."""
    size: Picture
    data: bytes
    """The file without all that the first picture's pixels do not need: metadata, further frames, checksums of those."""
    turn: int = 1
    """How it is to be turned to stand upright, as EXIF's orientation has it, 1 to 8."""
    held: int = 0
    """Bytes its decoder holds beside the pixels, where the header tells."""
    scans: int = 1
    """Times a decoder goes over all of the picture."""
    ends_early: Callable[[], bool] = _ends_where_it_should
    """Whether the file ends before the picture does. Asked where decoding failed: it may go over the whole file."""
