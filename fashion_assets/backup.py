"""A whole installation into a folder, and out of it again: what the database holds, and the files of its home.

What belongs here: which parts there are, in which order they are taken, Postgres' own `pg_dump` and `pg_restore`. What does
not: making right what a backup is older than (`release.recovery`: the next run does), the sources, which lie elsewhere.
"""

import os
import shutil
import subprocess
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from fashion_assets.postgres import server
from fashion_assets.postgres.connections import connect
from fashion_assets.postgres.errors import WarehouseError
from fashion_assets.release import graphs, indexes
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases, writer
from fashion_assets.warehouse.database import prepare
from fashion_assets.warehouse.schemas import DAGSTER, OPS, SERVING

DUMP = "database.dump"
"""The database's part of a backup, in `pg_dump`'s custom format."""

FOLDERS = ("assets", "samples", "reports", "stories")
"""What a backup has of a home, besides the database. Locks, logs and caches are made again."""

SCHEMAS = (OPS, DAGSTER, SERVING, f"{SERVING}_[rv][0-9]*", "sample_second_hand_*", "sample_wardrobe")
"""What of the database is ours, as patterns of `pg_dump`."""


OLDEST_RESTORED = 17
"""Version of the oldest server that understands all that `pg_restore` says of late (`transaction_timeout`)."""


class BackupError(WarehouseError):
    """A backup cannot be taken or restored; the message says why, and what to do. Nothing was changed."""


def back_up(settings: Settings, folder: Path) -> None:
    """Write the installation into a folder that does not exist yet; it appears when it is whole.

    Others may go on with their work. The database is taken first, as it is at one moment; files that are newer than it are
    made out by the next run after a restore. Files under a `storage_url` are left where they are. Raises `BackupError`.
    """
    folder = folder.expanduser().absolute()
    if folder.exists():
        raise BackupError(f"{folder} is there already. Give the name of a folder that is not.")
    prepare(settings, anew=False)
    aside = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True, mode=0o700)
        wanted = [f"--schema={pattern}" for pattern in SCHEMAS]
        _run(settings, "pg_dump", "--format=custom", "--no-owner", *wanted, f"--file={aside / DUMP}")
        for name in FOLDERS:
            if (settings.home / name).is_dir():
                shutil.copytree(settings.home / name, aside / name, ignore=shutil.ignore_patterns(".*.tmp"))
        aside.replace(folder)
    except OSError as error:
        raise BackupError(f"{folder} cannot be written: {error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def restore(settings: Settings, folder: Path) -> None:
    """Make an installation of a backup: in the home of `settings` and the database it names, both of them new.

    The database comes last and whole or not at all, so that a restore that was interrupted is done again. Raises
    `BackupError`.
    """
    folder = folder.expanduser().absolute()
    if not (folder / DUMP).is_file():
        raise BackupError(f"{folder} is no backup: there is no {DUMP} in it.")
    begun = settings.home / "restoring"
    taken = [name for name in FOLDERS if (settings.home / name).exists()]
    if taken and not begun.exists():
        raise BackupError(
            f"{settings.home} has files of an installation already ({', '.join(taken)}). Choose another with --home."
        )
    with connect(settings, autocommit=True, vectors=False) as conn:
        there = conn.execute("SELECT to_regnamespace(%s) IS NOT NULL", (OPS,)).fetchone()
        if there == (True,):
            raise BackupError(
                f"There is an installation in the database already ({server.describe(settings)}). Choose another --home, or "
                "an empty database."
            )
        if conn.info.server_version < 10_000 * OLDEST_RESTORED:
            raise BackupError(
                f"The server is Postgres {conn.info.server_version // 10_000}, and a backup is restored by {OLDEST_RESTORED} or "
                "newer. Use the home itself with that database: what files hold, the next fashion-assets run writes into it."
            )
        try:
            settings.home.mkdir(parents=True, exist_ok=True)
            begun.touch()
            for name in FOLDERS:
                if (folder / name).is_dir():
                    shutil.copytree(folder / name, settings.home / name, dirs_exist_ok=True)
        except OSError as error:
            raise BackupError(f"{settings.home} cannot be written: {error}") from error
        _make_what_a_dump_refers_to(conn, settings)
    whole_or_not = ("--exit-on-error", "--single-transaction", "--no-owner")
    _run(settings, "pg_restore", *whole_or_not, str(folder / DUMP), session=_in_memory(settings))
    prepare(settings)
    with connect(settings, autocommit=True, vectors=False) as conn:
        conn.execute("ANALYZE")
        kept = [each for each in releases.releases(conn) if each.state in ("candidate", "live", "retired")]
        of_graphs = [(each, [*graphs.standing(conn, each)]) for each in kept]
    begun.unlink()
    for release, names in of_graphs:
        if names:
            # The dump has an index's options, which are those of rows that come into it later.
            indexes.rebuild(settings, release, names)


def _in_memory(settings: Settings) -> str:
    """Settings of the session that restores: indexes over vectors in the memory they may take (`index_memory`). Lists that do not fit are not built at all. By one process:
    several would have all of it as they begin."""
    most = indexes.memory_bound(settings)
    if most is None:
        return ""
    return f"-c maintenance_work_mem={most // 1024}kB -c max_parallel_maintenance_workers=0"


def _make_what_a_dump_refers_to(conn: psycopg.Connection, settings: Settings) -> None:
    conn.execute("CREATE EXTENSION IF NOT EXISTS vector")
    # The dump has their rights.
    for role in (settings.reader_role, settings.writer_role, settings.keeper_role):
        if missing := writer.make(conn, role):
            raise BackupError(
                f"There is no role {role} on this server, and this one may not make it ({server.describe(settings)}). Let an "
                f"administrator run `{missing}`, then run the same command again."
            )


def _run(settings: Settings, name: str, *arguments: str, session: str = "") -> None:
    """Run one of Postgres' programs on the database in use: always the one that comes with the embedded server, as `pg_dump`
    reads no server newer than itself, and `pg_restore` no dump. `session`: options of the server for it."""
    program = server.program(settings.model_copy(update={"database_url": None}), name)
    where = server.parameters(settings)
    if session:
        where["options"] = f"{where.get('options', '')} {session}".strip()
    # Not among the arguments, which anybody on the machine can read.
    secret = {"PGPASSWORD": where.pop("password")} if "password" in where else {}
    ours = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    command = [str(program), "--no-password", *arguments, f"--dbname={make_conninfo(**where)}"]
    ran = subprocess.run(command, env=ours | secret, capture_output=True, text=True, check=False)
    if ran.returncode:
        said = ran.stderr.strip()[-1000:]
        if "memory required is" in said:
            said += " Let it have as much: FASHION_ASSETS_INDEX_MEMORY, in bytes."
        raise BackupError(f"{name} failed ({server.describe(settings)}): {said}")
