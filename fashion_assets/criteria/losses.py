"""What of the live release would be gone with another one in its place.

What belongs here: counting it, by source, in the database. What does not: letting it be lost on purpose (`release.swap`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import psycopg
from psycopg import sql

from fashion_assets.criteria.verdict import Finding, holds, not_applicable
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.releases import Release

NOTHING_MUCH_IS_LOST = "nothing_much_is_lost"
"""Name of the criterion: it is accepted by this name where so much is meant to be gone."""

TABLES = {
    "products": ("external_id",),
    "favourites": ("user_id", "external_id"),
    "users": ("user_id",),
}
"""Tables of a release whose rows are looked for in the other one, and what they are known by within their source. Of other
declared tables only how many rows there are is compared, by source."""

EXAMPLES = 5
"""Lost products a verdict names."""


class Loss(NamedTuple):
    """How many of something a source has no more."""

    what: str
    source: str
    gone: int
    of: int

    @property
    def share(self) -> float:
        return self.gone / self.of

    def is_much(self, most: float) -> bool:
        """Whether it is more than this share. One is never much, however few there are."""
        return self.gone > 1 and self.share > most

    def __str__(self) -> str:
        return f"{self.gone:,} of {self.of:,} {self.what} are gone (source {self.source})"


def losses(conn: psycopg.Connection, live: Release, other: Release) -> list[Loss]:
    """What each source of the live release would lose to the other release: those that lose nothing too, in the order of
    `TABLES`, listings behind products. A drawn sample that is no longer active is no loss.

    By what things are called, not by their numbers: where one comes for each that goes, all are gone.
    """
    found = []
    for table, keys in TABLES.items():
        found += [Loss(table, *row) for row in _missing(conn, live, other, table, keys)]
        if table == "products":
            found += [Loss("listings", *row) for row in _missing_listings(conn, live, other)]
    found += [Loss(table, *row) for table, row in _fewer_rows(conn, live, other)]
    forgotten = {
        row[0]
        for row in conn.execute(
            "SELECT name FROM fashion_ops.sources WHERE kind = 'sample' AND NOT active"
        ).fetchall()
    }
    return [loss for loss in found if loss.of and loss.source not in forgotten]


def finding(conn: psycopg.Connection, release: Release, most: float) -> Finding:
    """Whether no source loses more than this share of anything (`losses`) if the release takes the live one's place. The value
    is the largest share."""
    live = releases.live(conn)
    if live is None:
        return not_applicable("nothing is live yet, so nothing can be lost")
    if live.release == release.release:
        return not_applicable("it is the live release itself")
    if not _is_there(conn, live):
        return not_applicable(f"the tables of {live.release}, which is live, are not there")
    found = losses(conn, live, release)
    much = [loss for loss in found if loss.is_much(most)]
    some = [str(loss) for loss in found if loss.gone and loss not in much]
    named = _examples(conn, live, release, {loss.source for loss in much})
    reason = "; ".join([*([f"for example {', '.join(named)}"] if named else []), *some])
    largest = max((loss.share for loss in much or found), default=0.0)
    return holds(not much, round(largest, 4), list(map(str, much)), reason)


def _missing(
    conn: psycopg.Connection, live: Release, other: Release, table: str, keys: Sequence[str]
) -> list[tuple[str, int, int]]:
    """Source, rows of the live release that the other one lacks, rows of the live release. Rows that could not be read have
    no name and are no loss."""
    query = sql.SQL(
        """
        WITH live AS (SELECT {distinct} source, {keys} FROM {live} WHERE {named}),
             other AS (SELECT {distinct} source, {keys}, true AS is_there FROM {other})
        SELECT source, count(*) FILTER (WHERE is_there IS NULL), count(*)
        FROM live LEFT JOIN other USING (source, {keys}) GROUP BY source ORDER BY source
        """
    ).format(
        # A catalogue's products are millions, and have a key by which they may be read in order.
        distinct=sql.SQL("" if table == "products" else "DISTINCT"),
        keys=sql.SQL(", ").join(map(sql.Identifier, keys)),
        # A favourite without a product is of a release that kept what dangles, which goes to quarantine now.
        named=sql.SQL(" AND ").join(
            sql.SQL("{} IS NOT NULL").format(sql.Identifier(key))
            for key in (*keys, *(("product_id",) if table == "favourites" else ()))
        ),
        live=live.table(table),
        other=other.table(table),
    )
    return conn.execute(query).fetchall()


def _fewer_rows(
    conn: psycopg.Connection, live: Release, other: Release
) -> list[tuple[str, tuple[str, int, int]]]:
    """Table, and source, rows that are fewer, rows of the live release; of tables that only sources know by what."""
    rows = conn.execute(
        """
        SELECT l.name, l.source, greatest(l.loaded - coalesce(o.loaded, 0), 0), l.loaded
        FROM fashion_ops.release_tables l
        LEFT JOIN fashion_ops.release_tables o ON o.release = %s AND (o.source, o.name) = (l.source, l.name)
        WHERE l.release = %s AND l.name <> ALL (%s) ORDER BY 1, 2
        """,
        (other.release, live.release, list(TABLES)),
    ).fetchall()
    return [(name, (source, gone, of)) for name, source, gone, of in rows]


def _missing_listings(conn: psycopg.Connection, live: Release, other: Release) -> list[tuple[str, int, int]]:
    """As `_missing`, of products and quarantined together. A listing stays in its batch for ever, and new ones make new
    batches: what a batch has fewer of is gone, and only one that had been gone and came back could hide another."""
    return conn.execute(
        """
        SELECT coalesce(b.source, l.batch), sum(greatest(l.listings - coalesce(o.listings, 0), 0))::bigint,
               sum(l.listings)::bigint
        FROM fashion_ops.release_batches l
        LEFT JOIN fashion_ops.release_batches o ON o.batch = l.batch AND o.release = %s
        LEFT JOIN fashion_ops.batches b ON b.batch = l.batch
        WHERE l.release = %s GROUP BY 1 ORDER BY 1
        """,
        (other.release, live.release),
    ).fetchall()


def _examples(conn: psycopg.Connection, live: Release, other: Release, sources: set[str]) -> list[str]:
    """Some products of these sources that are gone, by what their source calls them."""
    if not sources:
        return []
    query = sql.SQL(
        "SELECT l.source, l.external_id FROM {live} l WHERE l.source = ANY(%s) AND NOT EXISTS "
        "(SELECT FROM {other} o WHERE o.source = l.source AND o.external_id = l.external_id) LIMIT %s"
    ).format(live=live.table("products"), other=other.table("products"))
    rows = conn.execute(query, (sorted(sources), EXAMPLES)).fetchall()
    return [f"{source} {external_id}" for source, external_id in rows]


def _is_there(conn: psycopg.Connection, release: Release) -> bool:
    names = [release.table(table).as_string(conn) for table in TABLES]
    row = conn.execute(
        "SELECT bool_and(to_regclass(name) IS NOT NULL) FROM unnest(%s::text[]) name", (names,)
    )
    return row.fetchone() == (True,)
