"""Work under way, and what dead work left: locks, runs, files of batches, sources that are away.

What belongs here: what runs make and leave. What does not: schemas of releases (`schemas`).
"""

import os
import re
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psutil
import psycopg
from psycopg import sql

from fashion_assets.doctor.finding import Finding, mend, note, well
from fashion_assets.file_locks import holder
from fashion_assets.release.plan import Plan
from fashion_assets.run_tags import RUNNER
from fashion_assets.settings import Settings
from fashion_assets.warehouse.locks import (
    APPLICATION_NAME_BYTES,
    RUN_LOCK,
    SWAP_LOCK,
    Holder,
    holders,
)
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.schemas import DAGSTER

SWAP_SECONDS = 60
"""A swap holds its lock for a fraction of a second."""

FORGOTTEN = timedelta(days=1)
"""Age from which on a run that has not ended is looked at."""

_RUNNER = re.compile(r"process (?P<process>\d+) on (?P<host>\S+)$")


def of_folder_lock(settings: Settings) -> Finding:
    """Who holds the home's run lock. The system drops it with its holder, whatever becomes of that."""
    held = holder(settings.home / "run.lock")
    return well("run lock", f"held by {held}" if held else "nobody holds the home's")


def of_locks(
    held: Collection[Holder], host: str, is_alive: Callable[[int], bool] = psutil.pid_exists
) -> list[Finding]:
    """Holders of the database's locks of runs and swaps, seen from `host`."""
    findings = []
    for each in held:
        ended = f"`SELECT pg_terminate_backend({each.process})`"
        runner = _RUNNER.search(each.application)
        if (
            runner is not None
            and _is_of(runner["host"], each.application, host)
            and not is_alive(int(runner["process"]))
        ):
            findings.append(
                mend(
                    "locks",
                    f"{each.table} is held by {each}, and that process is dead",
                    f"{ended}; then runs go on.",
                )
            )
        elif each.table == _name(SWAP_LOCK) and each.transaction_seconds > SWAP_SECONDS:
            findings.append(
                mend(
                    "locks",
                    f"{each.table} is held for {each.transaction_seconds:,.0f} s by {each}: no release can go live",
                    f"End what it belongs to, or {ended}.",
                )
            )
        else:
            findings.append(well("locks", f"{each.table} is held by {each}"))
    return findings or [well("locks", "nobody holds the database's")]


def _is_of(said: str, application: str, host: str) -> bool:
    # Postgres cuts long names.
    cut = len(application.encode()) >= APPLICATION_NAME_BYTES
    return host == said or (cut and host.startswith(said))


def _name(table: sql.Identifier) -> str:
    return table.as_string(None)


def held_locks(conn: psycopg.Connection[Any]) -> list[Holder]:
    return holders(conn, [RUN_LOCK, SWAP_LOCK])


class Unfinished(NamedTuple):
    """A Dagster run that is registered as under way."""

    run: str
    job: str
    runner: str | None
    """Host and process of the command that executes it, with a colon between; None of one that Dagster launched."""
    age: timedelta


def unfinished_runs(conn: psycopg.Connection[Any]) -> list[Unfinished]:
    """Runs that have begun and not ended, as Dagster's storage has them; none where Dagster never ran."""
    if conn.execute("SELECT to_regclass(%s)", (f"{DAGSTER}.runs",)).fetchone() == (None,):
        return []
    runs, tags = sql.Identifier(DAGSTER, "runs"), sql.Identifier(DAGSTER, "run_tags")
    rows = conn.execute(
        sql.SQL(
            "SELECT r.run_id, r.pipeline_name, t.value, (clock_timestamp() AT TIME ZONE 'UTC') - r.create_timestamp FROM {} r "
            "LEFT JOIN {} t ON t.run_id = r.run_id AND t.key = %s "
            "WHERE r.status IN ('NOT_STARTED', 'STARTING', 'STARTED', 'CANCELING') ORDER BY r.id"
        ).format(runs, tags),
        (RUNNER,),
    ).fetchall()
    return [Unfinished(*row) for row in rows]


def of_runs(
    unfinished: Sequence[Unfinished], host: str, is_alive: Callable[[int], bool] = psutil.pid_exists
) -> list[Finding]:
    """Runs that are registered as under way while nobody executes them."""
    findings = []
    for each in unfinished:
        where, _, process = (each.runner or "").rpartition(":")
        if where == host and process.isdigit():
            if not is_alive(int(process)):
                findings.append(
                    note(
                        "runs",
                        f"run {each.run[:8]} of {each.job} is registered as under way, and its process is dead",
                        "The next run that has work to do closes it as failed, and continues what it left.",
                    )
                )
        elif each.age > FORGOTTEN:
            findings.append(
                mend(
                    "runs",
                    f"run {each.run[:8]} of {each.job} is under way for {each.age.days} days, elsewhere",
                    "Look at it in the UI (fashion-assets ui, Runs): if nobody executes it any more, terminate it there.",
                )
            )
    return findings or [
        well("runs", f"{len(unfinished)} under way" if unfinished else "none was left unfinished")
    ]


def of_batches(wanted: Plan, running: bool) -> list[Finding]:
    """Batches whose files are missing or damaged, or whose rejections the database lacks; sources that are not where they were.
    `running`: somebody makes files at present."""
    findings = [
        mend(
            "sources",
            f"{name} is not at {where}",
            f"Bring it back, or say where it is now: fashion-assets sources add {name} PLACE; or take it out: fashion-assets sources "
            f"deactivate {name}",
        )
        for name, where in wanted.missing.items()
    ]
    findings = findings or [well("sources", f"{len(wanted.sources)}, each where it was")]
    held = {**wanted.of_listings.held, **wanted.of_rows.held}
    stale = [batch.name for batch in (*wanted.of_listings.stale, *wanted.of_rows.stale)]
    gone = [name for name in stale if not held[name].look]
    again = "fashion-assets run makes them again, and embeds nothing anew that the database has."
    if gone and not running:
        findings.append(mend("batches", f"files of {len(gone)} batches are missing: {_some(gone)}", again))
    lost = [batch.name for batch in wanted.lost]
    if lost:
        findings.append(
            note("batches", f"the database lacks rejections of {len(lost)} batches: {_some(lost)}", again)
        )
    if others := [name for name in stale if name not in {*gone, *lost}]:
        findings.append(
            note(
                "batches",
                f"{len(others)} batches are stale: {_some(others)}",
                "fashion-assets run does them.",
            )
        )
    if gone and running:
        findings.append(note("batches", f"{len(gone)} batches have no files yet", "A run is making them."))
    if not (stale or lost):
        findings.append(well("batches", f"the files of all {len(held)} are there and whole"))
    return findings


def of_freshness(release_is_due: bool, live: Release | None, days: int, now: datetime) -> list[Finding]:
    """Whether what changed has waited for a release for longer than `days`, if any (0: it may wait for ever)."""
    if live is None or live.promoted_at is None:
        return []
    age = now - live.promoted_at
    if release_is_due and days and age > timedelta(days=days):
        return [
            mend(
                "freshness",
                f"{live.release} went live {age.days} days ago, and what changed since is not in it",
                "fashion-assets run; to have it done by itself, see the schedule in the UI.",
            )
        ]
    waiting = "; what changed since waits for the next run" if release_is_due else ""
    return [well("freshness", f"{live.release} is live since {live.promoted_at:%Y-%m-%d %H:%M}{waiting}")]


def _some(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def this_host() -> str:
    return os.uname().nodename
