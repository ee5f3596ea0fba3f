"""Judging a picture that is in no file."""

from fashion_assets.catalog.formats.outlines import Picture, PictureError
from fashion_assets.catalog.pictures import Limits, PictureFile


def probe_bytes(data: bytes, limits: Limits) -> Picture | str:
    """As `pictures.probe`, of bytes in memory."""
    try:
        return PictureFile(data, limits).judge()
    except PictureError as error:
        return error.reason
