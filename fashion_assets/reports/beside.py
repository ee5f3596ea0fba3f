"""The live release and a candidate side by side, briefly: what a candidate's report says of them.

What belongs here: which queries are asked within the time there is, and what is told of the answers. What does not: asking and comparing
(`proof.shadow`), the page of both at length (`reports.shadow`). It is told, and holds nothing up: what has to hold is a criterion.
"""

from collections.abc import Iterable
from typing import Any

import psycopg

from fashion_assets.proof.sent import usual
from fashion_assets.proof.shadow import Asked, shadow
from fashion_assets.reports.shadow import page_of
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.query import Hit
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.releases import Release

QUERIES = 20
"""Queries asked, the most frequent."""

ROUNDS = 2
"""Times each is asked of both."""

SECONDS = 1.5
"""After which no further query is begun. On 40,000 products all are asked in a third of that."""

TOLD = 8
"""Queries that are told, those that differ most."""

NAMED = 3
"""Products named of those that came, and of those that went."""


def beside(conn: psycopg.Connection, settings: Settings, release: Release) -> dict[str, Any] | None:
    """What the live release and a candidate answer to the queries people send, JSON-friendly; None where nothing is live, or the release is no
    candidate. Where they cannot be asked: why (`unknown`)."""
    live = releases.live(conn)
    if live is None or release.state != "candidate":
        return None
    at_length = {
        "command": f"fashion-assets shadow {live.release} {release.release} --open",
        "page": page_of(settings, live, release).name,
    }
    try:
        with conn.transaction(), SearchEngine.open(settings, size=1) as engine:
            queries, queries_of = usual(conn, QUERIES)
            found = shadow(engine, conn, live, release, queries, queries_of, rounds=ROUNDS, seconds=SECONDS)
    except Exception as error:  # a damaged candidate may break a search in any way, and is to be reported on
        return {**at_length, "unknown": (str(error) or type(error).__name__).partition("\n")[0]}
    differ = [each for each in found.worst_first if each.answers_differ]
    return {
        **at_length,
        **found.figures(),
        "differ": len(differ),
        "asked": [_told(each) for each in differ[:TOLD]],
    }


def _told(asked: Asked) -> dict[str, Any]:
    compared = asked.compared
    return {
        "query": asked.sent.label,
        "times": asked.sent.times,
        "overlap": round(compared.overlap, 4),
        "rbo": round(compared.rbo, 4),
        "came": len(compared.came),
        "went": len(compared.went),
        "moved": len(compared.moved),
        "named_came": _names(asked.other.hits, compared.came),
        "named_went": _names(asked.former.hits, compared.went),
        "error": asked.other.error or asked.former.error,
    }


def _names(hits: Iterable[Hit], of: Iterable[str]) -> list[str]:
    titles = {hit.product_id: hit.title for hit in hits}
    return [titles[product] or "no title" for product in of][:NAMED]
