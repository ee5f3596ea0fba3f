"""Several ranges of a table at once: what one worker would have done, one end for all, killed and continued, undone byte for byte."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from fashion_assets.backfill import register
from fashion_assets.backfill.documents import InTable
from fashion_assets.backfill.errors import AtWork, Paused, TooManyFailures, Unhealthy
from fashion_assets.backfill.health import Limits
from fashion_assets.backfill.register import Progress
from fashion_assets.backfill.rollback import Rollback
from fashion_assets.backfill.run import Run
from fashion_assets.backfill.table import Table
from fashion_assets.backfill.walk import Options, Tell
from fashion_assets.cli import app
from fashion_assets.postgres.connections import Connection, connect
from fashion_assets.settings import Settings
from fashion_assets.sources.drawn.wardrobe import ODD, make_table
from fashion_assets_tests.backfill.wardrobes import many, texts

TARGET = "public.wardrobe.doc"
THREE = Options(batch_size=5, target_seconds=5, workers=3)

Open = Callable[[], AbstractContextManager[Connection]]


@pytest.fixture
def opened(bare_settings: Settings) -> Open:
    return lambda: connect(bare_settings, autocommit=True, vectors=False)


@pytest.fixture
def conn(opened: Open) -> Iterator[Connection]:
    with opened() as connection:
        yield connection


def go(
    way: type[Run | Rollback],
    opened: Open,
    options: Options = THREE,
    tell: Tell = lambda progress, what: None,
    name: str = "wardrobe",
    resume: bool = False,
) -> Progress:
    with opened() as conn:
        return way(Table(conn, name), options, tell, connect=opened if options.workers > 1 else None).go(
            resume=resume
        )


def kept(conn: Connection) -> Progress:
    progress = register.read(conn, TARGET)
    assert progress is not None
    return progress


def values(conn: Connection, name: str) -> dict[str, Any]:
    """Every document but for the time it was written at."""
    found = texts(conn, name)
    documents = {key: json.loads(text or "null") for key, text in found.items()}
    for each in documents.values():
        if isinstance(each, dict):
            each["normalized"].pop("normalized_at")
    return documents


def test_they_do_what_one_does_and_undo_it(conn: Connection, opened: Open):
    make_table(conn, {**ODD, **many(100)})
    conn.execute("INSERT INTO wardrobe VALUES ('list', '[1]'), ('null', NULL)")
    conn.execute("CREATE TABLE alone (LIKE wardrobe INCLUDING ALL); INSERT INTO alone SELECT * FROM wardrobe")
    before = texts(conn)
    told: list[int] = []
    one = go(Run, opened, replace(THREE, workers=1), name="alone")
    three = go(Run, opened, tell=lambda progress, _: told.append(progress.counts.get("processed", 0)))
    assert values(conn, "wardrobe") == values(conn, "alone")
    assert three.counts == one.counts and three.state == "done" and not kept(conn).ranges
    assert three.counts["processed"] == len(before) == max(told)
    assert [row[:2] for row in register.parked(conn, TARGET, 9)] == [
        row[:2] for row in register.parked(conn, one.target, 9)
    ]
    assert go(Run, opened).counts["updated"] == 0
    assert go(Rollback, opened).counts["updated"] == len(ODD) + 100
    assert texts(conn) == before


def test_killed_in_any_of_them_others_continue_as_many_as_they_are(conn: Connection, opened: Open):
    make_table(conn, many(300))
    before = texts(conn)

    def killed(way: type[Run | Rollback], workers: int, moves: int) -> None:
        if (child := os.fork()) == 0:
            try:
                go(way, opened, Options(3, 1e-6, 0.002, workers=workers))
            finally:
                os._exit(0)
        deadline, seen = time.monotonic() + 20, set()
        while len(seen) <= moves and time.monotonic() < deadline:
            found = register.read(conn, TARGET)
            seen.add(found and (found.way, *(each.key for each in found.ranges)))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    killed(Run, 3, 4)
    first = kept(conn)
    assert len(first.ranges) == 3 and first.state == "running"
    assert [each.upto for each in first.ranges[:2]] == Table(conn, "wardrobe").cuts(None, 3)
    killed(Run, 2, 4)
    done_rows = (
        "SELECT id, xmin::text FROM wardrobe WHERE doc #>> '{normalized,normalized_version}' LIKE '2%'"
    )
    rows = conn.execute(done_rows).fetchall()
    done = kept(conn).together().counts["processed"]
    assert 0 < len(rows) <= done < 300 and len(kept(conn).ranges) == 3
    progress = go(Run, opened, Options(batch_size=50))
    assert progress.counts["processed"] == progress.counts["updated"] == 300
    assert set(rows) <= set(conn.execute(done_rows).fetchall())
    assert Table(conn, "wardrobe").counts().normalized == 300
    killed(Rollback, 3, 4)
    assert go(Rollback, opened).counts["updated"] == 300
    assert texts(conn) == before


def test_what_one_worker_began_several_end(conn: Connection, opened: Open):
    make_table(conn, many(60))

    def pauses(progress: Progress, what: str) -> None:
        with opened() as other:
            register.ask_to_pause(other, TARGET, True)

    with pytest.raises(Paused):
        go(Run, opened, replace(THREE, workers=1), pauses)
    assert go(Run, opened, resume=True).counts["processed"] == 60


def test_a_pause_is_for_all(conn: Connection, opened: Open):
    make_table(conn, many(90))
    began = threading.Event()

    def pauses(progress: Progress, what: str) -> None:
        if not began.is_set():
            began.set()
            with opened() as other:
                register.ask_to_pause(other, TARGET, True)
                other.execute("INSERT INTO wardrobe VALUES ('a-behind', '{\"style\": [\"Punk\"]}')")

    with pytest.raises(Paused, match=r"Paused, as asked, \d+ of 90"):
        go(Run, opened, tell=pauses)
    paused, monitored = kept(conn), InTable(Table(conn, "wardrobe")).progress()
    assert monitored is not None and paused.state == monitored.state == "paused"
    done = sum(each.counts["processed"] for each in paused.ranges if each.counts)
    assert monitored.counts["processed"] == done < 90
    with pytest.raises(Paused, match=f"It is paused, {done} of 90"):
        go(Run, opened)
    assert go(Run, opened, resume=True).state == "done"
    assert Table(conn, "wardrobe").counts().normalized == 91


def test_one_waits_for_the_server_and_all_wait_with_it(
    conn: Connection, opened: Open, bare_settings: Settings
):
    make_table(conn, many(60))
    before = texts(conn)
    with connect(bare_settings, vectors=False) as other:
        other.execute("SELECT pg_sleep(0.05)")
        with pytest.raises(Unhealthy, match="a transaction is"):
            go(Run, opened, replace(THREE, patience_seconds=0.3, limits=Limits(transaction_seconds=0.01)))
        assert texts(conn) == before
        assert sorted(each.counts.get("waits", 0) for each in kept(conn).ranges) == [0, 0, 1]
        assert "a transaction is" in str(kept(conn).said)
    assert go(Run, opened).counts["updated"] == 60


def test_the_share_of_failures_is_that_of_all(conn: Connection, opened: Open):
    make_table(conn, many(180))
    conn.execute("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'not today'; END$$")
    conn.execute("CREATE TRIGGER no BEFORE UPDATE ON wardrobe FOR EACH ROW EXECUTE FUNCTION no()")
    with pytest.raises(TooManyFailures, match="not today"):
        go(Run, opened)
    stopped = kept(conn)
    assert stopped.state == "stopped" and 100 <= stopped.together().counts["processed"] < 180
    conn.execute("DROP TRIGGER no ON wardrobe")
    assert go(Run, opened).counts["processed"] == 180
    assert Table(conn, "wardrobe").counts().normalized == 180 and not register.parked_count(conn, TARGET)


def test_a_worker_that_loses_its_connection_ends_all_and_the_places_are_kept(conn: Connection, opened: Open):
    make_table(conn, many(90))

    def ends(progress: Progress, what: str) -> None:
        with opened() as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = %s LIMIT 1) w",
                (register._WORKER,),
            )

    with pytest.raises(psycopg.OperationalError):
        go(Run, opened, tell=ends)
    assert kept(conn).state == "stopped" and len(kept(conn).ranges) == 3
    assert go(Run, opened).counts["updated"] == 90


def test_nobody_begins_while_a_worker_is_left(
    conn: Connection, opened: Open, monkeypatch: pytest.MonkeyPatch
):
    make_table(conn, many(3))
    monkeypatch.setattr(register, "ENDING_SECONDS", 0)
    with opened() as left:
        register.hold_as_worker(left, TARGET)
        with pytest.raises(AtWork, match="server process"):
            go(Run, opened)
    # Of three documents no nine ranges are made.
    assert go(Run, opened, replace(THREE, workers=9)).counts["updated"] == 3


def test_any_key_is_cut(conn: Connection, opened: Open):
    conn.execute("CREATE TABLE two (n int, a text, doc jsonb, PRIMARY KEY (n, a))")
    conn.execute(
        'INSERT INTO two SELECT n %% 7, n, \'{"style": "Casual"}\' FROM generate_series(1, 40) n', ()
    )
    table = Table(conn, "two")
    cuts = table.cuts(None, 4)
    pages = [
        table.part(conn, upto).page(after, 99)
        for after, upto in zip([None, *cuts], [*cuts, None], strict=True)
    ]
    assert [len(page) for page in pages] == [10] * 4
    assert [row.key for page in pages for row in page] == [row.key for row in table.page(None, 99)]
    assert table.cuts(cuts[-1], 2) == [pages[3][4].key]
    assert go(Run, opened, name="two").counts["updated"] == 40


def test_by_command(conn: Connection, bare_settings: Settings, monkeypatch: pytest.MonkeyPatch):
    make_table(conn, many(30))
    assert bare_settings.database_url is not None
    monkeypatch.setenv("FASHION_ASSETS_STAGING_DATABASE_URL", bare_settings.database_url.get_secret_value())
    for command, figure in (("run", "total_updated"), ("rollback", "total_rolled_back")):
        done = CliRunner().invoke(
            app, ["backfill", command, "-e", "staging", "--workers", "3", "--batch-size", "4", "--json"]
        )
        assert done.exit_code == 0 and json.loads(done.stdout)[figure] == 30, done.output
    refused = CliRunner().invoke(app, ["backfill", "rollback", "--file", "a.jsonl", "--workers", "2"])
    assert refused.exit_code == 2 and "--workers is for tables" in refused.output
