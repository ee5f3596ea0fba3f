"""A question as the statements want it, and its answer with what was found at all.

What belongs here: the shapes between reading a question and running statements, and telling by which rule products were found. What does
not: doing either (`answering`).
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import LiteralString, NamedTuple
from zlib import crc32

import numpy as np

from fashion_assets.search import words
from fashion_assets.search.filters import Filter
from fashion_assets.search.query import WINDOW, Hit, Place, Total
from fashion_assets.search.sample_vectors import Nearness
from fashion_assets.search.tallies import FOUND_MOST, Tally
from fashion_assets.search.words import Level, Term

NOTHING_NEAR = "the filters leave nothing that is near: these are the nearest of what they leave"


class Stored(NamedTuple):
    """A product of a release."""

    product_id: str
    title: str
    space: str | None
    vector: np.ndarray | None
    """Unit vector [d]; None where it has none."""


@dataclass(frozen=True)
class Hidden:
    """Products that are not found, whatever is asked."""

    ids: frozenset[str] = frozenset()

    @cached_property
    def array(self) -> str:
        """As Postgres writes an array, which it reads in C; a list would be written in Python, for each search."""
        return f"{{{','.join(self.ids)}}}"

    @cached_property
    def digest(self) -> int:
        """What tells them from others, in every process."""
        return crc32("".join(sorted(self.ids)).encode())


@dataclass(frozen=True)
class Pinned:
    """A product that stands at a place of its own, from 1, and the columns whose filters it does not meet."""

    hit: Hit
    place: int
    fails: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Boost:
    """That the score of products that meet filters is multiplied, by which rule."""

    rule: str
    filters: tuple[Filter, ...]
    factor: float


@dataclass(frozen=True)
class Asked:
    """A question as the statements want it: unit vectors by space, terms, and what may be found."""

    vectors: Mapping[str, np.ndarray] = field(default_factory=dict)
    terms: tuple[Term, ...] = ()
    said: str = ""
    """The words as they were typed."""
    avoid: str | None = None
    filters: tuple[Filter, ...] = ()
    excluded: tuple[str, ...] = ()
    exact: bool = False
    weights: tuple[float, ...] = (1.0,)
    """Of each vector leg and of the text leg, in that order."""
    window: int = WINDOW
    limit: int = 10
    offset: int = 0
    level: Level | None = None
    """What products' words must have to be found by them; None: whatever has any of the terms is, as many as `window`."""
    ends: bool = False
    """Whether a vector leg ends at a cut-off (`nearness`); else with the `window` nearest."""
    counted: tuple[str, ...] | None = None
    """Columns whose values are counted over what is found, whatever a filter on the column itself says; None: nothing is counted."""
    sort: tuple[LiteralString, bool] | None = None
    after: Place | None = None
    whole: bool = False
    """Whether the page reaches beyond what the legs rank."""
    together: bool = True
    """Whether columns that are filtered may be counted in the statement that answers the page."""
    hidden: Hidden | None = None
    """None: those that are hidden from every search."""
    pins: tuple[Pinned, ...] = ()
    """Counted among what is found, if they meet the filters. Where the hits have an order of their own, they are among them, too; else they
    are not."""
    boosts: tuple[Boost, ...] = ()
    near: dict[str, Nearness] = field(default_factory=dict, compare=False)
    """The sample's, to the vectors, by space, once somebody asked for it; of the same vectors, however the question is changed."""

    @cached_property
    def matching_what(self) -> Hashable | None:
        """What tells the products whose words match from those of every other question; None where words find none by themselves."""
        if self.level is None:
            return None
        hidden = self.hidden.digest if self.hidden and self.hidden.ids else None
        return self.level.tsquery, self.avoid, self.filters, self.excluded, hidden

    @cached_property
    def near_what(self) -> Hashable:
        """What tells what is to be near from everything else, and among what it is looked for."""
        vectors = tuple((space, vector.tobytes()) for space, vector in self.vectors.items())
        return vectors, self.filters, self.ends

    @cached_property
    def pinned(self) -> tuple[Pinned, ...]:
        """The pins that meet the filters."""
        narrowed = {each.name for each in self.filters}
        return tuple(each for each in self.pins if not each.fails & narrowed)

    @cached_property
    def leaves_out(self) -> frozenset[str]:
        """Products that no leg may find."""
        return frozenset(self.excluded) | (self.hidden.ids if self.hidden else frozenset())

    @cached_property
    def apart(self) -> tuple[str, ...]:
        """Columns counted by which the question is narrowed, too."""
        narrowed = {each.name for each in self.filters}
        return tuple(column for column in self.counted or () if column in narrowed)

    def beside(self, column: str) -> tuple[int, ...]:
        """Places of the filters on other columns."""
        return tuple(place for place, each in enumerate(self.filters) if each.name != column)

    @cached_property
    def ranked(self) -> list[Term]:
        """The terms the text leg asks for, the most important first."""
        return words.asked_for(self.terms)

    @cached_property
    def tiers(self) -> list[str]:
        """Their full-text queries, best first."""
        if self.level is not None:
            return words.tiers_of(self.ranked, self.level)
        # Counted, and without a level: only what the vectors find is judged by its words.
        return words.tiers(self.ranked) if self.counted is None else []


@dataclass(frozen=True)
class Answered:
    """Hits, one more than asked for where there are more, and the path of each leg."""

    hits: tuple[Hit, ...]
    paths: Mapping[str, str]
    notes: tuple[str, ...] = ()
    keys: tuple[Decimal | None, ...] = ()
    """What each hit is ordered by, where it is by a column."""
    tally: Tally | None = None
    cuts: Mapping[str, float] = field(default_factory=dict)
    """Cosine distance up to which products are found, by space, where there is a cut-off."""
    bounded: bool = False
    """Whether more would be found if more were looked at."""


def total_of(asked: Asked, answered: Answered, together: int = 0) -> Total:
    """How many are found, and by what rule; so many of them stand `together` with another one's."""
    assert answered.tally is not None
    rules = []
    if asked.level is not None:
        terms = len(asked.ranked)
        kept = {terms: "all of its words", 0: "any of its words"}.get(
            asked.level.terms,
            f"the {asked.level.terms} most telling of its {terms} words, as too few products have all",
        )
        rules.append(f"the text has {kept}")
    for space in asked.vectors:
        if space in answered.cuts:
            rules.append(f"the vector is within {answered.cuts[space]:.3f} (cosine distance) of the question")
        elif asked.ends and NOTHING_NEAR not in answered.notes:
            rules.append("there is a vector")
        else:
            rules.append(f"the vector is among the {asked.window:,} nearest of what the filters leave")
    if asked.pins and rules:
        rules.append("it is pinned")
    found = answered.tally.found
    bounded = answered.bounded or (asked.level is not None and found >= FOUND_MOST)
    rule = " or ".join(rules) if rules else "the filters leave it" if asked.filters else "every product"
    if together:
        rule = f"{rule}; {together:,} of {found:,} stand with the hit that they are variants of"
    return Total(found - together, not bounded, rule)
