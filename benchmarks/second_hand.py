"""Build an old second-hand database in a Postgres; and hold what a release has of it beside it.

    python benchmarks/second_hand.py build POSTGRES_URL [--items 38970] [--later 13293] [--people 2000] [--vectors VECTORS.npz]
    python benchmarks/second_hand.py check POSTGRES_URL [--home DIR] [--source second_hand]

Of the items the last `--later` came without a vector. VECTORS holds `embeddings` (float32 [n, 512], CLIP ViT-B/32), of which each item
has one, or a mixture of two; without it they are drawn. `--shape source` builds the earlier system's table, `--transactions payments`
the other table of sales. `check` reads the old database and the live release of an installation, each by itself: items, vectors (one
digest over what an item is called and its float4 bytes, on either side), stories, and each table beside the items: rows in = rows in the
release + in quarantine, what dangles by its reason. `--source` is what the release calls that database, where it has others. Exit code 1 where anything differs.
"""

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psycopg

from fashion_assets.catalog.stories.checking import unsupported
from fashion_assets.catalog.stories.story import read_story
from fashion_assets.sources.drawn.second_hand import (
    OWN,
    PADDED,
    build,
    digest_of,
    drawn_items,
    drawn_vector,
)

TABLES = {
    "users": "users",
    "user_profiles": "users",
    "wardrobe_garments": "user_wardrobe",
    "follows": "user_follows",
    "sketchbooks": "sketchbooks",
    "sketchbook_posts": "sketchbook_posts",
    "sketchbook_memberships": "sketchbook_memberships",
    "sketchbook_votes": "sketchbook_poll_votes",
    "sketchbook_reactions": "sketchbook_reactions",
    "sketchbook_comments": "sketchbook_comments",
}
"""Tables of a release all of whose rows are those of one old table."""


_OWN = "fashion_sota.garments g JOIN fashion_sota.products p ON p.product_id = g.id WHERE p.source = %s"
"""Items of one source of a release."""


class Vectors:
    """Vectors of items by place, of a file or drawn: float32 [768], made when they are asked for."""

    def __init__(self, count: int, file: Path | None) -> None:
        self._count = count
        self._held = None if file is None else np.load(file)["embeddings"].astype(np.float32)

    def get(self, place: int) -> np.ndarray | None:
        if place >= self._count:
            return None
        if self._held is None:
            return drawn_vector(place)
        first = self._held[place % len(self._held)]
        if place >= len(self._held):
            first = (
                first + np.float32(0.1 + place % 7 / 10) * self._held[(place * 7919 + 1) % len(self._held)]
            )
        vector = np.zeros(PADDED, np.float32)
        vector[:OWN] = first / np.linalg.norm(first)
        return vector


def built(given: argparse.Namespace) -> int:
    started = time.monotonic()
    items = drawn_items(given.items, later=given.later)
    vectors = Vectors(given.items - given.later, given.vectors)
    with psycopg.connect(given.postgres_url) as connection:
        made = build(
            connection,
            items,
            shape=given.shape,
            transactions=given.transactions,
            vectors=vectors,  # type: ignore[arg-type]
            people=given.people > 0,
            crowd=given.people,
        )
    print(
        f"{made.items:,} items, {made.with_vector:,} with a vector (digest {made.digest}), {made.users:,} people; "
        f"{time.monotonic() - started:,.0f} s"
    )
    return 0


def checked(given: argparse.Namespace) -> int:
    if given.home:
        os.environ["FASHION_ASSETS_HOME"] = given.home
    from fashion_assets.postgres.connections import connect
    from fashion_assets.settings import Settings

    wrong: list[str] = []

    def hold(what: str, old: object, new: object) -> None:
        print(f"{what:42} {old!s:>34} {new!s:>34}{'' if old == new else '   DIFFERENT'}")
        if old != new:
            wrong.append(what)

    def one(connection: psycopg.Connection, statement: str, *values: str) -> int:
        row = connection.execute(statement, values or None).fetchone()  # type: ignore[arg-type]
        return row[0] if row else 0

    own = given.source

    with psycopg.connect(given.postgres_url) as old, connect(Settings()) as new:
        print(f"{'':42} {'old database':>34} {'release':>34}")
        hold(
            "items",
            one(old, "SELECT count(*) FROM fashion_items"),
            one(new, f"SELECT count(*) FROM {_OWN}", own),
        )
        hold(
            "items without a vector",
            one(old, "SELECT count(*) FROM fashion_items WHERE embedding IS NULL"),
            one(new, f"SELECT count(*) FROM {_OWN} AND g.embedding IS NULL", own),
        )
        kept = dict(
            new.execute(
                f"SELECT g.old_id, g.source || ':' || g.external_id FROM {_OWN}",
                (own,),
            ).fetchall()
        )
        hold("digest of vectors", _digest(old, kept), _digest_of_release(new, own))
        stories, silent, claiming, words = 0, 0, 0, Counter[str]()
        for story, *known in _stories(new, own):
            read = read_story(story)
            if read is None:
                silent += 1
                continue
            stories += 1
            words[read.narrative] += 1
            claiming += bool(unsupported(read, known))
        hold("stories", one(old, "SELECT count(*) FROM fashion_items"), stories)
        hold("stories alike, or claiming what is not so", 0, stories - len(words) + claiming)
        print(
            f"{'persons made of sellers':42} {'':>34} {one(new, 'SELECT count(*) FROM fashion_sota.users WHERE made'):>34}"
        )
        counted = new.execute(
            "SELECT name, t.delivered, t.loaded, t.quarantined, t.dangling FROM fashion_ops.release_tables t "
            "JOIN fashion_ops.releases r USING (release) WHERE r.state = 'live' AND t.source = %s ORDER BY name",
            (own,),
        ).fetchall()
        for name, delivered, loaded, quarantined, dangling in counted:
            accounted = loaded + quarantined + sum(dangling.values())
            hold(f"{name}: rows in, accounted for", delivered, accounted)
            if name in TABLES:
                hold(
                    f"{name}: rows of the old table",
                    one(old, f"SELECT count(*) FROM {TABLES[name]}"),
                    delivered,
                )
            for reason, count in dangling.items():
                print(f"{'':4}{name}: {count:,} {reason}")
    print("different: " + "; ".join(wrong) if wrong else "nothing differs")
    return 1 if wrong else 0


def _digest(old: psycopg.Connection, kept: dict[int, str]) -> str:
    total = 0
    with old.cursor("vectors") as cursor:
        cursor.execute("SELECT id, embedding::text FROM fashion_items WHERE embedding IS NOT NULL")
        for number, text in cursor:
            total += digest_of(kept[number], np.array(text[1:-1].split(","), np.float64).astype(np.float32))
    return f"{total % 2**128:032x}"


def _digest_of_release(new: psycopg.Connection, source: str) -> str:
    total = 0
    with new.cursor("vectors") as cursor:
        cursor.execute(
            f"SELECT g.source || ':' || g.external_id, g.embedding FROM {_OWN} AND g.embedding IS NOT NULL",
            (source,),
        )
        for name, vector in cursor:
            total += digest_of(name, vector.to_numpy().astype(np.float32))
    return f"{total % 2**128:032x}"


def _stories(new: psycopg.Connection, source: str):
    with new.cursor("stories") as cursor:
        cursor.execute(
            "SELECT story, external_id, record, facts, normalized, title, brand, colour, size, condition, price::text FROM fashion_sota.products "
            "WHERE source = %s",
            (source,),
        )
        yield from cursor


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("build")
    making.add_argument("postgres_url")
    making.add_argument("--items", type=int, default=38_970)
    making.add_argument("--later", type=int, default=13_293)
    making.add_argument("--people", type=int, default=2_000)
    making.add_argument("--vectors", type=Path)
    making.add_argument("--shape", choices=("platform", "source"), default="platform")
    making.add_argument("--transactions", choices=("swaps", "payments"), default="swaps")
    making.set_defaults(call=built)
    checking = commands.add_parser("check")
    checking.add_argument("postgres_url")
    checking.add_argument("--home")
    checking.add_argument("--source", default="second_hand")
    checking.set_defaults(call=checked)
    given = parser.parse_args()
    return given.call(given)


if __name__ == "__main__":
    sys.exit(main())
