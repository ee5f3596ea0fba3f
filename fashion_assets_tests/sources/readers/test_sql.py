"""Tables of databases as rows, found again by their keys."""

import datetime as dt
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import settings as drawn
from hypothesis import strategies as st
from psycopg import sql

from fashion_assets.outcome import said_of_scan
from fashion_assets.sources import SourceError
from fashion_assets.sources.known_mappings import parse_mapping
from fashion_assets.sources.mapped import Mapped
from fashion_assets.sources.proposal import propose
from fashion_assets.sources.readers import databases, format_of, keys, open_rows
from fashion_assets.sources.readers.keeping import kept
from fashion_assets.sources.readers.sql import FETCHED_ROWS, LOCATORS, Sql
from fashion_assets.warehouse.noting import SyncReport
from fashion_assets.warehouse.sources import SourceRecord
from fashion_assets_tests.conftest import database_url
from fashion_assets_tests.sources.readers.reading import count, found_again, made, peak

OF_TABLE = """
name = "mine"
title = "Mine"
format = "sql"
id = "id"
[options]
table = ["My Shop", "a.b"]
[attributes]
title = "title"
"""
EVERY_TYPE = """
CREATE SCHEMA shop;
CREATE TABLE shop.things (
    id bigint PRIMARY KEY, title text, price numeric(12, 4), weight double precision, sold boolean, day date, at timestamptz,
    at_local timestamp, sizes text[], vector jsonb, facts json, thing uuid, raw bytea, code character(4), length interval,
    embedding vector(3), address inet, mood int4range
);
INSERT INTO shop.things VALUES
(9007199254740993, 'Shirt', 19.9000, 0.1, true, '2011-02-03', '2011-02-03 04:05:06.789+02', '2011-02-03 04:05:06', '{S,"X L"}',
 '[0.1, -1e-3, 2]', '{"price": 19.90, "ids": [{"id": 9007199254740993}]}', '6ba7b810-9dad-11d1-80b4-00c04fd430c8', '\\x00ff', 'ab',
 '1 day', '[0.1,0.2,3]', '10.0.0.1', '[1,3)'),
(2, NULL, 'NaN', 'Infinity', NULL, 'infinity', '-infinity', '0044-03-15 BC', NULL, 'null', NULL, NULL, NULL, NULL, '-178000000 years',
 NULL, NULL, NULL);
"""


def lite(path: Path, statement: str) -> str:
    with sqlite3.connect(path) as connection:
        connection.executescript(statement)
    return f"sqlite:///{path}"


def test_values_of_every_type_of_postgres(settings, database):
    made(database, EVERY_TYPE)
    second, first = found_again(Sql(database_url(settings), {"table": "shop.things"}))
    assert dict(first.values) == {
        "id": 9007199254740993,
        "title": "Shirt",
        "price": Decimal("19.9000"),
        "weight": 0.1,
        "sold": True,
        "day": dt.date(2011, 2, 3),
        "at": dt.datetime(2011, 2, 3, 2, 5, 6, 789000, tzinfo=dt.UTC),
        "at_local": dt.datetime(2011, 2, 3, 4, 5, 6),
        "sizes": ["S", "X L"],
        "vector": [0.1, -0.001, 2],
        "facts": {"price": Decimal("19.90"), "ids": [{"id": 9007199254740993}]},
        "thing": uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
        "raw": b"\0\xff",
        "code": "ab  ",
        "length": dt.timedelta(days=1),
        "embedding": "[0.1,0.2,3]",
        "address": first.values["address"],
        "mood": first.values["mood"],
    }
    assert str(first.values["price"]) == "19.9000"
    # What Python has no value for is the text it is.
    assert second.values["day"] == "infinity"
    assert second.values["at"] == "-infinity"
    assert second.values["at_local"] == "0044-03-15 00:00:00 BC"
    assert second.values["price"].is_nan()
    assert second.values["vector"] is None
    assert [first.locator, second.locator] == ["i9007199254740993", "i2"]


def test_the_digest_is_that_of_the_content(settings, database):
    made(database, EVERY_TYPE)
    reader = Sql(database_url(settings), {"table": ["shop", "things"]})
    before = {row.locator: row.digest for row in reader.rows()}
    assert {
        row.locator: row.digest for row in Sql(database_url(settings), {"table": "shop.things"}).rows()
    } == before
    for change in ("price = 19.9001", "vector = '[0.1, -1e-3, 2.0000000000000004]'", "at = at + '1 us'"):
        made(database, f"UPDATE shop.things SET {change} WHERE id > 2")
        (changed,) = reader.again(["i9007199254740993"])
        assert changed.digest not in before.values()
        before["…"] = changed.digest
    made(database, "DELETE FROM shop.things WHERE id = 2")
    assert list(reader.again(["i2"])) == [("i2", "", {}, None, None, None)]


@drawn(max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=5),
            st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
            st.one_of(st.none(), st.floats(allow_nan=False), st.binary(max_size=4)),
        ),
        max_size=12,
    ),
    key=st.sampled_from([(), ("a",), ("a", "b"), ("b",)]),
)
def test_what_was_written_is_read_and_found_again(tmp_path_factory, rows, key):
    path = tmp_path_factory.getbasetemp() / "drawn.sqlite"
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a TEXT, b INTEGER, c)")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    found = found_again(Sql(f"sqlite:///{path}", {"table": "t", "key": list(key)}))
    assert sorted(map(repr, (tuple(row.values.values()) for row in found))) == sorted(map(repr, rows))


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_names_of_any_kind(settings, database, tmp_path, kind):
    statement = """
    CREATE TABLE "Odd.Table %s" ("Item No." integer PRIMARY KEY, "50% off" text, ":name" text, "a""b" text, "select" text);
    INSERT INTO "Odd.Table %s" VALUES (1, 'a', 'b', 'c', 'd');
    """
    if kind == "postgres":
        made(database, statement)
    location = database_url(settings) if kind == "postgres" else lite(tmp_path / "odd.sqlite", statement)
    (row,) = found_again(Sql(location, {"table": "Odd.Table %s"}))
    assert dict(row.values) == {"Item No.": 1, "50% off": "a", ":name": "b", 'a"b': "c", "select": "d"}


def test_a_query_of_a_mapping(settings, database):
    made(
        database,
        "CREATE TABLE p (id int, at timestamptz, title text); CREATE TABLE v (id int, vector jsonb);"
        "INSERT INTO p VALUES (1, '2020-01-01', 'old'), (1, '2021-01-01', 'new'), (2, '2020-01-01', '100% :wool');"
        "INSERT INTO v VALUES (1, '[1, 2]')",
    )
    query = "SELECT p.*, v.vector, title LIKE '%:wool' AS wool, '{}'::jsonb AS none FROM p LEFT JOIN v USING (id) -- all"
    rows = found_again(Sql(database_url(settings), {"query": query, "key": "id", "order": ["-at"]}))
    assert [row.values["title"] for row in rows] == ["new", "old", "100% :wool"]
    assert [row.values["vector"] for row in rows] == [[1, 2], [1, 2], None]
    assert [row.values["wool"] for row in rows] == [False, False, True]


def test_tables_beside_another_one(settings, database):
    made(
        database,
        "CREATE SCHEMA old; CREATE TABLE old.p (id int, title text); INSERT INTO old.p VALUES (1, 'a'), (1, 'b'), (2, 'c'), (3, 'd');"
        "CREATE TABLE old.v (id text, vector jsonb, at int);"
        "INSERT INTO old.v VALUES ('1.0', '[1]', 1), ('1', '[2]', 2), ('2.00', '[3]', 1), ('x', '[4]', 1), ('2.5', '[5]', 1);"
        "CREATE TABLE old.w (of int, w int); INSERT INTO old.w VALUES (3, 30), (7, 70)",
    )
    joins = [
        {"table": "old.v", "on": "id", "columns": {"image": "vector"}, "newest": "at"},
        {"table": "old.w", "on": {"of": "id"}, "columns": ["w"]},
        {"table": "old.none", "on": "id", "columns": ["x"], "optional": True},
    ]
    reader = Sql(database_url(settings), {"table": "old.p", "key": "id", "order": ["-title"], "joins": joins})
    assert [tuple(row.values.values()) for row in found_again(reader)] == [
        (1, "b", [2], None),
        (1, "a", [2], None),
        (2, "c", [3], None),
        (3, "d", None, 30),
    ]
    for join, said in (
        ({"table": "old.none", "on": "id"}, "no table old.none"),
        ({"table": "old.v", "on": "sku"}, "v in .* has no column 'sku', but id, vector, at"),
        ({"table": "old.v", "on": {"id": "sku"}}, "no column 'sku' to join v to, but id, title"),
        (
            {"table": "old.v", "on": "id", "columns": {"title": "vector"}},
            "Two columns would be called 'title'",
        ),
        ({"table": "old.v", "columns": ["vector"]}, "By which column is v joined"),
        ({"table": "old.v", "using": "id"}, "no key 'using', only table, on"),
    ):
        with pytest.raises(SourceError, match=said):
            Sql(database_url(settings), {"table": "old.p", "joins": [join]})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"query": "SELECT 1 AS id) AS source; DROP TABLE p; SELECT * FROM (SELECT 1 AS id", "key": "id"},
            "cannot insert multiple commands",
        ),
        ({"query": "SELECT 1 AS id; DROP TABLE p", "key": "id"}, "syntax error"),
        ({"query": "DROP TABLE p"}, "does not begin with SELECT"),
        ({"query": "WITH gone AS (DELETE FROM p RETURNING *) SELECT * FROM gone"}, "data-modifying"),
        ({"query": "SELECT nextval('counter') AS id"}, "read-only transaction"),
        ({"query": "SELECT id, id FROM p"}, "two columns 'id'"),
        ({"table": "goods"}, r"no table goods.*There are: .* and \d+ more"),
        ({}, r"Which table of .* There are: .* and \d+ more"),
        ({"table": "p", "key": "sku"}, "no column 'sku', but id, title"),
        ({"table": "hidden"}, "GRANT SELECT"),
    ],
)
def test_nothing_is_written_and_what_is_wrong_is_told(settings, database, options, said):
    made(
        database,
        "CREATE TABLE p AS SELECT 1 AS id, 'Shirt' AS title; CREATE SEQUENCE counter;"
        "CREATE TABLE hidden (id int); CREATE ROLE visitor LOGIN; GRANT SELECT ON p TO visitor; GRANT ALL ON SEQUENCE counter TO visitor",
    )
    location = (
        database_url(settings, user="visitor") if options == {"table": "hidden"} else database_url(settings)
    )
    try:
        with pytest.raises(SourceError, match=said) as raised:
            list(Sql(location, options).rows())
        assert "\n" not in str(raised.value)
        assert [row.values["title"] for row in Sql(database_url(settings), {"table": "p"}).rows()] == [
            "Shirt"
        ]
    finally:
        made(database, "DROP OWNED BY visitor; DROP ROLE visitor")


def test_rows_that_policies_keep_back_are_told(settings, database):
    made(
        database,
        """
        CREATE SCHEMA "My Shop"; CREATE TABLE "My Shop"."a.b" AS SELECT n AS id, 'Red shirt' AS title FROM generate_series(1, 3) AS n;
        ALTER TABLE "My Shop"."a.b" ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON "My Shop"."a.b" USING (id < 0);
        CREATE ROLE visitor LOGIN; GRANT USAGE ON SCHEMA "My Shop" TO visitor; GRANT SELECT ON "My Shop"."a.b" TO visitor
        """,
    )
    try:
        location = database_url(settings, user="visitor")
        options = {"table": ["My Shop", "a.b"]}
        assert "policies" in Sql(location, options).how["rows"]
        assert "rows" not in Sql(database_url(settings), options).how
        source = Mapped.open(location, parse_mapping(OF_TABLE, "mine.toml"))
        assert not list(source.scan()) and len(source.notes) == 1
        said = said_of_scan(
            SourceRecord("mine", "catalogue", location, {}, True),
            SyncReport(0, 0, 0, 0, 0, (), notes=tuple(source.notes)),
        )
        assert "only those that the table's policies let this user see" in said
        with pytest.raises(SourceError, match=r"a\.b in .* has no rows that may be seen"):
            propose(location, "sql", None, options)
    finally:
        made(database, "DROP OWNED BY visitor; DROP ROLE visitor")


def test_a_table_without_a_key_says_so(settings, database):
    made(
        database,
        "CREATE TABLE bag AS SELECT n % 3 AS a, n AS b FROM generate_series(1, 9) AS n; INSERT INTO bag VALUES (1, 1)",
    )
    reader = Sql(database_url(settings), {"table": "bag"})
    assert "name one in the mapping" in reader.how["key"]
    assert len(found_again(reader)) == 10
    made(database, "CREATE VIEW shown AS SELECT * FROM bag")
    assert len(found_again(Sql(database_url(settings), {"table": "shown", "key": ["a"]}))) == 10
    assert Sql(database_url(settings), {"table": "shown", "key": ["a"]}).how["key"] == "a"


def test_a_unique_index_is_a_key_if_it_holds_no_nulls(settings, database):
    made(database, "CREATE TABLE a (x int UNIQUE, y int NOT NULL UNIQUE, z int UNIQUE)")
    assert Sql(database_url(settings), {"table": "a"}).how["key"] == "y"


def test_a_scan_is_one_snapshot(settings, database):
    made(
        database,
        "CREATE TABLE p AS SELECT n AS id FROM generate_series(1, 1000) AS n; ALTER TABLE p ADD PRIMARY KEY (id)",
    )
    rows = Sql(database_url(settings), {"table": "p"}).rows()
    first = next(rows)
    made(database, "DELETE FROM p WHERE id > 500; INSERT INTO p VALUES (2000)")
    assert [first.values["id"], *(row.values["id"] for row in rows)] == list(range(1, 1001))


def test_a_lost_connection_goes_on_behind_the_last_key(settings, database):
    # Keys that repeat and keys that are null: none is left out, none comes twice.
    made(
        database,
        "CREATE TABLE p AS SELECT CASE WHEN n <= 1900 THEN n / 7 END AS id, n FROM generate_series(1, 2000) AS n",
    )
    reader = Sql(database_url(settings), {"table": "p", "key": "id"})
    seen = []
    for row in reader.rows():
        seen.append(row.values["n"])
        if len(seen) in (2 * FETCHED_ROWS + 3, 1950):
            database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid()"
            )
            database.commit()
    assert sorted(seen) == list(range(1, 2001))
    assert "the connection was lost" in reader.how["interrupted"]


def test_a_lost_connection_is_no_table_that_is_missing(settings, database):
    made(database, EVERY_TYPE)
    engine = databases.engine(database_url(settings))
    with engine.connect() as connection:
        ended = connection.scalar(sa.text("SELECT pg_backend_pid()"))
        database.execute("SELECT pg_terminate_backend(%s)", (ended,))
        with pytest.raises(sa.exc.OperationalError, match="terminat"):
            databases.find_table(connection, "shop.things", "here")
    engine.dispose()


def test_it_works_where_the_role_has_time_outs(settings, database):
    made(database, "CREATE TABLE p AS SELECT n AS id FROM generate_series(1, 9) AS n")
    user = database.execute("SELECT current_user").fetchone()[0]  # type: ignore[index]
    name = settings.database_url.get_secret_value().rpartition("dbname=")[2].partition("&")[0]
    database.execute(
        sql.SQL("ALTER ROLE {} IN DATABASE {} SET statement_timeout = '40ms'").format(
            sql.Identifier(user), sql.Identifier(name)
        )
    )
    database.commit()
    assert (
        count(
            Sql(
                database_url(settings),
                {"query": "SELECT id, pg_sleep(0.05) IS NULL AS slept FROM p", "key": "id"},
            )
        )
        == 9
    )


def test_text_that_is_none_is_a_row_with_a_defect(tmp_path):
    location = lite(
        tmp_path / "a.sqlite",
        "CREATE TABLE p (id INTEGER PRIMARY KEY, title TEXT);"
        "INSERT INTO p VALUES (1, CAST(X'ff41' AS TEXT)), (2, 'a' || char(0)), (3, 'Shirt')",
    )
    rows = found_again(Sql(location, {"table": "p"}))
    assert [row.defect for row in rows] == ["wrong_encoding", "wrong_encoding", None]
    assert rows[0].text == '{"id": "1", "title": "\\\\xffA"}'


def test_a_file_of_sqlite_is_never_made_nor_written(tmp_path):
    with pytest.raises(SourceError, match="There is no file"):
        Sql(f"sqlite:///{tmp_path}/none.sqlite", {"table": "p"})
    assert not list(tmp_path.iterdir())
    location = lite(
        tmp_path / "a.sqlite", "CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1)"
    )
    with pytest.raises(SourceError, match=r"no table q.*There are: p"):
        Sql(location, {"table": "q"})
    (tmp_path / "a.sqlite").chmod(0o400)
    assert count(Sql(location, {"table": "p"})) == 1
    assert format_of(str(tmp_path / "a.sqlite")) == "sql"
    assert count(open_rows("sql", str(tmp_path / "a.sqlite"), {"table": "p"})) == 1


def test_a_file_with_a_log_is_read_where_nothing_may_be_written():
    # Nothing is closed to root: a process of its own reads it, which becomes somebody else once all is imported.
    code = """if True:
        import os, sys
        from fashion_assets.sources import SourceError
        from fashion_assets.sources.readers.sql import Sql
        def read(name):
            try:
                print([row.values for row in Sql(f"sqlite:///{sys.argv[1]}/{name}", {"table": "items"}).rows()])
            except SourceError as error:
                print(error)
        read("plain.db")
        os.chmod(sys.argv[1], 0o555)
        if os.geteuid() == 0:
            os.setuid(65_534)
        read("shop.db")
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def read() -> str:
            child = subprocess.run(
                [sys.executable, "-c", code, name], capture_output=True, text=True, check=True
            )
            folder.chmod(0o755)
            return child.stdout

        for file, mode in (("plain.db", "delete"), ("shop.db", "wal")):
            connection = sqlite3.connect(folder / file)
            connection.execute(f"PRAGMA journal_mode = {mode}")
            connection.executescript(
                "CREATE TABLE items (id INTEGER PRIMARY KEY); INSERT INTO items VALUES (7)"
            )
            connection.close()
        assert read() == "[{'id': 7}]\n" * 2
        (folder / "shop.db-wal").write_bytes(b"what was written last")
        assert "shop.db-wal, and reading that takes a folder that may be written" in read()


def test_a_table_is_described_once_each_time_it_is_opened(settings, database):
    made(database, "CREATE TABLE p (id int PRIMARY KEY, title text)")
    asked: list[str] = []

    def note(connection, cursor, statement, *others):
        asked.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        for columns in (["id", "title"], ["id", "title", "size"]):
            asked.clear()
            reader = Sql(database_url(settings), {"table": "p"})
            assert reader.columns == columns
            assert sum("pg_attribute.attname AS name" in each for each in asked) == 1
            reader.close()
            # What was looked up is no longer believed by the next one.
            made(database, "ALTER TABLE p ADD COLUMN IF NOT EXISTS size text")
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def test_memory_does_not_grow_with_the_table(settings, database):
    made(
        database,
        "CREATE TABLE p AS SELECT n AS id, repeat('Turtle Check ', 60) AS title FROM generate_series(1, 8000) AS n;"
        "ALTER TABLE p ADD PRIMARY KEY (id)",
    )
    reader = Sql(database_url(settings), {"table": "p"})
    assert peak(lambda: count(reader)) < 3_000_000 < 8_000 * 780


# --- locations


KEYS = st.lists(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        st.decimals(allow_nan=False),
        st.datetimes(timezones=st.just(dt.UTC)),
        st.dates(),
        st.uuids(),
        st.binary(max_size=9),
        st.text(st.characters(exclude_categories=("Cs",)), max_size=9),
    ),
    min_size=1,
    max_size=4,
)


@given(KEYS)
def test_a_locator_gives_the_key_again(values):
    for digest in (None, "0123456789abcdef"):
        locator = keys.written(values, digest)
        assert not set(" |\n") & set(locator)
        found, said = keys.read(locator)
        assert (list(found), list(map(type, found))) == (values, list(map(type, values)))
        assert said == (digest and digest[:12])


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        ("k bigint PRIMARY KEY", "SELECT n * 3 - 9 FROM generate_series(1, 25000) AS n"),
        ("k uuid PRIMARY KEY", "SELECT md5(n::text)::uuid FROM generate_series(1, 30) AS n"),
        ("k text PRIMARY KEY", "SELECT 'no. ' || n || ',' FROM generate_series(1, 30) AS n"),
        ("k int, l int, PRIMARY KEY (k, l)", "SELECT n, n % 7 FROM generate_series(1, 30) AS n"),
        ("k int PRIMARY KEY", "SELECT 1 WHERE false"),
    ],
    ids=["numbers", "uuids", "text", "two columns", "no row"],
)
def test_all_keys_are_told_as_a_scan_tells_them(settings, database, columns, rows):
    made(database, f"CREATE TABLE p ({columns}); INSERT INTO p {rows}")
    reader = Sql(database_url(settings), {"table": "p"})
    told = [locator for some in reader.locators() for locator in some]
    assert sorted(told) == sorted(row.locator for row in reader.rows())
    assert max((len(some) for some in reader.locators()), default=0) <= LOCATORS
    reader.close()


def test_one_connection_reads_all_tables_of_a_scan(settings, database):
    made(
        database,
        "CREATE SCHEMA shop; CREATE TABLE shop.a AS SELECT 1 AS id; CREATE TABLE shop.b AS SELECT 2 AS id",
    )

    def backend(table: str) -> str:
        reader = Sql(
            database_url(settings),
            {"query": f"SELECT id, pg_backend_pid() AS pid FROM shop.{table}", "key": "id"},
        )
        (row,) = reader.rows()
        reader.close()
        return str(row.values["pid"])

    with kept():
        assert backend("a") == backend("b")
        pid = backend("a")
    # And is closed at the end, or at once where nothing is kept.
    there = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
    for former in (pid, backend("b")):
        deadline = time.monotonic() + 120  # the server's time, on a machine that is busy with something else
        while database.execute(there, (former,)).fetchone() != (0,):
            assert time.monotonic() < deadline
            database.rollback()
            time.sleep(0.02)
