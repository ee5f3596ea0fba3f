"""Hits in an order in which not one is like the other.

What belongs here: choosing by maximal marginal relevance, and the vectors that takes. What does not: which hits there are, pages (`arranging`), what a
person may like (`people`).
"""

from collections.abc import Sequence

import numpy as np

from fashion_assets.search import statements
from fashion_assets.search.path import Facts
from fashion_assets.search.query import Hit
from fashion_assets.search.reading import Statement, array
from fashion_assets.search.served import ServedReleases
from fashion_assets.search.work import Compute, Work

RELEVANCE = 0.7
"""Against novelty, in maximal marginal relevance (Carbonell, Goldstein, SIGIR 1998): the usual choice."""

NEAR_DUPLICATE = 0.98
"""Cosine similarity above which two products are the same thing shown twice."""

_VECTORS = "SELECT product_id::text, embedding_space, embedding FROM {products} WHERE product_id = ANY(%(ids)s::uuid[])"


def spread_out(
    releases: ServedReleases,
    facts: Facts,
    hits: Sequence[Hit],
    scores: np.ndarray,
    limit: int,
    relevance: float = RELEVANCE,
) -> Work[list[Hit]]:
    """So many of the hits, each chosen for its score and for being unlike those before it."""
    ids = [hit.product_id for hit in hits]
    (rows,) = yield from releases.read(
        facts, [Statement(statements.on_products(facts.release, _VECTORS), {"ids": ids})]
    )
    # One without a vector is like no other.
    vectors = {
        product_id: (product_id, np.zeros(1, np.float32)) if vector is None else (space, array(vector))
        for product_id, space, vector in rows
    }
    chosen = yield Compute(
        lambda: marginally_relevant(scores, [vectors[product_id] for product_id in ids], limit, relevance)
    )
    return [hits[place] for place in chosen]


def marginally_relevant(
    scores: np.ndarray, vectors: Sequence[tuple[str, np.ndarray]], limit: int, relevance: float = RELEVANCE
) -> list[int]:
    """Places of `limit` candidates, best first, each chosen for its score and for being unlike those before it (maximal
    marginal relevance). Scores count as shares of the best one; near-duplicates of one chosen come only where nothing else
    is left. Vectors are unit vectors with the space they are of; those of different spaces are not alike."""
    shares = scores / max(float(np.abs(scores).max(initial=0)), 1e-9)
    spaces = np.array([space for space, _ in vectors])
    together = {space: np.stack([vector for own, vector in vectors if own == space]) for space in set(spaces)}
    chosen: list[int] = []
    closest = np.zeros(len(vectors))
    left = np.ones(len(vectors), bool)
    while left.any() and len(chosen) < limit:
        value = relevance * shares - (1 - relevance) * closest - 2.0 * (closest > NEAR_DUPLICATE)
        best = int(np.where(left, value, -np.inf).argmax())
        space, vector = vectors[best]
        alike = np.zeros(len(vectors))
        # By `vecdot`: a product of matrices wakes a thread for every core, which the server needs.
        alike[spaces == space] = np.vecdot(together[space], vector)
        closest = np.maximum(closest, alike) if chosen else alike
        chosen.append(best)
        left[best] = False
    return chosen
