"""The register of releases: which serving schemas exist, in which state, and what went into each.

What belongs here: naming, reading and advancing rows of `fashion_ops.releases` and `release_batches`, and dropping the
schemas of those that go. What does not: building a schema's tables (`release.build`), judging them (`criteria`), which go
(`release.swap`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from fashion_assets.errors import FashionAssetsError

SERVING_SCHEMA = "fashion_sota"
"""The schema readers use: views onto the live release."""

PREVIEW_OF = "Preview of "
"""How the comment of a preview's schema begins (`release.preview`); the release's name follows."""

_COLUMNS = sql.SQL(
    "release, number, state, content_version, space, products, quarantined, listings, criteria, report, "
    "created_at, promoted_at, retired_at, run_id, replaced, revision, made_with, tables_version, build_seconds, has_changes_before, "
    "approved_at, approved_by, approved_why, replaced_vectors, made_from, shared"
)


class ReleaseError(FashionAssetsError):
    """A release that is not there, or not in the state an operation needs; the message says what to do."""


@dataclass(frozen=True)
class Release:
    """One complete build of the serving schema. `release` is also the schema's name."""

    release: str
    number: int
    state: str
    content_version: str
    space: str | None
    products: int | None
    quarantined: int | None
    listings: int | None
    criteria: list[dict[str, Any]] | None
    report: str | None
    created_at: datetime
    promoted_at: datetime | None
    retired_at: datetime | None
    run_id: str | None
    replaced: str | None
    """What was live when this one first went live."""
    revision: int = 0
    """How often its rows were changed since it was built."""
    made_with: str | None = None
    """What it was made with beside its listings' content (`release.plan.made_with`); None in releases of former versions."""
    tables_version: str | None = None
    """Which rows of declared tables are in it (`release.plan.tables_version`); None in releases of former versions, and
    while they are to be brought in step with products that came or went."""
    build_seconds: float | None = None
    """How long loading and indexing it took; None in releases of former versions."""
    has_changes_before: int | None = None
    """What transactions before this one changed in other releases is in it, too (`warehouse.changes`)."""
    approved_at: datetime | None = None
    """When somebody approved that it goes live; None where nobody did."""
    approved_by: str | None = None
    approved_why: str | None = None
    replaced_vectors: int = 0
    """Products whose vector was replaced or taken out since the index of vectors was built."""
    made_from: str | None = None
    """The spare it was made from (`release.renewal`); None where it was built whole."""
    shared: int | None = None
    """Products that lie as they lay in that one."""

    @property
    def written(self) -> int | None:
        """Products that were written into what it was made from; None where it was built whole."""
        return None if self.shared is None else (self.products or 0) - self.shared

    @property
    def said_of_sharing(self) -> str:
        """What it was made from, and how much of that is in it; empty where it was built whole."""
        if self.made_from is None:
            return ""
        return (
            f"{self.release} is made from {self.made_from}, which was let go: {self.shared or 0:,} products stay as they lay, with their "
            f"vectors and their places in the indexes; {self.written or 0:,} are written"
        )

    @property
    def approval(self) -> dict[str, str] | None:
        """Who approved it, when and why, JSON-friendly."""
        if self.approved_at is None:
            return None
        at = self.approved_at.isoformat(timespec="seconds")
        return {"by": self.approved_by or "", "at": at, "why": self.approved_why or ""}

    def table(self, name: str) -> sql.Identifier:
        """A table of this release."""
        return sql.Identifier(self.release, name)

    @classmethod
    def _select(cls, conn: psycopg.Connection, condition: sql.SQL, parameters: tuple = ()) -> list[Self]:
        query = sql.SQL("SELECT {} FROM fashion_ops.releases {}").format(_COLUMNS, condition)
        with conn.cursor(row_factory=class_row(cls)) as cursor:
            return cursor.execute(query, parameters).fetchall()


def releases(conn: psycopg.Connection) -> list[Release]:
    """All releases, newest first."""
    return Release._select(conn, sql.SQL("ORDER BY number DESC"))


def get(conn: psycopg.Connection, name: str) -> Release:
    """One release by name. Raises `ReleaseError` naming those there are."""
    found = Release._select(conn, sql.SQL("WHERE release = %s"), (name,))
    if not found:
        known = ", ".join(release.release for release in releases(conn)) or "none yet"
        raise ReleaseError(f"there is no release {name!r}; known releases: {known}")
    return found[0]


def live(conn: psycopg.Connection) -> Release | None:
    """The release readers see now."""
    found = Release._select(conn, sql.SQL("WHERE state = 'live'"))
    return found[0] if found else None


def candidates(conn: psycopg.Connection) -> list[Release]:
    """The finished releases that wait to go live, newest first."""
    return Release._select(conn, sql.SQL("WHERE state = 'candidate' ORDER BY number DESC"))


def only_candidate(conn: psycopg.Connection) -> Release:
    """The candidate, where there is one and no other. Raises `ReleaseError` that says which there are."""
    waiting = candidates(conn)
    if not waiting:
        raise ReleaseError("no candidate waits to go live: fashion-assets run --no-promote builds one")
    if len(waiting) > 1:
        names = ", ".join(f"{each.release} (built {each.created_at:%Y-%m-%d %H:%M})" for each in waiting)
        raise ReleaseError(f"several candidates wait, so say which is to go live: {names}")
    return waiting[0]


def built_by(conn: psycopg.Connection, run_id: str) -> Release | None:
    """What a Dagster run built, finished or not; None where it built nothing that still stands."""
    found = Release._select(
        conn,
        sql.SQL("WHERE run_id = %s AND state NOT IN ('dropping', 'dropped', 'failed') ORDER BY number DESC"),
        (run_id,),
    )
    return found[0] if found else None


def candidate(conn: psycopg.Connection, run_id: str | None = None) -> Release:
    """The candidate a run built, or the newest one. Raises `ReleaseError` when there is none."""
    found = Release._select(
        conn,
        sql.SQL(
            "WHERE state IN ('building', 'candidate') ORDER BY (run_id IS NOT DISTINCT FROM %s) DESC, number DESC"
        ),
        (run_id,),
    )
    if not found:
        raise ReleaseError(
            "there is no candidate: build one first (fashion-assets run, or materialise `products`)"
        )
    return found[0]


def with_content(conn: psycopg.Connection, content_version: str) -> Release | None:
    """The newest complete release of exactly this content that still exists."""
    found = Release._select(
        conn,
        sql.SQL(
            "WHERE content_version = %s AND state IN ('live', 'candidate', 'retired') "
            "ORDER BY (state = 'live') DESC, number DESC LIMIT 1"
        ),
        (content_version,),
    )
    return found[0] if found else None


def lacking(conn: psycopg.Connection, name: str) -> dict[str, int]:
    """How many products of a release have no picture, how many no vector, and how many vectors that came were refused."""
    row = conn.execute(
        "SELECT coalesce(sum(without_picture), 0)::bigint, coalesce(sum(without_vector), 0)::bigint, "
        "coalesce(sum((SELECT sum((refused ->> 'vectors')::bigint) FROM jsonb_array_elements(refused_vectors) AS refused)), 0)::bigint "
        "FROM fashion_ops.release_batches WHERE release = %s",
        (name,),
    ).fetchone()
    assert row is not None
    return dict(zip(("without_picture", "without_vector", "refused_vectors"), row, strict=True))


def size_of(conn: psycopg.Connection, release: Release | None) -> int:
    """Bytes that a release's tables take, indexes and all; 0 where there is none."""
    if release is None:
        return 0
    row = conn.execute(
        "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class "
        "WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r'",
        (release.release,),
    ).fetchone()
    assert row is not None
    return row[0]


def begin(conn: psycopg.Connection, content_version: str, space: str | None, run_id: str | None) -> Release:
    """Register a new candidate under the next number. One run at a time (`locks.run_lock`)."""
    row = conn.execute("SELECT coalesce(max(number), 0) + 1 FROM fashion_ops.releases").fetchone()
    assert row is not None
    name = f"{SERVING_SCHEMA}_r{row[0]:04d}"
    conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))
    conn.execute(
        "INSERT INTO fashion_ops.releases (release, number, state, content_version, space, run_id) "
        "VALUES (%s, %s, 'building', %s, %s, %s)",
        (name, row[0], content_version, space, run_id),
    )
    return get(conn, name)


def begun(conn: psycopg.Connection, content_version: str, made_with: str) -> Release | None:
    """The newest release of exactly this content that was loaded and not finished: a run was cut off. One at a time (`locks.run_lock`)."""
    found = Release._select(
        conn,
        sql.SQL(
            "WHERE state = 'building' AND content_version = %s AND made_with = %s ORDER BY number DESC LIMIT 1"
        ),
        (content_version, made_with),
    )
    return found[0] if found else None


def go_on(conn: psycopg.Connection, release: Release, run_id: str | None) -> None:
    """Note that another run finishes a release that was begun."""
    conn.execute("UPDATE fashion_ops.releases SET run_id = %s WHERE release = %s", (run_id, release.release))


def count(conn: psycopg.Connection, release: Release) -> None:
    """Have a release say how many products, rejections and listings its batches have."""
    conn.execute(
        "UPDATE fashion_ops.releases r SET (products, quarantined, listings) = "
        "(SELECT coalesce(sum(products), 0), coalesce(sum(quarantined), 0), coalesce(sum(listings), 0) "
        "FROM fashion_ops.release_batches b WHERE b.release = r.release) WHERE release = %s",
        (release.release,),
    )


def count_replaced(conn: psycopg.Connection, release: Release, more: int) -> None:
    """Note that the vectors of so many more products were replaced or taken out; less than none: that so many count no longer."""
    if more:
        conn.execute(
            "UPDATE fashion_ops.releases SET replaced_vectors = greatest(0, replaced_vectors + %s) WHERE release = %s",
            (more, release.release),
        )


def spare(conn: psycopg.Connection) -> Release | None:
    """The release that was let go and kept to make the next one of."""
    found = Release._select(conn, sql.SQL("WHERE state = 'spare' ORDER BY number DESC LIMIT 1"))
    return found[0] if found else None


def keep_as_spare(conn: psycopg.Connection, name: str) -> None:
    """Keep a release that is let go, and no other, to make the next one of: nothing leads to it any more."""
    conn.execute(
        "UPDATE fashion_ops.releases SET state = CASE WHEN release = %s THEN 'spare' ELSE 'dropping' END "
        "WHERE (release = %s AND state NOT IN ('live', 'dropping', 'dropped')) OR state = 'spare'",
        (name, name),
    )


def mark_dropping(conn: psycopg.Connection, names: Collection[str]) -> None:
    """Let releases go: nothing leads to them any more, and `drop_marked` drops their tables. The live one never goes."""
    conn.execute(
        "UPDATE fashion_ops.releases SET state = 'dropping' WHERE release = ANY(%s) AND state NOT IN ('live', 'dropped')",
        (list(names),),
    )


def drop_previews(conn: psycopg.Connection, name: str) -> list[str]:
    """Drop the schemas that show a release before it is live, in the caller's transaction; returns their names."""
    rows = conn.execute(
        "SELECT nspname::text FROM pg_namespace WHERE obj_description(oid, 'pg_namespace') = %s ORDER BY 1",
        (f"{PREVIEW_OF}{name}",),
    ).fetchall()
    for (schema,) in rows:
        conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
    return [schema for (schema,) in rows]


def drop_marked(conn: psycopg.Connection, wait_ms: int) -> list[str]:
    """Drop the schemas of the releases marked so, each in a transaction of its own; their rows stay as history.

    One that somebody reads (a search under way, a `pg_dump`) is waited for so long, and else stays marked: the names of
    those are returned. Not within a transaction.
    """
    left = []
    marked = Release._select(conn, sql.SQL("WHERE state = 'dropping' ORDER BY number"))
    conn.commit()
    for release in marked:
        try:
            with conn.transaction():
                conn.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(wait_ms)))
                drop_previews(conn, release.release)
                conn.execute(
                    sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(release.release))
                )
                conn.execute(
                    "UPDATE fashion_ops.releases SET state = 'dropped' WHERE release = %s", (release.release,)
                )
        except psycopg.errors.LockNotAvailable:
            left.append(release.release)
    return left
