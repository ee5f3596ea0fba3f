"""What a person may like.

What belongs here: recommendations from what they like and the style they state. What does not: what that is (`preferences`, `taste`), how a
vector search goes (`answering`), what goes with a product (`looks`), choosing unlike hits (`diversity`).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from fashion_assets.search import statements, words
from fashion_assets.search.answering import Answering, Asked
from fashion_assets.search.diversity import spread_out
from fashion_assets.search.filters import AnyOf, Filter, SearchError
from fashion_assets.search.path import Facts
from fashion_assets.search.preferences import Preferences, preferences, require_id
from fashion_assets.search.query import Hit, Plan, Results
from fashion_assets.search.reading import Statement
from fashion_assets.search.work import Compute, Work

CANDIDATES = 50
"""Products looked at for each taste."""


_POPULAR = """
SELECT product_id::text FROM {other} WHERE product_id IS NOT NULL
GROUP BY product_id ORDER BY count(*) DESC, product_id LIMIT %(rows)s
"""


def recommend(
    answering: Answering, user_id: str, source: str | None, limit: int, release: str | None = None
) -> Work[Results]:
    """See `SearchEngine.recommend`."""
    require_id(user_id)
    results = yield from answering.releases.on(
        release, lambda facts: _recommend(answering, facts, user_id, source, limit)
    )
    return answering.releases.told(results)


def _recommend(
    answering: Answering, facts: Facts, user_id: str, source: str | None, limit: int
) -> Work[Results]:
    known = yield from preferences(answering.releases, facts, user_id, source)
    if not known.is_known:
        raise SearchError(f"there is no person {user_id[:80]!r} in {facts.release}")
    style = _together(known.styles)
    if known.liked:
        note = f"like {known.made_of}"
        hits, paths = yield from _like_theirs(answering, facts, known, limit)
    elif style:
        note = f"by stated style: {', '.join(value for values in style.values() for value in values)}"
        hits, paths = yield from _by_style(answering, facts, style, known.excluded)
    else:
        note = "popular, as neither favourites nor a style are known"
        if known.disliked:
            note = "popular, but for what they dislike, as nothing is known that they like"
        hits, paths = yield from _popular(answering, facts, limit, known.excluded)
    if style and not known.liked and not hits:
        note = f"popular, as nothing is there {note}"
        hits, paths = yield from _popular(answering, facts, limit, known.excluded)
    if len(hits) > limit:
        hits = yield from spread_out(
            answering.releases, facts, hits, np.array([hit.score for hit in hits]), limit
        )
    return Results(tuple(hits[:limit]), Plan(facts.release, paths, tuple(paths), notes=(note,)))


def _like_theirs(
    answering: Answering, facts: Facts, known: Preferences, limit: int
) -> Work[tuple[list[Hit], Mapping[str, str]]]:
    genders = {each.gender for each in known.liked}
    gender = next(iter(genders)) if len(genders) == 1 else None
    # Someone who only likes women's things is not shown men's; unisex goes with either.
    filters = (AnyOf("gender", (gender, "unisex")),) if gender is not None else ()
    found: dict[str, Hit] = {}
    paths: dict[str, str] = {}
    window = max(CANDIDATES, 2 * limit)
    for space, centres in known.tastes().items():
        for taste in centres:
            asked = Asked(
                {space: taste},
                filters=filters,
                excluded=known.excluded,
                window=window,
                limit=window,
                weights=(1.0,),
            )
            answered = yield from answering.answer(facts, asked)
            paths |= answered.paths
            for hit in answered.hits:
                if hit.product_id not in found or found[hit.product_id].score < hit.score:
                    found[hit.product_id] = hit
    return sorted(found.values(), key=lambda hit: (-hit.score, hit.product_id)), paths


def _by_style(
    answering: Answering, facts: Facts, style: Mapping[str, tuple[str, ...]], owned: tuple[str, ...]
) -> Work[tuple[list[Hit], Mapping[str, str]]]:
    wanted = " ".join(value for column, values in style.items() if column != "gender" for value in values)
    wanted = wanted or " ".join(style["gender"])
    filters: tuple[Filter, ...] = (
        (AnyOf("gender", (*style["gender"], "unisex")),) if "gender" in style else ()
    )
    spaces = [space.name for space in facts.spaces if space.name in answering.encoders.spaces]
    vectors = yield Compute(lambda: {space: answering.encoders.words(space, wanted) for space in spaces})
    asked = Asked(
        vectors,
        tuple(words.read(wanted)),
        filters=filters,
        excluded=owned,
        weights=(*(1.0 for _ in spaces), 1.0),
        limit=CANDIDATES,
    )
    answered = yield from answering.answer(facts, asked)
    return list(answered.hits), answered.paths


def _popular(
    answering: Answering, facts: Facts, limit: int, owned: tuple[str, ...]
) -> Work[tuple[list[Hit], Mapping[str, str]]]:
    hidden = yield from answering.curation.hidden()
    theirs = {*owned, *hidden.ids}
    (rows,) = yield from answering.releases.read(
        facts, [Statement(statements.on_products(facts.release, _POPULAR), {"rows": limit + len(theirs)})]
    )
    ids = [product_id for (product_id,) in rows if product_id not in theirs][:limit]
    (hits,) = yield from answering.releases.read(
        facts, [Statement(statements.by_ids(facts.release), {"ids": ids})]
    )
    order = {product_id: place for place, product_id in enumerate(ids)}
    found = [Hit.of(row, 0.0) for row in hits]
    if len(found) < limit:
        # Nobody likes anything yet, or too few do: the rest is a look around.
        rest = yield from answering.answer(facts, Asked(excluded=(*ids, *owned), limit=limit - len(found)))
        found += rest.hits[: limit - len(found)]
    return sorted(found, key=lambda hit: order.get(hit.product_id, len(order))), {"popular": "exact"}


def _together(styles: Sequence[Mapping[str, Sequence[str]] | None]) -> dict[str, tuple[str, ...]]:
    """The styles a person states in several sources as one."""
    style: dict[str, dict[str, None]] = {}
    for each in styles:
        for column, values in (each or {}).items():
            style.setdefault(column, {}).update(dict.fromkeys(values))
    return {column: tuple(values) for column, values in style.items()}
