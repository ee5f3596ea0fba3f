"""The server: versions, rights, what it is told to do, its clock, its disk, transactions that nobody ends.

What belongs here: what is the server's or the database's as a whole. What does not: roles (`roles`), our tables (`schemas`, `work`).
"""

import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from fashion_assets.doctor.finding import Finding, mend, note, well
from fashion_assets.doctor.machine import of_room
from fashion_assets.postgres.errors import WarehouseError
from fashion_assets.warehouse.requirements import check_server

CLOCK_SECONDS = 5.0
"""Clocks that differ by more tell of releases and deliveries in the wrong order, and of ages that are none."""

LASTING = timedelta(hours=1)
"""A transaction of this age keeps vacuum from its work, and a swap from dropping what it replaced."""

OLD_TRANSACTIONS = 1_000_000_000
"""Age in transactions of the oldest row: half of what there is before a server stops (2**31)."""

NEEDED_SETTINGS = {
    "fsync": "a crash of the machine may damage the database beyond repair",
    "full_page_writes": "a crash of the machine may damage pages",
    "autovacuum": "tables grow without end, and statistics go stale",
}


def of_versions(conn: psycopg.Connection[Any]) -> Finding:
    """Versions, rights, connections, whether it takes writes: what any command asks before it makes something."""
    try:
        facts = check_server(conn)
    except WarehouseError as error:
        said, _, remedy = str(error).partition(". ")
        return mend("server", said, remedy)
    vector = facts.vector or f"{facts.available_vector}, not installed yet"
    return well("server", f"Postgres {facts.version}, pgvector {vector}, as {facts.role} in {facts.database}")


def of_settings(values: Mapping[str, str]) -> list[Finding]:
    """Settings by name, as `SHOW` gives them, that no server with data should have."""
    findings = [
        mend(
            "server settings",
            f"{name} is off: {why}",
            f"`ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf()` as a superuser.",
        )
        for name, why in NEEDED_SETTINGS.items()
        if values.get(name, "on") == "off"
    ]
    return findings or [well("server settings", f"{', '.join(NEEDED_SETTINGS)} are on")]


def settings_of(conn: psycopg.Connection[Any]) -> dict[str, str]:
    return dict(
        conn.execute(
            "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", (list(NEEDED_SETTINGS),)
        ).fetchall()
    )


def skew(before: float, server: float, after: float) -> float:
    """Seconds by which the server's clock is ahead of this machine's, at the least: it was asked between `before` and `after`."""
    return server - after if server > after else server - before if server < before else 0.0


def of_clock(conn: psycopg.Connection[Any]) -> Finding:
    before = time.time()
    row = conn.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    after = time.time()
    assert row is not None
    return told_of_skew(skew(before, row[0], after))


def told_of_skew(seconds: float) -> Finding:
    if abs(seconds) <= CLOCK_SECONDS:
        return well("clock", "this machine's and the server's agree")
    which = "ahead of" if seconds > 0 else "behind"
    return mend(
        "clock",
        f"the server's clock is {abs(seconds):,.0f} s {which} this machine's",
        "Have both set by NTP (`timedatectl set-ntp true`). Times in status, reports and alerts are wrong until then.",
    )


def of_server_disk(conn: psycopg.Connection[Any], data: Path | None, needed: int) -> Finding:
    """The room where the server keeps its data (`data`: of an embedded one), where that is seen from here."""
    if data is None:
        try:
            row = conn.execute("SELECT current_setting('data_directory')").fetchone()
        except psycopg.errors.InsufficientPrivilege:
            row = None
        found = Path(row[0]) if row is not None else None
        local = (conn.info.host or "/").startswith("/")
        if found is None or not local or not found.exists():
            return well("server disk", "it is another machine's: watch its room there")
        data = found
    return of_room("server disk", data, needed)


def of_transactions(conn: psycopg.Connection[Any]) -> list[Finding]:
    """Who keeps old rows from being cleared away: sessions idle in a transaction, prepared transactions, slots, age."""
    findings = []
    for process, said, since in conn.execute(
        """
        SELECT pid, format('%%s (server process %%s, role %%s)', coalesce(nullif(application_name, ''), 'a session'), pid, usename),
               xact_start
        FROM pg_stat_activity
        WHERE datname = current_database() AND starts_with(state, 'idle in transaction') AND pid <> pg_backend_pid()
          AND clock_timestamp() - state_change > %s AND backend_xmin IS NOT NULL
        ORDER BY xact_start
        """,
        (LASTING,),
    ).fetchall():
        findings.append(
            mend(
                "transactions",
                f"{said} has been idle in an open transaction since {since:%Y-%m-%d %H:%M}: nothing it may still see is cleared away",
                f"End what it belongs to, or `SELECT pg_terminate_backend({process})`.",
            )
        )
    for name, since in conn.execute(
        "SELECT gid, prepared FROM pg_prepared_xacts WHERE database = current_database() AND clock_timestamp() - prepared > %s",
        (LASTING,),
    ).fetchall():
        findings.append(
            mend(
                "transactions",
                f"the prepared transaction {name!r} waits since {since:%Y-%m-%d %H:%M}",
                "Commit or roll back what it is of: `ROLLBACK PREPARED` and its name.",
            )
        )
    for (name,) in conn.execute(
        "SELECT slot_name FROM pg_replication_slots WHERE NOT active AND (database IS NULL OR database = current_database())"
    ).fetchall():
        findings.append(
            note(
                "transactions",
                f"nobody reads the replication slot {name}: the server keeps its log for it without end",
                f"Start what reads it, or `SELECT pg_drop_replication_slot('{name}')`.",
            )
        )
    row = conn.execute(
        "SELECT age(datfrozenxid), (SELECT sum(coalesce(checksum_failures, 0)) FROM pg_stat_database WHERE datname = current_database()) "
        "FROM pg_database WHERE datname = current_database()"
    ).fetchone()
    assert row is not None
    findings += told_of_age(*row)
    return findings or [well("transactions", "nobody keeps one open")]


def told_of_age(age: int, checksum_failures: int | None) -> list[Finding]:
    findings = []
    if age > OLD_TRANSACTIONS:
        findings.append(
            mend(
                "transactions",
                f"the oldest row is {age:,} transactions old; at 2.1 billion the server stops",
                "`VACUUM (FREEZE)` as the database's owner, and look why autovacuum does not.",
            )
        )
    if checksum_failures:
        findings.append(
            mend(
                "server disk",
                f"{checksum_failures} pages of the database failed their checksum: the disk lies",
                "Save what can be saved (`fashion-assets backup`), replace the disk, restore.",
            )
        )
    return findings
