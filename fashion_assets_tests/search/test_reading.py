"""Reading over one connection: values, transactions, errors, what stays prepared, and giving up half-way."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from pgvector import HalfVector

from fashion_assets.postgres import server
from fashion_assets.postgres.connections import Connection
from fashion_assets.search import reading
from fashion_assets.search.reading import AsyncReadingConnection, ReadingConnection, Statement, numbered
from fashion_assets.settings import Settings

ONE = Statement(b"SELECT 1", {})


@pytest.fixture
def conn(settings: Settings) -> Iterator[ReadingConnection]:
    parameters: dict[str, Any] = {"autocommit": True, **server.parameters(settings)}
    with ReadingConnection.connect(**parameters) as conn:
        conn.configure()
        yield conn


def read(conn: ReadingConnection, *statements: Statement, **settings: str) -> list[list[tuple]]:
    return conn.wait(conn.reader.read(statements, settings))


def prepared(conn: ReadingConnection) -> int:
    (((count,),),) = read(conn, Statement(b"SELECT count(*) FROM pg_prepared_statements", {}))
    return count


def test_placeholders_are_numbered_by_name():
    assert numbered(b"SELECT %(b)s, %(a)s, %(b)s, 5 %% 2") == (b"SELECT $1, $2, $1, 5 % 2", ("b", "a"))


def test_values_come_back_as_they_went(conn: ReadingConnection):
    vector = HalfVector(np.array([0.5, -1.0, 0.25]))
    text = b"SELECT %(text)s::text, %(none)s::text, %(numbers)s::int[], %(vector)s::halfvec(3), %(float)s::float8, 7 %% 4"
    values = {"text": "it's 100 %", "none": None, "numbers": [1, 70_000], "vector": vector, "float": 0.1}
    for _ in range(2):
        assert read(conn, Statement(text, values)) == [[(*values.values(), 3)]]
    # Another type for the same placeholder is another statement.
    either = b"SELECT %(value)s = ANY(%(among)s)"
    assert read(conn, Statement(either, {"value": 3, "among": [3]})) == [[(True,)]]
    assert read(conn, Statement(either, {"value": "b", "among": ["a"]})) == [[(False,)]]


def test_what_is_done_meanwhile_is_done_while_the_server_is_at_work(conn: ReadingConnection):
    waits = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
    with psycopg.connect(conn.info.dsn, autocommit=True, password=conn.info.password) as other:
        other.execute("SELECT pg_advisory_lock(7)")

        def meanwhile() -> None:
            """Let the server go on, once it waits for that."""
            while not other.execute(waits, (conn.info.backend_pid,)).fetchall()[0][0]:
                time.sleep(0.01)
            other.execute("SELECT pg_advisory_unlock(7)")

        asked = Statement(b"SELECT 5 FROM (SELECT pg_advisory_xact_lock(7)) AS had", {})
        assert conn.wait(conn.reader.read([asked], meanwhile=meanwhile)) == [[(5,)]]
    # Where it fails, the connection is given up rather than used half read.
    with pytest.raises(ZeroDivisionError):
        conn.wait(conn.reader.read([ONE], meanwhile=lambda: 1 / 0))
    assert conn.closed


def test_statements_share_a_transaction_and_its_settings(conn: ReadingConnection):
    setting = Statement(b"SELECT set_config('enable_sort', 'off', true)", {})
    now = Statement(b"SELECT now(), current_setting('enable_sort')", {})
    (_, first, second), (third,) = read(conn, setting, now, now), read(conn, now)
    assert first == second and first[0][1] == "off"
    assert third[0][0] > first[0][0] and third[0][1] == "on"
    assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


SHOWN = Statement(b"SELECT current_setting('enable_sort'), current_setting('statement_timeout')", {})
BY_DEFAULT = [[("on", "0")]]


def sent(conn: ReadingConnection, tmp_path: Path, *statements: Statement, **settings: str) -> int:
    """How many statements went to the server."""
    trace = tmp_path / "trace"
    with trace.open("w") as file:
        conn.pgconn.trace(file.fileno())
        read(conn, *statements, **settings)
        conn.pgconn.untrace()
    return trace.read_text().count("\tBind\t")


def test_a_read_has_its_settings_and_no_others(conn: ReadingConnection):
    for _ in range(2):
        assert read(conn, SHOWN, enable_sort="off") == [[("off", "0")]]
        assert read(conn, SHOWN, statement_timeout="3000", enable_sort="off") == [[("off", "3s")]]
        assert read(conn, SHOWN, statement_timeout="3000") == [[("on", "3s")]]
        assert read(conn, SHOWN) == BY_DEFAULT


def test_settings_are_sent_where_they_are_not_what_they_were(conn: ReadingConnection, tmp_path: Path):
    several = {"enable_sort": "off", "statement_timeout": "3000"}
    assert [sent(conn, tmp_path, SHOWN, **several) for _ in range(3)] == [2, 1, 1]
    assert [sent(conn, tmp_path, SHOWN) for _ in range(2)] == [2, 1]


def test_settings_of_a_read_that_failed_hold_for_no_other(conn: ReadingConnection):
    broken = Statement(b"SELECT 1 / %(zero)s::int", {"zero": 0})
    assert read(conn, SHOWN, statement_timeout="3000") == [[("on", "3s")]]
    with pytest.raises(psycopg.errors.DivisionByZero):
        read(conn, broken, enable_sort="off")
    # The server took back what that read had set.
    assert read(conn, SHOWN, enable_sort="off") == [[("off", "0")]]
    with pytest.raises(psycopg.errors.DivisionByZero):
        read(conn, broken)
    assert read(conn, SHOWN) == BY_DEFAULT


def test_what_a_role_has_set_is_not_what_a_read_goes_back_to(settings: Settings, database: Connection):
    database.execute("ALTER ROLE CURRENT_USER SET statement_timeout = '7s'")
    database.commit()
    try:
        parameters: dict[str, Any] = {"autocommit": True, **server.parameters(settings)}
        with ReadingConnection.connect(**parameters) as other:
            other.configure()
            assert read(other, SHOWN, statement_timeout="3000") == [[("on", "3s")]]
            assert read(other, SHOWN) == BY_DEFAULT
    finally:
        database.execute("ALTER ROLE CURRENT_USER RESET statement_timeout")
        database.commit()


def test_nothing_is_written(conn: ReadingConnection):
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        read(conn, Statement(b"DELETE FROM fashion_ops.releases", {}))


def test_the_first_error_is_raised_and_the_next_read_is_sound(conn: ReadingConnection):
    broken = Statement(b"SELECT 1 / %(zero)s::int", {"zero": 0})
    for failing, error in (
        (broken, psycopg.errors.DivisionByZero),
        (Statement(b"SELECT nothing", {}), psycopg.errors.UndefinedColumn),
        (Statement(b"SELECT", {}), None),
    ):
        if error is None:
            assert read(conn, ONE, failing) == [[(1,)], [()]]
            continue
        with pytest.raises(error):
            read(conn, ONE, failing, broken, ONE)
        assert read(conn, ONE) == [[(1,)]]
        assert prepared(conn) == 2


def test_values_that_cannot_be_sent_leave_the_connection_sound(conn: ReadingConnection):
    with pytest.raises(psycopg.DataError):
        read(conn, ONE, Statement(b"SELECT %(text)s::text", {"text": "\0"}))
    with pytest.raises(KeyError):
        read(conn, Statement(b"SELECT %(missing)s", {}))
    assert read(conn, ONE) == [[(1,)]]


def test_a_table_that_changed_is_read_anew(conn: ReadingConnection, database: Connection):
    database.execute("CREATE VIEW seen AS SELECT 1 AS a")
    database.commit()
    asked = Statement(b"SELECT * FROM seen", {})
    assert read(conn, asked) == [[(1,)]]
    database.execute("DROP VIEW seen; CREATE VIEW seen AS SELECT 'x'::text AS a, 2 AS b")
    database.commit()
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="cached plan"):
        read(conn, asked)
    assert read(conn, asked) == [[("x", 2)]]


def test_what_is_prepared_does_not_grow_for_ever(conn: ReadingConnection, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reading, "PREPARED", 8)
    for number in range(30):
        assert read(conn, Statement(b"SELECT %d" % number, {})) == [[(number,)]]
    assert prepared(conn) <= 8
    monkeypatch.setattr(reading, "PREPARED", 256)
    monkeypatch.setattr(reading, "PREPARED_BYTES", 50_000)
    for number in range(30):
        assert read(conn, Statement(b"SELECT %d -- " % number + b"x" * 10_000, {})) == [[(number,)]]
    assert prepared(conn) <= 5


def test_a_lost_connection_is_an_error_of_the_database(conn: ReadingConnection, database: Connection):
    database.execute("SELECT pg_terminate_backend(%s)", (conn.info.backend_pid,))
    with pytest.raises(psycopg.OperationalError):
        read(conn, ONE)
    assert conn.closed


def test_a_read_that_is_cancelled_leaves_the_connection_sound_or_closed(settings: Settings):
    async def cancelled() -> None:
        parameters: dict[str, Any] = {"autocommit": True, **server.parameters(settings)}
        async with await AsyncReadingConnection.connect(**parameters) as conn:
            await conn.configure()
            sleep = asyncio.create_task(
                conn.wait(conn.reader.read([Statement(b"SELECT pg_sleep(60)", {}), ONE]))
            )
            await asyncio.sleep(0.2)
            sleep.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sleep
            assert conn.closed or await conn.wait(conn.reader.read([ONE])) == [[(1,)]]

    asyncio.run(cancelled())


def test_each_thread_reads_what_it_asked(settings: Settings):
    """As the engine's pool has it: connections go from thread to thread."""
    parameters: dict[str, Any] = {"autocommit": True, **server.parameters(settings)}
    wrong: list[int] = []
    with ReadingConnection.connect(**parameters) as conn:
        conn.configure()
        lock = threading.Lock()

        def ask(first: int) -> None:
            for number in range(first, first + 50):
                with lock:
                    if read(conn, Statement(b"SELECT %(n)s::int", {"n": number}), ONE)[0] != [(number,)]:
                        wrong.append(number)

        threads = [threading.Thread(target=ask, args=(1_000 * place,)) for place in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
