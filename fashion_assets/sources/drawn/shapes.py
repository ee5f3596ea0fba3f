"""The outlines of the drawn sample's garments, one function for each kind.

What belongs here: the pen, and what it draws. What does not: colours, patterns and light, and what kinds of garments a shop has
(`pictures`).
"""

from collections.abc import Iterable

from PIL import Image, ImageDraw

WIDTH, HEIGHT = 120, 160
"""Of a picture, in pixels."""


class Pen:
    """Draws one garment's outline and its inner lines, in picture coordinates (120 x 160)."""

    SCALE = 4  # drawn larger and reduced once, which smooths the edges

    def __init__(self) -> None:
        size = (WIDTH * self.SCALE, HEIGHT * self.SCALE)
        self.shape = Image.new("L", size)
        self.ink = Image.new("L", size)
        self._shape = ImageDraw.Draw(self.shape)
        self._ink = ImageDraw.Draw(self.ink)

    def _points(self, flat: Iterable[float]) -> list[float]:
        return [value * self.SCALE for value in flat]

    def fill(self, *flat: float, value: int = 255) -> None:
        """A filled polygon; `value` 0 cuts a hole."""
        self._shape.polygon(self._points(flat), fill=value)

    def both(self, *flat: float) -> None:
        """A filled polygon and the same mirrored at the picture's middle."""
        self.fill(*flat)
        self.fill(*(WIDTH - value if i % 2 == 0 else value for i, value in enumerate(flat)))

    def oval(self, *box: float, value: int = 255) -> None:
        """A filled ellipse in a box (left, top, right, bottom); `value` 0 cuts a hole."""
        self._shape.ellipse(self._points(box), fill=value)

    def rounded(self, *box: float, radius: float = 8, value: int = 255) -> None:
        """A filled box with round corners; `value` 0 cuts a hole."""
        self._shape.rounded_rectangle(self._points(box), radius * self.SCALE, fill=value)

    def ring(self, *box: float, width: float = 4, start: float = 0, end: float = 360) -> None:
        """An arc as wide as a strap."""
        self._shape.arc(self._points(box), start, end, fill=255, width=round(width * self.SCALE))

    def strap(self, *flat: float, width: float = 4) -> None:
        """A line that belongs to the shape."""
        self._shape.line(self._points(flat), fill=255, width=round(width * self.SCALE), joint="curve")

    def line(self, *flat: float, width: float = 1.0, value: int = 150) -> None:
        """A seam or fold."""
        self._ink.line(self._points(flat), fill=value, width=round(width * self.SCALE), joint="curve")

    def patch(self, *flat: float, value: int = 110) -> None:
        """A darker part: a sole, a collar, a dial."""
        self._ink.polygon(self._points(flat), fill=value)

    def spot(self, *box: float, value: int = 170) -> None:
        """A darker ellipse: a button, a lens."""
        self._ink.ellipse(self._points(box), fill=value)

    def done(self) -> tuple[Image.Image, Image.Image]:
        """Shape and ink, each 120 x 160, mode L."""
        small = (WIDTH, HEIGHT)
        return (
            self.shape.resize(small, Image.Resampling.BOX),
            self.ink.resize(small, Image.Resampling.BOX),
        )


def _torso(pen: Pen, sleeve: float, hem: float, spread: float = 0) -> None:
    """A top's body: `sleeve` is how far down its sleeves reach, `hem` how far the body; `spread` widens the
    hem."""
    pen.fill(40, 32, 80, 32, 88, 50, 86 + spread, hem, 34 - spread, hem, 32, 50)
    pen.both(42, 32, 26, 38, 26 - (sleeve - 40) * 0.20, sleeve, 38 - (sleeve - 40) * 0.20, sleeve + 4, 36, 58)
    pen.oval(50, 24, 70, 42, value=0)
    pen.line(50, 33, 53, 40, 60, 43, 67, 40, 70, 33, width=1.5)
    pen.line(36, 56, 36, 76)
    pen.line(84, 56, 84, 76)


def tshirt(pen: Pen) -> None:
    _torso(pen, 66, 122)


def shirt(pen: Pen) -> None:
    _torso(pen, 112, 126)
    pen.fill(48, 32, 60, 46, 72, 32)
    pen.patch(48, 29, 60, 44, 52, 47)
    pen.patch(72, 29, 60, 44, 68, 47)
    pen.line(60, 44, 60, 126, width=1.4)
    for y in range(52, 124, 12):
        pen.spot(58.5, y, 61.5, y + 3, value=230)


def top(pen: Pen) -> None:
    pen.fill(44, 40, 76, 40, 84, 66, 90, 112, 30, 112, 36, 66)
    pen.strap(46, 42, 48, 22, width=4)
    pen.strap(74, 42, 72, 22, width=4)
    pen.line(44, 42, 60, 50, 76, 42, width=1.5)
    pen.line(38, 72, 82, 72)


def kurta(pen: Pen) -> None:
    _torso(pen, 104, 146, spread=6)
    pen.line(60, 42, 60, 84, width=2)
    pen.line(34, 112, 30, 146)
    pen.line(86, 112, 90, 146)


def dress(pen: Pen) -> None:
    pen.fill(44, 34, 76, 34, 78, 68, 96, 146, 24, 146, 42, 68)
    pen.strap(47, 36, 49, 16, width=5)
    pen.strap(73, 36, 71, 16, width=5)
    pen.line(42, 68, 78, 68, width=3, value=190)
    for x in (40, 52, 68, 80):
        pen.line(60 + (x - 60) * 0.6, 74, x, 144)


def jacket(pen: Pen) -> None:
    _torso(pen, 116, 122, spread=2)
    pen.fill(46, 30, 74, 30, 60, 50)
    pen.patch(44, 30, 60, 62, 46, 66, 40, 44, value=120)
    pen.patch(76, 30, 60, 62, 74, 66, 80, 44, value=120)
    pen.line(60, 60, 60, 122, width=3, value=220)
    pen.line(40, 96, 52, 92, width=2)
    pen.line(80, 96, 68, 92, width=2)


def sweatshirt(pen: Pen) -> None:
    _torso(pen, 112, 120)
    pen.patch(34, 114, 86, 114, 86, 120, 34, 120)
    pen.fill(44, 34, 76, 34, 72, 18, 48, 18)
    pen.spot(51, 20, 69, 38, value=190)
    pen.line(46, 94, 50, 84, 70, 84, 74, 94, width=1.5)


def sweater(pen: Pen) -> None:
    _torso(pen, 112, 118)
    for y in range(50, 118, 6):
        pen.line(36, y, 84, y, width=0.8, value=70)
    pen.patch(34, 111, 86, 111, 86, 118, 34, 118)
    pen.patch(48, 30, 60, 42, 72, 30, 70, 38, 60, 47, 50, 38)


def _legs(pen: Pen, hem: float, spread: float, gap: float = 3) -> None:
    pen.fill(
        40,
        18,
        80,
        18,
        86,
        60,
        84 + spread,
        hem,
        60 + gap + 6,
        hem,
        60,
        58,
        54 - gap,
        hem,
        36 - spread,
        hem,
        34,
        60,
    )
    pen.line(40, 25, 80, 25, width=1.6)
    pen.line(60, 25, 60, 58, width=1.4)


def jeans(pen: Pen) -> None:
    _legs(pen, 150, 0)
    pen.line(42, 27, 50, 38, width=1.6, value=210)
    pen.line(78, 27, 70, 38, width=1.6, value=210)
    pen.line(38, 60, 42, 148, value=180)
    pen.line(82, 60, 78, 148, value=180)
    pen.spot(58, 19, 62, 24, value=230)


def trousers(pen: Pen) -> None:
    _legs(pen, 150, -4, gap=1)
    pen.line(46, 30, 46, 146, width=1.2)
    pen.line(74, 30, 74, 146, width=1.2)


def track_pants(pen: Pen) -> None:
    _legs(pen, 146, 3)
    pen.line(36, 34, 34, 142, width=3.2, value=220)
    pen.line(84, 34, 86, 142, width=3.2, value=220)
    pen.line(58, 26, 54, 40, value=220)
    pen.line(62, 26, 66, 40, value=220)


def shorts(pen: Pen) -> None:
    pen.fill(34, 44, 86, 44, 96, 110, 64, 112, 60, 80, 56, 112, 24, 110)
    pen.line(34, 52, 86, 52, width=1.6)
    pen.line(60, 52, 60, 80, width=1.4)
    pen.line(26, 102, 56, 104)
    pen.line(64, 104, 94, 102)


def skirt(pen: Pen) -> None:
    pen.fill(42, 36, 78, 36, 100, 128, 20, 128)
    pen.patch(42, 36, 78, 36, 79, 44, 41, 44)
    for x in (34, 46, 60, 74, 86):
        pen.line(60 + (x - 60) * 0.45, 46, x, 126, width=1.2)


def casual_shoe(pen: Pen) -> None:
    pen.fill(14, 104, 16, 74, 44, 70, 66, 84, 98, 92, 108, 104, 108, 112, 14, 112)
    pen.patch(12, 104, 108, 104, 108, 113, 12, 113, value=200)
    for x in (46, 53, 60):
        pen.line(x, 78 + (x - 46) * 0.5, x + 8, 72 + (x - 46) * 0.6, width=1.8, value=220)


def sports_shoe(pen: Pen) -> None:
    pen.fill(12, 104, 10, 70, 28, 66, 38, 76, 54, 70, 72, 86, 104, 94, 112, 106, 112, 118, 10, 118)
    pen.patch(10, 108, 112, 106, 112, 118, 10, 118, value=180)
    pen.line(28, 104, 56, 78, width=3, value=220)
    pen.line(40, 104, 66, 84, width=3, value=220)
    for x in range(16, 110, 10):
        pen.line(x, 113, x + 5, 118, value=240)


def formal_shoe(pen: Pen) -> None:
    pen.fill(14, 102, 16, 80, 46, 76, 64, 88, 104, 98, 112, 106, 112, 109, 14, 109)
    pen.patch(14, 106, 112, 106, 112, 110, 40, 110, 38, 116, 14, 116, value=230)
    pen.line(70, 90, 68, 106, width=1.6)
    pen.line(44, 78, 42, 92, 60, 92, width=1.4)


def heel(pen: Pen) -> None:
    pen.fill(16, 60, 26, 52, 40, 70, 70, 104, 104, 112, 108, 120, 66, 120, 36, 88, 28, 124, 22, 124, 20, 84)
    pen.line(28, 60, 66, 104, 104, 114, width=1.4)


def sandal(pen: Pen) -> None:
    pen.fill(12, 108, 108, 108, 110, 118, 12, 118)
    pen.strap(22, 110, 30, 74, 46, 110, width=6)
    pen.strap(70, 110, 82, 86, 100, 110, width=8)
    pen.strap(30, 78, 14, 92, width=5)
    pen.patch(12, 112, 110, 112, 110, 118, 12, 118, value=180)


def flip_flop(pen: Pen) -> None:
    pen.oval(18, 30, 56, 90)
    pen.oval(24, 70, 52, 136)
    pen.oval(64, 30, 102, 90)
    pen.oval(68, 70, 96, 136)
    for x in (37, 83):
        pen.line(x - 14, 78, x, 52, x + 14, 78, width=3.5, value=230)


def handbag(pen: Pen) -> None:
    pen.fill(24, 74, 96, 74, 106, 134, 14, 134)
    pen.ring(36, 26, 84, 118, width=5, start=180, end=360)
    pen.line(22, 88, 98, 88, width=1.8)
    pen.spot(55, 84, 65, 94, value=230)


def backpack(pen: Pen) -> None:
    pen.rounded(28, 36, 92, 140, radius=20)
    pen.ring(48, 18, 72, 54, width=4, start=180, end=360)
    pen.rounded(20, 84, 32, 128, radius=5)
    pen.rounded(88, 84, 100, 128, radius=5)
    pen.line(30, 70, 90, 70, width=1.8, value=200)
    pen.patch(38, 88, 82, 88, 82, 128, 38, 128, value=90)
    pen.line(38, 96, 82, 96, width=1.4, value=220)


def watch(pen: Pen) -> None:
    pen.fill(48, 14, 72, 14, 76, 60, 76, 100, 72, 146, 48, 146, 44, 100, 44, 60)
    pen.oval(30, 50, 90, 110)
    pen.spot(37, 57, 83, 103, value=120)
    pen.line(60, 80, 60, 63, width=2, value=250)
    pen.line(60, 80, 72, 86, width=2, value=250)
    for y in range(20, 48, 7):
        pen.line(47, y, 73, y)
        pen.line(47, 160 - y, 73, 160 - y)


def sunglasses(pen: Pen) -> None:
    pen.rounded(12, 64, 54, 98, radius=14)
    pen.rounded(66, 64, 108, 98, radius=14)
    pen.strap(50, 72, 60, 68, 70, 72, width=4)
    pen.strap(14, 70, 8, 52, width=4)
    pen.strap(106, 70, 112, 52, width=4)
    pen.spot(16, 68, 50, 95, value=215)
    pen.spot(70, 68, 104, 95, value=215)


def belt(pen: Pen) -> None:
    pen.ring(16, 36, 104, 124, width=11)
    pen.rounded(44, 108, 76, 132, radius=3)
    pen.rounded(50, 114, 70, 126, radius=2, value=0)
    pen.line(60, 112, 60, 128, width=2.4, value=230)
    for x in (84, 91, 97):
        pen.spot(x, 108 - (x - 84), x + 3, 111 - (x - 84), value=240)


def cap(pen: Pen) -> None:
    pen.ring(26, 46, 90, 118, width=36, start=180, end=360)
    pen.fill(27, 82, 89, 82, 89, 92, 27, 92)
    pen.fill(80, 82, 116, 96, 112, 102, 60, 92)
    pen.line(58, 47, 50, 90, width=1.2)
    pen.line(58, 47, 72, 90, width=1.2)
    pen.spot(55, 44, 61, 49, value=230)
    pen.line(60, 92, 112, 101, width=1.6, value=200)


def tie(pen: Pen) -> None:
    pen.fill(50, 14, 70, 14, 65, 32, 55, 32)
    pen.fill(55, 33, 65, 33, 76, 126, 60, 148, 44, 126)
    pen.line(54, 33, 66, 33, width=1.8, value=200)


def scarf(pen: Pen) -> None:
    pen.ring(30, 16, 90, 76, width=16)
    pen.fill(42, 62, 62, 66, 58, 140, 34, 138)
    pen.fill(62, 66, 78, 60, 92, 132, 72, 140)
    for x in range(36, 58, 4):
        pen.line(x, 132, x - 1, 140, width=1.4, value=220)
    for x in range(74, 92, 4):
        pen.line(x, 128, x + 1, 138, width=1.4, value=220)


def earrings(pen: Pen) -> None:
    for x in (36, 84):
        pen.ring(x - 6, 36, x + 6, 56, width=2.4)
        pen.oval(x - 5, 54, x + 5, 66)
        pen.fill(x, 62, x + 15, 96, x, 124, x - 15, 96)
        pen.spot(x - 5, 88, x + 5, 100, value=170)


def wallet(pen: Pen) -> None:
    pen.rounded(18, 54, 102, 116, radius=7)
    pen.line(60, 54, 60, 116, width=1.8, value=190)
    pen.line(24, 60, 96, 60, value=120)
    pen.line(24, 110, 96, 110, value=120)
    pen.patch(66, 78, 102, 78, 102, 92, 66, 92, value=90)
    pen.spot(70, 82, 76, 88, value=230)


def socks(pen: Pen) -> None:
    for x in (0, 44):
        pen.fill(22 + x, 24, 46 + x, 24, 48 + x, 96, 64 + x, 118, 60 + x, 134, 46 + x, 134, 22 + x, 108)
        pen.patch(22 + x, 24, 46 + x, 24, 46 + x, 34, 22 + x, 34, value=120)
        pen.line(24 + x, 100, 40 + x, 122, width=1.6, value=190)
