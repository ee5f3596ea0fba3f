"""Going live and going back: re-pointing the serving views in one transaction.

What belongs here: promotion, rollback and retirement, and the refusal. What does not: building (`build`), the criteria.
"""

import time
from collections.abc import Callable
from typing import LiteralString, cast

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from fashion_assets.criteria.candidate import Candidate, judge
from fashion_assets.criteria.verdict import Verdict
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.releases import SERVING_SCHEMA, Release, ReleaseError

SERVED_TABLES = ("products", "product_embeddings", "users", "favourites")

LOCK_TIMEOUT_MS = 500
"""How long the swap waits for a view before it steps back: readers that arrive behind a waiting swap wait with it."""

LOCK_ATTEMPTS = 40


class PromotionRefused(Exception):
    """The candidate fails criteria; `failed` lists them. Nothing was changed."""

    def __init__(self, release: Release, failed: list[Verdict]):
        self.release = release
        self.failed = failed
        lines = [f"{release.release} is not promoted: {len(failed)} criteria fail"]
        for verdict in failed:
            who = f" — {', '.join(map(str, verdict.offenders))}" if verdict.offenders else ""
            lines.append(
                f"  {verdict.name} ({verdict.requirement}): {verdict.value}, must be {verdict.threshold}{who}"
            )
        super().__init__("\n".join(lines))


def promote(conn: psycopg.Connection, settings: Settings, release: Release) -> list[Verdict]:
    """Put a candidate (or a retired release) live, if every criterion holds *now*, measured in the swap's own
    transaction. Returns the verdicts. Raises `PromotionRefused` or `ReleaseError`; then nothing has changed.
    """
    if release.state not in ("candidate", "retired"):
        raise ReleaseError(
            f"{release.release} is {release.state}; only a finished candidate or a retired release goes live"
        )
    verdicts: list[Verdict] = []

    def swap() -> None:
        verdicts[:] = judge(Candidate(conn, release, settings))
        failed = [verdict for verdict in verdicts if not verdict.passed]
        if failed:
            raise PromotionRefused(release, failed)
        _point_views_at(conn, settings, release)
        conn.execute(
            "UPDATE fashion_ops.releases SET criteria = %s WHERE release = %s",
            (Jsonb([verdict.to_dict() for verdict in verdicts]), release.release),
        )

    _in_one_transaction(conn, swap)
    _retire_beyond(conn, settings.keep_releases)
    return verdicts


def rollback(conn: psycopg.Connection, settings: Settings, to: str | None = None) -> Release:
    """Put an earlier release back live: the one named, or the one retired last. Returns it.

    The criteria are not asked again: it was live, and going back must never wait. Raises `ReleaseError` when there is
    nothing to go back to.
    """
    known = releases.releases(conn)
    if to is not None:
        target = releases.get(conn, to)
        if target.state != "retired":
            raise ReleaseError(f"{to} is {target.state}; only a retired release can be gone back to")
    else:
        retired = [release for release in known if release.state == "retired" and release.retired_at]
        if not retired:
            raise ReleaseError("there is no earlier release to go back to")
        target = max(retired, key=lambda release: (release.retired_at, release.number))  # type: ignore[arg-type,return-value]
    _in_one_transaction(conn, lambda: _point_views_at(conn, settings, target))
    return releases.get(conn, target.release)


def retire(conn: psycopg.Connection, name: str) -> None:
    """Drop a release that is no longer wanted. Refuses the live one with `ReleaseError`."""
    with conn.transaction():
        releases.lock(conn)
        releases.drop(conn, releases.get(conn, name))


def _in_one_transaction(conn: psycopg.Connection, action: Callable[[], None]) -> None:
    # Within a transaction the caller left open, ours would be a mere savepoint: its locks would be held, and readers
    # kept waiting, until the caller came round to committing.
    conn.commit()
    for attempt in range(1, LOCK_ATTEMPTS + 1):
        try:
            with conn.transaction():
                releases.lock(conn)
                # The server may run with synchronous_commit off; which release is live must survive a power cut.
                conn.execute("SET LOCAL synchronous_commit = on")
                conn.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(LOCK_TIMEOUT_MS)))
                action()
            return
        except psycopg.errors.LockNotAvailable:
            if attempt == LOCK_ATTEMPTS:
                raise
            time.sleep(0.25)


def _point_views_at(conn: psycopg.Connection, settings: Settings, release: Release) -> None:
    reader = sql.Identifier(settings.reader_role)
    conn.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(SERVING_SCHEMA)))
    conn.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(SERVING_SCHEMA), reader))
    for table in SERVED_TABLES:
        view = sql.Identifier(SERVING_SCHEMA, table)
        grants = _grants(conn, table)
        definition = sql.SQL("VIEW {} AS SELECT * FROM {}").format(view, release.table(table))
        try:
            with conn.transaction():
                conn.execute(sql.SQL("CREATE OR REPLACE ") + definition)
        except psycopg.errors.InvalidTableDefinition:
            # Columns were dropped, renamed or retyped: the view is made anew, and its grants with it.
            conn.execute(sql.SQL("DROP VIEW {}").format(view))
            conn.execute(sql.SQL("CREATE ") + definition)
            for role, privilege in grants:
                conn.execute(sql.SQL("GRANT {} ON {} TO {}").format(_trusted(privilege), view, role))
        conn.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(view, reader))
    conn.execute(
        "UPDATE fashion_ops.releases SET state = 'retired', retired_at = clock_timestamp() WHERE state = 'live'"
    )
    conn.execute(
        "UPDATE fashion_ops.releases SET state = 'live', promoted_at = clock_timestamp(), retired_at = NULL WHERE release = %s",
        (release.release,),
    )


def _grants(conn: psycopg.Connection, view: str) -> list[tuple[sql.Composable, str]]:
    rows = conn.execute(
        "SELECT g.grantee::regrole::text, g.grantee = 0, g.privilege_type FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) g "
        "WHERE n.nspname = %s AND c.relname = %s AND g.grantee <> c.relowner",
        (SERVING_SCHEMA, view),
    ).fetchall()
    # `regrole` text is quoted already where it must be; privilege names come from Postgres itself.
    return [(sql.SQL("PUBLIC") if public else _trusted(role), privilege) for role, public, privilege in rows]


def _trusted(keyword: str) -> sql.SQL:
    """SQL that Postgres itself printed."""
    return sql.SQL(cast(LiteralString, keyword))


def _retire_beyond(conn: psycopg.Connection, keep: int) -> None:
    with conn.transaction():
        releases.lock(conn)
        retired = [release for release in releases.releases(conn) if release.state == "retired"]
        retired.sort(key=lambda release: (release.retired_at, release.number), reverse=True)  # type: ignore[arg-type,return-value]
        for release in retired[keep:]:
            releases.drop(conn, release)
