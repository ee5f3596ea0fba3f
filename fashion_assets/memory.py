"""Memory that the processes of one installation share by count: who needs much of it waits for room.

What belongs here: the count. What does not: how much there is (`machine`), and who needs how much.

The count is kept by file locks, one for each part of the whole: the operating system drops those of a process however it
ends, so that a killed one leaves nothing taken. Within one process, or where files cannot be locked, it is kept by its
threads' own locks.
"""

import fcntl
import math
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from fashion_assets.machine import memory
from fashion_assets.settings import Settings

PARTS = 32
"""Parts of the whole, each taken or free."""

UNCOUNTED = 16 * 2**20
"""Bytes that nobody counts: as many threads as cores, each with so few, are none the machine feels. Asking for a part takes
longer than decoding a small picture."""

SHARE = 8
"""Of the machine's memory an eighth, where the settings do not say: beside it there are the model, the tables of a batch in
each worker, and Postgres, which takes a quarter."""

LEAST = 256 * 2**20


class _Lock(Protocol):
    def acquire(self, blocking: bool = True) -> bool: ...

    def release(self) -> None: ...


class _FileLock:
    """A lock that threads and processes take by opening a file of their own accord."""

    def __init__(self, path: Path):
        self._path = path
        self._descriptor = -1

    def acquire(self, blocking: bool = True) -> bool:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if blocking else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        os.close(self._descriptor)


class MemoryBudget:
    """So many bytes for all who share a folder: processes, and threads of each.

    Who asks for more than there is gets all of it, alone. Whoever asks first is served first, so that many small ones do
    not keep a large one waiting for ever. While it is held nothing is done but what needs it, and that has a bound of its own
    (`catalog.pictures`): so has the wait.
    """

    def __init__(self, size: int, folder: Path | None = None):
        """`folder`: where the locks lie; None: for this object alone."""
        self.size = size
        self._folder = folder
        self._own = [threading.Lock() for _ in range(PARTS + 1)]
        self._holding = threading.local()

    @staticmethod
    def own() -> "MemoryBudget":
        """This process's own, where nobody says which installation's."""
        return _own()

    @classmethod
    def of(cls, settings: Settings) -> "MemoryBudget":
        """The installation's, for pictures that are decoded: one object in a process, whoever asks."""
        return _budget(settings.decoding_memory or max(LEAST, memory() // SHARE), settings.home / "decoding")

    @contextmanager
    def holding(self, needed: int) -> Iterator[None]:
        """Wait until there is room for so many bytes, and keep it meanwhile. A thread that has room is not asked to wait for
        more of it: it would wait for itself."""
        if needed < UNCOUNTED or getattr(self._holding, "now", False):
            yield
            return
        with ExitStack() as stack:
            for lock in self._taken(min(PARTS, math.ceil(needed * PARTS / self.size))):
                stack.callback(lock.release)
            self._holding.now = True
            stack.callback(setattr, self._holding, "now", False)
            yield

    def _taken(self, count: int) -> list[_Lock]:
        try:
            return self._take(count, self._locks())
        except OSError:  # a folder that cannot be written to, a file system without locks
            return self._take(count, list(self._own))

    def _locks(self) -> list[_Lock]:
        if self._folder is None:
            return list(self._own)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return [_FileLock(self._folder / f"{number}.lock") for number in range(PARTS + 1)]

    def _take(self, count: int, locks: list[_Lock]) -> list[_Lock]:
        gate, *free = locks
        taken: list[_Lock] = []
        # Only who is at the gate takes parts, and who has all it needs is never at the gate: nobody waits in a circle.
        gate.acquire()
        try:
            while len(taken) < count:
                for lock in list(free):
                    if len(taken) < count and lock.acquire(blocking=False):
                        free.remove(lock)
                        taken.append(lock)
                if len(taken) < count:
                    free[0].acquire()
                    taken.append(free.pop(0))
        except BaseException:
            for lock in taken:
                lock.release()
            raise
        finally:
            gate.release()
        return taken


@lru_cache(maxsize=4)
def _budget(size: int, folder: Path) -> MemoryBudget:
    return MemoryBudget(size, folder)


@lru_cache(maxsize=1)
def _own() -> MemoryBudget:
    return MemoryBudget(max(LEAST, memory() // SHARE))
