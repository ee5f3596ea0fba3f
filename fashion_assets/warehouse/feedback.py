"""What people think of products and do with them: likes, dislikes, and how often they look.

What belongs here: adding to it, letting it go by age or by person, counting it. What does not: who may (`serving.api`), what follows from
it (`search.preferences`).

There is one row for each person and product, however often somebody looks: an opinion, which is a like or a dislike and never both, and
counts. It names products by the id they have in every release, so that it outlives each. A person is an id and nothing else; it is
personal all the same, so no role but the owner's reads it, and `forget` takes all of it away.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid5

import psycopg

from fashion_assets.errors import FashionAssetsError
from fashion_assets.warehouse.searches import kept_words

Kind = Literal["like", "dislike", "neither", "view", "click", "save", "cart"]
"""What somebody did. `neither` takes a like or a dislike back."""

OPINIONS = ("like", "dislike", "neither")

COUNTED = {"view": "views", "click": "clicks", "save": "saves", "cart": "carts"}
"""Kinds that are counted, and their columns."""

MOST_PER_PERSON = 1_000
"""Products of which it is known what one person thinks or did; those without an opinion go first, then the oldest."""

EVENTS_KEPT_DAYS = 7
"""For how long an event that is sent again is known by its id."""

PERSON_LENGTH = 128

_PERSON = re.compile(rf"[A-Za-z0-9._:|~-]{{1,{PERSON_LENGTH}}}")


class FeedbackError(FashionAssetsError, ValueError):
    """What was said of a product cannot be kept as it is."""


@dataclass(frozen=True)
class Event:
    """Something a person did with a product.

    Args:
        person: see `require_person`.
        product: the product's id.
        event: what tells this event from every other of the person's, where it may be sent twice.
        words: what was searched for before; kept as searches are (`searches.kept_words`).
        place: of the product in what was found, from 1.
    """

    person: str
    product: UUID
    kind: Kind
    event: UUID | None = None
    words: str = ""
    place: int | None = None


class Noted(NamedTuple):
    """What became of events, by their places."""

    noted: list[int]
    repeated: list[int]
    """Known already by their ids."""
    unknown: list[int]
    """Of products that no release ever had."""


class Counts(NamedTuple):
    """What is kept altogether."""

    people: int
    products: int
    kinds: dict[str, int]
    """How often, by kind; `neither` is nowhere."""


def is_person(text: str) -> bool:
    """Whether a text may be a person's id: it has no blanks and no @, as names and addresses have."""
    return _PERSON.fullmatch(text) is not None


def require_person(person: str) -> str:
    """A person's id, as it came. Raises `FeedbackError` for what is none (`is_person`)."""
    if not is_person(person):
        raise FeedbackError(
            f"a person is named by an id of 1 to {PERSON_LENGTH} letters, digits and . _ : | ~ - ; not by a name or an address"
        )
    return person


def is_session(person: str) -> bool:
    """Whether a person's id is one drawn at random (a UUID of version 4), which nobody knows who was not told."""
    try:
        return UUID(person).version == 4 and str(UUID(person)) == person
    except ValueError:
        return False


@dataclass
class _Row:
    """What events add to one row."""

    opinion: str | None = None
    changes: bool = False
    words: str = ""
    place: int | None = None

    def __post_init__(self) -> None:
        self.counts = dict.fromkeys(COUNTED.values(), 0)

    def add(self, event: Event) -> None:
        if event.kind in OPINIONS:
            self.opinion, self.changes = None if event.kind == "neither" else event.kind, True
        else:
            self.counts[COUNTED[event.kind]] += 1
        self.words, self.place = event.words or self.words, event.place or self.place


_WRITE = """
INSERT INTO fashion_ops.feedback AS known
    (person, product_id, opinion, opinion_at, views, clicks, saves, carts, words, place)
VALUES (%(person)s, %(product)s, %(opinion)s, CASE WHEN %(opinion)s::text IS NOT NULL THEN now() END,
        %(views)s, %(clicks)s, %(saves)s, %(carts)s, %(words)s, %(place)s)
ON CONFLICT (person, product_id) DO UPDATE SET
    opinion = CASE WHEN %(changes)s THEN excluded.opinion ELSE known.opinion END,
    opinion_at = CASE WHEN %(changes)s THEN excluded.opinion_at ELSE known.opinion_at END,
    views = known.views + excluded.views, clicks = known.clicks + excluded.clicks,
    saves = known.saves + excluded.saves, carts = known.carts + excluded.carts,
    words = CASE WHEN excluded.words = '' THEN known.words ELSE excluded.words END,
    place = coalesce(excluded.place, known.place), at = now()
"""

_EMPTY = """
DELETE FROM fashion_ops.feedback WHERE person = %s AND opinion IS NULL AND views + clicks + saves + carts = 0
"""

# Those somebody writes at this moment are passed over: to wait for two of them in another order would be for ever.
_TOO_MANY = """
DELETE FROM fashion_ops.feedback f USING (
    SELECT product_id FROM fashion_ops.feedback
    WHERE person = %(person)s AND product_id IN (
        SELECT product_id FROM fashion_ops.feedback WHERE person = %(person)s
        ORDER BY opinion IS NULL, at DESC, product_id OFFSET %(most)s)
    FOR UPDATE SKIP LOCKED
) AS beyond WHERE f.person = %(person)s AND f.product_id = beyond.product_id
"""


def note(conn: psycopg.Connection[Any], events: Sequence[Event]) -> Noted:
    """Add events, in their order, in the caller's transaction. Whatever is sent twice with the same event id counts once, whoever
    sends it meanwhile."""
    for each in events:
        require_person(each.person)
    known = _known(conn, {each.product for each in events})
    unknown = [place for place, each in enumerate(events) if each.product not in known]
    repeated = _repeated(conn, events, set(unknown))
    left_out = {*unknown, *repeated}
    noted = [place for place in range(len(events)) if place not in left_out]
    rows: dict[tuple[str, UUID], _Row] = {}
    for place in noted:
        event = events[place]
        rows.setdefault((event.person, event.product), _Row()).add(event)
    # In one order, so that two who write at once wait for each other rather than for ever.
    conn.cursor().executemany(
        _WRITE,
        [
            {
                **{"person": person, "product": product, "opinion": row.opinion, "changes": row.changes},
                **{**row.counts, "words": kept_words(row.words), "place": row.place},
            }
            for (person, product), row in sorted(rows.items(), key=lambda item: item[0])
        ],
    )
    taken_back = {
        person for (person, _), row in rows.items() if row.opinion is None and not any(row.counts.values())
    }
    for person in sorted({person for person, _ in rows}):
        if person in taken_back:
            conn.execute(_EMPTY, (person,))
        conn.execute(_TOO_MANY, {"person": person, "most": MOST_PER_PERSON})
    return Noted(noted, repeated, unknown)


def _known(conn: psycopg.Connection[Any], products: set[UUID]) -> set[UUID]:
    rows = conn.execute(
        "SELECT DISTINCT product_id FROM fashion_ops.id_map WHERE product_id = ANY(%s)", (list(products),)
    ).fetchall()
    return {product for (product,) in rows}


def _repeated(conn: psycopg.Connection[Any], events: Sequence[Event], left_out: set[int]) -> list[int]:
    """Places of events that are known, or come a second time; the others are known from now on."""
    first: dict[UUID, int] = {}
    repeated = []
    for place, each in enumerate(events):
        if each.event is None or place in left_out:
            continue
        # Of one person's alone: nobody keeps another's from being taken by sending its id before.
        own = uuid5(each.event, each.person)
        if own in first:
            repeated.append(place)
        else:
            first[own] = place
    if not first:
        return repeated
    new = conn.execute(
        "INSERT INTO fashion_ops.feedback_events (event) SELECT unnest(%s::uuid[]) ON CONFLICT DO NOTHING RETURNING event",
        (sorted(first),),
    ).fetchall()
    fresh = {event for (event,) in new}
    return sorted([*repeated, *(place for own, place in first.items() if own not in fresh)])


def forget(conn: psycopg.Connection[Any], person: str) -> int:
    """Take away all that is kept of a person, in the caller's transaction; of how many products it was. What was sent before is not
    taken again: its event ids, of which nobody can tell whose they are, are known on. Raises `FeedbackError` for what is no id."""
    return conn.execute(
        "DELETE FROM fashion_ops.feedback WHERE person = %s", (require_person(person),)
    ).rowcount


def prune(conn: psycopg.Connection[Any], days: int) -> int:
    """Let go what nothing was added to for so many days, and event ids nobody will send again; of how many rows it was."""
    conn.execute(
        "DELETE FROM fashion_ops.feedback_events WHERE at < now() - make_interval(days => %s)",
        (EVENTS_KEPT_DAYS,),
    )
    return conn.execute(
        "DELETE FROM fashion_ops.feedback WHERE at < now() - make_interval(days => %s)", (days,)
    ).rowcount


def counts(conn: psycopg.Connection[Any]) -> Counts:
    """How much is kept. Reads all of it."""
    row = conn.execute(
        """
        SELECT count(DISTINCT person), count(DISTINCT product_id), count(*) FILTER (WHERE opinion = 'like'),
               count(*) FILTER (WHERE opinion = 'dislike'), coalesce(sum(views), 0)::bigint, coalesce(sum(clicks), 0)::bigint,
               coalesce(sum(saves), 0)::bigint, coalesce(sum(carts), 0)::bigint
        FROM fashion_ops.feedback
        """
    ).fetchone()
    assert row is not None
    people, products, *numbers = row
    return Counts(people, products, dict(zip(("like", "dislike", *COUNTED), numbers, strict=True)))
