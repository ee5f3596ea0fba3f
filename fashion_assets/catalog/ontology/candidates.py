"""A phrase that speaks for a value, and what can be said of several.

What belongs here: candidates by themselves. What does not: choosing among them (`reading`, `kinds`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fashion_assets.catalog.ontology.phrases import Match
from fashion_assets.catalog.ontology.tokens import Words

_ANDS = frozenset({"and", "et", "e", "y", "und"})

_WEAK = frozenset({"new", "neuf", "neuve", "neufs", "neuves", "nuovo", "nuova", "nuovi", "nuove", "nuevo", "nueva", "nuevos", "nuevas", "neu", "usato", "usata", "usado", "usada"})  # fmt: skip
"""By themselves these words say little: of a model, a price, a sole."""


@dataclass(slots=True)
class Candidate:
    """One phrase that speaks for a value."""

    match: Match
    place: str
    """`title` or `text`, or `label` where the text names the property before it."""
    evidence: str
    aside: bool = False
    """Told late in a description and not of a kind of thing by name: as often of something else."""

    @property
    def value(self) -> str:
        """The value it speaks for."""
        return self.match.value


def is_a_pair(here: Sequence[Candidate], text: Words) -> bool:
    """Whether two values stand side by side, as in "blue and white": neither speaks against the other."""
    if len(here) != 2:
        return False
    first, second = sorted(here, key=lambda each: each.match.first)
    between = text.words[first.match.last : second.match.first]
    return not between or (len(between) == 1 and between[0] in _ANDS)


def is_weak(each: Candidate) -> bool:
    """Whether it is but one such word."""
    return each.evidence.lower() in _WEAK
