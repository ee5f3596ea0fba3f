"""A Postgres source is followed as it changes: late commits, rows that go, and while a run has the register."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from rich.console import Console
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.outcome import MigrationResult
from fashion_assets.postgres.connections import connect
from fashion_assets.release.applying import Followed
from fashion_assets.settings import Settings
from fashion_assets.sources.readers.sql import Sql
from fashion_assets.sources.source import SourceChanged
from fashion_assets.warehouse.locks import Busy, run_lock
from fashion_assets.watching import Watch
from fashion_assets_tests.catalogue import COLOURS, draw_picture, line, replace_line
from fashion_assets_tests.conftest import database_url

LISTING = "INSERT INTO old.shop VALUES (%s, 'Men', 'Apparel', 'Topwear', 'Tshirts', %s, 'Summer', 2012, 'Casual', %s)"


TELLING = (
    "CREATE FUNCTION old.tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NOTIFY fashion_assets; RETURN NULL; END $$",
    "CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON old.shop FOR EACH STATEMENT EXECUTE FUNCTION old.tell()",
)


def make_shop(database: psycopg.Connection, count: int) -> None:
    database.execute("CREATE SCHEMA old")
    database.execute(
        'CREATE TABLE old.shop (id integer PRIMARY KEY, gender text, "masterCategory" text, "subCategory" text, "articleType" text, '
        '"baseColour" text, season text, year integer, usage text, "productDisplayName" text)'
    )
    for number in range(1, count + 1):
        colour = COLOURS[number % len(COLOURS)]
        database.execute(LISTING, (number, colour, f"Puma Men {colour} T-shirt {number}"))
    database.commit()


def url(settings: Settings, database: psycopg.Connection) -> str:
    return database_url(settings, dbname=database.info.dbname)


def test_a_table_tells_which_of_its_rows_were_written(settings: Settings, database: psycopg.Connection):
    make_shop(database, 5)
    with Sql(url(settings, database), {"table": "old.shop"}) as reader, connect(settings) as late:
        feed = reader.feed()
        assert feed is not None and feed.poll() == ([], 5) and feed.poll() == ([], 5)

        def ids() -> list[int]:
            return sorted(row.values["id"] for row in feed.poll()[0])

        # One that is not committed is not passed over, however much is seen meanwhile.
        late.execute("UPDATE old.shop SET year = 2013 WHERE id = 2")
        database.execute("UPDATE old.shop SET year = 2014 WHERE id = 3")
        database.commit()
        assert ids() == [3]
        assert 3 in ids()
        late.commit()
        assert 2 in ids()
        assert ids() == []
        database.execute(LISTING, (9, "Red", "Nine"))
        database.execute("DELETE FROM old.shop WHERE id = 1")
        database.commit()
        rows, count = feed.poll()
        assert [row.values["id"] for row in rows] == [9] and count == 5
        feed.again()
        assert ids() == [9]
        assert [sorted(some) for some in feed.locators()] == [["i2", "i3", "i4", "i5", "i9"]]


def test_what_has_no_rows_of_its_own_tells_nothing(settings: Settings, database: psycopg.Connection):
    make_shop(database, 1)
    database.execute("CREATE VIEW old.seen AS SELECT * FROM old.shop")
    database.commit()
    where = url(settings, database)
    for options in ({"table": "old.seen", "key": "id"}, {"query": "SELECT * FROM old.shop", "key": "id"}):
        with Sql(where, options) as reader:
            assert reader.feed() is None


@contextmanager
def watching(settings: Settings, interval: float = 0.05) -> Iterator[Watch]:
    with closing(Watch(settings, Console(quiet=True), interval=interval)) as watch, following(watch):
        yield watch


@contextmanager
def following(watch: Watch) -> Iterator[None]:
    """In a thread; it must end well."""
    failed: list[BaseException] = []

    def follow() -> None:
        try:
            watch.follow()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield
    finally:
        watch.stop()
        thread.join(timeout=60)
    assert failed == [] and not thread.is_alive()


def shown(settings: Settings, query: str, wanted: object) -> None:
    """Waits until readers see it."""
    until = time.monotonic() + 60
    with connect(settings, autocommit=True) as conn:
        while (found := conn.execute(query).fetchall()) != wanted:  # type: ignore[call-overload]
            assert time.monotonic() < until, f"{query}: {found}"
            time.sleep(0.05)


def test_what_changes_in_a_table_is_live_soon(
    migrate: Callable[..., MigrationResult],
    settings: Settings,
    database: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    make_shop(database, 20)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(1, 25):
        draw_picture(pictures / f"{number}.jpg", number)
    first = migrate(f"{url(settings, database)}&search_path=old", pictures=pictures)
    assert first.live and first.products == 20
    title = "SELECT title FROM fashion_sota.products WHERE external_id = '%s'"
    count = "SELECT count(*) FROM fashion_sota.products"
    monkeypatch.setattr("fashion_assets.watching.FAILING_SECONDS", 0.1)
    monkeypatch.setattr("fashion_assets.watching.TENDED_SECONDS", 0.1)
    monkeypatch.setenv("FASHION_ASSETS_REINDEX_AFTER", "0.2")
    settings = Settings()
    index = "SELECT relfilenode FROM pg_class WHERE relname = 'product_embeddings_index'"
    first_index = database.execute(index).fetchall()  # type: ignore[call-overload]
    database.commit()
    with watching(settings) as watch:
        database.execute("UPDATE old.shop SET \"productDisplayName\" = 'Teal Poncho' WHERE id = 3")
        database.execute(LISTING, (21, "Red", "Puma Men Red T-shirt 21"))
        database.commit()
        shown(settings, title % 3, [("Teal Poncho",)])
        shown(settings, count, [(21,)])
        database.execute("DELETE FROM old.shop WHERE id = 4")
        database.commit()
        shown(settings, count, [(20,)])
        # A server that ends connections is met again.
        with connect(settings, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (watch._register.info.backend_pid,))
            other.execute("SELECT pg_terminate_backend(%s)", (watch._sync._conn.info.backend_pid,))
        database.execute("UPDATE old.shop SET \"productDisplayName\" = 'Silk Scarf' WHERE id = 6")
        database.commit()
        shown(settings, title % 6, [("Silk Scarf",)])
        # A run has the register: what changes is live all the same, and is noted once the register is free.
        with run_lock(settings, "a run"):
            database.execute("UPDATE old.shop SET \"productDisplayName\" = 'Linen Cape' WHERE id = 5")
            database.commit()
            shown(settings, title % 5, [("Linen Cape",)])
            behind = "SELECT count(*) FROM fashion_ops.batches b JOIN fashion_ops.release_batches r USING (batch) WHERE b.content_version <> r.content_version"
            shown(settings, behind, [(1,)])
        shown(settings, behind, [(0,)])
        # Five of twenty vectors are replaced or gone: the index is built anew meanwhile.
        database.execute("UPDATE old.shop SET \"productDisplayName\" = 'Wool Poncho' WHERE id = 7")
        database.commit()
        shown(
            settings, f"SELECT count(*) FROM ({index}) now WHERE relfilenode <> {first_index[0][0]}", [(1,)]
        )
        shown(
            settings, "SELECT replaced_vectors < 4 FROM fashion_ops.releases WHERE state = 'live'", [(True,)]
        )

    # One that notifies is not waited for: nobody looks of himself within the hour.
    monkeypatch.setattr("fashion_assets.watching.NOTIFIED_SECONDS", 3600.0)
    for statement in TELLING:
        database.execute(statement)
    database.commit()
    with watching(settings, interval=3600.0):
        # The first may be seen by the sync it begins with, the second by the look behind that.
        for name in ("Jute Cape", "Hemp Cape", "Silk Cape"):
            database.execute('UPDATE old.shop SET "productDisplayName" = %s WHERE id = 8', (name,))
            database.commit()
            shown(settings, title % 8, [(name,)])
        # Once more when it is listened to again: what was said meanwhile is lost.
        ended = database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %' AND datname = current_database()"
        ).fetchall()
        assert ended == [(True,)]
        database.execute("ALTER TABLE old.shop DISABLE TRIGGER tell")
        database.execute("UPDATE old.shop SET \"productDisplayName\" = 'Felt Cape' WHERE id = 8")
        database.commit()
        shown(settings, title % 8, [("Felt Cape",)])
    # While much changes, what changed is gathered: the next look waits a moment, but for none that found nothing.
    monkeypatch.setattr("fashion_assets.watching.GATHERED_SECONDS", 3600.0)
    with closing(Watch(settings, Console(quiet=True), interval=0.05)) as watch, ExitStack() as stack:
        ((each, feed),) = [(each, each.feed) for each in watch._opened(stack)]
        assert feed is not None
        feed.poll()
        soon = time.monotonic() + 1800
        watch._look(each, feed)
        assert each.due < soon and each.rested < soon
        database.execute("UPDATE old.shop SET \"productDisplayName\" = 'Tulle Cape' WHERE id = 8")
        database.commit()
        watch._look(each, feed)
        assert each.due > soon and each.rested > soon
        shown(settings, title % 8, [("Tulle Cape",)])
        # What one look notes and cannot write, the next one finds, though it is told of another row.
        apply = watch._sync.apply

        def fail(*_: object) -> Followed:
            raise psycopg.OperationalError("the server went away")

        monkeypatch.setattr(watch._sync, "apply", fail)
        database.execute("UPDATE old.shop SET \"productDisplayName\" = 'Lace Cape' WHERE id = 9")
        database.commit()
        with pytest.raises(psycopg.OperationalError):
            watch._look(each, feed)
        monkeypatch.setattr(watch._sync, "apply", apply)
        database.execute("UPDATE old.shop SET \"productDisplayName\" = 'Rag Cape' WHERE id = 10")
        database.execute("DELETE FROM old.shop WHERE id = 11")
        database.commit()
        each.keys_due = 0.0
        watch._look(each, feed)
        shown(settings, title % 9, [("Lace Cape",)])
        shown(settings, title % 10, [("Rag Cape",)])
        shown(settings, title % 11, [])
        shown(settings, behind, [(0,)])

        # Nor is lost what a swap came between, though the source tells nothing more.
        def busy(*_: object) -> Followed:
            raise Busy("a swap is at it")

        monkeypatch.setattr(watch._sync, "apply", busy)
        database.execute("UPDATE old.shop SET \"productDisplayName\" = 'Net Cape' WHERE id = 12")
        database.commit()
        each.touched = True
        watch._cycle([each])
        monkeypatch.setattr(watch._sync, "apply", apply)
        watch._cycle([each])
        shown(settings, title % 12, [("Net Cape",)])
        watch._settle()
    with connect(settings) as conn:
        row = conn.execute(
            "SELECT products, quarantined, listings, revision > 2 FROM fashion_ops.releases WHERE state = 'live'"
        ).fetchone()
    assert row == (19, 0, 19, True)
    again = migrate()
    assert again.live and again.release == first.release


def test_files_that_change_before_the_first_sync_has_ended_are_seen(shop: Path, settings: Settings):
    class Changing(Watch):
        """Somebody writes while the first sync reads, so that it begins anew, and as soon as it has ended."""

        read = 0

        def _once(self, *given: Any) -> None:
            self.read += 1
            if self.read == 1:
                raise SourceChanged("1.jpg")
            super()._once(*given)
            replace_line(shop, 1, line(1, "Nike Women Skirt"))

    title = "SELECT title FROM fashion_sota.products WHERE external_id = '1'"
    work = Changing(settings, Console(quiet=True), interval=0.05, mode="triggered")
    with closing(work), following(work):
        shown(settings, title, [("Nike Women Skirt",)])


def test_files_that_cannot_be_watched_are_read_now_and_then(
    shop: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("fashion_assets.watching._places", lambda each: [str(shop / "nowhere")])
    monkeypatch.setattr("fashion_assets.watching.SCANNED_SECONDS", 0.1)
    said: list[str] = []
    work = Watch(settings, Console(quiet=True), interval=0.05, mode="triggered", tell=said.append)
    title = "SELECT title FROM fashion_sota.products WHERE external_id = '1'"
    with closing(work), following(work):
        # The first may be seen by the sync it begins with.
        for name in ("Nike Women Skirt", "Nike Women Dress"):
            replace_line(shop, 1, line(1, name))
            shown(settings, title, [(name,)])
    assert any("its files cannot be watched" in each for each in said)


def test_what_a_watch_does_not_do_is_refused():
    for option, said in (
        (["--mode", "snapshot"], "give triggered or auto"),
        (["--allow-shrink"], "give it without"),
        (["--refresh"], "give it without"),
    ):
        refused = CliRunner().invoke(app, ["sync", "--watch", *option])
        assert refused.exit_code == 2 and said in refused.output
