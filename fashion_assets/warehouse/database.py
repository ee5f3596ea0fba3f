"""Connections to the database, what the server must offer, and bringing the schemas up to date.

What belongs here: `connect`, `check_server`, `prepare`. What does not: which server (`warehouse.server`), and
the tables themselves (`warehouse.tables`, `warehouse.migrations`).
"""

from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from fashion_assets.origins import nearest
from fashion_assets.settings import Settings
from fashion_assets.warehouse import server
from fashion_assets.warehouse.errors import (
    MINIMUM_PGVECTOR,
    MINIMUM_POSTGRES,
    NoRights,
    NotInstalled,
    ServerTooOld,
    VectorMissing,
    VectorTooOld,
    explained,
)
from fashion_assets.warehouse.migrations import HEAD
from fashion_assets.warehouse.schemas import DAGSTER, OPS, SERVING, VERSION_TABLE

Connection = psycopg.Connection[tuple[Any, ...]]

_PREPARING = 7_051_922_310
"""Advisory lock of `prepare`: any number, the same everywhere."""


def connect(
    settings: Settings,
    *,
    autocommit: bool = False,
    application_name: str = "fashion-assets",
    vectors: bool = True,
) -> Connection:
    """A new connection to the server in use, which is started if it is the embedded one. The caller closes
    it.

    Knows pgvector's types where the extension is installed; `vectors=False` saves that look (about 2 ms).
    Does not retry. Raises a `WarehouseError` that says what is wrong.
    """
    with explained(server.describe(settings)):
        connection = psycopg.connect(
            **({"application_name": application_name} | server.parameters(settings)),  # type: ignore[arg-type]
            autocommit=True,
        )
        if vectors:
            register_vectors(connection)
        connection.autocommit = autocommit
    return connection


def register_vectors(connection: Connection) -> bool:
    """Teach the connection pgvector's types; returns whether the extension is installed in the database."""
    from pgvector.psycopg import register_vector

    try:
        register_vector(connection)
    except psycopg.ProgrammingError:  # its way of saying that the type does not exist
        return False
    return True


class ServerFacts(NamedTuple):
    """What a server offers, as far as it matters here."""

    version: str
    vector: str | None  # the installed pgvector, or the one that would be installed
    may_create: bool  # schemas in this database


def check_server(connection: Connection) -> ServerFacts:
    """See that the server can do what is asked of it.

    Raises `ServerTooOld`, `VectorMissing`, `VectorTooOld` or `NoRights`.
    """
    where = f"{connection.info.host or 'local socket'}, database {connection.info.dbname}"
    require_postgres(connection.info.server_version, where)
    row = connection.execute(
        """
        SELECT current_setting('server_version'),
               (SELECT extversion FROM pg_extension WHERE extname = 'vector'),
               (SELECT default_version FROM pg_available_extensions WHERE name = 'vector'),
               has_database_privilege(current_database(), 'CREATE'),
               to_regnamespace(%s) IS NOT NULL AND has_schema_privilege(to_regnamespace(%s), 'CREATE')
        """,
        (OPS, OPS),
    ).fetchone()
    assert row is not None
    version, installed, available, may_create, may_use = row
    require_vector(installed, available, where)
    if not may_create and not may_use:
        raise NoRights(
            f"The role {connection.info.user} may not create schemas ({where}). Let an administrator run "
            f"`GRANT CREATE ON DATABASE {connection.info.dbname} TO {connection.info.user}`."
        )
    return ServerFacts(version, installed or available, may_create)


def require_postgres(version: int, where: str) -> None:
    """Raise `ServerTooOld` unless `version`, as libpq numbers it (150004 is 15.4), is new enough."""
    if version // 10_000 < MINIMUM_POSTGRES:
        raise ServerTooOld(
            f"The server is Postgres {version // 10_000} ({where}); {MINIMUM_POSTGRES} or newer is needed. "
            "Upgrade it, or unset FASHION_ASSETS_DATABASE_URL to use the embedded server."
        )


def require_vector(installed: str | None, available: str | None, where: str) -> None:
    """Raise `VectorMissing` or `VectorTooOld` unless pgvector is, or can be, installed in a good version."""
    needed = ".".join(map(str, MINIMUM_PGVECTOR))
    version = installed or available
    if version is None:
        raise VectorMissing(
            f"The server has no pgvector ({where}). Install {needed} or newer (Debian: "
            "postgresql-NN-pgvector, image: pgvector/pgvector), "
            "or unset FASHION_ASSETS_DATABASE_URL to use the embedded server."
        )
    if _numbers(version) >= MINIMUM_PGVECTOR:
        return
    if installed and available and _numbers(available) >= MINIMUM_PGVECTOR:
        advice = "Run `ALTER EXTENSION vector UPDATE` as its owner"
    else:
        advice = "Upgrade it on the server, then run `ALTER EXTENSION vector UPDATE`"
    raise VectorTooOld(
        f"pgvector is {version} ({where}), and {needed} or newer is needed: older ones can corrupt an index. "
        f"{advice}."
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def prepare(settings: Settings, *, anew: bool = True) -> None:
    """Make the database ready: pgvector, the schemas, the reader role, every migration. Safe to call at any
    time, by any number of processes at once; when nothing is to do, it is one connection and one query.

    Raises a `WarehouseError` that says what is wrong; `NotInstalled`, unless `anew`, where nothing was ever made, and
    makes nothing.
    """
    if not anew and settings.is_new:
        raise NotInstalled(_nothing_in(settings.postgres_data))
    where = server.describe(settings)
    with explained(where), connect(settings, autocommit=True, vectors=False) as connection:
        if _is_ready(connection, settings.reader_role):
            return
        if not anew and not _is_made(connection):
            raise NotInstalled(
                f"Nothing was ever migrated into this database ({where}). Begin with: fashion-assets run"
            )
        check_server(connection)
        connection.autocommit = False
        _bring_up_to_date(connection, settings.reader_role)


def is_installed(settings: Settings) -> bool:
    """Whether anything was ever made in the home, or in the database of the settings. Makes nothing."""
    if settings.is_new:
        return False
    with connect(settings, autocommit=True, vectors=False) as connection:
        return _is_made(connection)


def _is_made(connection: Connection) -> bool:
    return connection.execute(
        "SELECT to_regclass(%s) IS NOT NULL", (f"{OPS}.{VERSION_TABLE}",)
    ).fetchone() == (True,)


def _nothing_in(data: Path) -> str:
    """What to tell where an embedded server has no data folder, and which home beside this one may have been meant."""
    home = data.parent
    beside = [version.parts[-3] for version in home.parent.glob(f"*/{data.name}/PG_VERSION")]
    meant = nearest(home.name, beside) or (beside[0] if len(beside) == 1 else None)
    return (
        f"There is no installation in {home}: there is no database in {data}. "
        + (f"Did you mean {home.with_name(meant)}? " if meant else "")
        + "Make one with `fashion-assets run`, or name another home with --home or FASHION_ASSETS_HOME."
    )


def _bring_up_to_date(connection: Connection, reader: str) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.pool import StaticPool

    from fashion_assets.warehouse import migrations

    # Alembic speaks SQLAlchemy. One connection under both, so that all of it happens in one transaction, or
    # nothing.
    engine = create_engine("postgresql+psycopg://", creator=lambda: connection, poolclass=StaticPool)
    with engine.begin() as same:
        # Waits for another process that is at it, then looks again.
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_PREPARING,))
        if _is_ready(connection, reader):
            return
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        for schema in (OPS, SERVING, DAGSTER):
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        _make_reader(connection, reader)
        migrations.upgrade(same)


def _is_ready(connection: Connection, reader: str) -> bool:
    ready = connection.execute(
        """
        SELECT to_regclass(%(versions)s) IS NOT NULL
               AND EXISTS (SELECT FROM pg_extension WHERE extname = 'vector')
               AND to_regnamespace(%(serving)s) IS NOT NULL
               AND to_regnamespace(%(dagster)s) IS NOT NULL
               AND (SELECT has_schema_privilege(oid, to_regnamespace(%(serving)s), 'USAGE')
                    FROM pg_roles WHERE rolname = %(reader)s)
        """,
        {"versions": f"{OPS}.{VERSION_TABLE}", "serving": SERVING, "dagster": DAGSTER, "reader": reader},
    ).fetchone()
    if ready != (True,):
        return False
    versions = sql.SQL("SELECT version_num FROM {}").format(sql.Identifier(OPS, VERSION_TABLE))
    return connection.execute(versions).fetchall() == [(HEAD,)]


def _make_reader(connection: Connection, reader: str) -> None:
    # Roles belong to the whole server: another database of it may be making the same one.
    try:
        with connection.transaction():
            if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (reader,)).fetchone() is None:
                connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(reader)))
    except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
        pass
    connection.execute(
        sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(SERVING), sql.Identifier(reader))
    )
