"""A server that others follow, and one that follows it: what a test of readers on a physical standby begins with.

What belongs here: making both, of the embedded server's programs, and knowing when the one has what the other did. What does not: what is
read there. The test run's own server keeps too little of what it does for anybody to follow it.
"""

import os
import subprocess
import time
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from pydantic import SecretStr

from fashion_assets.postgres.embedded import USER, as_user, programs_of, server_user
from fashion_assets.settings import Settings

PATIENCE_SECONDS = 30


class Following:
    """A server in a folder, with its socket, whose sessions are trusted."""

    def __init__(self, folder: Path, source: "Following | None" = None):
        """Made anew, or, with a `source`, as its standby. Neither is started."""
        self.folder, data = folder, folder / "data"
        self._programs = programs_of(data)
        folder.mkdir(mode=0o700)
        self._as = as_user(server_user(folder, self._programs))
        if "user" in self._as:
            os.chown(folder, self._as["user"], -1)
        if source is None:
            made = ["initdb", "-D", data, "-U", USER, "--encoding=UTF8", "--locale=C", "--no-sync"]
            self._run(*made, "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--auth=trust")
        else:
            copied = ["pg_basebackup", "-D", data, "-h", source.folder, "-U", USER, "-R", "--no-sync"]
            self._run(*copied, "--checkpoint=fast", "--wal-method=stream")
        with (data / "postgresql.conf").open("a") as file:
            file.write(f"listen_addresses = ''\nunix_socket_directories = '{folder}'\nfsync = off\n")
            file.write("shared_buffers = '16MB'\nwal_level = replica\nhot_standby = on\n")

    def start(self, **settings: str) -> None:
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self._run(
            "pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", "-o", options, "start"
        )

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._programs / program), *map(str, arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", **self._as)

    def settings(self, home: Path) -> Settings:
        return Settings(
            home=home, database_url=SecretStr(f"postgresql:///{USER}?host={self.folder}&user={USER}")
        )

    def connect(self, **options: Any) -> psycopg.Connection:
        """A session in which every statement is a transaction of its own."""
        return psycopg.connect(host=str(self.folder), user=USER, dbname=USER, autocommit=True, **options)

    def value(self, asked: LiteralString, *given: object) -> object:
        with self.connect() as conn:
            row = conn.execute(asked, given).fetchone()
        assert row is not None
        return row[0]

    def set(self, name: str, value: str) -> None:
        """Change what it is set to, while it runs."""
        with self.connect() as conn:
            conn.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
            conn.execute("SELECT pg_reload_conf()")

    def follows(self, source: "Following") -> None:
        """Return once all that was committed on the other is seen here."""
        there = source.value("SELECT pg_current_wal_lsn()::text")
        until = time.monotonic() + PATIENCE_SECONDS
        with self.connect() as conn:
            while conn.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", (there,)).fetchone() != (
                True,
            ):
                assert time.monotonic() < until, "the standby does not follow"
                time.sleep(0.01)
