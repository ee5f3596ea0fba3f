"""What a reading gives: values with what speaks for them, as they are printed.

What belongs here: their shape. What does not: how they are found (`reading`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fashion_assets.catalog.ontology.vocabulary import PROPERTIES


@dataclass(frozen=True, slots=True)
class Found:
    """A property's value and what speaks for it."""

    value: str
    confidence: float
    """The share of values read in this way that are right, 0 to 1."""
    origin: str
    """`stated` by the record or read from its `text`."""
    evidence: str
    """The words it was read from, as they stand."""
    under: tuple[str, ...] = ()
    """What the value stands under, the nearest first: navy blue under blue."""
    also: tuple[str, ...] = ()
    """Further values that hold as well."""
    shares: Mapping[str, int] = field(default_factory=dict)
    """Of a composition: percent by material."""
    system: str | None = None
    """Of a size: whose notation it is."""
    way: str = "stated"
    """How it was read: what its confidence was measured by."""

    def to_dict(self) -> dict[str, Any]:
        """As it is printed; empty facts are left out."""
        said: dict[str, Any] = {
            "value": self.value,
            "confidence": round(self.confidence, 2),
            "origin": self.origin,
            "evidence": self.evidence,
        }
        if self.under:
            said["under"] = list(self.under)
        if self.also:
            said["also"] = list(self.also)
        if self.shares:
            said["shares"] = dict(self.shares)
        if self.system:
            said["system"] = self.system
        return said


@dataclass(frozen=True, slots=True)
class Reading:
    """What a listing says of itself."""

    properties: dict[str, Found]
    """Those that something says."""
    not_applicable: tuple[str, ...]
    """Those that such a thing does not have: a handbag has no neckline."""
    language: str | None
    """Of its text; None where too few words tell."""

    @property
    def not_said(self) -> tuple[str, ...]:
        """Those that apply and that nothing says."""
        return tuple(
            name for name in PROPERTIES if name not in self.properties and name not in self.not_applicable
        )

    def to_dict(self) -> dict[str, Any]:
        """As it is printed."""
        return {
            "properties": {name: found.to_dict() for name, found in self.properties.items()},
            "not_applicable": list(self.not_applicable),
            "not_said": list(self.not_said),
        }
