"""Locks of files: opened such that only their owner can take them, waited for with an end, and who holds them.

What belongs here: the operating system's side of it. What does not: what is done under a lock (`postgres.server`,
`warehouse.locks`).

Whoever can open a file can lock it, and keep everybody waiting. So these are their owner's alone.
"""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from fashion_assets.errors import SystemFault, user_name

PRIVATE = 0o600

LOOK_AGAIN_SECONDS = 0.02


class LockHeld(SystemFault):
    """Another process has held a lock for longer than what it is for can take."""


def open_lock(path: Path) -> int:
    """A descriptor of the lock's file, which is made where it is not there. Raises `OSError`."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    state = os.fstat(file)
    if state.st_mode & 0o077 and state.st_uid == os.geteuid():
        os.fchmod(file, PRIVATE)
    return file


def lock(file: int, path: Path, *, shared: bool, seconds: float) -> None:
    """Take the lock; wait for it so long at the most. Raises `LockHeld`, which names who holds it."""
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
    deadline = time.monotonic() + seconds
    while True:
        try:
            return fcntl.flock(file, how)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise LockHeld(
                    f"{path} has been locked for {seconds:.0f} s by {holder(path) or 'a process that cannot be named'}. End it, "
                    "then run the same command again: finished work is kept."
                ) from None
        time.sleep(LOOK_AGAIN_SECONDS)


def holder(path: Path) -> str | None:
    """Who holds a lock on the file, in words: another process by its number, program and user. None where the system does not
    say."""
    try:
        state = path.stat()
        table = Path("/proc/locks").read_text()
    except OSError:
        return None
    place = f"{os.major(state.st_dev):02x}:{os.minor(state.st_dev):02x}:{state.st_ino}"
    # 1: FLOCK  ADVISORY  WRITE 4711 fd:01:123456 0 EOF; one that waits has an arrow behind its number.
    holding = [line.split() for line in table.splitlines() if "->" not in line]
    found = {int(words[4]) for words in holding if words[1] == "FLOCK" and words[5] == place}
    named = [_named(process) for process in sorted(found - {os.getpid()})]
    return ", ".join(named) or None


def _named(process: int) -> str:
    said = f"process {process}"
    with suppress(OSError):
        folder = Path(f"/proc/{process}")
        program = (folder / "comm").read_text().strip()
        said += f" ({program}, of user {user_name(folder.stat().st_uid)})"
    return said
