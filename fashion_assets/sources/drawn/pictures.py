"""The drawn sample's garments: which kinds there are, and a picture of each.

What belongs here: kinds, colours, patterns and light. What does not: the outlines (`shapes`), what a listing says of a garment, and the
defects of listings (`shop`).
"""

import math
import random
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import Image

from fashion_assets.sources.drawn import shapes
from fashion_assets.sources.drawn.shapes import HEIGHT, WIDTH, Pen

COLOURS: dict[str, tuple[int, int, int]] = {
    "Black": (34, 34, 38),
    "White": (244, 244, 242),
    "Blue": (44, 92, 196),
    "Navy Blue": (24, 36, 92),
    "Red": (200, 36, 44),
    "Green": (40, 138, 66),
    "Grey": (136, 138, 142),
    "Brown": (112, 70, 40),
    "Pink": (238, 132, 172),
    "Purple": (116, 56, 150),
    "Yellow": (244, 206, 56),
    "Orange": (238, 126, 36),
    "Beige": (218, 200, 166),
    "Maroon": (112, 24, 40),
    "Olive": (108, 112, 44),
    "Teal": (20, 128, 128),
    "Cream": (248, 238, 208),
    "Khaki": (168, 152, 104),
}

PATTERNS = ("Solid", "Striped", "Checked", "Dotted")


class Article(NamedTuple):
    """What a listing of this type says, and how it is drawn."""

    article_type: str
    category: str
    sub_category: str
    word: str  # in the title
    price: float  # EUR, in the middle of the log-normal distribution
    genders: tuple[str, ...]
    usages: tuple[str, ...]
    draw: Callable[[Pen], None]


_ADULTS = ("Men", "Women")
_ALL = ("Men", "Women", "Boys", "Girls", "Unisex")
_HER = ("Women", "Girls")

ARTICLES = (
    Article("Tshirts", "Apparel", "Topwear", "T-shirt", 19, _ALL, ("Casual", "Sports"), shapes.tshirt),
    Article(
        "Shirts",
        "Apparel",
        "Topwear",
        "Shirt",
        39,
        ("Men", "Women", "Boys"),
        ("Casual", "Formal"),
        shapes.shirt,
    ),
    Article("Tops", "Apparel", "Topwear", "Top", 24, _HER, ("Casual", "Party"), shapes.top),
    Article("Kurtas", "Apparel", "Topwear", "Kurta", 34, _ADULTS, ("Ethnic",), shapes.kurta),
    Article("Jackets", "Apparel", "Topwear", "Jacket", 89, _ALL, ("Casual", "Sports"), shapes.jacket),
    Article(
        "Sweatshirts", "Apparel", "Topwear", "Sweatshirt", 44, _ALL, ("Casual", "Sports"), shapes.sweatshirt
    ),
    Article("Sweaters", "Apparel", "Topwear", "Sweater", 49, _ADULTS, ("Casual",), shapes.sweater),
    Article("Dresses", "Apparel", "Dress", "Dress", 59, _HER, ("Casual", "Party"), shapes.dress),
    Article("Jeans", "Apparel", "Bottomwear", "Jeans", 59, _ADULTS, ("Casual",), shapes.jeans),
    Article(
        "Trousers", "Apparel", "Bottomwear", "Trousers", 49, _ADULTS, ("Formal", "Casual"), shapes.trousers
    ),
    Article("Track Pants", "Apparel", "Bottomwear", "Track Pants", 34, _ALL, ("Sports",), shapes.track_pants),
    Article("Shorts", "Apparel", "Bottomwear", "Shorts", 27, _ALL, ("Casual", "Sports"), shapes.shorts),
    Article("Skirts", "Apparel", "Bottomwear", "Skirt", 36, _HER, ("Casual", "Party"), shapes.skirt),
    Article("Socks", "Apparel", "Socks", "Socks", 8, _ALL, ("Casual", "Sports"), shapes.socks),
    Article("Casual Shoes", "Footwear", "Shoes", "Casual Shoes", 64, _ALL, ("Casual",), shapes.casual_shoe),
    Article("Sports Shoes", "Footwear", "Shoes", "Sports Shoes", 79, _ALL, ("Sports",), shapes.sports_shoe),
    Article(
        "Formal Shoes", "Footwear", "Shoes", "Formal Shoes", 89, ("Men",), ("Formal",), shapes.formal_shoe
    ),
    Article("Heels", "Footwear", "Shoes", "Heels", 69, ("Women",), ("Casual", "Party"), shapes.heel),
    Article("Sandals", "Footwear", "Sandal", "Sandals", 44, _ADULTS, ("Casual",), shapes.sandal),
    Article("Flip Flops", "Footwear", "Flip Flops", "Flip Flops", 15, _ALL, ("Casual",), shapes.flip_flop),
    Article(
        "Handbags", "Accessories", "Bags", "Handbag", 74, ("Women",), ("Casual", "Party"), shapes.handbag
    ),
    Article(
        "Backpacks",
        "Accessories",
        "Bags",
        "Backpack",
        49,
        ("Unisex", "Men"),
        ("Casual", "Travel"),
        shapes.backpack,
    ),
    Article("Watches", "Accessories", "Watches", "Watch", 129, _ADULTS, ("Casual", "Formal"), shapes.watch),
    Article(
        "Sunglasses",
        "Accessories",
        "Eyewear",
        "Sunglasses",
        84,
        ("Men", "Women", "Unisex"),
        ("Casual",),
        shapes.sunglasses,
    ),
    Article("Belts", "Accessories", "Belts", "Belt", 29, _ADULTS, ("Casual", "Formal"), shapes.belt),
    Article(
        "Caps",
        "Accessories",
        "Headwear",
        "Cap",
        18,
        ("Men", "Women", "Unisex"),
        ("Casual", "Sports"),
        shapes.cap,
    ),
    Article("Ties", "Accessories", "Ties", "Tie", 26, ("Men",), ("Formal",), shapes.tie),
    Article("Scarves", "Accessories", "Scarves", "Scarf", 29, ("Women", "Men"), ("Casual",), shapes.scarf),
    Article(
        "Earrings",
        "Accessories",
        "Jewellery",
        "Earrings",
        22,
        ("Women",),
        ("Casual", "Party"),
        shapes.earrings,
    ),
    Article("Wallets", "Accessories", "Wallets", "Wallet", 34, _ADULTS, ("Casual", "Formal"), shapes.wallet),
)


class Garment(NamedTuple):
    """What one picture shows."""

    article: Article
    colour: str
    pattern: str
    pose: random.Random  # everything else about the picture: size, turn, place, light


@cache
def _template(article_type: str) -> tuple[Image.Image, Image.Image]:
    pen = Pen()
    next(article for article in ARTICLES if article.article_type == article_type).draw(pen)
    return pen.done()


_Y, _X = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
_OFF_Y, _OFF_X = _Y - HEIGHT / 2, _X - WIDTH / 2


def _contrast(base: np.ndarray, shift: float) -> np.ndarray:
    """A second colour that shows on the first: lighter on dark, darker on light."""
    bright = 0.299 * base[0] + 0.587 * base[1] + 0.114 * base[2]
    return base + (255 - base) * np.float32(0.62 + shift) if bright < 128 else base * np.float32(0.52 + shift)


def _pattern(garment: Garment) -> np.ndarray | None:
    """How much of the second colour each pixel has, 0 to 1; None for a plain garment."""
    pose = garment.pose
    period = pose.uniform(9, 13)
    phase = pose.uniform(0, period)
    # Stripes and checks change along one axis only: computed there, then spread.
    if garment.pattern == "Striped":
        along = _Y[:, :1] if pose.random() < 0.6 else _X[:1]
        stripes = ((along + phase) % period < period * 0.42).astype(np.float32)
        return np.broadcast_to(stripes, (HEIGHT, WIDTH))
    if garment.pattern == "Checked":
        across = ((_X[:1] + phase) % period < period * 0.4).astype(np.float32)
        down = ((_Y[:, :1] + phase) % period < period * 0.4).astype(np.float32)
        return (across + down) * np.float32(0.5)
    if garment.pattern == "Dotted":
        odd = (np.floor((_Y[:, :1] + phase) / period) % 2) * (period / 2)
        dx = (_X[:1] + (phase + odd)) % period - period / 2
        dy = (_Y[:, :1] + phase) % period - period / 2
        return (dx * dx + dy * dy < (period * 0.27) ** 2).astype(np.float32)
    return None


def draw_garment(garment: Garment) -> Image.Image:
    """The picture, 120 x 160, RGB: one garment on a plain, light ground."""
    pose = garment.pose
    shape, ink = _template(garment.article.article_type)
    scale_x = pose.uniform(0.90, 1.06)
    scale_y = scale_x * pose.uniform(0.94, 1.06)
    turn = math.radians(pose.uniform(-7, 7))
    if pose.random() < 0.5:
        scale_x = -scale_x  # mirrored
    move_x, move_y = pose.uniform(-4, 4), pose.uniform(-5, 5)
    cos, sin = math.cos(turn), math.sin(turn)
    a, b, d, e = cos / scale_x, sin / scale_x, -sin / scale_y, cos / scale_y
    centre_x, centre_y = WIDTH / 2, HEIGHT / 2
    place = (
        a,
        b,
        centre_x - a * (centre_x + move_x) - b * (centre_y + move_y),
        d,
        e,
        centre_y - d * (centre_x + move_x) - e * (centre_y + move_y),
    )
    size = (WIDTH, HEIGHT)
    affine, bilinear = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    mask = np.asarray(shape.transform(size, affine, place, bilinear), np.float32) * np.float32(1 / 255)
    lines = np.asarray(ink.transform(size, affine, place, bilinear), np.float32) * np.float32(0.8 / 255)

    # Channel by channel (3, height, width): numpy is several times faster with the long axes last.
    base = np.array(COLOURS[garment.colour], np.float32)
    second = _contrast(base, pose.uniform(-0.06, 0.06))
    share = _pattern(garment)
    cloth = np.empty((3, HEIGHT, WIDTH), np.float32)
    cloth[:] = base[:, None, None]
    if share is not None:
        cloth += (second - base)[:, None, None] * share
    # Lines are dark on light cloth and light on dark cloth, or they would not show.
    cloth += ((_contrast(base, 0) * np.float32(0.8))[:, None, None] - cloth) * lines
    light_x, light_y = np.float32(pose.uniform(-0.0018, 0.0018)), np.float32(pose.uniform(-0.0016, 0.0010))
    slope = light_x * _OFF_X + light_y * _OFF_Y
    cloth *= (slope + 1) * np.float32(pose.uniform(0.92, 1.06))

    grey = pose.uniform(226, 254)
    tint = (grey + pose.uniform(-5, 5), grey + pose.uniform(-4, 4), grey + pose.uniform(-5, 5))
    # A soft shadow and a darker edge keep white garments on a white ground in sight.
    shadow = np.zeros_like(mask)
    shadow[3:, 2:] = mask[:-3, :-2]
    ground = np.array(tint, np.float32)[:, None, None] * (
        (slope * np.float32(0.35) + 1) * (1 - shadow * np.float32(0.16))
    )
    edge = np.zeros_like(mask)
    edge[1:, 1:] = np.abs(mask[1:, 1:] - mask[:-1, :-1])
    cloth -= ground
    cloth *= mask
    cloth += ground
    cloth *= 1 - edge * np.float32(0.22)
    np.clip(cloth, 0, 255, out=cloth)
    return Image.fromarray(np.ascontiguousarray(cloth.astype(np.uint8).transpose(1, 2, 0)), "RGB")
