"""What a server or a role lacks is told before anything is written, in a line whose statement mends it."""

import re
import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from fashion_assets.postgres import connections, server
from fashion_assets.postgres.connections import Connection, connect
from fashion_assets.postgres.errors import (
    Busy,
    NameTaken,
    NoRights,
    ReadOnly,
    Refused,
    TooFewConnections,
    WarehouseError,
)
from fashion_assets.search.reading import ReadingConnection
from fashion_assets.settings import Settings
from fashion_assets.warehouse import database, reader
from fashion_assets.warehouse.database import prepare
from fashion_assets_tests.conftest import database_url

Shop = Callable[..., Settings]


@pytest.fixture
def administrator(bare_settings: Settings) -> Iterator[Connection]:
    """A superuser in the test's empty database."""
    with connect(bare_settings, autocommit=True) as connection:
        yield connection


@pytest.fixture
def shop(bare_settings: Settings, administrator: Connection) -> Iterator[Shop]:
    """The test's empty database, with pgvector in it, as a role of few rights and an odd name sees it."""
    name = f'Sh op"{uuid.uuid4().hex}'
    own = server.parameters(bare_settings)["dbname"]
    role, place = sql.Identifier(name), sql.Identifier(own)
    administrator.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE").format(role))
    administrator.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(place, role))
    administrator.execute("CREATE EXTENSION vector")

    def given(**changes: object) -> Settings:
        url = SecretStr(database_url(bare_settings, user=name, dbname=own))
        return bare_settings.model_copy(update={"database_url": url, **changes})

    yield given
    administrator.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(role))
    administrator.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.fixture
def unknown_reader(administrator: Connection) -> Iterator[str]:
    """A name no role has yet."""
    name = f"reader_{uuid.uuid4().hex}"
    yield name
    if administrator.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,)).fetchone() is not None:
        administrator.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))
        administrator.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def follow(administrator: Connection, error: WarehouseError) -> None:
    """Run what the message says to run, as whoever may."""
    for statement in re.findall("`(.*?)`", str(error)):
        administrator.execute(statement)


def refused(kind: type[WarehouseError], settings: Settings, match: str) -> WarehouseError:
    with pytest.raises(kind, match=match) as caught:
        prepare(settings)
    assert "\n" not in str(caught.value)
    return caught.value


def own_role(settings: Settings) -> sql.Identifier:
    return sql.Identifier(server.parameters(settings)["user"])


def nothing_was_made(administrator: Connection) -> bool:
    return administrator.execute("SELECT to_regnamespace('fashion_ops')").fetchone() == (None,)


def test_a_role_that_may_not_create(shop: Shop, administrator: Connection):
    settings = shop()
    revoke = sql.SQL("REVOKE CREATE ON DATABASE {} FROM {}")
    administrator.execute(revoke.format(sql.Identifier(administrator.info.dbname), own_role(settings)))
    error = refused(NoRights, settings, "may not create schemas")
    follow(administrator, error)
    prepare(settings)


@pytest.mark.parametrize(
    ("claimed", "told"),
    [
        ("CREATE SCHEMA fashion_ops", "fashion_ops of .* belongs to postgres"),
        ("CREATE SCHEMA fashion_sota; CREATE TABLE fashion_sota.products (id int); GRANT ALL ON SCHEMA fashion_sota TO PUBLIC", "holds products"),
        ("CREATE SCHEMA dagster", "dagster of"),
        ("CREATE SCHEMA fashion_sota_r0001; CREATE VIEW fashion_sota_r0001.v AS SELECT 1 AS a", "fashion_sota_r0001 of .* holds v"),
    ],
)  # fmt: skip
def test_a_schema_of_ours_that_is_anothers(shop: Shop, administrator: Connection, claimed: str, told: str):
    administrator.execute(claimed)  # type: ignore[arg-type]
    error = refused(NameTaken, shop(), told)
    follow(administrator, error)
    prepare(shop())


def test_a_trigger_of_the_databases_own_that_says_no(shop: Shop, administrator: Connection):
    administrator.execute(
        "CREATE FUNCTION public.no() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not on Fridays'; END $$; "
        "CREATE EVENT TRIGGER no ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION public.no()"
    )
    refused(Refused, shop(), "not on Fridays")
    assert nothing_was_made(administrator)


def test_a_role_that_may_not_make_temporary_tables(shop: Shop, administrator: Connection):
    revoke = sql.SQL("REVOKE TEMP ON DATABASE {} FROM PUBLIC")
    administrator.execute(revoke.format(sql.Identifier(administrator.info.dbname)))
    error = refused(NoRights, shop(), "may not make temporary tables")
    assert nothing_was_made(administrator)
    follow(administrator, error)
    prepare(shop())


@pytest.mark.parametrize("public", [True, False])
def test_a_role_that_may_not_install_pgvector(shop: Shop, administrator: Connection, public: bool):
    administrator.execute("DROP EXTENSION vector")
    if not public:
        administrator.execute("DROP SCHEMA public")
    error = refused(NoRights, shop(), "may not install pgvector")
    assert nothing_was_made(administrator)
    follow(administrator, error)
    if public:
        prepare(shop())
    else:  # a schema of the administrator's
        follow(administrator, refused(NoRights, shop(), "pgvector is in the schema extensions"))
        follow(administrator, refused(NoRights, shop(), "role fashion_reader may not use the schema"))
        prepare(shop())


def test_a_role_that_may_not_make_the_reader(shop: Shop, administrator: Connection, unknown_reader: str):
    settings = shop(reader_role=unknown_reader)
    administrator.execute(sql.SQL("ALTER ROLE {} NOCREATEROLE").format(own_role(settings)))
    error = refused(NoRights, settings, f"There is no role {unknown_reader}")
    assert nothing_was_made(administrator)
    follow(administrator, error)
    prepare(settings)
    with connect(settings) as connection:
        assert reader.missing_grant(connection, unknown_reader) is None


@pytest.mark.parametrize("name", ["user", None])
def test_who_makes_the_reader_can_become_it(
    shop: Shop, administrator: Connection, unknown_reader: str, name: str | None
):
    reader_role = name or unknown_reader
    settings = shop(reader_role=reader_role)
    prepare(settings)
    with connect(settings) as connection:
        assert reader.missing_grant(connection, reader_role) is None
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(reader_role)))
    if name:
        administrator.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))
        administrator.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_a_reader_that_somebody_else_made_needs_a_grant(shop: Shop, administrator: Connection):
    settings = shop()
    prepare(settings)
    with connect(settings, autocommit=True) as connection:
        missing = reader.missing_grant(connection, "fashion_reader")
        assert missing is not None and missing.startswith('GRANT fashion_reader TO "Sh op""')
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SET ROLE fashion_reader")
        administrator.execute(missing)
        assert reader.missing_grant(connection, "fashion_reader") is None
        connection.execute("SET ROLE fashion_reader")


def test_a_reader_that_cannot_use_pgvector(shop: Shop, administrator: Connection):
    """A database whose schema `public` was closed to all."""
    administrator.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    administrator.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(own_role(shop())))
    error = refused(NoRights, shop(), "role fashion_reader may not use the schema pgvector is in")
    assert nothing_was_made(administrator)
    follow(administrator, error)
    prepare(shop())
    # And where it is closed later.
    administrator.execute("REVOKE ALL ON SCHEMA public FROM fashion_reader")
    refused(NoRights, shop(), "could not search")


@pytest.mark.parametrize(
    "whose", ["DATABASE {database}", "ROLE {role}", "ROLE {role} IN DATABASE {database}"]
)
def test_what_is_read_only(shop: Shop, administrator: Connection, whose: str):
    settings = shop()
    named = sql.SQL(whose).format(database=sql.Identifier(administrator.info.dbname), role=own_role(settings))  # pyright: ignore[reportArgumentType]
    administrator.execute(sql.SQL("ALTER {} SET default_transaction_read_only = on").format(named))
    error = refused(ReadOnly, settings, "default_transaction_read_only is on")
    with connect(settings) as connection:
        assert connection.execute("SHOW default_transaction_read_only").fetchone() == ("on",)
    with ReadingConnection.connect(server.conninfo(settings), autocommit=True) as reading:
        reading.configure()  # reading goes on
    administrator.execute("SET default_transaction_read_only = off")
    follow(administrator, error)
    prepare(settings)


def test_a_role_whose_writes_fire_no_trigger(shop: Shop, administrator: Connection):
    settings = shop()
    administrator.execute(
        sql.SQL("ALTER ROLE {} SET session_replication_role = replica").format(own_role(settings))
    )
    error = refused(ReadOnly, settings, "session_replication_role is replica")
    assert nothing_was_made(administrator)
    follow(administrator, error)
    prepare(settings)


@pytest.mark.parametrize("whose", ["ROLE {role}", "DATABASE {database}"])
def test_too_few_connections(shop: Shop, administrator: Connection, whose: str):
    settings = shop()
    named = sql.SQL(whose).format(database=sql.Identifier(administrator.info.dbname), role=own_role(settings))  # pyright: ignore[reportArgumentType]
    administrator.execute(sql.SQL("ALTER {} CONNECTION LIMIT 4").format(named))
    error = refused(TooFewConnections, settings, "has 4 connections .* a run takes up to 8")
    assert nothing_was_made(administrator)
    follow(administrator, error)
    prepare(settings)


def test_who_keeps_the_database_from_being_prepared_is_named(
    shop: Shop, administrator: Connection, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connections, "LOCK_SECONDS", 1)
    administrator.execute("SET application_name = 'somebody''s shell'")
    administrator.execute("SELECT pg_advisory_lock(%s)", (database._PREPARING,))
    error = refused(Busy, shop(), "prepares this database")
    assert f"somebody's shell (server process {administrator.info.backend_pid}, role postgres)" in str(error)
    administrator.execute("SELECT pg_advisory_unlock_all()")
    prepare(shop())
