"""A Postgres of one's own beside the embedded one: of its programs, on a port of 127.0.0.1, with passwords.

What belongs here: making it, starting and stopping it, a database and a role of few rights in it. What does not: what is tried on it.
"""

import os
import socket
import subprocess
from pathlib import Path

import psycopg
from psycopg import sql

from fashion_assets.postgres.embedded import as_user, programs_of, server_user
from fashion_assets.settings import Settings

PASSWORD = "s3cr3t-Pa55"
"""Of every role. It must show nowhere."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


class Server:
    """A Postgres of its own in a folder, with TCP on 127.0.0.1 and passwords."""

    def __init__(self, folder: Path):
        """Makes it, or finds the one that was made there before."""
        self.folder = folder
        programs = programs_of(Settings(home=folder.parent, database_url=None).postgres_data)
        made = folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        self._as = as_user(server_user(folder, programs))
        self._control = [str(programs / "pg_ctl"), "-D", str(folder), "-w", "-m", "fast"]
        port = folder.parent / "port"
        if not made:
            port.write_text(str(free_port()))
        self.port = int(port.read_text())
        if not made:
            self._make(programs)

    def _make(self, programs: Path) -> None:
        if "user" in self._as:
            os.chown(self.folder, self._as["user"], -1)
        secret = self.folder.parent / "password"
        secret.write_text(PASSWORD)
        made = [str(programs / "initdb"), "-D", str(self.folder), "-U", "postgres", "--encoding=UTF8"]
        made += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-sync"]
        self._run([*made, "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}"])
        secret.unlink()
        with (self.folder / "postgresql.conf").open("a") as file:
            file.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\nfsync = off\n")
            file.write(f"unix_socket_directories = '{self.folder}'\n")

    def start(self, **settings: str) -> None:
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        how = "restart" if (self.folder / "postmaster.pid").exists() else "start"
        self._run([*self._control, "-l", str(self.folder / "log"), "-o", options, how])

    def stop(self) -> None:
        self._run([*self._control, "stop"])

    def crashed(self) -> None:
        """Let it start again after a SIGKILL: of a process nobody has reaped yet, `pg_ctl` would say that it works."""
        for left in (self.folder / "postmaster.pid", self.folder / f".s.PGSQL.{self.port}.lock"):
            left.unlink(missing_ok=True)
        self.start()

    def _run(self, arguments: list[str]) -> None:
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, cwd="/", **self._as)

    def execute(self, *statements: str | sql.Composed, database: str = "postgres") -> list[tuple]:
        """Run statements as a superuser; the last one's rows."""
        with psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            password=PASSWORD,
            dbname=database,
            autocommit=True,
        ) as connection:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)  # pyright: ignore[reportArgumentType]
            return cursor.fetchall() if cursor.description else []

    def shop(self) -> str:
        """A role of few rights and a database for it, which are made; the database's URL."""
        self.execute(
            sql.SQL("CREATE ROLE shop LOGIN CREATEROLE PASSWORD {}").format(sql.Literal(PASSWORD)),
            "CREATE DATABASE shop",
            "GRANT CREATE ON DATABASE shop TO shop",
        )
        self.execute("CREATE EXTENSION vector", database="shop")
        return f"postgresql://shop:{PASSWORD}@127.0.0.1:{self.port}/shop"
