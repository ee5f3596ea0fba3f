"""A backfill of a table: every document through, originals as they were, killed and continued, undone byte for byte."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fashion_assets.backfill import health, register
from fashion_assets.backfill.documents import InTable
from fashion_assets.backfill.errors import (
    AtWork,
    HalfUndone,
    NoSuchTarget,
    Paused,
    TooManyFailures,
    Unhealthy,
)
from fashion_assets.backfill.health import Limits, Signs
from fashion_assets.backfill.pace import Pace
from fashion_assets.backfill.rollback import Rollback
from fashion_assets.backfill.run import Run, preview
from fashion_assets.backfill.table import Table
from fashion_assets.backfill.walk import Options
from fashion_assets.catalog import wardrobe
from fashion_assets.faults import steps
from fashion_assets.postgres.connections import Connection, connect
from fashion_assets.settings import Settings
from fashion_assets.sources.drawn.wardrobe import ODD, make_table
from fashion_assets_tests.backfill.wardrobes import many, texts, without

QUICK = Options(batch_size=3, target_seconds=5, statement_seconds=5, lock_seconds=0.2)


@pytest.fixture
def conn(bare_settings: Settings) -> Iterator[Connection]:
    """A connection as `environments` opens one, to a database with nothing in it."""
    with connect(bare_settings, autocommit=True, vectors=False) as connection:
        yield connection


@contextmanager
def another(settings: Settings) -> Iterator[Connection]:
    with connect(settings, vectors=False) as connection:
        yield connection


def run(conn: Connection, options: Options = QUICK, **more: Any) -> register.Progress:
    try:
        return Run(Table(conn, "wardrobe"), options, **more).go()
    finally:
        if not conn.closed:
            conn.execute("SELECT pg_advisory_unlock_all()")


def roll_back(conn: Connection, options: Options = QUICK) -> register.Progress:
    progress = Rollback(Table(conn, "wardrobe"), options).go()
    conn.execute("SELECT pg_advisory_unlock_all()")
    return progress


def test_every_document_is_normalized_and_nothing_else_of_it_changes(conn: Connection):
    make_table(conn, ODD)
    before = texts(conn)
    progress = run(conn)
    assert progress.state == "done" and progress.counts["updated"] == progress.counts["processed"] == len(ODD)
    after = texts(conn)
    assert {key: without(text) for key, text in after.items()} == {
        key: without(text) for key, text in before.items()
    }
    documents = dict(conn.execute("SELECT id, doc FROM wardrobe").fetchall())
    for key, document in documents.items():
        assert wardrobe.is_up_to_date(document["normalized"], wardrobe.normalize(ODD[key])), key
    assert documents["item-2"]["normalized"]["style"] == ["casual", "formal"]
    assert documents["item-3"]["normalized"]["set_aside"] == {"style": ["Short Sleeve", "Ribbed"]}
    assert documents["item-4"]["metadata"] == ODD["item-4"]["metadata"]
    assert progress.counts["set_aside"]["style"]["ribbed"] == 1


def test_a_rollback_is_byte_for_byte_and_a_later_run_does_it_again(conn: Connection):
    make_table(conn, ODD)
    before = texts(conn)
    for _ in range(2):
        run(conn)
        assert texts(conn) != before
        progress = roll_back(conn)
        assert texts(conn) == before and progress.counts["updated"] == len(ODD)
    assert conn.execute("SELECT count(*) FROM fashion_backfill.before").fetchone() == (0,)


def test_a_run_with_nothing_to_do_writes_no_row(conn: Connection):
    make_table(conn, ODD)
    run(conn)
    before = conn.execute("SELECT id, xmin::text, doc::text FROM wardrobe ORDER BY 1").fetchall()
    conn.execute("UPDATE wardrobe SET doc = doc || '{\"style\": [\"Formal\"]}' WHERE id = 'empty'")
    progress = run(conn)
    after = conn.execute("SELECT id, xmin::text, doc::text FROM wardrobe ORDER BY 1").fetchall()
    assert progress.counts["updated"] == 1 and progress.counts["unchanged"] == len(ODD) - 1
    assert [row[0] for row in after if row not in before] == ["empty"]


def test_a_rollback_leaves_what_somebody_else_wrote_meanwhile(conn: Connection):
    make_table(conn, ODD)
    run(conn)
    conn.execute(
        'UPDATE wardrobe SET doc = doc || \'{"normalized": {"by": "another"}}\' WHERE id = \'item-1\''
    )
    conn.execute("UPDATE wardrobe SET doc = doc - 'normalized' WHERE id = 'item-3'")
    kept = {key: texts(conn)[key] for key in ("item-1", "item-3")}
    roll_back(conn)
    assert {key: texts(conn)[key] for key in kept} == kept


def test_killed_anywhere_it_continues(conn: Connection, bare_settings: Settings):
    documents = many(400)
    make_table(conn, documents)
    before = texts(conn)
    options = Options(batch_size=7, target_seconds=1e-6, pause_seconds=0.002)

    def killed(walk: Callable[[Connection], object]) -> None:
        child = os.fork()
        if child == 0:
            try:
                with connect(bare_settings, autocommit=True, vectors=False) as own:
                    walk(own)
            finally:
                os._exit(0)
        began = position(conn)
        deadline = time.monotonic() + 20
        while position(conn) == began and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while register.is_held(conn, "public.wardrobe.doc"):
            time.sleep(0.01)

    for _ in range(3):
        killed(lambda own: run(own, options))
    kept = register.read(conn, "public.wardrobe.doc")
    assert kept is not None and kept.state == "running" and 0 < kept.counts["processed"] < 400
    first = conn.execute("SELECT id, xmin::text FROM wardrobe WHERE id <= %s", (kept.key[0],)).fetchall()  # type: ignore[index]
    progress = run(conn)
    assert progress.counts["processed"] == progress.counts["updated"] == 400
    assert set(first) <= set(conn.execute("SELECT id, xmin::text FROM wardrobe").fetchall())
    assert Table(conn, "wardrobe").counts().normalized == 400
    for _ in range(2):
        killed(lambda own: roll_back(own, options))
    with pytest.raises(HalfUndone, match="stopped half way"):
        run(conn)
    # A schedule of faults that comes upon it goes on.
    nowhere = steps.Place(Path(), "", Path(), ())
    assert steps.ACTIONS["backfill"](bare_settings, nowhere).outcome == "nothing"
    conn.execute("SELECT pg_advisory_unlock_all()")
    roll_back(conn)
    assert texts(conn) == before


def position(conn: Connection) -> object:
    progress = register.read(conn, "public.wardrobe.doc")
    return progress and (progress.way, progress.key)


def test_a_document_that_is_refused_is_parked_alone_and_tried_again(conn: Connection):
    make_table(conn, many(50))
    conn.execute("INSERT INTO wardrobe VALUES ('list', '[1]'), ('null', NULL)")
    conn.execute(
        "ALTER TABLE wardrobe ADD CONSTRAINT no_k0 CHECK (NOT (id = 'k0007919' AND (doc->'normalized'->>'normalized_version') LIKE '2%'))"
    )
    progress = run(conn, Options(batch_size=20))
    assert progress.state == "done" and progress.counts["updated"] == 49 and progress.counts["splits"] >= 4
    parked = {key: (reason, tries) for key, reason, tries, _ in register.parked(conn, progress.target, 10)}
    assert set(parked) == {("k0007919",), ("list",)}
    assert "no_k0" in parked[("k0007919",)][0] and parked[("k0007919",)][1] == 2
    assert "of type array" in parked[("list",)][0]
    conn.execute("ALTER TABLE wardrobe DROP CONSTRAINT no_k0")
    conn.execute("DELETE FROM wardrobe WHERE id = 'list'")
    assert run(conn).counts["updated"] == 1
    assert register.parked_count(conn, progress.target) == 0


def test_too_many_failures_stop_it_and_the_place_is_kept(conn: Connection):
    make_table(conn, many(300))
    conn.execute("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'not today'; END$$")
    conn.execute("CREATE TRIGGER no BEFORE UPDATE ON wardrobe FOR EACH ROW EXECUTE FUNCTION no()")
    with pytest.raises(TooManyFailures, match="not today"):
        run(conn, Options(batch_size=50, target_seconds=60))
    stopped = register.read(conn, "public.wardrobe.doc")
    assert stopped is not None and stopped.state == "stopped" and stopped.counts["processed"] == 100
    assert "not today" in str(stopped.said)
    conn.execute("DROP TRIGGER no ON wardrobe")
    assert run(conn).counts["processed"] == 300
    assert Table(conn, "wardrobe").counts().normalized == 300


def test_a_locked_document_holds_up_no_other(conn: Connection, bare_settings: Settings):
    make_table(conn, many(20))
    with another(bare_settings) as holder:
        holder.execute("UPDATE wardrobe SET doc = doc WHERE id = 'k0007919'")
        progress = run(conn, Options(batch_size=20, lock_seconds=0.05))
        assert [key for key, *_ in register.parked(conn, progress.target, 5)] == [("k0007919",)]
        assert Table(conn, "wardrobe").counts().normalized == 19
    assert run(conn).counts["updated"] == 1


def test_a_batch_that_times_out_is_split(conn: Connection):
    make_table(conn, many(32))
    conn.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END$$"
    )
    conn.execute("CREATE TRIGGER slow BEFORE UPDATE ON wardrobe FOR EACH ROW EXECUTE FUNCTION slow()")
    progress = run(conn, Options(batch_size=32, target_seconds=9, statement_seconds=0.3))
    assert progress.counts["splits"] >= 1 and progress.counts["updated"] == 32 and progress.size < 32
    assert conn.execute("SHOW statement_timeout").fetchone() == ("0",)


def test_what_changes_between_reading_and_writing_is_not_written_over(
    conn: Connection, bare_settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    make_table(conn, ODD)
    page, changed = Table.page, []

    def changing(self: Table, after: Any, size: int) -> Any:
        rows = page(self, after, size)
        if not changed:
            changed.append(True)
            with another(bare_settings) as other:
                other.execute("UPDATE wardrobe SET doc = doc || '{\"style\": [\"Edgy\"]}' WHERE id = 'empty'")
                other.execute("DELETE FROM wardrobe WHERE id = 'item-1'")
                other.execute("INSERT INTO wardrobe VALUES ('a-behind', '{\"style\": [\"Punk\"]}')")
        return rows

    monkeypatch.setattr(Table, "page", changing)
    progress = run(conn)
    documents = dict(conn.execute("SELECT id, doc FROM wardrobe").fetchall())
    assert documents["empty"]["style"] == ["Edgy"] and documents["empty"]["normalized"]["style"] == ["edgy"]
    assert documents["a-behind"]["normalized"]["style"] == ["punk"]
    assert "item-1" not in documents and progress.counts["gone"] == 1


def test_a_pause_is_kept_until_somebody_resumes(conn: Connection, bare_settings: Settings):
    make_table(conn, many(40))

    def asks(progress: register.Progress, what: str) -> None:
        with connect(bare_settings, autocommit=True, vectors=False) as other:
            register.ask_to_pause(other, progress.target, True)

    with pytest.raises(Paused, match="Paused, as asked"):
        run(conn, Options(batch_size=10, target_seconds=9), tell=asks)
    with pytest.raises(Paused, match="It is paused, 30 of 40"):
        run(conn)
    paused = register.read(conn, "public.wardrobe.doc")
    assert paused is not None and paused.state == "paused" and paused.counts["processed"] == 30
    assert Run(Table(conn, "wardrobe"), QUICK).go(resume=True).counts["processed"] == 40


def test_one_process_at_a_time(conn: Connection, bare_settings: Settings, monkeypatch: pytest.MonkeyPatch):
    make_table(conn, many(3))
    with connect(bare_settings, autocommit=True, vectors=False) as other:
        register.make(other)
        register.hold(other, "public.wardrobe.doc")
        with monkeypatch.context() as patient, pytest.raises(AtWork, match="server process"):
            patient.setattr(register, "ENDING_SECONDS", 0)
            run(conn)
    assert run(conn).counts["updated"] == 3


def test_it_waits_for_the_server_and_not_for_ever(conn: Connection, bare_settings: Settings):
    make_table(conn, many(5))
    said: list[str] = []
    with another(bare_settings) as other:
        other.execute("SELECT 1")
        other.execute("SELECT pg_sleep(0.05)")
        with pytest.raises(Unhealthy, match="a transaction is"):
            options = Options(patience_seconds=4, limits=Limits(transaction_seconds=0.01))
            seconds = count()
            run(
                conn,
                options,
                tell=lambda _, what: said.append(what),
                clock=lambda: next(seconds),
                sleep=lambda _: None,
            )
        assert said[0].startswith("waits: a transaction is")
    assert run(conn).counts["updated"] == 5


def test_signs_name_waits_for_locks(conn: Connection, bare_settings: Settings):
    make_table(conn, many(1))
    with another(bare_settings) as holder, another(bare_settings) as waiter:
        holder.execute("LOCK wardrobe")

        def waits() -> None:
            with pytest.raises(psycopg.Error):
                waiter.execute("LOCK wardrobe")

        thread = threading.Thread(target=waits)
        thread.start()
        while (found := health.signs(conn)).lock_waits == 0:
            time.sleep(0.01)
        assert found.complaints(Limits(lock_waits=0)) == []
        waiter.cancel()
        thread.join()
    assert Signs(9, 99, 9999).complaints(Limits()) == [
        "9 sessions wait for locks (at most 5)",
        "a standby lags 99 s behind (at most 10)",
        "a transaction is 9,999 s old (at most 600)",
    ]


def test_a_dry_run_counts_and_shows_and_writes_nothing(conn: Connection):
    make_table(conn, {**ODD, **many(30)})
    conn.execute("INSERT INTO wardrobe VALUES ('list', '[1]'), ('null', NULL)")
    before = texts(conn)
    found = preview(Table(conn, "wardrobe"))
    assert found.processed == len(ODD) + 32 and found.would_update == len(ODD) + 30
    assert sum(found.would_park.values()) == 1 and found.counts["without_document"] == 1
    assert len(found.sample) == 5 and found.sample[0]["after"]["normalized_version"] == wardrobe.version()
    assert texts(conn) == before and not register.exists(conn)


def test_any_key_will_do(conn: Connection):
    conn.execute(
        'CREATE SCHEMA closet; CREATE TABLE closet."It\'s" ("a b" uuid, n int, "Doc%" jsonb NOT NULL, PRIMARY KEY (n, "a b"))'
    )
    conn.execute(
        'INSERT INTO closet."It\'s" SELECT gen_random_uuid(), n % 7, \'{"style": "Casual"}\' FROM generate_series(1, 50) n'
    )
    before = conn.execute('SELECT * FROM closet."It\'s" ORDER BY 1').fetchall()
    table = Table(conn, "closet.It's")
    assert (table.column, [name for name, _ in table.keys]) == ("Doc%", ["n", "a b"])
    assert Run(table, QUICK).go().counts["updated"] == 50
    assert len(InTable(table).latest(10)) == 10 and table.counts().normalized == 50
    Rollback(table, QUICK).go()
    assert conn.execute('SELECT * FROM closet."It\'s" ORDER BY 1').fetchall() == before


def test_a_table_that_will_not_do_is_refused_with_what_is_there(conn: Connection):
    conn.execute("CREATE TABLE one (id text, doc jsonb); CREATE TABLE two (id text PRIMARY KEY, doc json)")
    conn.execute(
        "CREATE TABLE three (id text PRIMARY KEY, a jsonb, b jsonb); CREATE SCHEMA s; CREATE TABLE s.three ()"
    )
    for name, more, said in (
        ("none", {}, "There is no table none .*public.one, public.three"),
        ("one", {}, "public.one has no key: .*ADD PRIMARY KEY"),
        ("two", {}, "public.two has no jsonb column"),
        ("two", {"column": "doc"}, "The column doc of public.two is of type json, and jsonb is needed"),
        ("public.three", {}, "public.three has 2 jsonb columns"),
        ("three", {}, "name one as public.three or s.three"),
        ("public.three", {"column": "a", "key": "b"}, r"\(b\) is no key of public.three: .*It has \(id\)"),
    ):
        with pytest.raises(NoSuchTarget, match=said):
            Table(conn, name, **more)


def test_the_pace_follows_the_time_a_batch_takes():
    pace = Pace(0.5, 500)
    pace.took(500, 0.05)
    assert pace.size == 1000
    pace.took(1000, 4.0)
    assert pace.size == 500
    pace.took(3, 0.001)
    assert pace.size == 1000 or pace.size == 500
    for _ in range(40):
        pace.failed()
    assert pace.size == 1 and pace.seconds_left(100) is not None
    for _ in range(40):
        pace.took(pace.size, 1e-9)
    assert pace.size == 20_000
