"""The ways a search may go, one after another until its answer is sure.

What belongs here: each way, when it is gone and what is asked so, and their order. What does not: one leg's path and how far it goes (`legs`, `path`),
running a statement and finding out why its answer is in doubt (`answering`, `paging`).

A search begins as the sample of the release advises, or as the same question ended before. Where what it finds is in doubt (`paging`), the next way
that helps against that doubt is gone:

    to_the_cut_off    more is near than the sample promised: as far as the cut-off, however much that is
    nearest_styles    the index passed over something, and comparing all would take long: products of the nearest styles
    wider_walk        the same, in a release that has no styles: farther along the index
    everything        too few were found, or nothing else helped and it is not too much: all that the filters leave
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from fashion_assets.search.asked import Asked
from fashion_assets.search.legs import legs_of, walk_of
from fashion_assets.search.paging import CUT_SHORT, PASSED_OVER, Leg
from fashion_assets.search.path import EXACT_AT_MOST, EXACT_AT_ONCE, Detour, Facts
from fashion_assets.search.query import Aside
from fashion_assets.search.statements import Walk


class Way(NamedTuple):
    """How a question is asked."""

    legs: Sequence[Leg]
    walk: Walk
    wide: bool = False
    """Whether it looks at as many candidates before the cut-off as there may be."""
    first: bool = False
    """Whether nothing was asked before, so that the sample alone says how far it looks."""
    note: str | None = None
    """What is told of it."""
    detour: Detour | None = None
    """What is kept of it, so that the same question is asked so at once."""


def begun(facts: Facts, asked: Asked) -> Way:
    """As the sample advises, or as the same question ended before."""
    before = facts.detour(asked.near_what)
    wide = before is not None and before.path == "exact"
    legs = legs_of(
        facts,
        replace(asked, exact=True) if wide else asked,
        wide=wide,
        by_styles=before is not None and before.path == "styles",
    )
    return Way(legs, walk_of(legs), wide, first=True, note=before.note if before else None)


def to_the_cut_off(facts: Facts, asked: Asked, way: Way, doubt: str) -> Way | None:
    """The sample promised fewer within the cut-off. Filters have a leg to themselves then."""
    if doubt != CUT_SHORT:
        return None
    legs = legs_of(facts, asked, wide=True)
    return Way(legs, walk_of(legs), wide=True)


def nearest_styles(facts: Facts, asked: Asked, way: Way, doubt: str) -> Way | None:
    """What is of the nearest styles is compared, where these are known."""
    if not _is_long(facts, asked, way, doubt):
        return None
    legs = legs_of(facts, asked, wide=way.wide, by_styles=True)
    if not _by_styles(legs):
        return None
    note = Aside("the index passed over nearer products, so those of the nearest styles were compared")
    return Way(legs, way.walk, way.wide, note=note, detour=Detour("styles", note))


def wider_walk(facts: Facts, asked: Asked, way: Way, doubt: str) -> Way | None:
    """The index is searched wider, where that helps."""
    if not _is_long(facts, asked, way, doubt) or way.walk.wider == way.walk:
        return None
    note = Aside("the index passed over nearer products, so it searched wider")
    return Way(way.legs, way.walk.wider, way.wide, note=note)


def everything(facts: Facts, asked: Asked, way: Way, doubt: str) -> Way | None:
    """All that the filters leave is compared; if it is very much, only where too few were found."""
    if doubt == PASSED_OVER and facts.left(asked.filters) > EXACT_AT_MOST:
        return None
    note = Aside(f"the index {doubt}, so all was compared")
    legs = legs_of(facts, replace(asked, exact=True), wide=True)
    return Way(legs, way.walk, wide=True, note=note, detour=Detour("exact", note))


IN_DOUBT: tuple[Callable[[Facts, Asked, Way, str], Way | None], ...] = (
    to_the_cut_off,
    nearest_styles,
    wider_walk,
    everything,
)
"""In the order they are gone. Each says, of the way that was gone last and the doubt that is left, how it would ask; None where it does not help."""


def _is_long(facts: Facts, asked: Asked, way: Way, doubt: str) -> bool:
    """Whether something was passed over, no styles were tried, and comparing all would take long."""
    return doubt == PASSED_OVER and not _by_styles(way.legs) and facts.left(asked.filters) > EXACT_AT_ONCE


def _by_styles(legs: Sequence[Leg]) -> bool:
    return any(leg.styles for leg in legs)
