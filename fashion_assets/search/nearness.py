"""How near a product must be to what is asked for to count as found.

What belongs here: the cut-off, read off a release's sample, and how many products will be within it. What does not: choosing how to
search (`path`), the statements.

A vector search has no end of its own: every product has a distance. Where it ends is a share of the way from what any product is like to what
the nearest ones are. Any product is the mean of the sample's similarities to the question; the nearest are the mean of the sample's three
nearest. So it follows the space, the release and the kind of question: words lie farther from every product than pictures do.

Of 39,976 products and the package's 210 queries as words (`benchmarks/queries.json`), the vectors alone:

| share of the way | products found: 5 %, median, 95 % of the queries | of them relevant | relevant ones found |
|---|---|---|---|
| 0.95 | 24, 61, 158 | 0.62 | 0.28 |
| 0.90 | 41, 106, 357 | 0.58 | 0.39 |
| 0.85 | 63, 171, 653 | 0.53 | 0.49 |
| 0.80 | 96, 254, 857 | 0.47 | 0.57 |

At 0.85 a product at the edge is as likely relevant as not, and full text brings the other half. Ends that ask the whole release for its ten
nearest first do no better (0.53 and 0.52), and a number of standard deviations above the mean does worse (0.28 relevant at 2.5).
"""

import math
from collections.abc import Sequence

import numpy as np

from fashion_assets.search.filters import Filter
from fashion_assets.search.path import Facts, Space
from fashion_assets.search.query import MAX_LIMIT
from fashion_assets.search.sample_vectors import Nearness

SHARE_OF_THE_WAY = 0.85

FEWEST = 50
"""Nearest products that are found however far they are: a small shop has few of anything."""


BESIDE_WORDS = 400
"""Nearest products looked at where more are within the cut-off than can be looked at, and words find most of them anyway ("shirts"). They are
not held against the sample: thousands are as near, and which of them come first hangs on the words."""


def cut_off(facts: Facts, nearness: Nearness) -> float | None:
    """The largest cosine distance at which a product is found; `nearness` is the sample's to the question. None where all of
    them are."""
    if len(nearness) * _scale(facts) <= FEWEST:
        return None
    within = nearness.mean + SHARE_OF_THE_WAY * (nearness.best - nearness.mean)
    _, nearest = nearness.nearest(math.ceil(FEWEST / _scale(facts)))
    return 1 - min(within, float(nearest[-1]))


def reach(
    facts: Facts, space: Space, nearness: Nearness, cut: float | None, filters: Sequence[Filter]
) -> int:
    """So many nearest products reach beyond the cut-off, as far as the sample tells (at 95 %); no more than `MAX_LIMIT`."""
    if cut is None:
        return MAX_LIMIT
    seen = nearness.at_least(1 - cut, _among(facts, space, filters))
    scale = _scale(facts)
    # Two standard deviations of what was counted, and three where nothing was (Poisson); the whole release is no matter of chance.
    unseen = 2 * math.sqrt(seen) + 3 if scale > 1 else 1
    return min(MAX_LIMIT, math.ceil(scale * (seen + unseen)))


def far_enough(
    facts: Facts, space: Space, nearness: Nearness, window: int, filters: Sequence[Filter]
) -> float | None:
    """A cosine distance within which the `window` nearest are of what the filters leave, as far as the sample tells; None where it is too small to
    tell, or most would be within it.

    Of the sample so many are among the `window` nearest as a Poisson distribution has it; that more are than are counted off here happens
    at most in one of some thousand questions. So whoever asks for the nearest within it looks whether there are as many.
    """
    expected = window / _scale(facts)
    place = math.ceil(expected + 3 * math.sqrt(expected) + 5)
    among = _among(facts, space, filters)
    if (len(nearness) if among is None else int(among.sum())) < 2 * place:
        return None
    _, nearest = nearness.nearest(place, among)
    return 1 - float(nearest[-1])


def _among(facts: Facts, space: Space, filters: Sequence[Filter]) -> np.ndarray | None:
    """Which of the sample's products in a space meet the filters, bool [n]; None: all."""
    return facts.meeting(filters)[facts.sample.positions[space.name]] if filters else None


def _scale(facts: Facts) -> float:
    return max(1.0, facts.products / max(1, len(facts.sample.rows)))
