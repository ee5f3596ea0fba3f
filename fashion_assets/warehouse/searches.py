"""What was searched for: counts by day, release, kind and words.

What belongs here: adding to the counts, reading them, letting old ones go; and what of words is kept. What does not: collecting them while
requests go on (`serving.analytics`), what a merchant makes of them.

Nobody is in it: no address, no person's id, no time but the day. Words that may name somebody are not kept: their search is counted
without them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg import sql

Kind = Literal["words", "picture", "product", "mixed", "filters"]

MAX_WORDS = 100
"""Characters of the words that are kept."""

_PERSONAL = re.compile(
    r"\S*@\S+"  # an e-mail address, or a name of some network
    r"|(?:\+|\b00)?(?:\d[ ()./-]{0,2}){6,}\d"  # seven digits and more: a telephone number, a card, an account
    r"|\b(?:https?|ftp)://|\bwww\.",
    re.IGNORECASE,
)


class Key(NamedTuple):
    """What counts are kept by."""

    day: date
    release: str
    kind: str
    words: str


@dataclass
class Counts:
    """How often something was searched for."""

    searches: int = 0
    without_hits: int = 0
    clicks: int = 0
    """Hits that were opened."""
    places: int = 0
    """The sum of their places, from 1."""

    def add(self, more: "Counts") -> None:
        """Count what was counted elsewhere."""
        self.searches += more.searches
        self.without_hits += more.without_hits
        self.clicks += more.clicks
        self.places += more.places


class Asked(NamedTuple):
    """Words, and how often they were searched for over some days."""

    words: str
    searches: int
    without_hits: int
    last_day: date
    clicks: int = 0
    mean_place: float | None = None
    """Of the hits that were opened, from 1; None where none was."""


def kept_words(words: str) -> str:
    """What is kept of a search's words: in lower case, cut to `MAX_WORDS` characters; nothing where they may be personal."""
    plain = " ".join(words.replace("\0", " ").lower().split())
    return "" if _PERSONAL.search(plain) else plain[:MAX_WORDS].rstrip()


def add(conn: psycopg.Connection[Any], counts: Mapping[Key, Counts]) -> None:
    """Add to the counts, in the caller's transaction."""
    # In one order, so that two who add at once wait for each other rather than for ever.
    rows = [
        (*key, each.searches, each.without_hits, each.clicks, each.places)
        for key, each in sorted(counts.items(), key=lambda item: item[0])
    ]
    conn.cursor().executemany(
        "INSERT INTO fashion_ops.searches AS known (day, release, kind, words, searches, without_hits, clicks, places) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (day, release, kind, words) DO UPDATE SET "
        "searches = known.searches + excluded.searches, without_hits = known.without_hits + excluded.without_hits, "
        "clicks = known.clicks + excluded.clicks, places = known.places + excluded.places",
        rows,
    )


def prune(conn: psycopg.Connection[Any], days: int) -> int:
    """Let counts go that are older than so many days; how many went."""
    return conn.execute(
        "DELETE FROM fashion_ops.searches WHERE day < (now() AT TIME ZONE 'UTC')::date - %s::int", (days,)
    ).rowcount


def asked(
    conn: psycopg.Connection[Any],
    *,
    without_hits: bool = False,
    release: str | None = None,
    days: int = 30,
    limit: int = 100,
) -> list[Asked]:
    """The words most searched for in the last days, the most frequent first; of one release, or of all; with `without_hits`, those that
    found nothing, by how often they did."""
    counted = sql.Identifier("without_hits" if without_hits else "searches")
    rows = conn.execute(
        sql.SQL(
            "SELECT words, sum(searches)::bigint, sum(without_hits)::bigint, max(day), sum(clicks)::bigint, "
            "(sum(places) / nullif(sum(clicks), 0))::float8 FROM fashion_ops.searches "
            "WHERE words <> '' AND (%(release)s::text IS NULL OR release = %(release)s) "
            "AND day > (now() AT TIME ZONE 'UTC')::date - %(days)s::int "
            "GROUP BY words HAVING sum({counted}) > 0 ORDER BY sum({counted}) DESC, words LIMIT %(limit)s"
        ).format(counted=counted),
        {"release": release, "days": days, "limit": limit},
    ).fetchall()
    return [Asked(*row) for row in rows]
