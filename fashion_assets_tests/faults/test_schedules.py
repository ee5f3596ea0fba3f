"""The fault harness: the same seed is the same schedule; the proxy strikes where it is told; a short schedule is replayed."""

import multiprocessing
import socket
import threading
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
import pytest
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.faults import catalogues, tables
from fashion_assets.faults.proxy import PORT, Next, Proxy, Session, is_commit
from fashion_assets.faults.replay import Stage
from fashion_assets.faults.schedule import KINDS, OF_TABLES, Fault, Schedule, Step, draw
from fashion_assets.postgres import server
from fashion_assets.settings import Settings


def test_the_same_seed_is_the_same_schedule():
    drawn = [draw(seed) for seed in range(300)]
    assert drawn == [draw(seed) for seed in range(300)]
    assert {step.fault.kind for each in drawn for step in each.steps} == set(KINDS)
    assert len({each.steps for each in drawn}) > 290
    # Of a table they are others, and have its faults too.
    of_tables = [draw(seed, (*KINDS, *OF_TABLES), origin="table") for seed in range(300)]
    assert {step.fault.kind for each in of_tables for step in each.steps} == {*KINDS, *OF_TABLES}
    assert {each.notifies for each in of_tables} == {True, False} and not {
        each.steps for each in of_tables
    } & {each.steps for each in drawn}
    # What cannot be had is left out, and all else is as it was.
    without = draw(7, [kind for kind in KINDS if kind != "full"])
    for own, whole in zip(without.steps, draw(7).steps, strict=True):
        assert own == (whole._replace(fault=Fault("none")) if whole.fault.kind == "full" else whole)


@pytest.fixture
def proxied(server_settings: Settings, tmp_path_factory: pytest.TempPathFactory):
    target = Path(server.parameters(server_settings)["host"])
    proxy = Proxy(tmp_path_factory.mktemp("proxy"), target)
    where = {"host": str(proxy.folder), "port": str(PORT), "user": "postgres", "dbname": "postgres"}
    yield proxy, "postgresql:///?" + urlencode(where, quote_via=quote)
    proxy.close()


def test_the_proxy_counts_cuts_and_keeps_answers_back(proxied: tuple[Proxy, str]):
    proxy, url = proxied
    struck: list[Session] = []

    def becomes(what: Next):
        def strike(session: Session) -> Next:
            struck.append(session)
            return what

        return strike

    with psycopg.connect(url) as conn:
        conn.execute("CREATE TABLE IF NOT EXISTS struck (n int)")
        conn.execute("TRUNCATE struck")
        conn.commit()
        proxy.arm(None)
        conn.execute("INSERT INTO struck VALUES (%s)", (1,))
        conn.execute("SELECT 1", prepare=True)
        conn.commit()
        assert (proxy.commits, proxy.statements) == (1, 5)  # BEGIN too, and to prepare is one
        # The commit is carried out, and nobody is told.
        proxy.arm(becomes("keep"), 1, commits=True)
        conn.execute("INSERT INTO struck VALUES (2)")
        with pytest.raises(psycopg.OperationalError):
            conn.commit()
    with psycopg.connect(url) as conn:
        assert conn.execute("SELECT array_agg(n ORDER BY n) FROM struck").fetchone() == ([1, 2],)
        conn.commit()
        proxy.arm(becomes("cut"), 3)
        conn.execute("INSERT INTO struck VALUES (3)")
        with pytest.raises(psycopg.OperationalError):
            conn.commit()
    with psycopg.connect(url) as conn:
        proxy.arm(becomes("pass"), 2)
        assert conn.execute("SELECT count(*) FROM struck").fetchone() == (2,)
        threading.Timer(0.2, proxy.cancel, [struck[-1]]).start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            conn.execute("SELECT pg_sleep(60)")
    assert proxy.struck and len(struck) == 3
    assert is_commit(b" commit") and not is_commit(b"SELECT 1")


def test_a_server_that_is_gone_is_gone_behind_the_proxy_too(tmp_path: Path):
    proxy = Proxy(tmp_path / "proxy", tmp_path / "nothing")
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(proxy.folder / f".s.PGSQL.{PORT}"))
        assert asking.recv(1) == b""
    proxy.close()


def test_a_schedule_of_faults_breaks_nothing():
    steps = (
        Step("run", 1, Fault("kill", 150)),
        Step("watch", 2, Fault("away", 110)),
        Step("rollback", 0, Fault("lost", 1)),
    )
    with Stage.open(origin="table") as stage:
        result = stage.replay(Schedule(0, steps, notifies=True))
    assert result.wrong == [] and result.answers and result.writes
    assert result.steps[0].ended is None
    # The watch may have seen everything before.
    assert [each.struck for each in result.steps[::2]] == [True, True]
    assert result.steps[1].ended is not None and result.steps[1].asked >= 70


def test_what_a_watch_passed_over_is_told(database: psycopg.Connection):
    conninfo = database.info.dsn
    database.execute(
        'CREATE TABLE products (id text PRIMARY KEY, "productDisplayName" text); CREATE SCHEMA IF NOT EXISTS fashion_sota; '
        "INSERT INTO products SELECT n::text, 'Shirt ' || n FROM generate_series(1, 9) n; "
        'CREATE VIEW fashion_sota.products AS SELECT id AS external_id, "productDisplayName" AS title FROM products'
    )
    database.commit()
    writing = tables.Writing(tables.Table("", conninfo, Path(), conninfo, 7, True))
    writing.go()
    assert writing.lacking(5) == []
    # As if nothing had been seen of it.
    database.execute(
        "CREATE OR REPLACE VIEW fashion_sota.products AS SELECT n::text AS external_id, 'Shirt ' || n AS title FROM generate_series(1, 9) n"
    )
    database.commit()
    lacking = writing.lacking(0.1)
    assert any("'gone' in the table" in said for said in lacking) and any("New" in said for said in lacking)


def test_the_command_names_what_there_is(tmp_path: Path):
    refused = CliRunner().invoke(app, ["bench", "faults", "--only", "flood"])
    assert refused.exit_code == 2 and "there are kill, cut, lost" in refused.output
    refused = CliRunner().invoke(app, ["bench", "faults", "--folder", str(tmp_path)])
    assert refused.exit_code == 2 and "is there already" in refused.output


def test_two_processes_may_put_a_catalogue_in_one_place(tmp_path: Path):
    drawn = catalogues.draw(tmp_path / "drawn", 2)
    whole, there = tmp_path / "drawn" / "whole", tmp_path / "there"
    catalogues.place(drawn[0], whole, there)
    context = multiprocessing.get_context("fork")
    others = [context.Process(target=_place_often, args=(each, whole, there)) for each in drawn]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert [other.exitcode for other in others] == [0, 0]
    assert sorted(path.name for path in there.iterdir()) == sorted(["images", *catalogues.TABLES])


def _place_often(catalogue: Path, whole: Path, folder: Path) -> None:
    for _ in range(200):
        catalogues.place(catalogue, whole, folder)
