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

from fashion_assets.catalog.ontology import Found, read
from fashion_assets.catalog.ontology.reading import says
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
    """Spent reading, on one core."""
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
    records: Iterable[Mapping[str, Any]], *, half: int | None = None, wrong: int = 0, least: float = 0.0
) -> Measured:
    """Read the text of records that state properties, and compare.

    `half`: 0 or 1 for one half of the records, told apart by a hash of their text; rules are made on 0 and shown on 1. `wrong`: so
    many wrong values of each property are kept to look at. `least`: values below this confidence count as not read.
    """
    figures: dict[str, Figures] = defaultdict(Figures)
    bins: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    seconds, listings = 0.0, 0
    for record in records:
        told = statements(record)
        text = f"{told.title}\n{told.description}"
        if half is not None and crc32(text.encode("utf-8", "replace")) % 2 != half:
            continue
        listings += 1
        began = time.perf_counter()
        reading = read(told.title, told.description, {"brand": told.stated.get("brand", ())})
        seconds += time.perf_counter() - began
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
            said = says(name, accepted, told.title, told.description)
            each.said += said
            found = reading.properties.get(name)
            if found is None or found.confidence < least:
                continue
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
