"""What can be wrong with the database, each as its own error that says what, where, and what to do.

What belongs here: the errors and their recognition from driver exceptions. What does not: retries (there are
none: every stage can be run again), and printing (the command line does that).
"""

from collections.abc import Iterator
from contextlib import contextmanager

MINIMUM_POSTGRES = 15
"""Major version. Before 15 there is no `security_invoker` view and no `NULLS NOT DISTINCT`."""

MINIMUM_PGVECTOR = (0, 8, 4)
"""Before 0.8.4 an HNSW index can be corrupted by a vacuum."""


class WarehouseError(Exception):
    """The database cannot do what is asked. The message says what is wrong, where, and what to do."""


class ServerUnreachable(WarehouseError):
    """Nothing answers, the database does not exist, or the server takes no connections."""


class ServerGone(WarehouseError):
    """The server answered before, and ended the connection in mid-run."""


class LoginRefused(WarehouseError):
    """Wrong password, unknown role, or a role that may not connect."""


class NoRights(WarehouseError):
    """The role may connect, but not do this (create a schema, an extension, a role)."""


class NotInstalled(WarehouseError):
    """Nothing was ever made in the home, or in the database, that is asked about."""


class ServerTooOld(WarehouseError):
    """The server is older than `MINIMUM_POSTGRES`."""


class VectorMissing(WarehouseError):
    """The server has no pgvector to install."""


class VectorTooOld(WarehouseError):
    """The server's pgvector is older than `MINIMUM_PGVECTOR`."""


class EmbeddedServerFailed(WarehouseError):
    """The embedded server could not be set up or started."""


# SQLSTATE → error. Connection failures often carry no state, only text: see `_LOGIN_TEXTS`.
_STATES = {
    "28000": LoginRefused,
    "28P01": LoginRefused,
    "42501": NoRights,
    "57P01": ServerGone,
    "57P02": ServerGone,
    "57P05": ServerGone,
    "57P03": ServerUnreachable,
    "3D000": ServerUnreachable,
    "53300": ServerUnreachable,
    "08000": ServerGone,
    "08003": ServerGone,
    "08006": ServerGone,
    "08001": ServerUnreachable,
    "08004": ServerUnreachable,
}

_LOGIN_TEXTS = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "authentication failed for user",
    "is not permitted to log in",
    "pg_hba.conf rejects",
)

_UNREACHABLE_TEXTS = (
    "connection refused",
    "could not connect",
    "could not translate host name",
    "failed to resolve host",
    "no such file or directory",
    "timeout expired",
    "connection timeout",
    "network is unreachable",
    "no route to host",
    "the database system is",
    "too many clients",
    "remaining connection slots",
)

_GONE_TEXTS = (
    "server closed the connection",
    "terminating connection",
    "connection is closed",
    "connection already closed",
    "connection is lost",
    "connection not open",
    "consuming input failed",
    "could not receive data",
    "could not send data",
    "ssl connection has been closed",
    "ssl syscall error",
    "broken pipe",
)

_ADVICE = {
    LoginRefused: "Check user and password in FASHION_ASSETS_DATABASE_URL, and that pg_hba.conf admits this "
    "host.",
    NoRights: "Let an administrator run `GRANT CREATE ON DATABASE … TO …`, `CREATE EXTENSION vector` and "
    "`CREATE ROLE fashion_reader`, or use a role that may.",
    ServerGone: "Look at the server's log, then run the same command again: finished work is kept.",
    ServerUnreachable: "Check that the server runs and that FASHION_ASSETS_DATABASE_URL names the right "
    "host, port and database.",
}


def explain(exception: BaseException, where: str = "") -> WarehouseError | None:
    """The `WarehouseError` behind an exception of psycopg, psycopg2, SQLAlchemy or Dagster's storage.

    Looks along `orig`, `__cause__` and `__context__`. `where` names the server, without a password. None if
    the exception says nothing about the server (a wrong query, say).
    """
    seen: set[int] = set()
    waiting: list[BaseException | None] = [exception]
    while waiting:
        error = waiting.pop(0)
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        if isinstance(error, WarehouseError):
            return error
        if _is_database_error(error) and (kind := _kind(error)):
            place = f" ({where})" if where else ""
            return kind(f"{_what(kind)}{place}: {_first_lines(error)}. {_ADVICE[kind]}")
        waiting += [getattr(error, "orig", None), error.__cause__, error.__context__]
    return None


@contextmanager
def explained(where: str = "") -> Iterator[None]:
    """Raise the `WarehouseError` behind whatever the block raises; anything else passes through unchanged."""
    try:
        yield
    except WarehouseError:
        raise
    except Exception as exception:
        if error := explain(exception, where):
            raise error from exception
        raise


def _is_database_error(error: BaseException) -> bool:
    # By name, so that neither driver is imported to recognise the other's errors.
    return any(base.__module__.partition(".")[0] in ("psycopg", "psycopg2") for base in type(error).__mro__)


def _kind(error: BaseException) -> type[WarehouseError] | None:
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if state is not None:
        return _STATES.get(state)
    text = str(error).lower()
    if any(part in text for part in _LOGIN_TEXTS) or ("role " in text and "does not exist" in text):
        return LoginRefused
    if "permission denied for" in text:
        return NoRights
    # psycopg puts "connection failed" before whatever ended an attempt to connect.
    attempt = text.startswith(("connection failed", "connection to server", "connection timeout"))
    if not attempt and any(part in text for part in _GONE_TEXTS):
        return ServerGone
    if attempt or any(part in text for part in _UNREACHABLE_TEXTS):
        return ServerUnreachable
    return None


def _what(kind: type[WarehouseError]) -> str:
    return {
        LoginRefused: "The database refuses this login",
        NoRights: "The database role lacks a right",
        ServerGone: "The database server went away",
        ServerUnreachable: "The database cannot be reached",
    }[kind]


def _first_lines(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join(lines[:2]).rstrip(".")
