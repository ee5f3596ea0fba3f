"""What is known of a person's taste: favourites that came with the catalogue, what they like and do here, the style they state.

What belongs here: reading it, making vectors of it by space, and putting a page of hits into an order that suits the person a little. What
does not: the formulas (`taste`), recommendations (`people`).

Favourites are read as a reader, as all of a release is. What people do here lies in no release and is nobody else's to read, so it is
read with the rights of the connection itself; where these do not reach it, nothing of it is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import psycopg

from fashion_assets.search import statements
from fashion_assets.search.filters import SearchError
from fashion_assets.search.path import Facts
from fashion_assets.search.query import Found, Hit, Query, Results
from fashion_assets.search.ranked_statement import RANK_CONSTANT
from fashion_assets.search.reading import Statement, array
from fashion_assets.search.served import ServedReleases
from fashion_assets.search.taste import ACTS, LIKE, Act, Leaning, away_from, tastes, weight
from fashion_assets.search.work import Read, Work
from fashion_assets.warehouse.feedback import MOST_PER_PERSON

FAVOURITES = 500
"""Favourites that are looked at, of those a person has; with what they did here twice as many."""

LIFT = 0.3
"""What a person's taste weighs beside the order that everybody has, by reciprocal ranks: on a page of 24 a hit rises or falls by six
places at the most, on one of 10 by two."""

LEG = "person"
"""What is said to have brought a hit to its place, in explanations."""

# Of a release built before styles were kept, `style` is the null beside it.
_PERSON = """
SELECT ARRAY(
    SELECT style FROM {other} u WHERE u.user_id = %(user)s AND (%(source)s::text IS NULL OR u.source = %(source)s) ORDER BY u.source
) FROM (SELECT NULL::jsonb AS style) AS unknown
"""

_FAVOURITES = """
SELECT p.product_id::text, p.embedding_space, p.embedding, p.title, p.gender FROM {other} f
LEFT JOIN {products} p USING (product_id)
WHERE f.user_id = %(user)s AND (%(source)s::text IS NULL OR f.source = %(source)s)
ORDER BY f.product_id LIMIT %(rows)s
"""

_OWNED = """
SELECT DISTINCT product_id::text FROM {other}
WHERE user_id = %(user)s AND (%(source)s::text IS NULL OR source = %(source)s) AND product_id IS NOT NULL
"""

_VECTORS = """
SELECT product_id::text, embedding_space, embedding, gender FROM {products}
WHERE product_id = ANY(%(ids)s::uuid[]) AND embedding IS NOT NULL
"""

_FEEDBACK = b"""
SELECT product_id::text, opinion, coalesce(extract(epoch FROM now() - opinion_at), 0)::float8 / 86400,
       carts, saves, clicks, views, extract(epoch FROM now() - at)::float8 / 86400
FROM fashion_ops.feedback WHERE person = %(user)s ORDER BY opinion IS NULL, at DESC, product_id LIMIT %(rows)s
"""


@dataclass(frozen=True)
class Preferences:
    """What is known of one person, in one release."""

    liked: tuple[Leaning, ...]
    disliked: tuple[Leaning, ...]
    excluded: tuple[str, ...]
    """Products not to be recommended: what they have or like already, and what they dislike."""
    styles: tuple[Mapping[str, Sequence[str]] | None, ...]
    """What they state, by source."""
    is_known: bool
    made_of: str
    """In words: `3 favourites, 2 likes and 5 clicks, away from 1 dislike`; empty where nothing is liked."""

    def tastes(self) -> dict[str, np.ndarray]:
        """By space, unit vectors [k, d] of what the person likes, away from what they dislike."""
        made = {}
        for space in dict.fromkeys(each.space for each in self.liked):
            liked = [each for each in self.liked if each.space == space]
            disliked = [each for each in self.disliked if each.space == space]
            centres = tastes(_vectors(liked), _weights(liked))
            made[space] = away_from(centres, _vectors(disliked), _weights(disliked)) if disliked else centres
        return made


def _vectors(leanings: Sequence[Leaning]) -> np.ndarray:
    return np.stack([each.vector for each in leanings])


def _weights(leanings: Sequence[Leaning]) -> np.ndarray:
    return np.array([each.weight for each in leanings], np.float32)


def require_id(person: str) -> None:
    """Raise `SearchError` for what is no person's id."""
    if "\0" in person or not person:
        raise SearchError("there is no person without an id, or with a NUL character in it")


def preferences(
    releases: ServedReleases, facts: Facts, person: str, source: str | None = None
) -> Work[Preferences]:
    """What is known of a person, by the id a source has for them (of one source, or of any), or by that of a visit."""
    acts = yield from _acts(person)
    asked = {"user": person, "source": source, "rows": FAVOURITES}
    ((styles,),), favourites, of_acts = yield from releases.read(
        facts,
        [
            Statement(statements.on_products(facts.release, _PERSON, "users"), asked),
            Statement(statements.on_products(facts.release, _FAVOURITES), asked),
            Statement(
                statements.on_products(facts.release, _VECTORS), {"ids": [each.product_id for each in acts]}
            ),
        ],
    )
    owned = [row[0] for row in favourites if row[0] is not None]
    if len(favourites) == FAVOURITES:
        # Those not looked at are not to be recommended either.
        (rows,) = yield from releases.read(
            facts, [Statement(statements.on_products(facts.release, _OWNED), asked)]
        )
        owned = [product_id for (product_id,) in rows]
    said = {each.product_id for each in acts if each.opinion is not None}
    liked = [
        Leaning(product_id, space, array(vector), LIKE, gender)
        for product_id, space, vector, _, gender in favourites
        # Who says here what they think of it says it later.
        if vector is not None and product_id not in said
    ]
    counted = {"favourites": len(liked)}
    there = {product_id: (space, array(vector), gender) for product_id, space, vector, gender in of_acts}
    disliked: list[Leaning] = []
    strongest = sorted((act for act in acts if act.product_id in there), key=lambda each: -abs(weight(each)))
    for act in strongest:
        leanings = disliked if act.is_disliked else liked
        leans = abs(weight(act))
        if not leans or len(leanings) >= 2 * FAVOURITES:
            continue
        space, vector, gender = there[act.product_id]
        leanings.append(Leaning(act.product_id, space, vector, leans, gender))
        for name, number in _told(act):
            counted[name] = counted.get(name, 0) + number
    excluded = dict.fromkeys(
        [*owned, *(each.product_id for each in acts if each.opinion or dict(each.times).get("cart"))]
    )
    return Preferences(
        tuple(liked),
        tuple(disliked),
        tuple(excluded),
        tuple(styles),
        bool(styles or favourites or acts),
        _in_words(counted) if liked else "",
    )


def _acts(person: str) -> Work[list[Act]]:
    statement = Statement(_FEEDBACK, {"user": person, "rows": MOST_PER_PERSON})
    try:
        (rows,) = yield Read([statement], {})
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable):
        return []
    return [
        Act(product_id, opinion, opinion_days, tuple(zip(ACTS, times, strict=True)), days)
        for product_id, opinion, opinion_days, *times, days in rows
    ]


def _told(act: Act) -> list[tuple[str, int]]:
    """What counts of an act, and how often: an opinion alone, else what was done."""
    if act.opinion is not None:
        return [(f"{act.opinion}s", 1)]
    return [(f"{kind}s", times) for kind, times in act.times if times]


def _in_words(counted: Mapping[str, int]) -> str:
    order = ("favourites", "likes", "carts", "saves", "clicks", "views")
    parts = [_many(counted[name], name) for name in order if counted.get(name)]
    listed = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    away = counted.get("dislikes", 0)
    return f"{listed}, away from {_many(away, 'dislikes')}" if away else listed


def _many(number: int, name: str) -> str:
    return f"{number} {name if number != 1 or name == 'favourites' else name[:-1]}"


# A search, in an order that suits somebody


def lifted(releases: ServedReleases, facts: Facts, query: Query, found: Work[Results]) -> Work[Results]:
    """A page of hits, in which those that the query's person likes stand somewhat further up.

    The page has the same hits for everybody: nothing is found less, no hit comes twice on another page, and a taste that changes between two pages
    moves no hit from one to the other. Places are fused by reciprocal ranks, as legs are (Cormack, Clarke, Buettcher, SIGIR 2009); `LIFT` is the
    weight of the person's ranks. A hit in none of the person's spaces keeps its own place in them, too.
    """
    results = yield from found
    if query.person is None or not query.has_meaning or query.sort != "relevance" or not results.hits:
        return results
    require_id(query.person)
    known = yield from preferences(releases, facts, query.person)
    if not known.liked:
        return _noting(results, "the order is everybody's, as nothing is known that the person likes")
    ids = [hit.product_id for hit in results.hits]
    (rows,) = yield from releases.read(
        facts, [Statement(statements.on_products(facts.release, _VECTORS), {"ids": ids})]
    )
    likeness = _likeness(known.tastes(), rows)
    return _noting(
        replace(results, hits=in_order(results.hits, likeness)),
        f"each page is ordered a little by what the person likes: {known.made_of}",
    )


def _likeness(liked: Mapping[str, np.ndarray], rows: Sequence[tuple]) -> dict[str, float]:
    """Of products, as `_VECTORS` reads them, the cosine similarity to the nearest taste."""
    return {
        product_id: float((liked[space] @ array(vector)).max())
        for product_id, space, vector, _ in rows
        if space in liked
    }


def in_order(hits: Sequence[Hit], likeness: Mapping[str, float]) -> tuple[Hit, ...]:
    """Hits in the order that follows from their places and from how near each is to what somebody likes. What a merchant pinned stays
    where it is."""
    moving = [place for place, hit in enumerate(hits) if not any(each.action == "pin" for each in hit.rules)]
    of_them = [hits[place].product_id for place in moving]
    nearest = sorted((each for each in of_them if each in likeness), key=lambda each: -likeness[each])
    ranks = {product_id: rank for rank, product_id in enumerate(nearest, 1)}
    lifts = [
        LIFT / (RANK_CONSTANT + ranks.get(product_id, place)) for place, product_id in enumerate(of_them, 1)
    ]
    scores = [1.0 / (RANK_CONSTANT + place) + lift for place, lift in enumerate(lifts, 1)]
    order = sorted(range(len(moving)), key=lambda place: -scores[place])
    ordered = list(hits)
    for place, was in zip(moving, order, strict=True):
        ordered[place] = _lifted(hits[moving[was]], ranks.get(of_them[was]), lifts[was])
    return tuple(ordered)


def _lifted(hit: Hit, rank: int | None, lift: float) -> Hit:
    if rank is None:
        return hit
    # Without a distance or a share of words: those are of the question.
    return replace(hit, explanation=(*hit.explanation, Found(LEG, rank, lift)))


def _noting(results: Results, note: str) -> Results:
    return replace(results, plan=replace(results.plan, notes=(*results.plan.notes, note)))
