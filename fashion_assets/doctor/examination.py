"""The examination: every check, in order, and what is left out where an earlier one says why.

What belongs here: the order. What does not: the checks.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import psycopg

from fashion_assets.doctor import machine, roles, schemas, server, work
from fashion_assets.doctor.finding import Finding, mend, note
from fashion_assets.errors import FashionAssetsError, one_line
from fashion_assets.notifications import Event
from fashion_assets.postgres.connections import connect
from fashion_assets.postgres.server import describe
from fashion_assets.release import views
from fashion_assets.release.plan import plan
from fashion_assets.settings import Settings
from fashion_assets.warehouse import database, releases
from fashion_assets.warehouse.releases import Release

Check = Callable[[], Finding | list[Finding]]


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything; findings as they come. Makes nothing and changes nothing; an embedded server is started to be looked at."""
    yield from machine.here()
    yield machine.of_home(settings.home)
    if settings.is_new:
        yield machine.of_room("disk", settings.home, 0)
        yield note("server", f"there is no database in {settings.postgres_data} yet", "fashion-assets run")
        return
    try:
        conn = connect(settings, autocommit=True)
    except FashionAssetsError as error:
        yield machine.of_room("disk", settings.home, 0)
        said, _, remedy = one_line(str(error)).partition(". ")
        yield mend("server", said, remedy or f"See that it runs: {describe(settings)}")
        return
    with conn:
        yield from _of_database(conn, settings)


def event_of(findings: Sequence[Finding]) -> Event | None:
    """What people are told of what needs one of them; None where nothing does."""
    wanting = [each for each in findings if each.state == "mend"]
    if not wanting:
        return None
    count = len(wanting)
    title = f"the doctor finds {count} {'thing that needs' if count == 1 else 'things that need'} a person"
    return Event(
        "installation_unsound", title, [f"{each.check}: {each.said}. {each.remedy}" for each in wanting]
    )


def _of_database(conn: psycopg.Connection[Any], settings: Settings) -> Iterator[Finding]:
    done, different = database.verified(settings)
    installed = done is not None
    known = releases.releases(conn) if installed else []
    live = next((each for each in known if each.state == "live"), None)
    needed = releases.size_of(conn, live)
    embedded = settings.database_url is None
    held = work.held_locks(conn) if installed else []
    running = any(each.table == work.RUN_LOCK.as_string(conn) for each in held)
    checks: list[tuple[str, Check]] = [
        ("disk", lambda: machine.of_room("disk", settings.home, needed if embedded else 0)),
        ("server", lambda: server.of_versions(conn)),
        ("server settings", lambda: server.of_settings(server.settings_of(conn))),
        ("clock", lambda: server.of_clock(conn)),
        ("transactions", lambda: server.of_transactions(conn)),
        ("tables", lambda: schemas.of_steps(done, different)),
    ]
    if not embedded:
        checks.insert(2, ("server disk", lambda: server.of_server_disk(conn, None, needed)))
    if installed:
        checks += [
            ("roles", lambda: roles.of_roles(conn, settings)),
            ("schemas", lambda: schemas.of_schemas(known, schemas.schemas_there(conn), running)),
            ("views", lambda: schemas.of_views(live, views.leading(conn))),
            ("indexes", lambda: schemas.of_indexes(conn, settings, known)),
            ("run lock", lambda: work.of_folder_lock(settings)),
            ("locks", lambda: work.of_locks(held, work.this_host())),
            ("runs", lambda: work.of_runs(work.unfinished_runs(conn), work.this_host())),
            ("batches", lambda: _of_plan(conn, settings, live, running)),
        ]
    for name, check in checks:
        yield from _findings(conn, name, check)


def _of_plan(
    conn: psycopg.Connection[Any], settings: Settings, live: Release | None, running: bool
) -> list[Finding]:
    wanted = plan(conn, settings)
    fresh = work.of_freshness(wanted.release_is_due, live, settings.stale_after_days, datetime.now(UTC))
    return [*work.of_batches(wanted, running), *fresh]


def _findings(conn: psycopg.Connection[Any], name: str, check: Check) -> list[Finding]:
    """What a check found; where it cannot look, that is what it found."""
    try:
        found = check()
    except (psycopg.Error, OSError, FashionAssetsError) as error:
        with suppress(psycopg.Error):
            conn.rollback()
        return [
            mend(
                name,
                f"it cannot be looked at: {one_line(str(error))}",
                "Mend that, and look again: fashion-assets doctor",
            )
        ]
    return [found] if isinstance(found, Finding) else found
