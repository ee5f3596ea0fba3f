"""Kill a migration's whole process tree at random instants, run it again, and compare with an undisturbed one.

Usage: python benchmarks/kill_and_resume.py CATALOG WORK_FOLDER [KILLS [SEED]]

CATALOG is a folder, a file, or a database's URL. Two installations migrate the same catalogue: one undisturbed, one killed (SIGKILL, its Postgres too) KILLS times before
it is left to finish. Then the final tables are compared row for row; only clock times are left out of the comparison.
Exit code 0 where they are equal.
"""

import hashlib
import random
import subprocess
import sys
import time
from pathlib import Path

import psutil
from processes import tree
from psycopg import sql

from fashion_assets.postgres.connections import connect
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.database import prepare

RELEASED = {
    # `normalized_at` is a clock time inside the JSON; everything else must be the same.
    "products": "SELECT (to_jsonb(t) - 'normalized' || jsonb_build_object('normalized', t.normalized - 'normalized_at'))::text"
    " FROM {table} t",
    "revision": "SELECT (to_jsonb(t) - 'changed_at')::text FROM {table} t",
}
"""Of a release's tables, how those are read that are not read as they are."""

REGISTERED = {
    "quarantine": "SELECT (to_jsonb(t) - 'quarantined_at')::text FROM fashion_ops.quarantine t",
    "listings": "SELECT to_jsonb(t)::text FROM fashion_ops.listings t",
    "batches": "SELECT (to_jsonb(t) - 'updated_at')::text FROM fashion_ops.batches t",
    "id_map": "SELECT (to_jsonb(t) - 'first_release')::text FROM fashion_ops.id_map t",
}


def command(home: Path, catalog: str) -> list[str]:
    program = Path(sys.executable).with_name("fashion-assets")
    return [str(program), "--home", str(home), "run", "--catalog", catalog]


def kill_tree(process: subprocess.Popen, home: Path) -> None:
    """SIGKILL to the command, all it started, and the Postgres that works in its home."""
    victims = tree(psutil.Process(process.pid) if process.poll() is None else None, home)
    for victim in victims:
        try:
            victim.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()


def fingerprint(settings: Settings) -> dict[str, tuple[int, str]]:
    """Rows and a digest over the sorted rows, for each table of the live release and for what is registered beside it."""
    prepare(settings)
    found = {}
    with connect(settings) as conn:
        live = releases.live(conn)
        assert live is not None, f"nothing is live in {settings.home}"
        tables = conn.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1", (live.release,)
        ).fetchall()
        queries = {
            name: sql.SQL(RELEASED.get(name, "SELECT to_jsonb(t)::text FROM {table} t")).format(
                table=sql.Identifier(live.release, name)
            )
            for (name,) in tables
        }
        queries |= {name: sql.SQL(query) for name, query in REGISTERED.items()}
        for name, query in queries.items():
            statement = sql.SQL('SELECT row FROM ({}) AS rows(row) ORDER BY row COLLATE "C"').format(query)
            digest, rows = hashlib.sha256(), 0
            with conn.cursor(name="rows") as cursor:
                for (row,) in cursor.execute(statement):
                    digest.update(row.encode() + b"\n")
                    rows += 1
            found[name] = (rows, digest.hexdigest()[:16])
    return found


def main() -> int:
    catalog, work = sys.argv[1], Path(sys.argv[2]).resolve()
    kills = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    random.seed(int(sys.argv[4]) if len(sys.argv) > 4 else 0)
    work.mkdir(parents=True, exist_ok=True)
    undisturbed, killed = work / "undisturbed", work / "killed"

    started = time.monotonic()
    subprocess.run(command(undisturbed, catalog), check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - started
    print(f"undisturbed: {seconds:.1f} s")

    for number in range(1, kills + 1):
        # Of what is left to do, so that the kills fall into all of it.
        instant = random.uniform(0.5, seconds / 2)
        with (work / f"killed-{number}.log").open("w") as log:
            process = subprocess.Popen(command(killed, catalog), stdout=log, stderr=subprocess.STDOUT)
            time.sleep(instant)
            ended = process.poll()
            kill_tree(process, killed)
        print(
            f"kill {number}: after {instant:.1f} s"
            + (f" (it had ended with {ended})" if ended is not None else "")
        )
    subprocess.run(command(killed, catalog), check=True, stdout=subprocess.DEVNULL)

    expected, found = (fingerprint(Settings(home=home, database_url=None)) for home in (undisturbed, killed))
    for name in sorted(expected | found):
        equal = expected.get(name) == found.get(name)
        print(
            f"{name:28} {expected.get(name, (0,))[0]:>8} rows  {'equal' if equal else f'DIFFERENT: {found.get(name)}'}"
        )
    return 0 if expected == found else 1


if __name__ == "__main__":
    sys.exit(main())
