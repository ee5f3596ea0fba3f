"""What can be wrong with the database, each as its own error that says what, where, and what to do.

What belongs here: the errors and their recognition from driver exceptions. What does not: retries (there are
none: every stage can be run again), and printing (the command line does that).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from fashion_assets.errors import FashionAssetsError

MINIMUM_POSTGRES = 15
"""Major version. Before 15 there is no `security_invoker` view and no `NULLS NOT DISTINCT`."""

MINIMUM_PGVECTOR = (0, 8, 4)
"""Before 0.8.4 an HNSW index can be corrupted by a vacuum."""


class WarehouseError(FashionAssetsError):
    """The database cannot do what is asked. The message says what is wrong, where, and what to do."""


class ServerUnreachable(WarehouseError):
    """Nothing answers, the database does not exist, or the server takes no connections."""


class ServerGone(WarehouseError):
    """The server answered before, and ended the connection in mid-run."""


class LoginRefused(WarehouseError):
    """Wrong password, unknown role, or a role that may not connect."""


class NoRights(WarehouseError):
    """The role may connect, but not do this (create a schema, an extension, a role)."""


class NameTaken(WarehouseError):
    """Another program has a schema of a name that the product needs."""


class Refused(WarehouseError):
    """A function or trigger of the database's own says no."""


class NotInstalled(WarehouseError):
    """Nothing was ever made in the home, or in the database, that is asked about."""


class MadeByNewer(WarehouseError):
    """A newer version of the product has changed the database's tables."""


class ServerTooOld(WarehouseError):
    """The server is older than `MINIMUM_POSTGRES`."""


class VectorMissing(WarehouseError):
    """The server has no pgvector to install."""


class VectorTooOld(WarehouseError):
    """The server's pgvector is older than `MINIMUM_PGVECTOR`."""


class WrongEncoding(WarehouseError):
    """The database's encoding is not UTF8."""


class SharedSessions(WarehouseError):
    """A pooler gives each transaction another session of the server."""


class ReadOnly(WarehouseError):
    """The database takes no writes: a standby, or set to be read only."""


class TooFewConnections(WarehouseError):
    """The server, the database or the role takes no further connections, or fewer than are needed."""


class Busy(WarehouseError):
    """Somebody else holds what is needed. The message says who, and what to do."""


class StatementStopped(WarehouseError):
    """The server stopped a statement: somebody asked it to, or a time-out did."""


class ServerFull(WarehouseError):
    """The server's disk is full."""


class ServerShort(WarehouseError):
    """The server has not enough memory for a statement."""


class EmbeddedServerFailed(WarehouseError):
    """The embedded server could not be set up or started."""


class StorageUnreachable(WarehouseError):
    """Nothing here speaks to the place of the assets' files that the settings name."""


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
    "53300": TooFewConnections,
    "25006": ReadOnly,
    "26000": SharedSessions,
    "42P05": SharedSessions,
    "55P03": Busy,
    "40P01": Busy,
    "57014": StatementStopped,
    "P0001": Refused,
    "53100": ServerFull,
    "53200": ServerShort,
    "08000": ServerGone,
    "08003": ServerGone,
    "08006": ServerGone,
    "08001": ServerUnreachable,
    "08004": ServerUnreachable,
}

_DRIVERS = ("psycopg", "psycopg2")

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
)

_PARAMETER_TEXTS = (
    "connection is bad: invalid",
    " for connection option ",
    "unrecognized configuration parameter",
    "invalid value for parameter",
    "invalid command-line argument",
    "definition of service",
    "ssl was required",
    "gssapi encryption required",
    "channel binding required",
    "certificate",
)
"""What is said where it is not the server that is wrong, but what it was asked for."""

_TOO_MANY_TEXTS = ("too many", "remaining connection slots")

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

EMBEDDED = "embedded Postgres in"
"""How the home's own server is told (`server.describe`)."""

READ_ONLY_ADVICE = (
    "It is a standby (name the primary), or set to be read only by its server, a role or the database: find out why (some "
    "hosts do so when a disk is full), then `ALTER DATABASE … SET default_transaction_read_only = off`, or `ALTER ROLE …`."
)

_ADVICE = {
    LoginRefused: "Check user and password in FASHION_ASSETS_DATABASE_URL, and that pg_hba.conf admits this "
    "host.",
    NoRights: "Let an administrator grant it, or name a role that may: it needs CREATE and TEMP on the database, CREATEROLE or a "
    "reader's role that is there, and to own what the product has made.",
    ServerFull: "Free some space on its disk, then run the same command again: finished work is kept.",
    ServerShort: "Give it more memory, or end what else uses it, then run the same command again: finished work is kept.",
    ServerGone: "Look at the server's log, then run the same command again: finished work is kept.",
    ServerUnreachable: "Check that the server runs and that FASHION_ASSETS_DATABASE_URL names the right "
    "host, port and database.",
    TooFewConnections: "Raise max_connections, or the limit of the role or the database (`ALTER ROLE … CONNECTION LIMIT "
    "…`), or end what else uses them.",
    ReadOnly: READ_ONLY_ADVICE,
    SharedSessions: "Give FASHION_ASSETS_DATABASE_URL the server's own address and port, or a pool whose pool_mode is "
    "session.",
    Busy: "Wait for the other session to end, then run the same command again: finished work is kept.",
    StatementStopped: "Run the same command again: finished work is kept.",
    Refused: "A trigger or function of the database says so, which is none of the product's: ask who made it, then run the same command "
    "again: finished work is kept.",
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
            return _told(kind, str(error), where)
        waiting += [getattr(error, "orig", None), error.__cause__, error.__context__]
    return None


def explain_text(text: str, where: str = "") -> WarehouseError | None:
    """As `explain`, of an exception of which only the text is left, with its class before it as Dagster keeps it."""
    name, _, said = text.partition(": ")
    if name.partition(".")[0] not in _DRIVERS or not (kind := _kind_by_text(said)):
        return None
    return _told(kind, said, where)


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
    return any(base.__module__.partition(".")[0] in _DRIVERS for base in type(error).__mro__)


def _kind(error: BaseException) -> type[WarehouseError] | None:
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if state is not None:
        return _STATES.get(state)
    return _kind_by_text(str(error))


def _kind_by_text(text: str) -> type[WarehouseError] | None:
    text = text.lower()
    if any(part in text for part in _LOGIN_TEXTS) or ("role " in text and "does not exist" in text):
        return LoginRefused
    if "permission denied for" in text:
        return NoRights
    if "no space left on device" in text:
        return ServerFull
    if any(part in text for part in _TOO_MANY_TEXTS):
        return TooFewConnections
    # psycopg puts "connection failed" before whatever ended an attempt to connect.
    attempt = text.startswith(
        ("connection failed", "connection to server", "connection timeout", "connection is bad")
    )
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
        ServerFull: "The database server's disk is full",
        ServerShort: "The database server has not enough memory",
        ServerUnreachable: "The database cannot be reached",
        TooFewConnections: "The database takes no more connections",
        ReadOnly: "The database takes no writes",
        SharedSessions: "The database's sessions are shared by a pooler",
        Busy: "Somebody else holds what is needed of the database",
        StatementStopped: "The database stopped a statement",
        Refused: "The database refused a statement",
    }[kind]


def _told(kind: type[WarehouseError], text: str, where: str) -> WarehouseError:
    # Of several tries to reach one place, each says the same.
    lines = list(
        dict.fromkeys(
            line.strip().removeprefix("connection failed: ") for line in text.splitlines() if line.strip()
        )
    )
    place = f" ({where})" if where else ""
    return kind(
        f"{_what(kind)}{place}: {'; '.join(lines[:2]).rstrip('.?')}. {_advice(kind, text.lower(), where)}"
    )


def _advice(kind: type[WarehouseError], text: str, where: str) -> str:
    if "resource temporarily unavailable" in text:
        return (
            "Let it have more processes (ulimit -u, or the container's limit of pids), then run the same command again: finished work "
            "is kept."
        )
    if kind is ServerUnreachable and any(part in text for part in _PARAMETER_TEXTS):
        return "Mend that parameter in FASHION_ASSETS_DATABASE_URL, or the variable of libpq's (PGSSLMODE, PGOPTIONS …) that says so."
    if kind is ServerUnreachable and where.startswith(EMBEDDED):
        return "Look at its log there (server.log), then run the same command again: finished work is kept."
    return _ADVICE[kind]
