"""Somebody's database, opened for reading by SQLAlchemy: its URL, its sessions, its errors in words, what tables it has.

What belongs here: what differs from database to database. What does not: rows (`sql`), our own database (`warehouse`).

Passwords are never told: whatever is said of a database names driver, user, host, port and database, and nothing else of its URL.
"""

import os
import re
import sqlite3
import warnings
from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy import event, exc, pool

from fashion_assets.errors import one_line
from fashion_assets.postgres.session import ENCODING, SETTINGS
from fashion_assets.sources.source import NoSuchTable, SourceError

# A vector's type is one of those SQLAlchemy does not know: its values are text, which is all that is asked of them.
warnings.filterwarnings("ignore", message="Did not recognize type", category=exc.SAWarning)

WAIT = 10
"""Seconds a server may take to answer a connection."""

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_URL = re.compile(r"[a-z][a-z0-9_]*(\+\w+)?://")
_DRIVERS = {
    "postgresql": ("postgresql+psycopg", "psycopg"),
    "postgres": ("postgresql+psycopg", "psycopg"),
    "mysql": ("mysql+pymysql", "pymysql"),
    "mariadb": ("mariadb+pymysql", "pymysql"),
}
_UNWRITABLE = re.compile("readonly database|unable to open database file")
"""What SQLite says where it cannot make a file beside its own."""

_SYSTEM_SCHEMAS = ("information_schema", "pg_catalog", "pg_toast", "mysql", "performance_schema", "sys")


class JsonText(str):
    """JSON as a database wrote it."""


class NotText(str):
    """What a database holds as text and is none, bytes escaped."""


def url(location: str) -> sa.URL:
    """The URL of a location: a URL in which `${NAME}` stands for the environment's NAME, `env:NAME`, or a file of SQLite's.

    Raises SourceError for what is none, and for a variable that is not set.
    """
    if location.startswith("env:"):
        location = _variable(location[4:])
    if not _URL.match(location):
        location = f"sqlite:///{location}"
    try:
        found = sa.make_url(location)
        parts = {name: _filled(getattr(found, name)) for name in ("username", "password", "host", "database")}
        query = {
            name: _filled(value) if isinstance(value, str) else tuple(map(_filled, value))
            for name, value in found.query.items()
        }
        found = found.set(**{name: value for name, value in parts.items() if value is not None}, query=query)  # type: ignore[arg-type]
    except (exc.ArgumentError, ValueError):
        raise SourceError(
            "This is no URL of a database: it looks like postgresql://USER@HOST:PORT/DATABASE or sqlite:///PATH."
        ) from None
    name, package = _DRIVERS.get(found.drivername, (found.drivername, None))
    if package is not None and find_spec(package) is None:
        raise SourceError(
            f"There is no driver for {found.drivername} here. Install one where this runs (pip install {package}), or name "
            f"the one there is in the URL ({found.drivername}+DRIVER://…)."
        )
    return found.set(drivername=name)


def told(location: str) -> str:
    """The database for people: where it is and as whom, no password, nothing else of its URL."""
    found = url(location)
    if found.get_backend_name() == "sqlite":
        return str(found.database)
    host = found.host or found.query.get("host") or found.query.get("service") or "localhost"
    user = found.username or found.query.get("user")
    port = found.port or found.query.get("port")
    return (
        f"{found.get_backend_name()}://{f'{user}@' if user else ''}{host}{f':{port}' if port else ''}"
        f"/{found.database or found.query.get('dbname') or ''}"
    )


SEARCH_PATH = "search_path"
"""Of a Postgres's URL: the schemas in which tables without one are looked for, where the server's own search path is not meant. Set
by a statement, not by libpq's `options`, which poolers do not let through."""


def engine(location: str) -> sa.Engine:
    """An engine whose sessions only read. Nothing is connected yet; one connection is kept for whoever asks next, until it is disposed
    of. One database has one engine, however many of its tables are read: what it learnt of the server, and statements once compiled,
    hold for all. Raises SourceError."""
    address = url(location)
    if address.get_backend_name() == "sqlite" and not Path(address.database or "").is_file():
        raise SourceError(f"There is no file {address.database}. Name the database's file.")
    return _engine(address)


@lru_cache(maxsize=16)
def _engine(address: sa.URL) -> sa.Engine:
    backend = address.get_backend_name()
    options: dict[str, Any] = {"hide_parameters": True}
    if backend == "sqlite":
        # A file is opened in no time, and may be another one by the next time.
        return _sqlite(address, {**options, "poolclass": pool.NullPool})
    options |= {"poolclass": pool.QueuePool, "pool_size": 1, "max_overflow": -1, "pool_pre_ping": True}
    if backend == "postgresql":
        options["isolation_level"] = "REPEATABLE READ"
        options["connect_args"] = {"connect_timeout": WAIT, "client_encoding": ENCODING}
        schemas = address.query.get(SEARCH_PATH)
        address = address.difference_update_query([SEARCH_PATH])
    elif backend in ("mysql", "mariadb"):
        options["isolation_level"] = "REPEATABLE READ"
        options["connect_args"] = {"connect_timeout": WAIT}
    try:
        made = sa.create_engine(address, **options)
    except exc.NoSuchModuleError:
        raise SourceError(
            f"SQLAlchemy knows no database called {address.drivername}. Name one it has a dialect for, or install its dialect."
        ) from None
    except ImportError as error:
        raise SourceError(
            f"The driver of {address.drivername} cannot be loaded ({one_line(str(error))}). Install it where this runs, or name "
            "another in the URL."
        ) from None
    if backend == "postgresql":
        # Before SQLAlchemy looks at the server, which a time-out of the role may not let it.
        event.listen(made, "connect", partial(_settle_postgres, schemas=schemas), insert=True)
    elif backend in ("mysql", "mariadb"):
        event.listen(made, "connect", _settle_mysql, insert=True)
    return made


def explained(error: exc.SQLAlchemyError, place: str) -> SourceError:
    """What a person is told of an error while `place` was read: one line, without the statement and its values."""
    cause = getattr(error, "orig", None) or error
    said = one_line(str(cause)).rstrip(".") or type(cause).__name__
    text = said.lower()
    if _UNWRITABLE.search(text):
        return SourceError(
            f"{place} cannot be read where it lies: what was written last is in {Path(place).name}-wal, and reading that takes a folder that may be "
            "written. Copy both files into one."
        )
    if isinstance(error, exc.OperationalError | exc.InterfaceError) and (
        getattr(error, "connection_invalidated", False) or not getattr(error, "statement", None)
    ):
        refused = "password" in text or "authentication" in text or "role" in text
        advice = (
            "Check user and password"
            if refused
            else "Check that it runs, and host, port and name of the database"
        )
        return SourceError(f"{place} cannot be reached: {said}. {advice}.")
    if "permission denied" in text:
        return SourceError(f"{place} refuses to be read: {said}. Let its administrator GRANT SELECT on it.")
    if "timeout" in text or "locked" in text:
        return SourceError(f"{place} stopped a statement: {said}. Try again when it is less busy.")
    return SourceError(f"{place} cannot be read: {said}. Mend the mapping's table, query or key.")


def query(text: str) -> sa.FromClause:
    """A mapping's query as something to select from. Raises SourceError where it is more than one SELECT."""
    text = text.strip().rstrip(";").rstrip()
    if not re.match(r"(select|with|values|table)\b", text, re.I):
        raise SourceError(
            "The mapping's query does not begin with SELECT: a query reads, and does nothing else."
        )
    # Colons are none of SQLAlchemy's parameters; the line end ends a comment.
    escaped = text.replace(":", r"\:")
    return sa.text(f"({escaped}\n) AS source")  # type: ignore[return-value]


_PARTITIONS = sa.text(
    "SELECT relname FROM pg_class WHERE relispartition AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = :schema)"
)


def tables(connection: sa.Connection) -> list[str]:
    """Tables and views of the database, as a mapping names them: `schema.table`, without the schema where it is the usual one."""
    inspector = _inspector(connection)
    usual = inspector.default_schema_name
    found = []
    for schema in inspector.get_schema_names():
        if schema in _SYSTEM_SCHEMAS:
            continue
        names = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
        if connection.dialect.name == "postgresql":
            names += inspector.get_materialized_view_names(schema)  # type: ignore[attr-defined]
            # What is a part of another table is read with it.
            parts = set(connection.execute(_PARTITIONS, {"schema": schema}).scalars())
            names = [name for name in names if name not in parts]
        found += [name if schema == usual else f"{schema}.{name}" for name in sorted(names)]
    return found


def columns(connection: sa.Connection, schema: str | None = None) -> dict[str, list[str]]:
    """The columns of every table and view of a schema, by the table's name."""
    inspector = _inspector(connection)
    kind: Any = sa.engine.reflection.ObjectKind.ANY
    found = inspector.get_multi_columns(schema=schema, kind=kind)
    return {name: [column["name"] for column in described] for (_, name), described in found.items()}


_inspectors: WeakKeyDictionary[sa.Connection, sa.Inspector] = WeakKeyDictionary()


def _inspector(connection: sa.Connection) -> sa.Inspector:
    """What describes the database. It looks each thing up once, and is the same for as long as a reader is opened by this connection."""
    found = _inspectors.get(connection)
    if found is None:
        found = _inspectors[connection] = sa.inspect(connection)
    return found


def has_table(location: str, wanted: str) -> bool:
    """Whether the database at a location has a table, or a view, of that name. Raises SourceError where it cannot be asked."""
    found = engine(location)
    try:
        with found.connect() as connection:
            return _found_table(connection, wanted) is not None
    except exc.SQLAlchemyError as error:
        raise explained(error, told(location)) from error
    finally:
        found.dispose()


def _found_table(connection: sa.Connection, wanted: str | Sequence[str]) -> tuple[str | None, str] | None:
    inspector = _inspector(connection)
    if isinstance(wanted, str):
        schema, _, name = wanted.rpartition(".")
        choices = [(None, wanted), (schema or None, name)]
    else:
        *before, name = wanted
        choices = [(before[0] if before else None, name)]
    for schema, name in choices:
        try:
            if inspector.has_table(name, schema=schema):  # views, too
                return schema, name
        except exc.OperationalError:
            if connection.dialect.name != "sqlite":  # which so says that it knows no such schema
                raise
    return None


def find_table(connection: sa.Connection, wanted: str | Sequence[str], place: str) -> tuple[str | None, str]:
    """Schema and name of a table. Raises NoSuchTable where there is none of that name."""
    if found := _found_table(connection, wanted):
        return found
    said = wanted if isinstance(wanted, str) else ".".join(wanted)
    there = tables(connection)
    few = ", ".join(there[:20]) + (f" and {len(there) - 20} more" if len(there) > 20 else "")
    raise NoSuchTable(
        f"There is no table {said} in {place}, or it may not be seen. There are: {few or 'none'}."
    )


def keeps_rows_back(connection: sa.Connection, schema: str | None, table: str) -> bool:
    """Whether policies decide which rows of a table the session's user sees."""
    if connection.dialect.name != "postgresql":
        return False
    parts = [sa.func.quote_ident(sa.cast(part, sa.Text)) for part in (schema, table) if part is not None]
    asked = sa.select(sa.func.row_security_active(sa.func.concat_ws(".", *parts)))
    return bool(connection.scalar(asked))


def types(connection: sa.Connection, schema: str | None, table: str) -> dict[str, Any]:
    """The columns of a table in their order, and their types."""
    return {
        column["name"]: column["type"] for column in _inspector(connection).get_columns(table, schema=schema)
    }


def table(schema: str | None, name: str, columns: Iterable[str]) -> sa.TableClause:
    """A table to select from, whatever characters are in its name."""
    quoted = None if schema is None else sa.quoted_name(schema, quote=True)
    return sa.table(
        sa.quoted_name(name, quote=True), *(sa.column(column) for column in columns), schema=quoted
    )


def keys(connection: sa.Connection, schema: str | None, table: str) -> list[list[str]]:
    """The columns that identify a row, as the database says: its primary key first, then unique indexes of columns without nulls."""
    inspector = _inspector(connection)
    described = inspector.get_columns(table, schema=schema)
    nullable = {column["name"] for column in described if column.get("nullable", True)}
    found = [inspector.get_pk_constraint(table, schema=schema).get("constrained_columns") or []]
    try:
        for index in inspector.get_indexes(table, schema=schema):
            partial = (index.get("dialect_options") or {}).get("postgresql_where")
            if index.get("unique") and not partial and None not in index["column_names"]:
                found.append([str(name) for name in index["column_names"]])
        for constraint in inspector.get_unique_constraints(table, schema=schema):
            found.append(list(constraint["column_names"]))
    except (exc.NoSuchTableError, NotImplementedError):  # of a view
        pass
    # SQLite's primary key of one integer is never null, whatever it says.
    primary = found[0]
    return [key for key in found if key and (key is primary or not nullable & set(key))]


# --- sessions


def _settle_postgres(connection: Any, _: object, schemas: object = None) -> None:
    from psycopg import sql

    wanted = SETTINGS if schemas is None else {**SETTINGS, SEARCH_PATH: str(schemas)}
    given = [
        sql.SQL("({}, {})").format(sql.Literal(name), sql.Literal(value)) for name, value in wanted.items()
    ]
    _load_tolerantly(connection)
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "SELECT set_config(name, value, false) FROM (VALUES {}) AS given (name, value) "
                "WHERE current_setting(name, true) IS NOT NULL"
            ).format(sql.SQL(", ").join(given))
        )
    connection.commit()
    connection.read_only = True


def _load_tolerantly(connection: Any) -> None:
    """What psycopg cannot make an object of (infinite times, those before Christ) stays the text it is; so does JSON."""
    from psycopg.adapt import Loader
    from psycopg.errors import DataError
    from psycopg.types import datetime, string

    def tolerant(base: type[Loader]) -> type[Loader]:
        class Tolerant(base):  # type: ignore[misc, valid-type]
            def load(self, data: Any) -> Any:
                try:
                    return base.load(self, data)  # type: ignore[safe-super]
                except (DataError, ValueError, OverflowError):
                    return bytes(data).decode("utf-8", "backslashreplace")

        return Tolerant

    class Text(string.TextLoader):
        def load(self, data: Any) -> Any:
            try:
                return bytes(data).decode("utf-8")
            except UnicodeDecodeError:
                return NotText(bytes(data).decode("utf-8", "backslashreplace"))

    class Json(Loader):
        def load(self, data: Any) -> Any:
            return JsonText(bytes(data).decode("utf-8", "backslashreplace"))

    for name, loader in (
        ("date", datetime.DateLoader),
        ("time", datetime.TimeLoader),
        ("timetz", datetime.TimetzLoader),
        ("timestamp", datetime.TimestampLoader),
        ("timestamptz", datetime.TimestamptzLoader),
        ("interval", datetime.IntervalLoader),
    ):
        connection.adapters.register_loader(name, tolerant(loader))
    for name in ("text", "varchar", "bpchar", "name"):
        connection.adapters.register_loader(name, Text)
    for name in ("json", "jsonb"):
        connection.adapters.register_loader(name, Json)


def _settle_mysql(connection: Any, _: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION READ ONLY")
        cursor.execute("SET time_zone = '+00:00'")


def _sqlite(address: sa.URL, options: dict[str, Any]) -> sa.Engine:
    path = Path(address.database or "")

    def connect() -> sqlite3.Connection:
        # By its URI, read only: SQLite would make a file that is not there.
        found = _opened(path, "mode=ro")
        try:
            found.execute("SELECT 1 FROM sqlite_master LIMIT 1")
        except sqlite3.OperationalError as error:
            # With a log of what is written (WAL), readers make files beside it. In a folder that may not be written nobody else does either;
            # but what the log has, and the file not yet, would be missing.
            if not _UNWRITABLE.search(str(error)) or _has_a_log(path):
                raise
            found.close()
            found = _opened(path, "immutable=1")
        found.text_factory = _text
        return found

    return sa.create_engine("sqlite://", creator=connect, **options)


def _opened(path: Path, how: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.resolve().as_uri()}?{how}", uri=True, timeout=WAIT, check_same_thread=False
    )


def _has_a_log(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return NotText(raw.decode("utf-8", "backslashreplace"))


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise SourceError(
            f"The variable {name}, which names the database, is not set. Set it where this runs."
        )
    return value


def _filled(text: str | None) -> str | None:
    return None if text is None else _VARIABLE.sub(lambda found: _variable(found[1]), text)
