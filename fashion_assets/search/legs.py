"""The legs of a search: which path each vector leg takes and how far it goes, and the statement's shape and values that follow.

What belongs here: the legs of a question, the shape of its statement and the values of the placeholders. What does not: where a path leads and
what it costs (`path`), how far meaning reaches (`nearness`), the statement's text (`page_statement`), what its rows say (`paging`), reading it,
and what is done where an index is in doubt (`ways`).
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from pgvector import HalfVector

from fashion_assets.search import statements
from fashion_assets.search.asked import Asked
from fashion_assets.search.nearness import BESIDE_WORDS, cut_off, far_enough, reach
from fashion_assets.search.paging import Leg
from fashion_assets.search.path import Facts, choose, probes
from fashion_assets.search.query import MAX_LIMIT
from fashion_assets.search.statements import After, Path, Shape, VectorLeg, Walk

TOLD_AT_MOST = 200
"""Candidates whose ids are told at most, of 40 bytes each; of more it is cheaper to compare the sample first, and ask for what it promises."""


def legs_of(facts: Facts, asked: Asked, *, wide: bool = False, by_styles: bool = False) -> list[Leg]:
    """The vector leg of each space that is asked. `wide`: as many candidates before the cut-off as there may be. `by_styles`: what an index would
    be asked for is looked for among the products of the nearest styles, where these are known; so it is, too, where the index was measured not to
    suffice."""
    legs = []
    for name, vector in asked.vectors.items():
        space = facts.space(name)
        assert space is not None
        path: Path = "exact"
        promised: Callable[[], Mapping[str, float]] = dict
        tells = False
        cut, window, whole, most, bound = None, asked.window, False, False, None
        near: tuple[int, ...] = ()
        width = walked = facts.ef_search
        if name in facts.sample.vectors:
            nearness = asked.near.get(name)
            if nearness is None:
                nearness = asked.near[name] = facts.nearness(space, vector)
            width, suffices = facts.width(space, nearness)
            # Beside a text leg no more than without filters: searching wider took hybrid queries twice as long, and their page is not
            # the vectors' alone.
            # Lists are read on until enough meet the filters.
            walked = width if asked.ranked or space.lists else facts.candidates(asked.filters, width)
            if asked.ends:
                cut = cut_off(facts, nearness)
                window = MAX_LIMIT if wide else reach(facts, space, nearness, cut, asked.filters)
            if not asked.exact:
                path = choose(facts, space, nearness, asked.filters, window, walked)
            if cut is not None and asked.filters and not asked.exact:
                # One walk to the cut-off, whatever the filters: what each of them leaves can be counted of it.
                everything = reach(facts, space, nearness, cut, ())
                # Where it would end before the cut-off, only beside words, which find most of the same.
                ample = everything < MAX_LIMIT or asked.level is not None
                whole = not wide and ample and choose(facts, space, nearness, ()) == "index"
                if whole:
                    path, window = "index", everything
            if path == "index" and window >= MAX_LIMIT and asked.ends and asked.level is not None:
                window, most = BESIDE_WORDS, True
            if path != "exact" and (by_styles or not suffices):
                near = facts.styles_near(name, vector)
                if near:
                    # Among some styles what is near is not whole, whatever the filters: they are asked of each row.
                    path, whole = "styles", False
            if path != "exact" and not most:
                filters, excluded = ((), ()) if whole else (asked.filters, asked.leaves_out)
                promised = partial(probes, facts, space, nearness, filters, excluded)
                # The sample is looked at while the server is at work, where nothing hangs on it before.
                tells = not nearness.known and window <= TOLD_AT_MOST
            if path == "exact":
                bound = far_enough(facts, space, nearness, window, asked.filters) if cut is None else cut
        alone = len(facts.spaces) == 1 and set(facts.sample.vectors) == {name}
        listed, bounded = space.lists > 0, bound is not None
        shape = VectorLeg(name, space.dimension, path, cut is not None, whole, listed, alone, bounded, tells)
        if not space.lists:
            width = max(window, walked if path == "iterative" else width)
        full = most or window >= MAX_LIMIT
        legs.append(Leg(shape, vector, promised, window, cut, full, near, width, bound))
    return legs


def walk_of(legs: Sequence[Leg]) -> Walk:
    """How far indexes are read by a statement: as far as the leg needs that needs most."""
    return Walk(
        max((leg.width for leg in legs if not leg.shape.listed), default=0),
        max((leg.width for leg in legs if leg.shape.listed), default=0),
    )


def shape_of(facts: Facts, asked: Asked, legs: Sequence[Leg], matches_known: bool = False) -> Shape:
    """What decides the statement's text; `matches_known`: whether it is known how many products' words match."""
    return Shape(
        facts.release,
        tuple(leg.shape for leg in legs),
        len(asked.tiers),
        tuple(term.column for term in asked.ranked),
        bool(asked.ranked) and asked.avoid is not None,
        tuple(each.shape for each in asked.filters),
        bool(asked.excluded),
        bool(asked.hidden and asked.hidden.ids),
        bool(asked.pins),
        tuple((tuple(one.shape for one in each.filters), each.factor > 1) for each in asked.boosts),
        asked.level is not None,
        None if asked.counted is None else tuple(each for each in asked.counted if each not in asked.apart),
        matches_known and asked.counted == (),
        tuple((column, asked.beside(column)) for column in asked.apart)
        if asked.together and _at_once(legs)
        else (),
        asked.sort,
        asked.whole,
        _after(asked),
        facts.keeps_counts,
    )


def _at_once(legs: Sequence[Leg]) -> bool:
    """Whether what other filters would find can be counted in the same statement: no leg went by the filters."""
    return all(leg.shape.whole for leg in legs)


def _after(asked: Asked) -> After | None:
    if asked.after is None or asked.vectors or asked.terms:
        return None
    if asked.sort is None and asked.boosts:
        if asked.after.value is None:
            return None  # nothing was boosted when the page before was read: so many stand before it
        factor = Decimal(asked.after.value)
        return "above" if factor > 1 else "below" if factor < 1 else "id"
    if asked.sort is None:
        return "id"
    return "none" if asked.after.value is None else "value"


def parameters_of(asked: Asked, legs: Sequence[Leg]) -> dict[str, Any]:
    """The values of the statement's placeholders, by name."""
    terms = asked.ranked
    total = sum(term.importance for term in terms)
    parameters: dict[str, Any] = {
        "window": asked.window,
        "limit": asked.limit + 1,
        "offset": asked.offset,
        "any_term": " | ".join(term.tsquery for term in terms),
        "every_term": " & ".join(term.tsquery for term in asked.terms),
        "said": asked.said,
        "avoid": asked.avoid,
        "matched": asked.level.tsquery if asked.level else None,
        "excluded": list(asked.excluded),
        "hidden": asked.hidden.array if asked.hidden else None,
        "pinned": [each.hit.product_id for each in asked.pins],
        "after_value": asked.after.value if asked.after else None,
        "after_id": asked.after.product_id if asked.after else None,
        **statements.filter_parameters(asked.filters),
    }
    for place, leg in enumerate(legs):
        parameters[f"vector_{place}"] = HalfVector(leg.vector)
        # An array as Postgres writes it, which is read in C; a list would be written in Python.
        parameters[f"window_{place}"], parameters[f"cut_{place}"] = leg.window, leg.cut
        parameters[f"bound_{place}"] = leg.bound
        parameters[f"probes_{place}"] = None if leg.shape.tells else f"{{{','.join(leg.probes)}}}"
        parameters[f"styles_{place}"] = f"{{{','.join(map(str, leg.styles))}}}"
    for place, weight in enumerate(asked.weights):
        parameters[f"weight_{place}"] = weight
    for place, tier in enumerate(asked.tiers):
        parameters[f"tier_{place}"] = tier
    for place, boost in enumerate(asked.boosts):
        parameters[f"factor_{place}"] = boost.factor
        parameters |= statements.condition_parameters(boost.filters, f"boost_{place}")
    for place, term in enumerate(terms):
        parameters[f"term_{place}"] = term.tsquery
        parameters[f"value_{place}"] = term.value
        parameters[f"importance_{place}"] = term.importance / total
    return parameters
