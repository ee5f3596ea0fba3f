"""What colours look like, and which are alike.

What belongs here: a shade for each colour that has a name, and the distance of two. What does not: which words name which colour
(`normalization`, `ontology`).

A name stands for many shades; the one here is in the middle of what is sold under it. Names that the vocabulary lacks are those of CSS (as Pillow has
them) and what fashion adds.
"""

import math
from functools import cache

from PIL import ImageColor

SHADES = {
    "amber": "#ffbf00",
    "apricot": "#fbceb1",
    "aubergine": "#4b2a45",
    "beige": "#dcc9a8",
    "black": "#1c1c1e",
    "blue": "#2f5fc4",
    "blush": "#e8b9b5",
    "brick": "#a3452f",
    "bronze": "#8f6a3a",
    "brown": "#73482a",
    "burgundy": "#6d1a36",
    "camel": "#c19a6b",
    "cerise": "#d63384",
    "champagne": "#f0dfc0",
    "charcoal": "#45474b",
    "coffee brown": "#4f3423",
    "cognac": "#9a4a22",
    "copper": "#b06a3b",
    "cream": "#f5ecd2",
    "denim": "#3f5f8a",
    "ecru": "#d9ccb0",
    "eggplant": "#4b2a45",
    "emerald": "#1f8f5f",
    "fawn": "#c8a57a",
    "fluorescent green": "#7cf03b",
    "gold": "#cfa64a",
    "green": "#2b8b46",
    "grey": "#8d8f93",
    "grey melange": "#a9abae",
    "jade": "#2f9e78",
    "khaki": "#a8986a",
    "lavender": "#b9a5dc",
    "lilac": "#c3a8d6",
    "lime green": "#94c83d",
    "magenta": "#c42b86",
    "maroon": "#711a2b",
    "mauve": "#b491c8",
    "metallic": "#a5a9ad",
    "mint": "#a8dcc0",
    "mocha": "#7b5a45",
    "mushroom brown": "#9c8673",
    "mustard": "#d3a02a",
    "navy blue": "#1a2757",
    "nude": "#e6c3a5",
    "ochre": "#c2862d",
    "off white": "#f7f3e8",
    "olive": "#6d7030",
    "orange": "#ee7f27",
    "peach": "#f6b793",
    "petrol": "#12566a",
    "pink": "#ee86ad",
    "plum": "#6b2f5b",
    "purple": "#76399a",
    "red": "#c7262f",
    "rose": "#e0647f",
    "ruby": "#9b1b35",
    "rust": "#a8481f",
    "sage": "#9aa88a",
    "sapphire": "#22438f",
    "sea green": "#3a9c79",
    "silver": "#c3c6ca",
    "skin": "#e6c3a5",
    "steel": "#8a9299",
    "tan": "#c69a6b",
    "taupe": "#8b7d70",
    "teal": "#17807f",
    "terracotta": "#c2643f",
    "turquoise blue": "#35b8bd",
    "white": "#ffffff",
    "wine": "#6d1a36",
    "yellow": "#f2cf3f",
}

ALIKE = 0.25
"""Distance up to which two colours are told as near each other: teal and sea green lie .13 apart, teal and green .19, red and maroon .23, red and
orange .25, navy blue and blue .27, red and green .59, black and white .77."""

Lab = tuple[float, float, float]


@cache
def lab(name: str) -> Lab | None:
    """The shade a name stands for, in OKLab; None where it names none that is known."""
    written = SHADES.get(name) or ImageColor.colormap.get(name.replace(" ", ""))
    if not isinstance(written, str):
        return None
    return _oklab(*(_linear(value / 255) for value in ImageColor.getrgb(written)[:3]))


def distance(one: str, other: str) -> float | None:
    """How far apart two colours look, 0 to about 1: the Euclidean distance in OKLab (Ottosson, A perceptual color space for image processing,
    2020) with the axes of hue counting double, which is nearer to what people see (deltaEOK2 of Color.js); None where one of them is not known."""
    first, second = lab(one), lab(other)
    if first is None or second is None:
        return None
    return math.hypot(
        first[0] - second[0], *(2 * (own - its) for own, its in zip(first[1:], second[1:], strict=True))
    )


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def _oklab(red: float, green: float, blue: float) -> Lab:
    long = math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
    medium = math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
    short = math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )
