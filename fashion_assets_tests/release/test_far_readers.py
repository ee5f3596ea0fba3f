"""Readers that come another way than by a session of their own: over a pooler, on a standby, through foreign tables of another server."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from fashion_assets.postgres.connections import Connection, connect
from fashion_assets.release.snapshots import OldSnapshots
from fashion_assets.settings import Settings
from fashion_assets.warehouse.database import prepare
from fashion_assets.warehouse.releases import Release
from fashion_assets_tests.postgres.bouncer import PREPARES_SINCE, PROGRAM, bouncing, connected, version
from fashion_assets_tests.postgres.standby import Following
from fashion_assets_tests.release.tiny import put_live, tiny

JOINED = "SELECT p.title, u.name FROM fashion_sota.products p, fashion_sota.users u"
"""What each of two views says it is of."""

EVERYTHING = "SELECT * FROM fashion_sota.products"

REPEATABLE = psycopg.IsolationLevel.REPEATABLE_READ


def two(conn: Connection) -> tuple[Release, Release]:
    """Two releases of other columns in another order."""
    return (
        tiny(conn, products="product_id uuid, title text", users="user_id text, name text"),
        tiny(
            conn,
            products="brand text, since date, title text",
            users="name text, made boolean, user_id text",
        ),
    )


class Readers:
    """Who read on while releases swap; each asks in a thread what it is given, and what it is answered is looked at."""

    def __init__(self) -> None:
        self.answers = 0
        self.wrong: list[object] = []
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def add(
        self,
        opened: Callable[[], psycopg.Connection],
        ask: Callable[[psycopg.Connection], list],
        again: tuple[type[psycopg.Error], ...] = (),
    ) -> None:
        """`again`: with which errors a reader there has to reckon, and asks once more."""

        def read() -> None:
            try:
                with opened() as conn:
                    while not self._stop.is_set():
                        try:
                            found = ask(conn)
                        except again:
                            continue
                        # Of one release, whole: its one product, and its one person.
                        if len(found) != 1 or len({each for each in found[0] if each}) != 1:
                            self.wrong.append(found)
                        self.answers += 1
            except Exception as error:
                self.wrong.append(error)

        self._threads.append(threading.Thread(target=read))

    @contextmanager
    def reading(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(30)


def asked(text: str) -> Callable[[psycopg.Connection], list]:
    return lambda conn: conn.execute(text.encode()).fetchall()


def texts(conn: psycopg.Connection) -> list:
    """`SELECT *`, of which the texts that name a release."""
    return [
        tuple(value for value in row if str(value).startswith("fashion_sota_r"))
        for row in conn.execute(EVERYTHING.encode()).fetchall()
    ]


def twice(conn: psycopg.Connection) -> list:
    """Two statements of one REPEATABLE READ transaction: the second finds as much as the first."""
    conn.isolation_level = REPEATABLE
    with conn.transaction():
        conn.execute(b"SELECT name FROM fashion_sota.users")
        return asked(JOINED)(conn)


# --- over a pooler that gives each transaction whatever session is free


@pytest.fixture
def bouncer(settings: Settings, tmp_path: Path) -> Iterator[int]:
    if PROGRAM is None:
        pytest.skip("PgBouncer is not installed")
    options = {"pool_mode": "transaction", "default_pool_size": 2}
    if version() >= PREPARES_SINCE:
        options["max_prepared_statements"] = 20
    with bouncing(settings, tmp_path / "bouncer", **options) as port:
        yield port


def test_over_pgbouncer_readers_go_on_through_swaps(settings: Settings, database: Connection, bouncer: int):
    releases = two(database)
    put_live(database, settings, releases[0])
    readers, prepares = Readers(), version() >= PREPARES_SINCE
    for ask in (asked(JOINED), texts, twice):
        readers.add(lambda: connected(bouncer, prepares=prepares), ask)
    with readers.reading():
        for release in itertools.islice(itertools.cycle(reversed(releases)), 6):
            put_live(database, settings, release)
    assert readers.wrong == [] and readers.answers > 6
    # A snapshot that is older than a release is known of, too, and finds nothing where it is ignored.
    with connected(bouncer) as early:
        early.autocommit, early.isolation_level = False, REPEATABLE
        early.execute("SELECT count(*) FROM pg_class")
        third = tiny(database)
        with pytest.raises(OldSnapshots, match=f"{third.release} is newer than the snapshots of "):
            put_live(database, settings.model_copy(update={"old_snapshots": "refuse"}), third)
        put_live(database, settings.model_copy(update={"old_snapshots": "ignore"}), third)
        assert asked(EVERYTHING)(early) == []


def test_what_is_prepared_lasts_over_pgbouncer_since_it_keeps_it(
    settings: Settings, database: Connection, bouncer: int
):
    """Two clients of more sessions than one: each finds its statement in whichever it is given, or none of the other's."""
    first, second = two(database)
    put_live(database, settings, first)

    def read() -> list[object]:
        with connected(bouncer, prepares=True) as one, connected(bouncer, prepares=True) as other:
            answers: list[object] = []
            for release in (first, second, first):
                put_live(database, settings, release)
                # Of another text under the same name, as each driver counts for itself.
                answers += one.execute("SELECT title FROM fashion_sota.products").fetchone() or ()
                answers += texts(other)[0]
            return answers

    if version() >= PREPARES_SINCE:
        assert set(read()) == {first.release, second.release}
    else:
        with pytest.raises(
            (psycopg.errors.DuplicatePreparedStatement, psycopg.errors.InvalidSqlStatementName)
        ):
            read()


# --- through foreign tables of another server


@contextmanager
def foreign_scan(settings: Settings) -> Iterator[psycopg.Connection]:
    """The statements by which postgres_fdw reads, as PostgreSQL 15's was seen to send them; it keeps the transaction as long as the one
    that asks it."""
    with connect(settings, autocommit=True, application_name="postgres_fdw") as conn:
        conn.execute("SET search_path = pg_catalog")
        conn.execute("START TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield conn
        conn.execute("COMMIT")


def fetched(conn: psycopg.Connection) -> list[tuple]:
    conn.execute("DECLARE c1 CURSOR FOR SELECT title, brand FROM fashion_sota.products")
    rows = conn.execute("FETCH 100 FROM c1").fetchall()
    conn.execute("CLOSE c1")
    return rows


def test_foreign_tables_of_another_server_read_what_is_live(settings: Settings, database: Connection):
    first, second = two(database)
    at_once = settings.model_copy(update={"old_snapshots": "refuse"})
    for release in (first, second, first):
        put_live(database, at_once, release)
        with foreign_scan(settings) as far:
            assert fetched(far) == [(release.release, release.release if release is second else None)]
    with foreign_scan(settings) as far:
        before = fetched(far)
        third = tiny(database)
        with pytest.raises(
            OldSnapshots, match=f"{third.release} is newer than the snapshots of postgres_fdw"
        ):
            put_live(database, at_once, third)
        assert fetched(far) == before
    put_live(database, at_once, third)
    with foreign_scan(settings) as far:
        assert fetched(far) == [(third.release, None)]


# --- on a physical standby


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Following, Following, Settings]]:
    """A server with an empty database that is prepared, and its standby."""
    folder = tmp_path_factory.mktemp("replicated")
    primary = Following(folder / "primary")
    primary.start()
    try:
        settings = primary.settings(folder / "home")
        prepare(settings)
        standby = Following(folder / "standby", primary)
        standby.start()
        try:
            yield primary, standby, settings
        finally:
            standby.stop()
    finally:
        primary.stop()


def test_a_standby_follows_every_swap_and_no_answer_is_of_two_releases(
    servers: tuple[Following, Following, Settings],
):
    primary, standby, settings = servers
    with connect(settings) as conn:
        releases = two(conn)
        put_live(conn, settings, releases[0])
        standby.follows(primary)
        readers = Readers()
        # The replay takes the views' locks one after the other, and may meet a statement of several halfway.
        deadlock = psycopg.errors.DeadlockDetected
        readers.add(lambda: standby.connect(prepare_threshold=0), asked(JOINED), (deadlock,))
        readers.add(lambda: standby.connect(prepare_threshold=0), texts)
        with readers.reading(), standby.connect(prepare_threshold=0) as named:
            for release in itertools.islice(itertools.cycle(reversed(releases)), 10):
                put_live(conn, settings, release)
                standby.follows(primary)
                assert asked(JOINED)(named) == [(release.release, release.release)]
            # What of two statements is of two releases would be seen.
            titles = named.execute("SELECT title FROM fashion_sota.products").fetchall()
            put_live(conn, settings, releases[1])
            standby.follows(primary)
            assert titles != named.execute("SELECT name FROM fashion_sota.users").fetchall()
        assert readers.wrong == [] and readers.answers > 10


def test_a_standby_that_says_nothing_of_its_readers_is_not_waited_for_and_they_find_no_rows(
    servers: tuple[Following, Following, Settings],
):
    primary, standby, settings = servers
    standby.set("max_standby_streaming_delay", "400ms")
    with connect(settings) as conn, standby.connect() as early, standby.connect() as holding:
        put_live(conn, settings, tiny(conn))
        standby.follows(primary)
        for reader in (early, holding):
            reader.autocommit = False
            reader.isolation_level = REPEATABLE
        early.execute("SELECT count(*) FROM pg_class")
        assert len(holding.execute(EVERYTHING).fetchall()) == 1
        put_live(conn, settings.model_copy(update={"old_snapshots": "refuse"}), tiny(conn))
        # Who keeps a view locked there is ended, as the standby waits for nobody longer than it is told to.
        standby.follows(primary)
        with pytest.raises(psycopg.OperationalError):
            holding.execute(EVERYTHING)
        assert early.execute(EVERYTHING).fetchall() == []
    standby.set("max_standby_streaming_delay", "30s")


def test_a_standby_that_says_what_its_readers_need_is_waited_for(
    servers: tuple[Following, Following, Settings],
):
    primary, standby, settings = servers
    at_once = settings.model_copy(update={"old_snapshots": "refuse"})
    with connect(settings) as conn, standby.connect() as told, standby.connect() as early:
        first = tiny(conn)
        put_live(conn, settings, first)
        standby.follows(primary)
        early.autocommit = False
        early.isolation_level = REPEATABLE
        early.execute("SELECT count(*) FROM pg_class")
        told.execute("ALTER SYSTEM SET hot_standby_feedback = on")
        # It says so at once when its settings are read anew.
        told.execute("SELECT pg_reload_conf()")
        needed = "SELECT count(*) FROM pg_stat_replication WHERE backend_xmin IS NOT NULL"
        until = time.monotonic() + 30
        while conn.execute(needed).fetchone() != (1,):
            assert time.monotonic() < until, "the standby says nothing"
            time.sleep(0.02)
            conn.commit()
        second = tiny(conn)
        with pytest.raises(OldSnapshots, match=f"{second.release} is newer than .*readers of the standby"):
            put_live(conn, at_once, second)
        assert early.execute("SELECT title FROM fashion_sota.products").fetchall() == [(first.release,)]
        early.commit()
        told.execute("SELECT pg_reload_conf()")
        put_live(conn, settings, second)
        standby.follows(primary)
        assert early.execute("SELECT title FROM fashion_sota.products").fetchall() == [(second.release,)]
