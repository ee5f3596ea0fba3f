"""Who asks, and what they may.

What belongs here: callers, scopes, the filters nobody can leave. What does not: how much they may ask (`limits`).
"""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import SecurityScopes

from fashion_assets.search.filters import Filter

SCOPES = {
    "search": "Search, products, pictures, styles.",
    "people": "Recommendations to people by their ids.",
    "feedback": "Say what people like, saw and clicked.",
    "releases": "Other releases than the one that is served, candidates too.",
    "merchant": "What people looked for, pins, synonyms, quarantine.",
}
"""What a key may be good for."""


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    name: str
    scopes: frozenset[str]
    within: tuple[Filter, ...] = ()
    """What everything they are told of meets."""


OPEN = Caller("open", frozenset(SCOPES))
"""Whoever asks where no key is needed."""


async def caller(request: Request, asked: SecurityScopes) -> Caller:
    """Who asks; a `Problem` where they may not."""
    return OPEN


Searcher = Annotated[Caller, Security(caller, scopes=["search"])]
"""Somebody who may search."""

Recommender = Annotated[Caller, Security(caller, scopes=["people"])]
"""Somebody who may ask about people."""

Historian = Annotated[Caller, Security(caller, scopes=["releases"])]
"""Somebody who may look at other releases."""
