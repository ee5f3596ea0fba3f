"""A whole migration on servers of one's own in the states people have theirs in: it works, or is refused in one line.

Usage: python benchmarks/servers.py CATALOG WORK_FOLDER [STATE ...]   (all states, or those whose name has one of the words)

A second server, of the embedded one's programs, listens on a port of 127.0.0.1. For each state there is a fresh database and a
role of few rights; a run is started in a fresh home, and its outcome held against the state's: it goes live with the tables
of an undisturbed run, row for row, or it ends in one line that names what is wrong, and nothing was made. Where the server is
restarted in mid-run, or every session ended, the run may fail, and the next one must end as an undisturbed one. No output has
a password, or a traceback. States of PgBouncer are asked where it is installed. Prints a table. Exit code 0 where every state
is as it should be.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from kill_and_resume import command, fingerprint
from own_server import PASSWORD, Server, free_port
from psycopg import sql
from pydantic import SecretStr

from fashion_assets.settings import ENVIRONMENT_PREFIX, Settings

PROGRESS = 200
"""Events of Dagster's after which a run is disturbed: some batches are through, and others are not."""


STARTING = "starting the database"
"""What a run says first, whatever becomes of it."""


@dataclass(frozen=True)
class State:
    """A state of a server; in statements, `{role}` and `{database}` are the names in use."""

    name: str
    refused: str | None = None
    """What the one line says; None where a run goes live."""
    before: tuple[str, ...] = ()
    """Statements in the fresh database, as a superuser, before the run."""
    create: str = ""
    """Of the database."""
    vector: str | None = "CREATE EXTENSION vector"
    role: str = "shop"
    database: str = "shop"
    url: Callable[[str], str] = lambda url: url
    """What the URL is made into."""
    environment: tuple[tuple[str, str], ...] = ()
    server: tuple[tuple[str, str], ...] = ()
    """Settings the server is started with."""
    pooler: str | None = None
    """PgBouncer's configuration, where one is in between."""
    disturbed: Callable[[Server], object] | None = None
    """What happens in mid-run."""


def of_role(*settings: str) -> tuple[str, ...]:
    return tuple(f"ALTER ROLE {{role}} SET {setting}" for setting in settings)


def terminate(running: Server) -> None:
    running.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shop'")


STATES = (
    State("as it is"),
    State(
        "ways to write dates and numbers",
        before=of_role(
            "datestyle = 'German, DMY'",
            "timezone = 'Asia/Kathmandu'",
            "intervalstyle = 'postgres_verbose'",
            "extra_float_digits = 0",
            "bytea_output = 'escape'",
            "client_encoding = 'LATIN1'",
        ),
    ),
    State(
        "time-outs",
        before=of_role(
            "statement_timeout = '300ms'",
            "lock_timeout = '50ms'",
            "idle_in_transaction_session_timeout = '300ms'",
            "idle_session_timeout = '300ms'",
            "transaction_timeout = '1s'",
        ),
    ),
    State("statement_timeout of the server", server=(("statement_timeout", "300"),)),
    State("search_path empty", before=of_role("search_path = ''")),
    State("transactions serializable", before=of_role("default_transaction_isolation = 'serializable'")),
    State(
        "pgvector in a schema of its own",
        vector="CREATE SCHEMA extensions; GRANT USAGE ON SCHEMA extensions TO PUBLIC; CREATE EXTENSION vector SCHEMA extensions",
    ),
    State(
        "no schema public",
        vector="CREATE SCHEMA extensions; GRANT USAGE ON SCHEMA extensions TO PUBLIC; CREATE EXTENSION vector SCHEMA extensions; "
        "DROP SCHEMA public",
    ),
    State(
        "schema public closed",
        "GRANT USAGE ON SCHEMA public TO fashion_reader",
        ("REVOKE ALL ON SCHEMA public FROM PUBLIC", "GRANT USAGE ON SCHEMA public TO {role}"),
    ),
    *(
        State(
            f"encoding {encoding}",
            f"is {encoding}, and UTF8 is needed",
            create=f"ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0",
        )
        for encoding in ("LATIN1", "SQL_ASCII")
    ),
    State(
        "read only",
        "ALTER DATABASE shop RESET default_transaction_read_only",
        ("ALTER DATABASE {database} SET default_transaction_read_only = on",),
    ),
    State("max_connections = 20", server=(("max_connections", "20"),)),
    State("CONNECTION LIMIT 8", before=("ALTER ROLE {role} CONNECTION LIMIT 8",)),
    State("CONNECTION LIMIT 4", "The role shop has 4 connections", ("ALTER ROLE {role} CONNECTION LIMIT 4",)),
    State("names that need quotes", role='Sh op"x', database='My "Shop"; DROP'),
    State("a reader called user", environment=(("READER_ROLE", "user"),)),
    State("wrong password", "refuses this login", url=lambda url: url.replace("Pa55", "Pa56")),
    State("unknown database", '"nowhere" does not exist', url=lambda url: url[: -len("shop")] + "nowhere"),
    State("nothing listens", "Connection refused", url=lambda url: re.sub(r":\d+/", f":{free_port()}/", url)),
    State("URL unreadable", "percent-encoded", url=lambda url: url.replace("Pa55", "P@55/")),
    State(
        "no right to create",
        "GRANT CREATE ON DATABASE shop TO shop",
        ("REVOKE CREATE ON DATABASE {database} FROM {role}",),
    ),
    State("pgvector not installed", "CREATE EXTENSION vector", vector=None),
    State(
        "pgvector too old",
        "pgvector is 0.7.4",
        ("UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'",),
    ),
    State(
        "no reader, and no right to make one",
        "GRANT nobody TO shop",
        ("ALTER ROLE {role} NOCREATEROLE",),
        environment=(("READER_ROLE", "nobody"),),
    ),
    State("pgbouncer by session", pooler="pool_mode = session"),
    State("pgbouncer by transaction", "pool_mode is session", pooler="pool_mode = transaction"),
    State(
        "pgbouncer by transaction, options ignored",
        "pool_mode is session",
        pooler="pool_mode = transaction\nignore_startup_parameters = options,extra_float_digits",
    ),
    State("pgbouncer by statement", "pool_mode is session", pooler="pool_mode = statement"),
    State("restarted in mid-run", disturbed=lambda running: running.start()),
    State("sessions ended in mid-run", disturbed=terminate),
)


class Trial:
    """One state, tried."""

    def __init__(self, state: State, running: Server, catalog: str, work: Path):
        self.state, self._running, self._catalog = state, running, catalog
        self._home = work / re.sub(r"\W+", "-", state.name)
        self._url = self._fresh()

    def _fresh(self) -> str:
        """A database and a role in the state; the URL."""
        state, role = self.state, sql.Identifier(self.state.role)
        names = {"role": role, "database": sql.Identifier(state.database)}

        def named(statement: str) -> sql.Composed:
            return sql.SQL(statement).format(**names)  # pyright: ignore[reportArgumentType]

        execute = self._running.execute
        for (former,) in execute(
            "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"
        ):
            execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(former)))
        if roles := execute("SELECT rolname FROM pg_roles WHERE NOT rolsuper AND rolname NOT LIKE 'pg\\_%'"):
            listed = sql.SQL(", ").join(sql.Identifier(former) for (former,) in roles)
            execute(sql.SQL("DROP ROLE {}").format(listed))
        execute(
            named("CREATE ROLE {role} LOGIN CREATEROLE PASSWORD ") + sql.Literal(PASSWORD),
            named(f"CREATE DATABASE {{database}} {state.create}"),
            named("GRANT CREATE ON DATABASE {database} TO {role}"),
        )
        if state.vector:
            execute(named(state.vector), database=state.database)
        execute(*map(named, state.before), database=state.database)
        user, database = quote(state.role, safe=""), quote(state.database, safe="")
        return state.url(f"postgresql://{user}:{PASSWORD}@127.0.0.1:{self._running.port}/{database}")

    def run(self, expected: dict) -> tuple[bool, str]:
        """Whether the state is as it should be, and how a run ended, in words."""
        with self._pooled() as url:
            self._url = url
            code, output = self._command(self.state.disturbed)
            wrong = [word for word in ("Traceback", PASSWORD, "P@55") if word in output]
            lines = [line for line in output.splitlines() if line.strip() and line != STARTING]
            if self.state.refused is not None:
                made = self._was_anything_made()
                as_it_should = code == 1 and len(lines) == 1 and self.state.refused in output and not made
                return (
                    as_it_should and not wrong,
                    f"refused: {' '.join(' '.join(lines).split())}" + " MADE SOMETHING" * made,
                )
            if self.state.disturbed is not None and code:
                told = next((line for line in lines if line.startswith(("error", "refused", "failed"))), "")
                code, again = self._command(None)
                wrong += ["Traceback"] * ("Traceback" in again)
                return self._equal(code, expected, wrong, f"failed ({told[:60]} …), then ")
            return self._equal(code, expected, wrong, "")

    def _equal(self, code: int, expected: dict, wrong: list[str], before: str) -> tuple[bool, str]:
        if code or wrong:
            return False, f"{before}exit code {code}, {', '.join(wrong)}"
        equal = fingerprint(Settings(home=self._home, database_url=SecretStr(self._url))) == expected
        return equal, f"{before}live, {'equal' if equal else 'DIFFERENT'}"

    def _command(self, disturb: Callable[[Server], object] | None) -> tuple[int, str]:
        own = {"DATABASE_URL": self._url, **dict(self.state.environment)}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        environment |= {f"{ENVIRONMENT_PREFIX}{name}": value for name, value in own.items()}
        with subprocess.Popen(
            command(self._home, self._catalog),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment | {"COLUMNS": "1000", "NO_COLOR": "1"},
        ) as process:
            if disturb is not None:
                self._wait_for_progress(process)
                disturb(self._running)
            output, _ = process.communicate()
        return process.returncode, output

    def _wait_for_progress(self, process: subprocess.Popen) -> None:
        events = "SELECT CASE WHEN to_regclass('dagster.event_logs') IS NULL THEN 0 ELSE (SELECT max(id) FROM dagster.event_logs) END"
        while process.poll() is None:
            try:
                ((done,),) = self._running.execute(events, database=self.state.database)
            except psycopg.errors.UndefinedTable:
                done = 0
            if (done or 0) >= PROGRESS:
                return
            time.sleep(0.05)

    def _was_anything_made(self) -> bool:
        made = "SELECT FROM pg_namespace WHERE nspname LIKE 'fashion\\_%' OR nspname LIKE 'dagster%'"
        return bool(self._running.execute(made, database=self.state.database))

    @contextmanager
    def _pooled(self) -> Iterator[str]:
        if self.state.pooler is None:
            yield self._url
            return
        folder, port = self._running.folder.parent, free_port()
        users, configuration = folder / "users.txt", folder / "pgbouncer.ini"
        users.write_text(f'"{self.state.role}" "{PASSWORD}"\n')
        configuration.write_text(
            f"[databases]\n* = host=127.0.0.1 port={self._running.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {port}\nauth_type = plain\nauth_file = {users}\nunix_socket_dir =\n"
            f"default_pool_size = 10\n{self.state.pooler}\n"
        )
        for path in (users, configuration):
            path.chmod(0o644)
        program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program is not None
        with subprocess.Popen(
            [program, "-q", str(configuration)], stderr=subprocess.DEVNULL, **self._running._as
        ) as bouncer:
            time.sleep(1)
            try:
                yield self._url.replace(f":{self._running.port}/", f":{port}/")
            finally:
                bouncer.terminate()


def main() -> int:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    catalog, work, words = str(Path(sys.argv[1]).resolve()), Path(sys.argv[2]).resolve(), sys.argv[3:]
    if work.exists() and any(work.iterdir()):
        print(f"{work} is not empty: each run needs a fresh home", file=sys.stderr)
        return 2
    has_pgbouncer = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin") is not None
    running = Server(work / "server" / "data")
    subprocess.run(command(work / "undisturbed", catalog), check=True, stdout=subprocess.DEVNULL)
    expected = fingerprint(Settings(home=work / "undisturbed", database_url=None))
    wrong = 0
    try:
        for state in STATES:
            if words and not any(word in state.name for word in words):
                continue
            if state.pooler is not None and not has_pgbouncer:
                print(f"-  {state.name:42} not asked: PgBouncer is not installed", flush=True)
                continue
            running.start(**dict(state.server))
            good, outcome = Trial(state, running, catalog, work).run(expected)
            wrong += not good
            print(f"{'✓' if good else '✗'}  {state.name:42} {outcome}", flush=True)
    finally:
        running.stop()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
