"""The best hits of a search arranged otherwise than one by one: variants together, not one like the other.

What belongs here: arranging them, and cutting pages of what they become and of the hits behind them. What does not: which listings are variants
(`catalog.variants`), choosing unlike ones (`diversity`), finding hits (`answering`).

Only the best hits are arranged, as many for every page of a question (`arranged`); those behind them follow as they are. So what is found is the
same, and pages walked to the last have each hit once, as itself or among the variants of another.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from fashion_assets.catalog.variants import variant_key
from fashion_assets.search.asked import Answered, Asked
from fashion_assets.search.diversity import spread_out
from fashion_assets.search.path import Facts
from fashion_assets.search.query import MAX_LIMIT, Hit, Query, Variants
from fashion_assets.search.ranked_statement import RANK_CONSTANT
from fashion_assets.search.served import ServedReleases
from fashion_assets.search.work import Work

ARRANGED = 100
"""Hits that are arranged; of pages of more than fifty two pages' worth."""


def arranged(query: Query) -> int:
    """How many of the best hits of a query are arranged; 0: none."""
    spreads = query.diversity > 0 and query.sort == "relevance" and query.has_meaning
    return min(MAX_LIMIT, max(ARRANGED, 2 * query.limit)) if query.group or spreads else 0


def page(
    releases: ServedReleases,
    facts: Facts,
    query: Query,
    asked: Asked,
    answer: Callable[[Facts, Asked], Work[Answered]],
) -> Work[tuple[Answered, int]]:
    """What was found at all, with the hits of a page from the offset of `asked`, which counts arranged hits, and one more where there is one; and how many
    hits of the whole search stand with another one's."""
    window = arranged(query)
    first = replace(
        asked, offset=0, limit=window, after=None, whole=asked.level is not None and window > asked.window
    )
    answered = yield from answer(facts, first)
    best = list(answered.hits[:window])
    together = 0
    if query.group:
        best = grouped(best)
        together = sum(hit.variants.count for hit in best if hit.variants is not None)
    if query.diversity and query.sort == "relevance" and query.has_meaning and best:
        # By their places: what a merchant's rules move is not in the score.
        scores = RANK_CONSTANT / (RANK_CONSTANT + np.arange(len(best)))
        best = yield from spread_out(releases, facts, best, scores, len(best), 1 - query.diversity)
    wanted = asked.limit + 1
    shown = best[asked.offset : asked.offset + wanted]
    if len(answered.hits) > window and len(shown) < wanted:
        offset, limit = window + max(0, asked.offset - len(best)), wanted - len(shown)
        whole = asked.level is not None and offset + limit > asked.window
        behind = replace(first, offset=offset, limit=limit, counted=(), whole=whole)
        rest = yield from answer(facts, behind)
        shown += rest.hits[:limit]
    return replace(answered, hits=tuple(shown), keys=()), together


def grouped(hits: Sequence[Hit]) -> list[Hit]:
    """Hits without those that are variants of a better one, which has them."""
    groups: dict[object, list[Hit]] = {}
    for hit in hits:
        key = variant_key(hit.title, hit.brand, hit.gender, hit.article_type)
        groups.setdefault(hit.product_id if key is None else key, []).append(hit)
    return [
        replace(best, variants=Variants(len(others), tuple(each.product_id for each in others)))
        if others
        else best
        for best, *others in groups.values()
    ]
