"""Bringing the schemas of a database up to date, and looking whether they are.

What belongs here: `prepare`, `undo`, `verified`. What does not: connections (`postgres.connections`), what a server must offer
(`warehouse.requirements`), and the tables themselves (`warehouse.tables`, `warehouse.migrations`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from fashion_assets import __version__
from fashion_assets.origins import nearest
from fashion_assets.postgres import server, session
from fashion_assets.postgres.connections import Connection, connect, wait_for
from fashion_assets.postgres.errors import Busy, MadeByNewer, NoRights, NotInstalled, explained
from fashion_assets.settings import Settings
from fashion_assets.warehouse import keeper, migrations, reader, release_tables, writer
from fashion_assets.warehouse.migrations import HEAD
from fashion_assets.warehouse.requirements import check_server, require_free_names
from fashion_assets.warehouse.schemas import DAGSTER, OPS, SERVING, VERSION_TABLE

if TYPE_CHECKING:
    import sqlalchemy

_PREPARING = 7_051_922_310
"""Advisory lock of `prepare`: any number, the same everywhere."""


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
        try:
            if _is_ready(connection, settings.reader_role):
                return
        except psycopg.errors.InsufficientPrivilege:
            require_free_names(connection)
            raise
        _require_known(connection, where)
        if not anew and not _is_made(connection):
            raise NotInstalled(
                f"Nothing was ever migrated into this database ({where}). Begin with: fashion-assets run"
            )
        check_server(connection)
        if not _is_made(connection):
            require_free_names(connection)
        connection.autocommit = False
        _bring_up_to_date(connection, settings, where)


def give_rights(settings: Settings) -> str | None:
    """Make the roles that read and write where they are missing, and give them their rights again, in a prepared database. Returns the
    statement an administrator would have to run for the writer's role; None where it is there."""
    where = server.describe(settings)
    with explained(where), connect(settings, vectors=False) as connection, connection.transaction():
        reader.make(connection, settings.reader_role, where)
        missing = writer.make(connection, settings.writer_role)
        keeper.make(connection, settings.keeper_role)
        _let_read_and_write(connection, settings)
        return missing


def verified(settings: Settings) -> tuple[str | None, list[str]]:
    """The newest step that is done (None: none), and how the tables differ from their definition. Makes nothing."""
    if not is_installed(settings):
        return None, []
    with connect(settings, vectors=False) as connection, _by_sqlalchemy(connection) as same:
        done = migrations.version(same)
        return done, migrations.differences(same) if done == HEAD else []


def undo(settings: Settings, revision: str) -> list[str]:
    """Bring the tables back to a former version, step by step, in one transaction, data kept (`migrations.undo`); returns the steps that
    were undone, the last first. Any command of this version does them again.

    Raises a `WarehouseError` where there is no such version, or somebody's run is under way.
    """
    known = migrations.steps()
    if revision not in known:
        raise NotInstalled(f"There is no version {revision} of the tables; there are {', '.join(known)}.")
    with (
        explained(server.describe(settings)),
        connect(settings, vectors=False) as connection,
        _by_sqlalchemy(connection) as same,
    ):
        wait_for(connection, _PREPARING, "prepares this database")
        try:
            # Not by `run_lock`, whose own connection would keep the table that is locked from being dropped.
            connection.execute(
                sql.SQL("LOCK TABLE {} IN EXCLUSIVE MODE NOWAIT").format(sql.Identifier(OPS, "run_lock"))
            )
        except psycopg.errors.UndefinedTable:
            raise NotInstalled("The tables are of a version from before any that is undone.") from None
        except psycopg.errors.LockNotAvailable:
            raise Busy("A run is under way. Undo the steps when it has ended.") from None
        return migrations.undo(same, revision)


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


def _require_known(connection: Connection, where: str) -> None:
    """Raise `MadeByNewer` where the tables are of a version this one cannot know."""
    if not _is_made(connection):
        return
    versions = sql.SQL("SELECT max(version_num) FROM {}").format(sql.Identifier(OPS, VERSION_TABLE))
    row = connection.execute(versions).fetchone()
    if row is not None and row[0] is not None and row[0] > HEAD:
        raise MadeByNewer(
            f"The tables are those of a newer fashion-assets ({where}: version {row[0]}; {__version__}, which is installed here, "
            f"knows up to {HEAD}). Upgrade the package here, or restore the backup taken before the upgrade into another home "
            "or database."
        )


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


@contextmanager
def _by_sqlalchemy(connection: Connection) -> "Iterator[sqlalchemy.Connection]":
    """The connection as Alembic takes it. One under both, so that all of it happens in one transaction, or nothing."""
    # Not above: where nothing is to do, a command is done before SQLAlchemy is imported.
    from sqlalchemy import create_engine
    from sqlalchemy.pool import StaticPool

    engine = create_engine("postgresql+psycopg://", creator=lambda: connection, poolclass=StaticPool)
    with engine.begin() as same:
        yield same


def _bring_up_to_date(connection: Connection, settings: Settings, where: str) -> None:
    with _by_sqlalchemy(connection) as same:
        # Waits for another process that is at it, then looks again.
        wait_for(connection, _PREPARING, "prepares this database")
        if _is_ready(connection, settings.reader_role):
            return
        _make_extension(connection, where)
        for schema in (OPS, SERVING, DAGSTER):
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        reader.make(connection, settings.reader_role, where)
        writer.make(connection, settings.writer_role)
        keeper.make(connection, settings.keeper_role)
        migrations.upgrade(same)
        _let_read_and_write(connection, settings)


def _let_read_and_write(connection: Connection, settings: Settings) -> None:
    # The live release by its own name too, as searches read it.
    live = connection.execute(_LIVE).fetchall()
    for schema in (SERVING, *(name for (name,) in live)):
        release_tables.let_read(connection, schema, settings.reader_role)
    writer.let_write(connection, SERVING, settings.writer_role)
    keeper.let_keep(connection, settings.keeper_role)


_LIVE = sql.SQL("SELECT release FROM {} WHERE state = 'live'").format(sql.Identifier(OPS, "releases"))


def _make_extension(connection: Connection, where: str) -> None:
    if connection.execute("SELECT FROM pg_extension WHERE extname = 'vector'").fetchone() is None:
        row = connection.execute("SELECT to_regnamespace('public') IS NOT NULL").fetchone()
        # Where hosts put extensions that keep no schema `public`.
        name = "public" if row == (True,) else "extensions"
        schema = sql.Identifier(name)
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
        try:
            connection.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS vector SCHEMA {}").format(schema))
        except psycopg.errors.InsufficientPrivilege as error:
            raise NoRights(
                f"The role {connection.info.user} may not install pgvector ({where}). Let an administrator run `CREATE SCHEMA "
                f"IF NOT EXISTS {name}; CREATE EXTENSION vector SCHEMA {name}` in that database."
            ) from error
    # Now there is a schema to find its types in.
    session.settle(connection)


def _is_ready(connection: Connection, reader_role: str) -> bool:
    ready = connection.execute(
        sql.SQL(
            """
            SELECT to_regclass(%(versions)s) IS NOT NULL
                   AND to_regnamespace(%(dagster)s) IS NOT NULL
                   AND has_schema_privilege(e.extnamespace, 'USAGE')
                   AND has_schema_privilege(r.oid, e.extnamespace, 'USAGE')
                   AND has_schema_privilege(r.oid, to_regnamespace(%(serving)s), 'USAGE')
                   AND NOT {too_much}
            FROM pg_extension e JOIN pg_roles r ON r.rolname = %(reader)s WHERE e.extname = 'vector'
            """
        ).format(too_much=release_tables.READS_TOO_MUCH),
        {"versions": f"{OPS}.{VERSION_TABLE}", "serving": SERVING, "dagster": DAGSTER, "reader": reader_role},
    ).fetchone()
    if ready != (True,):
        return False
    versions = sql.SQL("SELECT version_num FROM {}").format(sql.Identifier(OPS, VERSION_TABLE))
    return connection.execute(versions).fetchall() == [(HEAD,)]
