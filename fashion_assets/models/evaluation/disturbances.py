"""Pictures altered in the ways shops alter them.

What belongs here: one function for each way. What does not: altering pictures to learn from (`models.training.pictures`).
"""

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps


def crop(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """80 % of the edges, from anywhere."""
    width, height = (max(1, round(edge * 0.8)) for edge in picture.size)
    left, top = (
        int(random.integers(0, edge - kept + 1))
        for edge, kept in zip(picture.size, (width, height), strict=True)
    )
    return picture.crop((left, top, left + width, top + height))


def flip(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Mirrored, left for right."""
    return ImageOps.mirror(picture)


def blur(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """A Gaussian whose standard deviation is 2 % of the longer edge."""
    return picture.filter(ImageFilter.GaussianBlur(0.02 * max(picture.size)))


def brightness(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """1.4 times as bright."""
    return ImageEnhance.Brightness(picture).enhance(1.4)


DISTURBANCES = {"crop": crop, "flip": flip, "blur": blur, "brightness": brightness}
