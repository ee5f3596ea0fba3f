"""The server that faults befall: on a small disk of its own where one can be mounted, with a clock that jumps where one can be made.

What belongs here: starting, killing, stopping for a moment, filling its disk, moving its clock, databases from a template. What does not:
when (`striking`).
"""

import mmap
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from fashion_assets.postgres import embedded

DISK_MEGABYTES = 2_000

RECOVERING_SECONDS = 0.05
"""How long a server has been there when it is killed as it recovers: it replays some of its log then."""

_CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
static long long offset(void) {
    static volatile long long *held;
    if (!held) {
        const char *path = getenv("CLOCK_OFFSET");
        int file = path ? open(path, O_RDONLY) : -1;
        void *map = file < 0 ? MAP_FAILED : mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
        if (map == MAP_FAILED) return 0;
        held = map;
    }
    return *held;
}
int clock_gettime(clockid_t id, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(id, at);
    if (!failed && id == CLOCK_REALTIME) at->tv_sec += offset();
    return failed;
}
int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec; at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""
"""What stands before the system's clock in the server: seconds are added that a file holds, which may change at any time."""


class Clock:
    """A server's clock that jumps."""

    def __init__(self, folder: Path):
        """Raises `OSError` or `subprocess.CalledProcessError` where none can be made: there is no C compiler."""
        self.library, self.file = folder / "clock.so", folder / "clock.offset"
        source = folder / "clock.c"
        source.write_text(_CLOCK)
        compiler = shutil.which("cc") or shutil.which("gcc") or "cc"
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", self.library, source, "-ldl"]
        subprocess.run(command, check=True, capture_output=True)
        self.file.write_bytes(bytes(8))
        for path, mode in ((self.library, 0o755), (self.file, 0o644)):
            path.chmod(mode)
        with self.file.open("r+b") as file:
            self._held = mmap.mmap(file.fileno(), 8)

    def jump(self, seconds: int) -> None:
        """Seconds it is ahead from now on; 0: right."""
        self._held[:] = seconds.to_bytes(8, "little", signed=True)

    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "CLOCK_OFFSET": str(self.file)}


class Server:
    """A server of our own, in `folder`; `plain`: on no disk and with no clock of its own."""

    def __init__(self, folder: Path, *, plain: bool = False):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.has_disk = not plain and self._mount()
        self.data = folder / "postgres"
        self.clock: Clock | None = None
        self._killed_again = False
        with suppress(OSError, subprocess.CalledProcessError):
            self.clock = (
                None if plain else Clock(folder.parent)
            )  # not on that disk, which could not be taken away

    def _mount(self) -> bool:
        options = f"size={DISK_MEGABYTES}m,mode=711"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)]
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            return False

    def start(self) -> Path:
        """The folder of its socket, once it takes connections."""
        with _environment(self.clock.environment() if self.clock else {}):
            if self._killed_again:
                self._killed_again = False
                self._start_and_kill()
            self._socket_folder = embedded.start(self.data)
        return self._socket_folder

    def _start_and_kill(self) -> None:
        """Begin to start it, and kill it as soon as there is a process that recovers."""
        ended = threading.Event()

        def kill() -> None:
            while not ended.is_set():
                if self.processes():
                    time.sleep(RECOVERING_SECONDS)
                    self.kill()
                    return
                time.sleep(0.005)

        thread = threading.Thread(target=kill, daemon=True)
        thread.start()
        with suppress(embedded.EmbeddedServerFailed):
            embedded.start(self.data)
        thread.join(10)
        ended.set()

    def processes(self) -> list[psutil.Process]:
        """The postmaster and all it started."""
        try:
            postmaster = psutil.Process(int((self.data / "postmaster.pid").read_text().split("\n", 1)[0]))
            return [postmaster, *postmaster.children(recursive=True)]
        except (OSError, ValueError, psutil.Error):
            return []

    def kill(self, *, again: bool = False) -> None:
        """SIGKILL to all of it; `again`: and once more when it is started next, while it recovers."""
        self._killed_again |= again
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()

    def pause(self, seconds: float) -> None:
        """Let nothing of it go on for so long."""
        stopped = self.processes()
        for process in stopped:
            with suppress(psutil.Error):
                process.suspend()

        def go_on() -> None:
            time.sleep(seconds)
            for process in stopped:
                with suppress(psutil.Error):
                    process.resume()

        threading.Thread(target=go_on, daemon=True).start()

    def fill(self) -> None:
        """Take all the room there is on its disk."""
        with (self.folder / "filler").open("ab") as file, suppress(OSError):
            for _ in range(4):
                free = shutil.disk_usage(self.folder).free
                os.posix_fallocate(file.fileno(), file.tell(), max(4096, free))
                file.seek(0, os.SEEK_END)

    def free(self) -> None:
        (self.folder / "filler").unlink(missing_ok=True)

    def connect(self, database: str = "postgres", *, start: bool = True) -> psycopg.Connection:
        """A connection that comes by no proxy; `start`: start a server that is gone."""
        folder = self.start() if start else self._socket_folder
        return psycopg.connect(host=str(folder), user=embedded.USER, dbname=database, autocommit=True)

    def copy(self, template: str, database: str) -> None:
        """A database as `template` is, in place of the one of that name."""
        with self.connect() as conn:
            self._drop(conn, database)
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (template,)
            )
            conn.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(database), sql.Identifier(template)
                )
            )

    def drop(self, database: str) -> None:
        with self.connect() as conn:
            self._drop(conn, database)

    def _drop(self, conn: psycopg.Connection, database: str) -> None:
        conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def close(self) -> None:
        """Stop it, and take its disk away."""
        self.free()
        if self.data.exists():
            embedded.stop(self.data)
        self.kill()
        if self.has_disk:
            for _ in range(100):  # what ends has files open
                if (
                    subprocess.run(["umount", str(self.folder)], capture_output=True, check=False).returncode
                    == 0
                ):
                    break
                time.sleep(0.1)


@contextmanager
def _environment(given: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
