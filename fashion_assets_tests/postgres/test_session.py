"""A session looks the same whatever server, database and role say; what cannot be settled is refused by one line."""

import asyncio
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
import sqlalchemy
from psycopg import sql
from pydantic import SecretStr

from fashion_assets.postgres import clients, engines, server, session
from fashion_assets.postgres.connections import connect
from fashion_assets.postgres.errors import (
    SharedSessions,
    TooFewConnections,
    WarehouseError,
    WrongEncoding,
    explain,
    explained,
)
from fashion_assets.search.reading import AsyncReadingConnection, ReadingConnection
from fashion_assets.settings import Settings
from fashion_assets.warehouse import migrations
from fashion_assets.warehouse.database import prepare
from fashion_assets_tests.conftest import database_url
from fashion_assets_tests.postgres.pooler import Pooler

ODD = {
    "datestyle": "German, DMY",
    "intervalstyle": "iso_8601",
    "timezone": "Asia/Kathmandu",
    "extra_float_digits": "0",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "quote_all_identifiers": "on",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "gin_fuzzy_search_limit": "7",
    "row_security": "off",
    "exit_on_error": "on",
    "jit": "on",
    "hnsw.ef_search": "11",
    "hnsw.iterative_scan": "strict_order",
    "hnsw.max_scan_tuples": "12",
    "hnsw.scan_mem_multiplier": "3",
    "ivfflat.probes": "13",
    "ivfflat.iterative_scan": "relaxed_order",
    "ivfflat.max_probes": "14",
    "session_replication_role": "replica",
    "default_transaction_isolation": "serializable",
    "statement_timeout": "60ms",
    "lock_timeout": "50ms",
    "transaction_timeout": "5s",
    "idle_in_transaction_session_timeout": "50ms",
    "idle_session_timeout": "50ms",
}
"""What somebody may have set for a role, each unlike the server's own."""

SHOWN = "SELECT name, current_setting(name, true) FROM unnest(string_to_array('{}', ',')) AS name".format(
    ",".join((*ODD, "client_encoding", "search_path"))
)


@pytest.fixture
def role(server_settings: Settings) -> Iterator[str]:
    """A superuser of the server with odd settings of its own."""
    name = f"odd_{uuid.uuid4().hex}"
    with connect(server_settings, autocommit=True) as administrator:
        administrator.execute(sql.SQL("CREATE ROLE {} SUPERUSER LOGIN").format(sql.Identifier(name)))
        for setting, value in {**ODD, "client_encoding": "LATIN1", "search_path": ""}.items():
            administrator.execute(
                sql.SQL("ALTER ROLE {} SET {} = {}").format(
                    sql.Identifier(name), sql.Identifier(setting), sql.Literal(value)
                )
            )
        yield name
        administrator.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.fixture
def odd(settings: Settings, role: str) -> Settings:
    """The test's installation, its database used by that role."""
    return as_role(settings, role)


def as_role(settings: Settings, role: str) -> Settings:
    name = server.parameters(settings)["dbname"]
    return Settings(
        home=settings.home, database_url=SecretStr(database_url(settings, dbname=name, user=role))
    )


def by_psycopg(settings: Settings) -> dict[str, str]:
    with connect(settings) as connection:
        return dict(connection.execute(SHOWN).fetchall())


def by_the_pool(settings: Settings) -> dict[str, str]:
    parameters: dict[str, Any] = {"autocommit": True, **server.parameters(settings)}
    with ReadingConnection.connect(**parameters) as connection:
        connection.configure()
        return dict(connection.execute(SHOWN).fetchall())


def by_the_asynchronous_pool(settings: Settings) -> dict[str, str]:
    async def shown() -> dict[str, str]:
        parameters: dict[str, Any] = {"autocommit": True, **server.parameters(settings)}
        async with await AsyncReadingConnection.connect(**parameters) as connection:
            await connection.configure()
            return dict(await (await connection.execute(SHOWN)).fetchall())

    return asyncio.run(shown())


def by_sqlalchemy(settings: Settings, driver: str = "psycopg") -> dict[str, str]:
    # From text, as libraries take it.
    url = engines.sqlalchemy_url(settings, driver).render_as_string(hide_password=False)
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        shown = {name: value for name, value in connection.exec_driver_sql(SHOWN)}
    engine.dispose()
    return shown


def by_dagsters_driver(settings: Settings) -> dict[str, str]:
    return by_sqlalchemy(settings, "psycopg2")


@pytest.mark.parametrize(
    "opened", [by_psycopg, by_the_pool, by_the_asynchronous_pool, by_sqlalchemy, by_dagsters_driver]
)
def test_a_session_looks_the_same_whoever_opens_it_and_whatever_the_role_says(
    odd: Settings, opened: Callable[[Settings], dict[str, str]]
):
    shown = {name.lower(): value for name, value in opened(odd).items()}
    assert shown == {
        **session.SETTINGS,
        "client_encoding": "UTF8",
        "search_path": "public",
        "session_replication_role": "origin",
    }
    assert not shown.items() & ODD.items()


def test_what_runs_longer_than_the_roles_time_outs_runs(odd: Settings):
    with connect(odd) as connection:
        connection.execute("SELECT pg_sleep(0.2)")


def test_an_engine_may_have_a_search_path_of_its_own(odd: Settings):
    engine = sqlalchemy.create_engine(engines.sqlalchemy_url(odd, "psycopg2", search_path="dagster"))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW search_path").scalar() == "dagster"
    engine.dispose()


def test_text_arrives_as_it_was_whatever_the_environment_says(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with connect(settings) as connection:
        assert connection.execute("SELECT 'grün हिन्दी', convert_to('grün', 'UTF8')").fetchone() == (
            "grün हिन्दी",
            "grün".encode(),
        )


def test_what_the_environment_says_of_another_server_is_not_meant_for_the_embedded_one(
    server_settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    for name, value in {
        "PGHOSTADDR": "127.0.0.9",
        "PGTARGETSESSIONATTRS": "standby",
        "PGREQUIREAUTH": "scram-sha-256",
        "PGCHANNELBINDING": "require",
        "PGGSSENCMODE": "require",
        "PGSSLMODE": "verify-full",
        "PGSSLNEGOTIATION": "direct",
        "PGSSLCERTMODE": "require",
        "PGSSLMINPROTOCOLVERSION": "TLSv1.9",
        "PGMAXPROTOCOLVERSION": "9",
        "PGCONNECT_TIMEOUT": "a while",
        "PGSERVICE": "production",
        "PGREQUIREPEER": "nobody",
        "PGTZ": "Nowhere/Else",
    }.items():
        monkeypatch.setenv(name, value)
    assert (
        by_psycopg(server_settings) and by_sqlalchemy(server_settings) and by_dagsters_driver(server_settings)
    )
    assert "hostaddr" not in clients.url(server_settings)


# --- where pgvector is


@pytest.mark.parametrize("schema", ["extensions", 'Odd "Place"'])
def test_pgvector_may_be_in_any_schema(bare_settings: Settings, schema: str):
    with connect(bare_settings, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        connection.execute(sql.SQL("CREATE EXTENSION vector SCHEMA {}").format(sql.Identifier(schema)))
    prepare(bare_settings)
    prepare(bare_settings)
    with connect(bare_settings) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(bare_settings.reader_role)))
        assert connection.execute("SELECT '[1,2]'::vector <=> '[1,2]'").fetchone() == (0,)
    engine = sqlalchemy.create_engine(engines.sqlalchemy_url(bare_settings))
    with engine.connect() as connection:
        assert migrations.differences(connection) == []
    engine.dispose()


def test_no_schema_public_is_needed(bare_settings: Settings):
    with connect(bare_settings, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public")
    prepare(bare_settings)
    with connect(bare_settings) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(bare_settings.reader_role)))
        assert connection.execute("SELECT '[1,2]'::vector, to_regnamespace('public')").fetchone() is not None


# --- the database's encoding


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_in_another_encoding_is_refused_and_the_advice_helps(
    server_settings: Settings, encoding: str
):
    name = f"test_{uuid.uuid4().hex}"
    with connect(server_settings, autocommit=True) as administrator:

        def drop(name: str) -> None:
            administrator.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))

        administrator.execute(
            sql.SQL(
                "CREATE DATABASE {} ENCODING {} LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
            ).format(sql.Identifier(name), sql.Literal(encoding))
        )
        try:
            given = Settings(database_url=SecretStr(database_url(server_settings, dbname=name)))
            with pytest.raises(
                WrongEncoding, match=f"{name} .* is {encoding}, and UTF8 is needed"
            ) as refused:
                prepare(given)
            (advice,) = re.findall("`(.*?)`", str(refused.value))
            administrator.execute(advice)
            better = f"{name}_utf8"
            prepare(Settings(database_url=SecretStr(database_url(server_settings, dbname=better))))
            drop(better)
        finally:
            drop(name)


# --- poolers


@pytest.fixture
def through(settings: Settings) -> Iterator[Callable[..., Settings]]:
    """The test's database by way of a pooler."""
    parameters = server.parameters(settings)
    poolers: list[Pooler] = []

    def by_way_of(**how: bool) -> Settings:
        poolers.append(Pooler(f"{parameters['host']}/.s.PGSQL.{parameters['port']}", **how))
        url = database_url(settings, host="127.0.0.1", port=str(poolers[-1].port))
        return Settings(home=settings.home, database_url=SecretStr(url))

    yield by_way_of
    for pooler in poolers:
        pooler.close()


def test_a_pooler_that_keeps_sessions_is_welcome(through: Callable[..., Settings]):
    given = through(by_transaction=False)
    with connect(given) as connection:
        assert connection.execute("SHOW timezone").fetchone() == ("UTC",)
        connection.commit()
        assert connection.execute("SELECT '[1,2]'::vector").fetchone() is not None
    assert by_the_pool(given)["timezone"] == "UTC"


def test_a_pooler_that_shares_sessions_is_refused_and_nothing_is_set_in_them(
    through: Callable[..., Settings],
):
    given = through(by_transaction=True)
    for refused in (prepare, connect, by_the_pool, by_the_asynchronous_pool):
        with pytest.raises(SharedSessions, match="pool_mode"):
            refused(given)
    # Somebody else gets the session that was asked.
    with closing(psycopg.connect(server.conninfo(given), autocommit=True)) as somebody:
        shown = dict(
            somebody.execute(
                "SELECT name, setting FROM pg_settings WHERE name IN ('search_path', 'default_transaction_read_only')"
            ).fetchall()
        )
        assert shown == {"search_path": '"$user", public', "default_transaction_read_only": "off"}


def test_a_session_that_was_not_this_connections_is_told(settings: Settings):
    with pytest.raises(SharedSessions), connect(settings) as connection, explained("here"):
        connection.execute("EXECUTE of_another_session")


# --- limits


def test_no_more_connections_are_told(settings: Settings, server_settings: Settings):
    name = f"few_{uuid.uuid4().hex}"
    with connect(server_settings, autocommit=True) as administrator:
        administrator.execute(sql.SQL("CREATE ROLE {} LOGIN CONNECTION LIMIT 1").format(sql.Identifier(name)))
        try:
            given = as_role(settings, name)
            with connect(given), pytest.raises(TooFewConnections, match="takes no more connections"):
                connect(given)
        finally:
            administrator.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.mark.parametrize(
    ("text", "where", "advice"),
    [
        ('connection failed: … server does not support SSL, but SSL was required', "Postgres at db", "Mend that parameter"),
        ('connection is bad: invalid sslmode value: "x"', "Postgres at db", "Mend that parameter"),
        ("connection failed: could not fork new process: Resource temporarily unavailable", "Postgres at db", "more processes"),
        ("connection failed: Connection refused", "Postgres at db", "names the right host, port and database"),
        ("connection failed: Connection refused", "embedded Postgres in /home", "Look at its log there"),
    ],
)  # fmt: skip
def test_advice_is_of_what_is_wrong(text: str, where: str, advice: str):
    assert advice in str(explain(psycopg.OperationalError(text), where))


@pytest.mark.parametrize(
    ("provoked", "told"),
    [
        (("SET default_transaction_read_only = on", "CREATE TABLE public.x ()"), "takes no writes"),
        (("SET statement_timeout = 1", "SELECT pg_sleep(1)"), "stopped a statement"),
    ],
)
def test_what_the_server_says_later_is_told(settings: Settings, provoked: tuple[str, ...], told: str):
    with connect(settings, autocommit=True) as connection:
        connection.execute(provoked[0])
        with pytest.raises(WarehouseError, match=told), explained("here"):
            connection.execute(provoked[1])
