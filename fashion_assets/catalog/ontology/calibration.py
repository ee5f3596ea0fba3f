"""How often what was read in some way is right: the confidence of a value.

What belongs here: the table `calibration.toml`, measured on listings that state what their text says. What does not: measuring it
(`benchmarks.properties`).
"""

import hashlib
import tomllib
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

FILE = resources.files("fashion_assets.catalog.ontology").joinpath("calibration.toml")

LEAST = 0.75
"""What is wrong more often than once in four is not said at all."""

STATED = 0.98
"""Of a value the record states and a vocabulary knows."""

STATED_UNKNOWN = 0.8
"""Of a value the record states in words that no vocabulary knows."""


@cache
def table(file: Traversable = FILE) -> dict[str, dict[str, float]]:
    """By property and by the way a value was read, the share that is right; `default` for properties nobody measured."""
    return {
        name: {way: float(share) for way, share in shares.items()}
        for name, shares in tomllib.loads(file.read_text("utf-8")).items()
        if isinstance(shares, dict)
    }


def confidence(name: str, way: str) -> float:
    """Of a value of the property `name` that was read in this way."""
    known = table()
    own = known.get(name, {})
    return own.get(way) or known["default"].get(way) or known["default"]["text"]


@cache
def version(file: Traversable = FILE) -> str:
    """Another one whenever the table changes: 8 hex digits."""
    said = file.read_bytes() + repr((LEAST, STATED, STATED_UNKNOWN)).encode()
    return hashlib.blake2b(said, digest_size=4).hexdigest()
