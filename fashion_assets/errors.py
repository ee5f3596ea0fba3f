"""Errors a person can mend, and how those of the operating system become such.

What belongs here: what all errors of ours have in common, and the words for what a system refuses: files, disks, memory,
limits. What does not: the database's errors (`postgres.errors`), and what becomes of one that nobody caught (`failure`).
"""

import builtins
import errno
import os
import re
import resource
import shutil
from pathlib import Path
from typing import ClassVar


class FashionAssetsError(Exception):
    """What a person can mend. The message is one line that says what is wrong, where, and what to do."""

    shared: ClassVar[bool] = True
    """Whether it is the installation's, so that every other batch meets it as well; a batch's own is not."""


class SystemFault(FashionAssetsError):
    """The operating system refuses something: a file, a disk, memory, a limit."""


class DiskFull(SystemFault):
    """There is no room left where something is to be written."""


class PlaceUnusable(SystemFault):
    """One file or folder cannot be used; others can."""

    shared = False


class MemoryShort(SystemFault):
    """There is not enough memory for what was asked, while less may do."""

    shared = False


class HomeUnusable(SystemFault):
    """The folder of the installation, or what lies in it, cannot be used."""


AGAIN = "then run the same command again: finished work is kept."
"""How advice ends where nothing is lost."""

NO_ROOM = 32 * 2**20
"""Bytes of free space below which a disk is as good as full: databases write files of half as many."""

ANOTHER_HOME = "Choose another with --home or FASHION_ASSETS_HOME"

ROOM = (errno.ENOSPC, errno.EDQUOT)
"""What the system says where there is no room."""

_UNITS = ("bytes", "kB", "MB", "GB", "TB")

SHARED_MEMORY = "/dev/shm"
"""Where Linux keeps semaphores; that it cannot is said without a path (sem_open(3))."""

_OF_SEMAPHORES = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOSYS)

_OF_ONE_PLACE = (
    *(
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.ENOTEMPTY,
        errno.ENAMETOOLONG,
        errno.ELOOP,
    ),
    errno.EXDEV,
)

_ADVICE = {
    errno.ENOENT: "It was moved or deleted, or is on a disk that is not mounted: put it back, " + AGAIN,
    errno.ENOTDIR: "Part of this path is a file and no folder: name another.",
    errno.EISDIR: "This is a folder, where a file is needed: name another.",
    errno.EEXIST: "Move what is there away, or name another place.",
    errno.ENOTEMPTY: "Move what is there away, or name another place.",
    errno.ENAMETOOLONG: "Choose a shorter path.",
    errno.ELOOP: "A symbolic link leads in a circle: mend it.",
    errno.EXDEV: "Both places must be on one file system.",
    errno.EIO: "The disk, or the network it is reached by, fails: look at the system's log (dmesg) and save what can be "
    "saved, " + AGAIN,
    errno.ESTALE: "The network's file server lost it: mount it again, " + AGAIN,
    errno.ENOLCK: "This file system cannot lock files. " + ANOTHER_HOME + ".",
    errno.ENOTSUP: "This file system cannot do what is needed. " + ANOTHER_HOME + ".",
    errno.ENOMEM: "The machine is short of memory: end what else runs, or lower FASHION_ASSETS_BATCH_SIZE, "
    + AGAIN,
    errno.EAGAIN: "No further process or thread may be started: raise that limit (ulimit -u), or end what else runs, "
    + AGAIN,
    errno.ENFILE: "The whole system has too many files open: end what else runs, " + AGAIN,
    errno.EFBIG: "Files may not be so large here: raise that limit (ulimit -f), " + AGAIN,
    errno.ECONNREFUSED: "Nothing answers there: check the address and that it runs.",
    errno.ECONNRESET: "The other side ended the connection: check that it runs, " + AGAIN,
    errno.ETIMEDOUT: "Nothing answers there: check the address and the network, " + AGAIN,
    errno.EHOSTUNREACH: "Check the address and the network, " + AGAIN,
    errno.ENETUNREACH: "Check the address and the network, " + AGAIN,
    errno.EADDRINUSE: "Another program listens there: choose another port.",
}


def explain_system(error: BaseException, home: Path | None = None) -> FashionAssetsError | None:
    """What a person is told of an error of the operating system, or of a broken installation; None of any other.

    `home` is the installation's folder, as far as it is known.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return _of_system(error, home)
    if isinstance(error, MemoryError):
        return MemoryShort(f"There is not enough memory. {_ADVICE[errno.ENOMEM]}")
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return SystemFault(f"No thread can be started. {_ADVICE[errno.EAGAIN]}")
    if isinstance(error, ImportError) and not (error.name or "").startswith("fashion_assets"):
        return SystemFault(
            f"A package is missing or broken: {one_line(str(error))}. Install anew what requirements.lock names: "
            "`make install` in a checkout, else pip install --force-reinstall fashion-assets."
        )
    return None


_SYSTEM_TEXT = re.compile(r"\[Errno (?P<number>\d+)\] (?P<said>[^:]*)(?:: '(?P<path>[^']*)')?")


def explain_system_text(name: str, text: str, home: Path | None = None) -> FashionAssetsError | None:
    """As `explain_system`, of an error of which only its class's name and its text are left."""
    if name == "MemoryError":
        return explain_system(MemoryError(), home)
    if name in ("ImportError", "ModuleNotFoundError"):
        missing = re.search(r"No module named '([\w.]+)'", text)
        return explain_system(ImportError(text, name=missing and missing[1]), home)
    if name == "RuntimeError":
        return explain_system(RuntimeError(text), home)
    kind = getattr(builtins, name, None)
    if not (isinstance(kind, type) and issubclass(kind, OSError)) or not (found := _SYSTEM_TEXT.search(text)):
        return None
    number = int(found["number"])
    return _of_system(OSError(number, os.strerror(number), found["path"]), home)


def _of_system(error: OSError, home: Path | None) -> FashionAssetsError:
    number, path = error.errno or 0, _path(error)
    said = error.strerror or os.strerror(number)
    if number in ROOM:
        return disk_full(path or full(home), said)
    if number == errno.ENOMEM:
        return MemoryShort(f"There is not enough memory. {_ADVICE[number]}")
    if number == errno.ENOENT and path is None and not _is_somewhere():
        return PlaceUnusable(
            "The folder this was started in is gone: it was moved or deleted. Go to another (cd), then run the same command again."
        )
    if number == errno.EMFILE:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return SystemFault(
            f"Too many files are open: this process may open {limit}. Raise that (ulimit -n 4096), {AGAIN}"
        )
    if path is None and number in _OF_SEMAPHORES and not os.access(SHARED_MEMORY, os.W_OK | os.X_OK):
        return SystemFault(
            f"{SHARED_MEMORY}, by which processes share locks, cannot be written ({said}). Have a tmpfs mounted there (with "
            f"docker: --tmpfs {SHARED_MEMORY}), {AGAIN}"
        )
    if number in (errno.EROFS, errno.EACCES, errno.EPERM) and path is not None:
        if home is not None and (path == home or home in path.parents):
            where = "" if path == home else f": {path}"
            return HomeUnusable(f"{home} cannot be written ({said}{where}{_owner(path)}). {ANOTHER_HOME}.")
        return PlaceUnusable(
            f"{path} cannot be used ({said}{_owner(path)}). Give {_user()} the right to it, or name another place."
        )
    advice = _ADVICE.get(number, f"Look at what the system's log says of it, {AGAIN}")
    kind = PlaceUnusable if number in _OF_ONE_PLACE else SystemFault
    return kind(f"{said}{f': {path}' if path else ''}. {advice}")


def _is_somewhere() -> bool:
    """Whether this process's working folder is there."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def full(home: Path | None) -> Path | None:
    """The home, where its disk is as good as full; else None."""
    try:
        return home if home is not None and free_space(home) < NO_ROOM else None
    except OSError:
        return None


def disk_full(
    path: Path | None, said: str = os.strerror(errno.ENOSPC), missing: int | None = None
) -> DiskFull:
    """That there is no room at a place, with how much there is, and how much more is needed where that is known."""
    place = "" if path is None else f" where {path} is"
    try:
        left = "" if path is None else f" ({amount(free_space(path))} left)"
    except OSError:
        left = ""
    wanted = "some space" if missing is None else f"{amount(missing)} or more"
    return DiskFull(f"{said}{place}{left}. Free {wanted} there, {AGAIN}")


def free_space(path: Path) -> int:
    """Bytes a process of this user may still write where `path` is, or would be. Raises `OSError`."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def amount(size: float) -> str:
    """Bytes as people read them: `3.4 GB`; of less than ten of a unit, one digit more."""
    power = 0
    while abs(size) >= 1000 and power < len(_UNITS) - 1:
        size, power = size / 1000, power + 1
    return f"{size:,.0f} {_UNITS[power]}" if power == 0 or size >= 10 else f"{size:,.1f} {_UNITS[power]}"


def _path(error: OSError) -> Path | None:
    name = error.filename
    if isinstance(name, bytes):
        name = os.fsdecode(name)
    return Path(name) if isinstance(name, str | os.PathLike) and str(name) else None


def _owner(path: Path) -> str:
    """Whose the place is, where it is not this process's user's."""
    while True:
        try:
            owner = path.lstat().st_uid
            break
        except OSError:
            if path == path.parent:
                return ""
            path = path.parent
    return "" if owner == os.geteuid() else f"; it belongs to {user_name(owner)}"


def _user() -> str:
    return user_name(os.geteuid())


def user_name(number: int) -> str:
    """A user of the system by name, or by number where nobody named them."""
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def one_line(text: str) -> str:
    """The text with its lines behind each other."""
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())
