"""PgBouncer before the test run's server, where it is installed; `pooler` is what stands in for it where it need not be the real one.

What belongs here: finding it, starting and stopping it. What does not: what is asked through it.
"""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from fashion_assets.postgres import server
from fashion_assets.postgres.embedded import as_user, programs_of, server_user
from fashion_assets.settings import Settings

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")

PREPARES_SINCE = (1, 21)
"""The version that first kept what clients prepare, by transaction: https://www.pgbouncer.org/changelog.html#pgbouncer-121x."""


def version() -> tuple[int, ...]:
    """Of the one that is installed; none where none is."""
    if PROGRAM is None:
        return ()
    said = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)\.(\d+)", said)
    assert found is not None, said
    return tuple(map(int, found.groups()))


@contextmanager
def bouncing(settings: Settings, folder: Path, **options: object) -> Iterator[int]:
    """The port of 127.0.0.1 of a PgBouncer before the server of `settings`, whose database is called `shop` there. `options`: what its
    configuration says besides. `folder` is made; it must not be there."""
    assert PROGRAM is not None
    there = server.parameters(settings)
    folder.mkdir(mode=0o700)
    # It refuses to run as root, too.
    own = as_user(server_user(folder, programs_of(folder / "none")))
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    lines = [
        "[databases]",
        f"shop = host={there['host']} port={there['port']} dbname={there['dbname']} user={there['user']}",
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "unix_socket_dir =",
        "auth_type = any",
        *(f"{name} = {value}" for name, value in options.items()),
    ]
    configuration = folder / "pgbouncer.ini"
    configuration.write_text("\n".join([*lines, ""]))
    if "user" in own:
        for path in (folder, configuration):
            os.chown(path, own["user"], -1)
    with subprocess.Popen(
        [PROGRAM, "-q", configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **own
    ) as process:
        try:
            until = time.monotonic() + 30
            while True:
                assert process.poll() is None, "PgBouncer ended"
                try:
                    connected(port).close()
                    break
                except psycopg.OperationalError:
                    assert time.monotonic() < until, "PgBouncer does not answer"
                    time.sleep(0.02)
            yield port
        finally:
            process.terminate()


def connected(port: int, *, prepares: bool = False) -> psycopg.Connection:
    """A client of it, in which every statement is a transaction of its own; `prepares`: each before it is asked."""
    return psycopg.connect(
        host="127.0.0.1",
        port=port,
        dbname="shop",
        user="anybody",
        autocommit=True,
        prepare_threshold=0 if prepares else None,
    )
