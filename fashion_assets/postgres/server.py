"""Which Postgres server is used: the one place that decides, and who holds the embedded one.

What belongs here: the choice between a given server and the embedded one, connection parameters for every driver, holding the
embedded server and giving it up. What does not: its life (`embedded`), how a given one is named (`given`), opening connections (`connections`), what is in the database
(`warehouse.database`).

A process that uses the embedded server holds a shared file lock. The operating system drops the lock however the
process ends. Whoever ends in order and then gets the lock exclusively was the last one, and stops the server.
After a `kill -9` of the last one the server is left running, or dead; the next process attaches to it or
starts it again.
"""

import atexit
import fcntl
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from fashion_assets.errors import ROOM, disk_full
from fashion_assets.file_locks import lock, open_lock
from fashion_assets.postgres import embedded, given
from fashion_assets.postgres.embedded import STOP_SECONDS, USER
from fashion_assets.postgres.errors import EMBEDDED, EmbeddedServerFailed, LoginRefused
from fashion_assets.postgres.tuning import PORT
from fashion_assets.settings import Settings

_REPEATABLE = {"options": "-c synchronous_commit=off"}
"""Of the product's own sessions with the embedded server. After a crash the database is consistent, but what they did last may be
missing; the next run does it again, as it would had it been stopped a moment earlier. The swap, which others see, turns it on for
itself. What other programs write, nobody does again: they wait until it is kept."""

ITSELF = {
    "hostaddr": "",
    "target_session_attrs": "any",
    # Any: somebody may have given the embedded server's `pg_hba.conf` another one.
    "require_auth": "none,scram-sha-256,md5,password,gss,sspi",
    "channel_binding": "disable",
    "gssencmode": "disable",
    "sslmode": "disable",
    "connect_timeout": "60",
}
"""What libpq would take from the environment (`PGHOSTADDR`, `PGCHANNELBINDING` …), where that is meant for another server."""

_NEWER = {
    "PGSSLMINPROTOCOLVERSION": ("ssl_min_protocol_version", "TLSv1.2"),
    "PGSSLMAXPROTOCOLVERSION": ("ssl_max_protocol_version", "TLSv1.3"),
    "PGSSLCERTMODE": ("sslcertmode", "disable"),
    "PGSSLNEGOTIATION": ("sslnegotiation", "postgres"),
    "PGLOADBALANCEHOSTS": ("load_balance_hosts", "disable"),
}
"""The same that only newer libpqs know: said where the variable is set, by somebody who has one."""

_NEVER_OURS = (
    *("PGSERVICE", "PGREQUIREPEER", "PGTZ", "PGDATESTYLE", "PGGEQO"),
    *("PGMINPROTOCOLVERSION", "PGMAXPROTOCOLVERSION"),
)
"""Variables that no parameter stands against, or none that all drivers here know."""


def parameters(settings: Settings) -> dict[str, str]:
    """libpq connection parameters of the server in use, after starting or attaching to the embedded one.

    Attaching to a running server takes well under a millisecond, starting a warm folder about half a second,
    making a new one about two. Raises `EmbeddedServerFailed`, or `LoginRefused` for a URL that cannot be
    read.
    """
    if settings.database_url is not None:
        return given.parameters(settings.database_url.get_secret_value())
    socket_folder = _attach(settings.postgres_data)
    for name in _NEVER_OURS:
        os.environ.pop(name, None)
    own = {"host": str(socket_folder), "port": PORT, "user": USER, "dbname": USER}
    return {**own, **itself(), **given.ENCODED, **_REPEATABLE}


def itself() -> dict[str, str]:
    """What is said of the embedded server against the environment, which means another."""
    return ITSELF | dict(said for name, said in _NEWER.items() if name in os.environ)


def conninfo(settings: Settings) -> str:
    """The server in use as a libpq connection string. Contains the password, if there is one."""
    from psycopg.conninfo import make_conninfo

    return make_conninfo(**parameters(settings))


def describe(settings: Settings) -> str:
    """The server in use in words, for status lines and errors: never a password, and nothing is started."""
    if settings.database_url is None:
        return f"{EMBEDDED} {settings.postgres_data}"
    try:
        found = given.parameters(settings.database_url.get_secret_value())
    except LoginRefused:
        return "the server of FASHION_ASSETS_DATABASE_URL"
    host = found.get("host") or found.get("hostaddr") or "local socket"
    database = found.get("dbname") or found.get("user") or "?"
    return f"Postgres at {host}, port {found.get('port', PORT)}, database {database}"


def stop_embedded(settings: Settings, *, force: bool = False) -> bool:
    """Give up this process's hold on the embedded server, and stop it if no other process holds it.

    `force` stops it whoever holds it: their connections end. Returns whether it is stopped now. No effect on
    a given server.
    """
    if settings.database_url is not None:
        return False
    data = _resolved(settings.postgres_data)
    with _mutex:
        hold = _holds.pop(data, None)
    if hold is not None:
        os.close(hold.lock)
    if not data.parent.is_dir():
        return True
    file = open_lock(_hold_path(data))
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not force:
                return False
        embedded.stop(data)
        return True
    finally:
        os.close(file)


def program(settings: Settings, name: str) -> Path | None:
    """A program of the embedded server's installation, `pgbench` for one; None with a given server, whose programs are
    not here."""
    return None if settings.database_url is not None else embedded.programs_of(settings.postgres_data) / name


# --- the embedded server: who holds it


@dataclass(frozen=True)
class _Hold:
    """This process's hold on one data folder: the file descriptor of its shared lock."""

    lock: int
    process: int  # a forked child inherits the table of holds, but must take its own


_holds: dict[Path, _Hold] = {}
_mutex = threading.Lock()


def _attach(data: Path) -> Path:
    """Hold the server of `data` until this process ends; returns the folder of its socket."""
    data = _resolved(data)
    with _mutex:
        held = _holds.get(data)
        if held is None or held.process != os.getpid():
            _make_home(data.parent)
            path = _hold_path(data)
            hold = open_lock(path)
            try:
                # Waits while another process is stopping the server.
                lock(hold, path, shared=True, seconds=2 * STOP_SECONDS)
            except BaseException:
                os.close(hold)
                raise
            if not _holds:
                atexit.register(_release_all)
            _holds[data] = _Hold(hold, os.getpid())
        # Asked every time: a server that was killed in mid-run is started again by whoever connects next.
        return embedded.ready_socket(data) or embedded.start(data)


def _release_all() -> None:
    for data, hold in list(_holds.items()):
        if hold.process != os.getpid():
            continue
        del _holds[data]
        os.close(hold.lock)
        if not _hold_path(data).exists():
            continue  # the whole home was deleted; a server notices that by itself and ends
        file = open_lock(_hold_path(data))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            embedded.stop(data)
        except BlockingIOError:
            pass  # someone else uses it
        finally:
            os.close(file)


def _resolved(data: Path) -> Path:
    return data.expanduser().resolve()


def _hold_path(data: Path) -> Path:
    return data.with_name(f"{data.name}.held")


def _make_home(home: Path) -> None:
    try:
        # Its user's alone; what is there already is as somebody chose.
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in ROOM:
            raise disk_full(home) from error
        raise EmbeddedServerFailed(
            f"The folder {home} cannot be made ({error.strerror}). Choose another with --home or "
            "FASHION_ASSETS_HOME."
        ) from error
