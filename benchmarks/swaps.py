"""Readers and writers while releases swap: what they wait for, that no answer fails or mixes two releases, and that no write is lost.

Usage: python benchmarks/swaps.py WORK_FOLDER [SWAPS [LISTINGS [PAUSE_MS [ROUNDS]]]]

Two releases of a drawn catalogue, every title of one marked, and with other columns: either has one the other lacks. Eight searching connections,
four of SQL that look at the views in any order, one and several statements a transaction, one that has prepared `SELECT *`, one whose
transactions are REPEATABLE READ, and one that is idle in a transaction after it looked at one view. Two writers mark favourites through the view, each mark in a
transaction of its own: in the end every one that was committed must be there once, in the live release and in the one gone back to. First nothing swaps. Then, in each of
so many rounds, releases swap back to back; then, for as long, swaps are made ready and taken back before they lock any view, which costs the machine
the same; then nothing swaps for as long. The longest answers are held against either. What waits for a lock, and how long, the server itself says
(`log_lock_waits`), and a swap for how long it kept the views locked (`views_locked_ms`). Then a rollback is asked for while a run builds, a `pg_dump`
reads, and a retirement waits for it. Without a pause between two questions of a reader the cores are never free, and the longest answer is that of
whoever was last given one: then what is over the swaps that are taken back is the swaps' own. Exit code 0 where no query and no write failed, no statement's answer was of two releases and no write is lost.
"""

import collections
import csv
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from around_swaps import MARK, WAITS_FROM_MS, LockWaits, Readers, Writers, spread
from psycopg import sql

from fashion_assets.postgres import server
from fashion_assets.postgres.connections import Connection, connect
from fashion_assets.release import repointing, swap
from fashion_assets.settings import Settings
from fashion_assets.sources.drawn.shop import draw_catalogue
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.releases import Release

QUIET_SECONDS = 15


def amiss(settings: Settings, written: list[str]) -> dict[str, dict[str, int]]:
    """How many of these marks are lost, and how many are there more than once: in the live release, and in the other one once it is live."""
    found = {}
    with connect(settings) as conn:
        live = releases.live(conn)
        assert live is not None
        for name in (live.release, swap.previous(conn).release, live.release):
            conn.commit()
            if name != live.release or found:
                swap.rollback(conn, settings, name)
            rows = conn.execute(
                "SELECT user_id FROM fashion_sota.favourites WHERE source = 'written'"
            ).fetchall()
            there = collections.Counter(user for (user,) in rows)
            found[name] = {
                "lost": len(set(written) - there.keys()),
                "twice": sum(count > 1 for count in there.values()),
                "there": len(there),
            }
        conn.commit()
    return found


def command(home: Path, *arguments: str) -> list[str]:
    program = Path(sys.executable).with_name("fashion-assets")
    return [str(program), "--home", str(home), *arguments]


def mark_titles(catalogue: Path, mark: str = MARK) -> None:
    """End every title with a mark."""
    path = catalogue / "styles.csv"
    lines = path.read_text("utf-8", "surrogateescape").splitlines(keepends=True)
    header = next(csv.reader(lines[:1]))
    place = header.index("productDisplayName")
    marked = []
    for line in lines[1:]:
        fields = line.split(",", place + 1)
        # Damaged lines stay as they are.
        sound = len(next(csv.reader([line]), ())) == len(header) and '"' not in "".join(fields[: place + 1])
        if sound and fields[0].isdigit() and fields[place].strip():
            fields[place] += f" {mark}"
        marked.append(",".join(fields))
    path.write_text("".join([lines[0], *marked]), "utf-8", "surrogateescape")


def prepared(home: Path, catalogue: Path, listings: int) -> None:
    """An installation with three releases: one to retire, one to go back to, and the live one, its titles marked."""
    draw_catalogue(catalogue, listings, 0, None)
    for change in (lambda: None, lambda: mark_titles(catalogue, "mk1"), lambda: mark_titles(catalogue)):
        change()
        subprocess.run(
            command(home, "run", "--catalog", str(catalogue)), check=True, stdout=subprocess.DEVNULL
        )


def differ(settings: Settings) -> None:
    """Give the release to go back to a column the live one lacks, and take one from it."""
    with connect(settings) as conn:
        users = swap.previous(conn).table("users")
        conn.execute(sql.SQL("ALTER TABLE {} DROP COLUMN style, ADD COLUMN of_old text").format(users))


def swaps(home: Path, count: int) -> tuple[list[float], list[float]]:
    """Swap so often in a process of its own, as a command does; seconds of each, and for how long readers were locked out (`Locked`), in order of
    size."""
    ran = subprocess.run(
        [sys.executable, __file__, "--swap", str(home), str(count)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    taken, locked = map(sorted, json.loads(ran.stdout))
    return taken, locked


def swap_here(home: Path, count: int, pause: float = 0) -> None:
    """`pause`: seconds from one swap to the next."""
    settings = Settings(home=home, database_url=None)
    taken: list[float] = []
    locked = Locked()
    with connect(settings) as conn:
        for _ in range(count):
            other = _other(conn)
            began = time.perf_counter()
            swap.rollback(conn, settings, other.release)
            taken.append(time.perf_counter() - began)
            time.sleep(max(0, pause - taken[-1]))
    print(json.dumps([taken, locked.seconds]))


def _other(conn: Connection) -> Release:
    """The last release that is not live."""
    found = max((r for r in releases.releases(conn) if r.state == "retired"), key=lambda r: r.number)
    conn.commit()
    return found


class TakenBack(Exception):
    """A swap was made ready, and is not wanted."""


def take_back_here(home: Path, seconds: float) -> None:
    """Do for so long what `swap_here` does, but for locking the views and leading them elsewhere."""

    def not_wanted(*_: object) -> None:
        raise TakenBack

    repointing._at_once = not_wanted
    settings = Settings(home=home, database_url=None)
    until = time.monotonic() + seconds
    with connect(settings) as conn:
        while time.monotonic() < until:
            other = _other(conn)
            with suppress(TakenBack):
                swap.rollback(conn, settings, other.release)
            swap._catch_up(conn, other)


def take_back(home: Path, seconds: float) -> None:
    """`take_back_here` in a process of its own."""
    subprocess.run([sys.executable, __file__, "--take-back", str(home), str(seconds)], check=True)


class Locked:
    """How long each swap kept readers from the views, at the most: from the begin of the statement that locks them, in the try that went
    through, to the end of the transaction. In the process that swaps."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began = 0.0
        lock, ended = repointing._at_once, swap._catch_up

        def locking(*given: Any) -> None:
            self._began = time.perf_counter()
            lock(*given)

        def done(*given: Any) -> None:
            self.seconds.append(time.perf_counter() - self._began)
            ended(*given)

        repointing._at_once, swap._catch_up = locking, done


def rollback_beside(settings: Settings, home: Path, catalogue: Path) -> dict[str, float | str]:
    """Seconds of a rollback while a run builds, a dump reads and a retirement waits for the dump."""
    program = server.program(settings, "pg_dump")
    assert program is not None
    parameters = server.parameters(settings)
    build = subprocess.Popen(
        command(home, "run", "--catalog", str(catalogue), "--no-promote"), stdout=subprocess.DEVNULL
    )
    with connect(settings, autocommit=True) as conn:
        while not conn.execute(
            "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'COPY \"fashion_sota_r%'"
        ).fetchone():
            time.sleep(0.01)
            assert build.poll() is None, "the run ended before it built anything"
        held = connect(settings)
        # As a dump does before it begins: this one never ends.
        for release in releases.releases(conn):
            if release.state in ("live", "retired"):
                held.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(release.table("products")))
        dump = subprocess.Popen(
            [program, "--host", parameters["host"], "--port", parameters["port"], "--username", "postgres"],
            stdout=subprocess.DEVNULL,
        )
        oldest = [r.release for r in releases.releases(conn) if r.state == "retired"][-1]
        retiring = threading.Thread(target=lambda: _retire(settings, oldest))
        retiring.start()
        time.sleep(0.2)
        began = time.perf_counter()
        subprocess.run(command(home, "rollback"), check=True, stdout=subprocess.DEVNULL)
        outside = time.perf_counter() - began
        later = next(r.release for r in releases.releases(conn) if r.state == "retired")
        began = time.perf_counter()
        swap.rollback(conn, settings, later)
        inside = time.perf_counter() - began
        building = build.poll() is None
        held.rollback()
        held.close()
        retiring.join()
        dump.wait()
    build.wait()
    return {
        "rollback_by_the_command_seconds": round(outside, 3),
        "the_swap_alone_seconds": round(inside, 3),
        "run": "still building" if building else "had ended",
        "run_exit": build.returncode,
        "dump_exit": dump.returncode,
    }


def _retire(settings: Settings, name: str) -> None:
    with connect(settings) as conn:
        swap.retire(conn, name)


def main() -> int:
    if sys.argv[1] == "--take-back":
        take_back_here(Path(sys.argv[2]), float(sys.argv[3]))
        return 0
    if sys.argv[1] == "--swap":
        swap_here(Path(sys.argv[2]), int(sys.argv[3]), *map(float, sys.argv[4:]))
        return 0
    work = Path(sys.argv[1]).resolve()
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    listings = int(sys.argv[3]) if len(sys.argv) > 3 else 2000
    pause = float(sys.argv[4]) / 1000 if len(sys.argv) > 4 else 0.0
    rounds = int(sys.argv[5]) if len(sys.argv) > 5 else 1
    home, catalogue = work / "home", work / "catalogue"
    if home.exists():
        sys.exit(
            f"{home} is there: its releases are no longer those the answers are held against. Give an empty folder."
        )
    prepared(home, catalogue, listings)
    settings = Settings(home=home, database_url=None)
    with connect(settings) as conn:
        marked = max(releases.releases(conn), key=lambda r: r.number).release
    differ(settings)
    phases: list[Phase] = []

    def phase(name: str, meanwhile: Callable[[], object]) -> Phase:
        phases.append(Phase(settings, marked, pause, f"{name}, {len(phases)}", meanwhile))
        return phases[-1]

    phase("nothing swaps", lambda: time.sleep(QUIET_SECONDS))
    waits = LockWaits(settings)
    longest: dict[str, list[dict[str, float]]] = collections.defaultdict(list)
    for _ in range(rounds):
        said: list[tuple[list[float], list[float]]] = []
        swapped = phase("swaps", lambda said=said: said.append(swaps(home, count)))
        taken, locked = said[0]
        _print(
            {
                "swap_p50_ms": round(1000 * taken[len(taken) // 2], 1),
                "swap_max_ms": round(1000 * taken[-1], 1),
                "views_locked_ms": spread(locked),
                f"waits for locks longer than {WAITS_FROM_MS} ms": waits.figures(),
            }
        )
        seconds = max(QUIET_SECONDS, sum(taken))
        for name, other in (
            ("taken back", phase("swaps taken back", partial(take_back, home, seconds))),
            ("nothing", phase("nothing swaps", partial(time.sleep, seconds))),
        ):
            longest[name].append(swapped.over(other, "max_ms"))
            _print({f"over {name}": {each: swapped.over(other, each) for each in ("p50_ms", "p99_ms")}})
    for name, each in longest.items():
        _print({f"longest answers over {name}, ms": {kind: [one[kind] for one in each] for kind in each[0]}})
    written = [user for each in phases for user in each.written]
    wrong = amiss(settings, written)
    _print({"written": len(written), "of these": wrong})
    mark_titles(catalogue)
    _print(rollback_beside(settings, home, catalogue))
    lost = any(each["lost"] or each["twice"] for each in wrong.values())
    return 1 if lost or any(each.failed or each.mixed for each in phases) else 0


class Phase:
    """What readers and writers saw while something else went on."""

    def __init__(
        self, settings: Settings, marked: str, pause: float, name: str, meanwhile: Callable[[], object]
    ):
        with Readers(settings, marked, pause) as readers, Writers(settings, name) as writers:
            meanwhile()
        self.figures = {**readers.figures(), "writes": writers.figures()}
        self.failed, self.mixed, self.written = (
            readers.failed + writers.failed,
            readers.mixed,
            writers.written,
        )
        _print({name: self.figures, "failed": self.failed, "mixed": self.mixed})

    def over(self, other: "Phase", figure: str) -> dict[str, float]:
        """How much larger each kind of answer's figure was than meanwhile."""
        return {
            kind: round(own[figure] - other.figures[kind][figure], 1) for kind, own in self.figures.items()
        }


def _print(figures: Mapping[str, Any]) -> None:
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    sys.exit(main())
