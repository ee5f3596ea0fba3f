"""Readers whose snapshot is older than a release find no rows in it: a swap waits for them, or says whose they are."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from fashion_assets.postgres import server
from fashion_assets.postgres.connections import Connection, connect
from fashion_assets.release.snapshots import OldSnapshots
from fashion_assets.settings import Settings
from fashion_assets.warehouse.releases import Release
from fashion_assets_tests.release.tiny import put_live, served_title, tiny

TITLE = "SELECT title FROM fashion_sota.products"


@contextmanager
def repeatable(
    settings: Settings, asked: str = TITLE, role: str | None = None
) -> Iterator[psycopg.Connection]:
    """A report that sees the database as it is now."""
    with connect(settings, application_name="a report") as reader:
        if role:
            reader.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
            reader.commit()
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute(asked.encode())
        yield reader


def choosing(settings: Settings, old_snapshots: str, seconds: float = 60) -> Settings:
    return settings.model_copy(update={"old_snapshots": old_snapshots, "old_snapshot_seconds": seconds})


@pytest.fixture
def first(settings: Settings, database: Connection) -> Release:
    """What is live."""
    release = tiny(database)
    put_live(database, settings, release)
    return release


def test_ignored_a_reader_with_an_older_snapshot_finds_no_rows(
    settings: Settings, database: Connection, first: Release
):
    """What it is all about; whose snapshot is newer finds them."""
    with repeatable(settings) as reader:
        put_live(database, choosing(settings, "ignore"), tiny(database))
        assert reader.execute(TITLE).fetchall() == []
    third = tiny(database)
    with repeatable(settings) as reader:
        put_live(database, choosing(settings, "refuse"), third)
        assert reader.execute(TITLE).fetchall() == [(third.release,)]


@pytest.mark.parametrize("how", ["refuse", "wait"])
def test_whose_snapshot_it_is_is_said_and_nothing_changes(
    settings: Settings, database: Connection, first: Release, how: str
):
    with repeatable(settings) as reader:
        second = tiny(database)
        with pytest.raises(OldSnapshots) as refused:
            put_live(database, choosing(settings, how, 0.3), second)
        said = str(refused.value)
        assert said.startswith(
            f"{second.release} is newer than the snapshots of a report (server process {reader.info.backend_pid}, role "
        )
        assert "since 20" in said and "--force" in said and "FASHION_ASSETS_OLD_SNAPSHOTS=ignore" in said
        assert ("waited for 0.3 s" in said) is (how == "wait")
        assert reader.execute(TITLE).fetchall() == [(first.release,)]
    assert served_title(database) == first.release


def test_a_swap_waits_until_they_have_ended(settings: Settings, database: Connection, first: Release):
    with repeatable(settings) as reader:
        second = tiny(database)

        def swap() -> None:
            with connect(settings) as conn:
                put_live(conn, settings, second)

        swapping = threading.Thread(target=swap)
        swapping.start()
        time.sleep(0.5)
        assert swapping.is_alive()
        assert reader.execute(TITLE).fetchall() == [(first.release,)]
    swapping.join(30)
    assert served_title(database) == second.release


def test_forced_it_ends_them(settings: Settings, database: Connection, first: Release):
    with repeatable(settings) as reader:
        second = tiny(database)
        put_live(database, settings, second, force=True)
        with pytest.raises(psycopg.OperationalError):
            reader.execute(TITLE)
    assert served_title(database) == second.release


def test_who_cannot_read_the_views_is_not_waited_for(
    settings: Settings, server_settings: Settings, database: Connection, first: Release
):
    """Readers of other databases, roles without a right to the schema, and the way back, on which nobody loses anything."""
    stranger = f"stranger_{database.info.dbname}"
    database.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(stranger)))
    database.commit()
    at_once = choosing(settings, "refuse")
    elsewhere = psycopg.connect(**{**server.parameters(settings), "dbname": "postgres"})  # type: ignore[arg-type]
    own = psycopg.connect(**{**server.parameters(settings), "user": stranger})  # type: ignore[arg-type]
    dump = connect(settings, application_name="pg_dump")
    with elsewhere, own, dump:
        for other in (elsewhere, own, dump):
            other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            other.execute("SELECT count(*) FROM pg_class")
        second = tiny(database)
        put_live(database, at_once, second)
    # A role that may be taken on counts.
    database.execute(
        sql.SQL("GRANT {} TO {} WITH INHERIT FALSE").format(
            sql.Identifier(settings.reader_role), sql.Identifier(stranger)
        )
    )
    database.commit()
    own = psycopg.connect(**{**server.parameters(settings), "user": stranger})  # type: ignore[arg-type]
    with own:
        own.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        own.execute("SELECT count(*) FROM pg_class")
        with pytest.raises(OldSnapshots, match=f"role {stranger}"):
            put_live(database, at_once, tiny(database))
        put_live(database, at_once, first)
    assert served_title(database) == first.release
    database.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(stranger)))
    database.commit()
