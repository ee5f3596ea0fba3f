"""Room kept back on the disk of a home, so that a full disk does not keep people from going back or from looking.

What belongs here: the file that takes the room, when it is made and let go. What does not: what is told of a full disk
(`errors`).

A server needs some room to start at all: its lock file, what it must write ahead of each change, what it recovers. On a disk
that is full to the last byte neither `status` nor `rollback` would run. So a run takes that much beforehand, while there is
plenty, as a file of nothing; whoever finds the disk full and makes nothing new lets it go.
"""

import atexit
import os
from contextlib import suppress
from pathlib import Path

from fashion_assets.errors import NO_ROOM, disk_full, free_space
from fashion_assets.settings import Settings

FILE = "reserve"
"""In the home."""

SIZE = 64 * 2**20
"""Bytes of the file: four segments of Postgres' log of changes, of which recovery may need one or two."""

PLENTY = 4 * SIZE
"""Free bytes from which on a reserve is made."""

TO_RUN = NO_ROOM
"""Free bytes without which no run is begun."""

TO_BEGIN = 2 * SIZE
"""The same where there is nothing yet: an empty database takes half of it."""


def require_room(settings: Settings) -> None:
    """Raise `DiskFull` where there is no room in the home to begin a run; it would take what is kept back, too."""
    if settings.database_url is not None:
        return
    needed = TO_BEGIN if settings.is_new else TO_RUN
    with suppress(PermissionError):
        if (free := free_space(settings.home)) < needed:
            raise disk_full(settings.home, missing=needed - free)


def take(settings: Settings) -> None:
    """Make the reserve, where the database is in the home and there is plenty of room; else nothing."""
    if settings.database_url is None and free_space(settings.home) >= PLENTY:
        _make(settings.home / FILE, SIZE)


def let_go(settings: Settings) -> None:
    """Give the room back if the disk is full, for a command that makes nothing new, and take what is left of it again when this
    process ends: another command may come."""
    if settings.database_url is not None:
        return
    path = settings.home / FILE
    with suppress(OSError):
        if path.exists() and free_space(settings.home) < NO_ROOM:
            path.unlink(missing_ok=True)
            # Before the server is attached to, and so after it is let go of.
            atexit.register(_take_again, path)


def _take_again(path: Path) -> None:
    with suppress(OSError):
        _make(path, min(SIZE, free_space(path.parent)))


def _make(path: Path, size: int) -> None:
    """The file with so many bytes, or none. It is a precaution: what is wrong with the disk is said by who needs it."""
    if path.exists() and path.stat().st_size >= size:
        return
    aside = path.with_suffix(".tmp")
    try:
        file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file, 0, size)
            else:
                for _ in range(size // 2**20):
                    os.write(file, bytes(2**20))
        finally:
            os.close(file)
        aside.replace(path)
    except OSError:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
