"""Kill a migration's whole process tree at random instants, run it again, and compare with an undisturbed one.

Usage: python benchmarks/kill_and_resume.py CATALOG WORK_FOLDER [--kills N] [--seed N] [--database own|URL] [--seconds N]

CATALOG is a folder, a file, or a database's URL. Two installations migrate the same catalogue: one undisturbed, one killed N times before
it is left to finish: SIGKILL to the command and all it started, every second time or so to its Postgres as well; the later half of the kills
once it is building the release. Then the final tables are compared row for row; only clock times are left out of the comparison. The
undisturbed one works on the embedded Postgres; the killed one, too, or with `--database own` on a server beside it that listens on TCP and asks
for passwords, or on the empty database of a URL (whose server is let live; a password comes from PGPASSWORD or ~/.pgpass). `--seconds`: begin
nothing further after so many, and go on where it stopped when asked again; exit code 3 until then. Prints when and where each kill
struck. Exit code 0 where the tables are equal, and N kills struck a command at work.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
from own_server import Server
from processes import tree
from psycopg import sql
from pydantic import SecretStr

from fashion_assets.origins import ENVIRONMENT_PREFIX
from fashion_assets.postgres.connections import connect
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.database import prepare

BUILDING = "building the release"
"""What a run says when all batches are through."""

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


@dataclass
class Killed:
    """A kill, and what it struck."""

    after: float
    """Seconds since the command began."""
    server_too: bool
    ended: int | None
    """The command's exit code, where it had ended by itself before."""
    at: str
    """What the command had said last."""

    def __str__(self) -> str:
        with_server = " with its server" if self.server_too else ""
        ended = "" if self.ended is None else f" (it had ended with {self.ended})"
        return f"after {self.after:.1f} s{with_server}, at: {self.at}{ended}"


@dataclass
class State:
    """How far it has come; it is kept in the work folder."""

    undisturbed: float = 0
    """Seconds the undisturbed installation took; 0: it is not there yet."""
    building: float = 0
    """Seconds of them it built the release."""
    kills: list[Killed] = field(default_factory=list)
    url: str | None = None
    """Of the database the killed one works on; None: the embedded one."""
    through: bool = False

    @classmethod
    def read(cls, path: Path) -> "State":
        if not path.exists():
            return cls()
        kept = json.loads(path.read_text())
        return cls(**{**kept, "kills": [Killed(**each) for each in kept["kills"]]})

    def keep(self, path: Path) -> None:
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self)))


class Proof:
    """Both installations, and what is done to one of them."""

    def __init__(self, catalog: str, work: Path, seed: int, database: str | None):
        self._catalog, self._work, self._seed = catalog, work, seed
        self.homes = work / "undisturbed", work / "killed"
        self.state = State.read(work / "state.json")
        self._server = Server(work / "server" / "data") if database == "own" else None
        if self._server is not None:
            self._server.start()
        if database is not None and self.state.url is None:
            self.state.url = database if self._server is None else self._server.shop()
            self._keep()

    def _keep(self) -> None:
        self.state.keep(self._work / "state.json")

    def undisturbed(self) -> None:
        began = time.monotonic()
        process = self._start(0, "undisturbed", None)
        self._until_building(process, "undisturbed")
        building = time.monotonic()
        self._ended(process, "undisturbed")
        ended = time.monotonic()
        self.state.undisturbed, self.state.building = ended - began, ended - building
        self._keep()
        print(
            f"undisturbed: {self.state.undisturbed:.1f} s, of which {self.state.building:.1f} s built the release",
            flush=True,
        )

    def kill(self, releasing: bool) -> None:
        """Go on with the one that is killed, and kill it again; `releasing`: once it is building the release."""
        number = len(self.state.kills) + 1
        chance = random.Random(f"{self._seed}:{number}")
        # Of so short a time that the release, which is built whole or not at all, is not live before a kill strikes.
        longest = 0.4 * self.state.building if releasing else 0.3 * self.state.undisturbed
        instant, server_too = chance.uniform(min(0.5, longest / 2), longest), chance.random() < 0.5
        began, process = time.monotonic(), self._start(1, f"killed-{number}", self.state.url)
        log = self._work / f"killed-{number}.log"
        if releasing:
            self._until_building(process, f"killed-{number}")
        with suppress(subprocess.TimeoutExpired):
            process.wait(instant)
        after = time.monotonic() - began
        ended = process.poll()
        place = self.homes[1] if self._server is None else self._server.folder
        kill_tree(process, place if server_too else Path("/no home"))
        with suppress(ProcessLookupError):  # what was started while they were counted
            os.killpg(process.pid, signal.SIGKILL)
        if server_too and self._server is not None:
            self._server.crashed()
        said = [line for line in log.read_text().splitlines() if line.strip()]
        killed = Killed(round(after, 1), server_too, ended, said[-1] if said else "nothing yet")
        self.state.kills.append(killed)
        self._keep()
        print(f"kill {number}: {killed}", flush=True)

    def finish(self) -> None:
        self._ended(self._start(1, "finished", self.state.url), "finished")
        self.state.through = True
        self._keep()

    def _until_building(self, process: subprocess.Popen, log: str) -> None:
        said = self._work / f"{log}.log"
        while process.poll() is None and BUILDING not in said.read_text():
            time.sleep(0.1)

    def _ended(self, process: subprocess.Popen, log: str) -> None:
        if code := process.wait():
            said = (self._work / f"{log}.log").read_text().strip().splitlines()
            sys.exit(f"a run nobody disturbed ended with {code}: {said[-1] if said else ''}")

    def _start(self, which: int, log: str, url: str | None) -> subprocess.Popen:
        ours = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith((ENVIRONMENT_PREFIX, "DAGSTER_"))
        }
        if url is not None:
            ours[f"{ENVIRONMENT_PREFIX}DATABASE_URL"] = url
        with (self._work / f"{log}.log").open("w") as file:
            return subprocess.Popen(
                command(self.homes[which], self._catalog),
                stdout=file,
                stderr=subprocess.STDOUT,
                env=ours,
                start_new_session=True,
            )

    def differs(self) -> bool:
        """Whether any table is another than in the undisturbed installation; it prints them all."""
        urls = None, self.state.url
        expected, found = (
            fingerprint(Settings(home=home, database_url=None if url is None else SecretStr(url)))
            for home, url in zip(self.homes, urls, strict=True)
        )
        for name in sorted(expected | found):
            equal = expected.get(name) == found.get(name)
            rows = expected.get(name, (0,))[0]
            print(f"{name:28} {rows:>8} rows  {'equal' if equal else f'DIFFERENT: {found.get(name)}'}")
        return expected != found

    def close(self) -> None:
        if self._server is not None:
            self._server.stop()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("catalog")
    parser.add_argument("work", type=Path)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database", metavar="own|URL")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    given = parser.parse_args()
    work, until = given.work.resolve(), time.monotonic() + given.seconds
    work.mkdir(parents=True, exist_ok=True)
    proof = Proof(given.catalog, work, given.seed, given.database)
    try:
        for is_due, do in (
            (lambda: not proof.state.undisturbed, proof.undisturbed),
            (
                lambda: len(proof.state.kills) < given.kills,
                # The later half; before, batches are under way.
                lambda: proof.kill(len(proof.state.kills) >= given.kills // 2),
            ),
            (lambda: not proof.state.through, proof.finish),
        ):
            while is_due():
                if time.monotonic() > until:
                    print("there is more to do: ask again")
                    return 3
                do()
        struck = sum(each.ended is None for each in proof.state.kills)
        print(f"{struck} of {len(proof.state.kills)} kills struck a command at work")
        return 1 if proof.differs() or struck < given.kills else 0
    finally:
        proof.close()


if __name__ == "__main__":
    sys.exit(main())
