"""How well properties are read from text: listings that state them are the measure of what their text is read as.

What belongs here: reading the text alone, comparing with what the record states, precision, coverage, calibration, speed. What does
not: reading (`catalog.ontology`).
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from fashion_assets.catalog.ontology.calibration import LEAST
from fashion_assets.catalog.ontology.found import Found
from fashion_assets.catalog.ontology.named import says
from fashion_assets.catalog.ontology.reading import read
from fashion_assets.catalog.ontology.vocabulary import ontology
from fashion_assets.sources.statements import statements

MEASURED = (
    "category",
    "subcategory",
    "color",
    "material",
    "condition",
    "gender",
    "size",
    "season",
    "pattern",
    "style",
)

_FALSE_FRIENDS = {"condition": frozenset({"used"})}
"""Values that say too little to be compared."""

BINS = 20

OFTEN = 8
"""Values read in a way, before its share counts."""

USUAL = 0.85
"""What a share is drawn to, as if by two more values."""

ESTIMATES = {
    "title": 0.9,
    "title+": 0.93,
    "title-": 0.8,
    "title&": 0.9,
    "label&": 0.7,
    "text&": 0.7,
    "label": 0.88,
    "label+": 0.9,
    "label-": 0.8,
    "text": 0.82,
    "text+": 0.86,
    "text-": 0.76,
    "weak": 0.75,
    "many": 0.7,
    "disputed": 0.7,
    "weave": 0.7,
    "aside": 0.7,
    "mixed": 0.7,
    "late": 0.8,
    "implied": 0.75,
    "percent": 0.9,
}
"""Where nothing was measured."""

HIGHEST = 0.97
"""No text is surer: those who label err as well."""


@dataclass
class Figures:
    """Of one property."""

    stated: int = 0
    """Listings that state it in words a vocabulary knows."""
    said: int = 0
    """Of those, the ones whose text has a word for the stated value."""
    read: int = 0
    right: int = 0
    said_and_read: int = 0
    ways: Counter[tuple[str, bool]] = field(default_factory=Counter)
    wrong: list[dict[str, Any]] = field(default_factory=list)

    @property
    def precision(self) -> float | None:
        """Of values that were read, the share that is right."""
        return self.right / self.read if self.read else None

    @property
    def coverage(self) -> float | None:
        """Of listings whose text says the stated value, the share with a value."""
        return self.said_and_read / self.said if self.said else None


@dataclass
class Measured:
    """Of all listings that were looked at."""

    listings: int
    seconds: float
    """Of one core, spent reading; what others compute meanwhile does not count."""
    figures: dict[str, Figures]
    bins: dict[int, tuple[int, int]]
    """By confidence in twentieths, how many values were read and how many are right; of all measured properties."""

    def to_dict(self) -> dict[str, Any]:
        """As it is printed."""
        return {
            "listings": self.listings,
            "listings_per_second": round(self.listings / self.seconds) if self.seconds else None,
            "properties": {
                name: {
                    "stated": each.stated,
                    "said": each.said,
                    "read": each.read,
                    "precision": _share(each.precision),
                    "coverage": _share(each.coverage),
                    "ways": {
                        way: [each.ways[way, True], each.ways[way, True] + each.ways[way, False]]
                        for way in sorted({way for way, _ in each.ways})
                    },
                }
                for name, each in self.figures.items()
            },
            "calibration": [
                {"confidence": number / BINS, "read": read_, "right": round(right / read_, 3)}
                for number, (read_, right) in sorted(self.bins.items())
            ],
        }


def _share(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def measure_properties(
    records: Iterable[Mapping[str, Any]],
    *,
    half: int | None = None,
    with_title: bool = True,
    wrong: int = 0,
    all_ways: bool = False,
) -> Measured:
    """Read the text of records that state properties, and compare.

    `half`: 0 or 1 for one half of the records, told apart by a hash of their text; rules are made on 0 and shown on 1. `wrong`: so
    many wrong values of each property are kept to look at. `all_ways`: values that are not said as they are wrong too often count, too:
    to calibrate anew. Raises nothing: a record without text has nothing to read.
    """
    figures: dict[str, Figures] = defaultdict(Figures)
    bins: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    seconds, listings = 0.0, 0
    least = 0.0 if all_ways else LEAST
    for record in records:
        told = statements(record)
        text = f"{told.title}\n{told.description}"
        if half is not None and crc32(text.encode("utf-8", "replace")) % 2 != half:
            continue
        listings += 1
        title = told.title if with_title else None
        began = time.thread_time()
        reading = read(title, told.description, {"brand": told.stated.get("brand", ())}, least=least)
        seconds += time.thread_time() - began
        truth = read(None, None, told.stated).properties
        for name in MEASURED:
            stated = truth.get(name)
            if (
                name not in told.stated
                or stated is None
                or stated.confidence < 0.9
                or stated.value in _FALSE_FRIENDS.get(name, ())
            ):
                continue
            each = figures[name]
            each.stated += 1
            accepted = _accepted(name, stated)
            said = says(name, accepted, title, told.description)
            each.said += said
            found = reading.properties.get(name)
            if found is None:
                continue
            if name == "size" and found.system != stated.system:
                continue  # the same shoe is a 7 US and a 38 EU
            right = is_right(name, found, accepted)
            each.read += 1
            each.right += right
            each.said_and_read += said
            each.ways[found.way, right] += 1
            number = int(found.confidence * BINS + 1e-9)
            bins[number][0] += 1
            bins[number][1] += right
            if not right and len(each.wrong) < wrong:
                each.wrong.append(
                    {
                        "stated": stated.value,
                        **found.to_dict(),
                        "way": found.way,
                        "title": told.title,
                        "description": told.description,
                    }
                )
    return Measured(
        listings, seconds, dict(figures), {number: (read_, right) for number, (read_, right) in bins.items()}
    )


def _accepted(name: str, stated: Found) -> frozenset[str]:
    """The stated values, where there are several any of them."""
    return frozenset((stated.value, *stated.also))


def is_right(name: str, found: Found, accepted: Iterable[str]) -> bool:
    """Whether a value is a stated one, or one above or below it: navy blue where blue is stated."""
    file = "colour" if name == "color" else name
    if file not in ontology().properties:
        return found.value in accepted
    lines = [{each, *ontology().line(file, each)} for each in accepted]
    own = {found.value, *found.under}
    return any(found.value in line for line in lines) or any(each in own for each in accepted)


def calibrated(measured: Iterable[Measured]) -> str:
    """`calibration.toml` by these measurements: the share that is right, by property and way, of ways that were met often enough."""
    ways: dict[str, Counter[tuple[str, bool]]] = defaultdict(Counter)
    for each in measured:
        for name, figures in each.figures.items():
            ways[name].update(figures.ways)
    lines = [
        'about = "The share of values that are right, by property and by the way they were read: `fashion-assets bench properties '
        '--calibrate`. What is wrong more often than once in four is not said."',
        "",
        "# Of properties and ways that too few listings state: estimates.",
        "[default]",
        *(f'"{way}" = {share}' for way, share in ESTIMATES.items()),
    ]
    for name in sorted(ways):
        lines += ["", f"[{name}]"]
        for way in sorted({way for way, _ in ways[name]}):
            right, wrong = ways[name][way, True], ways[name][way, False]
            if right + wrong >= OFTEN:
                share = (right + 2 * USUAL) / (right + wrong + 2)
                # One standard error less: of what is said to be right so often, no fewer are among others.
                share = min(share - (share * (1 - share) / (right + wrong)) ** 0.5, HIGHEST)
                lines.append(f'"{way}" = {share:.3f}  # {right} of {right + wrong}')
    return "\n".join(lines) + "\n"


def plot(bins: Mapping[int, tuple[int, int]], title: str) -> str:
    """An SVG: how often values are right, by the confidence they were given. On the line they are as sure as they say."""
    size, edge, low = 360, 44, 0.5

    def at(share: float) -> float:
        return edge + (max(share, low) - low) / (1 - low) * size

    whole = size + 2 * edge
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole} {whole}" font-family="sans-serif" font-size="11">',
        f'<rect width="{whole}" height="{whole}" fill="white"/>',
        f'<text x="{edge}" y="20" font-size="13">{title}</text>',
    ]
    for tenth in range(5, 11):
        x, y = at(tenth / 10), whole - at(tenth / 10)
        parts += [
            f'<path d="M{x} {edge}V{whole - edge}M{edge} {y}H{whole - edge}" stroke="#ddd"/>',
            f'<text x="{x}" y="{whole - edge + 16}" text-anchor="middle">{tenth / 10:.1f}</text>',
            f'<text x="{edge - 8}" y="{y + 4}" text-anchor="end">{tenth / 10:.1f}</text>',
        ]
    parts.append(
        f'<path d="M{at(low)} {whole - at(low)}L{at(1)} {whole - at(1)}" stroke="#888" stroke-dasharray="4"/>'
    )
    for number, (read_, right) in sorted(bins.items()):
        x, y = at((number + 0.5) / BINS), whole - at(right / read_)
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{3 + min(read_, 4000) ** 0.5 / 8:.1f}" fill="#2a6f97" fill-opacity="0.6"/>',
            f'<text x="{x:.1f}" y="{y - 14:.1f}" text-anchor="middle">{read_:,}</text>',
        ]
    parts += [
        f'<text x="{whole / 2}" y="{whole - 8}" text-anchor="middle">confidence</text>',
        f'<text x="14" y="{whole / 2}" text-anchor="middle" transform="rotate(-90 14 {whole / 2})">share that is right</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
