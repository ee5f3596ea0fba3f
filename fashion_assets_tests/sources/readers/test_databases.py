"""Databases as sources: their URLs, what is told of them, and which of their tables is a catalogue."""

import pytest

from fashion_assets.postgres.connections import connect
from fashion_assets.sources import SourceError
from fashion_assets.sources.proposed_table import propose_for_database
from fashion_assets.sources.readers import databases
from fashion_assets.sources.readers.beginnings import is_database_url
from fashion_assets.sources.readers.sql import Sql
from fashion_assets_tests.conftest import database_url
from fashion_assets_tests.sources.readers.reading import made


def test_a_password_is_never_told(settings, monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", "p@ss:wo/rd%")
    monkeypatch.setenv("SHOP_URL", "postgresql://shop:p%40ss@localhost:1/shop")
    for location in (
        "postgresql://shop:${SHOP_PASSWORD}@localhost:1/shop",
        "postgresql://shop@localhost:1/shop?password=${SHOP_PASSWORD}",
        "postgres://shop:secret@localhost:1/shop",
        "env:SHOP_URL",
    ):
        assert databases.told(location) == "postgresql://shop@localhost:1/shop"
        with pytest.raises(SourceError) as raised:
            Sql(location, {"table": "p"})
        said = str(raised.value)
        assert said.startswith("postgresql://shop@localhost:1/shop cannot be reached: ")
        assert "\n" not in said and "p@ss" not in said and "secret" not in said
    assert databases.url("postgresql://shop:${SHOP_PASSWORD}@localhost:1/shop").password == "p@ss:wo/rd%"


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("env:SHOP_URL", "SHOP_URL, which names the database, is not set"),
        ("postgresql://a:${NONE}@localhost/shop", "NONE.* is not set"),
        ("postgresql://a:b@localhost:port/shop", "no URL of a database"),
        ("mysql://shop:secret@localhost/shop", r"no driver for mysql here.*pip install pymysql"),
        ("nonsense://shop:secret@localhost/shop", "knows no database called nonsense"),
        ("mssql+pyodbc://shop:secret@localhost/shop", "driver of mssql.pyodbc cannot be loaded"),
    ],
)
def test_a_location_that_makes_no_sense_is_told(location, said):
    with pytest.raises(SourceError, match=said) as raised:
        Sql(location, {"table": "p"})
    assert "secret" not in str(raised.value)


def test_what_is_a_location_of_a_database():
    for location in (
        "postgresql://a/b",
        "postgresql+psycopg://a/b",
        "sqlite:////a.db",
        "env:SHOP_URL",
        "mysql://a/b",
    ):
        assert is_database_url(location)
    for location in ("/a/styles.csv", "https://shop.example/feed.xml", "s3://bucket/a", "C:\\shop", "env"):
        assert not is_database_url(location)


def test_tables_and_columns_of_a_database(settings):
    with connect(settings) as connection:
        made(
            connection, "CREATE SCHEMA old; CREATE TABLE old.a (x int, y int); CREATE VIEW b AS SELECT 1 AS z"
        )
    engine = databases.engine(database_url(settings))
    with engine.connect() as opened:
        assert {"b", "old.a"} <= set(databases.tables(opened))
        assert databases.columns(opened, "old") == {"a": ["x", "y"]}
    engine.dispose()


def test_of_several_tables_the_one_is_read_that_is_meant_and_told(settings):
    statements = (
        "CREATE SCHEMA archive; CREATE SCHEMA shop",
        "CREATE TABLE archive.articles (id int PRIMARY KEY, title text, brand text, price numeric)",
        "INSERT INTO archive.articles SELECT n, 'Dress ' || n, 'Puma', n + .99 FROM generate_series(1, 40) n",
        "CREATE TABLE shop.items (id int, title text, brand text, price numeric, PRIMARY KEY (id)) PARTITION BY RANGE (id)",
        "CREATE TABLE shop.a_first PARTITION OF shop.items FOR VALUES FROM (0) TO (1000)",
        "INSERT INTO shop.items SELECT n, 'Shirt ' || n, 'Nike', n + .49 FROM generate_series(1, 60) n",
        "CREATE TABLE shop.bare (id int PRIMARY KEY, title text, brand text, price numeric)",
        "INSERT INTO shop.bare SELECT n, 'Shoe ' || n, 'Fila', n + .29 FROM generate_series(1, 5) n",
    )
    with connect(settings) as connection:
        made(connection, ";".join(statements))
    found = propose_for_database(
        f"{database_url(settings)}{'&' if '?' in database_url(settings) else '?'}search_path=shop", None
    )
    assert found.mapping.options["table"] == "items"
    assert found.notes[0] == (
        "the table items is read, of 2; bare could be as well: name another one in a mapping (--mapping FILE)"
    )
