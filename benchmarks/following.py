"""A live release that follows a Postgres source: how long a change takes until readers see it, and what it costs them.

    python benchmarks/following.py WORK_FOLDER CATALOGUE_FOLDER [LISTINGS [CHANGES_A_SECOND [SECONDS]]] [--notify]

The listings of a catalogue folder (`styles.csv`, `images/`) become a table of a database of their own, which is migrated. Then `sync --watch` follows
it in a process of its own, while titles and prices change, products come and go, at an even rate, each by a transaction of its own; some of these
commit late. Two searching readers, in a process of their own, ask all the time: while nothing else is done, while the table is written to and nobody follows, and while it
is followed. What each process takes of a core meanwhile is told, and Recall@10 of the index against exact search before, meanwhile and afterwards. At the end the release
is compared with the table row by row. Exit code 0 where nothing differs and no search failed.

With `--notify` the table has the trigger that `docs/how-to/sync.md` shows, and is looked at when it was written to.
"""

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import numpy as np
import psutil
import psycopg
from psycopg import sql

from fashion_assets.benchmarks.recall import TIE
from fashion_assets.postgres import server
from fashion_assets.postgres.connections import connect
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.filters import SearchError
from fashion_assets.search.query import Query
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.database import prepare

WORDS = ("red shirt", "women dress", "blue jeans", "black shoes", "watch", "summer top", "bag", "kurta")
DATABASE = "followed_source"
LOOK_SECONDS = 0.05
TITLE = 9
"""Place of the title in the table's columns."""

LATE_SECONDS = 0.4
"""How long one transaction in twenty is kept open behind its change."""


NOTIFY = (
    "CREATE FUNCTION tell_of_changes() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN NOTIFY fashion_assets; RETURN NULL; END $$",
    "CREATE TRIGGER tell_of_changes AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON products "
    "FOR EACH STATEMENT EXECUTE FUNCTION tell_of_changes()",
)


def make_source(
    settings: Settings, catalogue: Path, listings: int, notify: bool
) -> tuple[str, dict[str, str]]:
    """A database with the first listings; its URL and libpq parameters."""
    with connect(settings, autocommit=True, vectors=False) as conn:
        conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(DATABASE)))
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    parameters = {**server.parameters(settings), "dbname": DATABASE}
    with (catalogue / "styles.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    with psycopg.connect(**parameters) as conn:  # type: ignore[arg-type]
        columns = [sql.SQL("{} text").format(sql.Identifier(name)) for name in header[1:]]
        conn.execute(
            sql.SQL("CREATE TABLE products (id integer PRIMARY KEY, {}, price numeric, image text)").format(
                sql.SQL(", ").join(columns)
            )
        )
        with conn.cursor() as cursor, cursor.copy("COPY products FROM STDIN") as copy:
            for row in rows[:listings]:
                copy.write_row(
                    (*(value or None for value in row[: len(header)]), 10 + int(row[0]) % 90, f"{row[0]}.jpg")
                )
        for statement in NOTIFY if notify else ():
            conn.execute(statement)
    host = quote(str(parameters["host"]), safe="")
    return f"postgresql://{parameters['user']}@/{DATABASE}?host={host}&port={parameters['port']}", parameters


class Readers:
    """Two searching threads in a process of their own; how long their answers took, in milliseconds."""

    def __init__(self, settings: Settings):
        self._process = subprocess.Popen(
            [sys.executable, __file__, READ, str(settings.home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()
        self.pid = self._process.pid
        self.times: list[float] = []
        self.failed: list[str] = []
        self.doubted = 0
        """Searches that held their index's answer for unsound, and searched otherwise, too."""

    def close(self) -> None:
        self.times, self.failed, self.doubted = json.loads(self._process.communicate("")[0])


READ = "--read"
"""First argument of a process of readers."""


def read(home: Path, count: int = 2) -> None:
    """Search until the standard input ends; then print what was taken and what failed. Says so once it begins."""
    times: list[float] = []
    failed: list[str] = []
    doubted: list[str] = []
    stop = threading.Event()
    with SearchEngine.open(Settings(home=home), size=count) as engine:
        for words in WORDS:
            engine.search(Query(words, limit=10))

        def search(seed: int) -> None:
            chance = random.Random(seed)
            while not stop.wait(0.05):
                began = time.perf_counter()
                try:
                    plan = engine.search(Query(chance.choice(WORDS), limit=10)).plan
                    doubted.extend(note for note in plan.notes if note.startswith("the index"))
                except Exception as error:
                    failed.append(repr(error))
                times.append((time.perf_counter() - began) * 1000)

        threads = [threading.Thread(target=search, args=(n,)) for n in range(count)]
        for thread in threads:
            thread.start()
        print("reading", flush=True)
        sys.stdin.read()
        stop.set()
        for thread in threads:
            thread.join()
    print(json.dumps([times, failed, len(doubted)]))


class Cores:
    """What processes take of a core, from now on."""

    def __init__(self, home: Path, **processes: int):
        self._groups = {name: psutil.Process(pid) for name, pid in processes.items()}
        [self._groups["server"]] = [
            each
            for each in psutil.process_iter(["name", "cmdline"])
            if each.info["name"] == "postgres"
            and "-D" in (each.info["cmdline"] or ())
            and str(home) in " ".join(each.info["cmdline"])
        ]
        self._before, self._began = self._seconds(), time.monotonic()

    def _seconds(self) -> dict[str, float]:
        found = dict.fromkeys(self._groups, 0.0)
        for name, root in self._groups.items():
            for each in (root, *root.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    times = each.cpu_times()
                    # Sessions that ended meanwhile are counted with who started them.
                    found[name] += (
                        times.user
                        + times.system
                        + (each is root) * (times.children_user + times.children_system)
                    )
        return found

    def taken(self) -> dict[str, float]:
        """Share of a core, of each."""
        passed = time.monotonic() - self._began
        return {name: round(each / passed, 3) for name, each in self.seconds().items()}

    def seconds(self) -> dict[str, float]:
        """Seconds of a core, of each."""
        now = self._seconds()
        return {name: now[name] - self._before[name] for name in now}


class Recall:
    """What share of the nearest ten the index finds, by products' vectors; a hit as near as the tenth is one (within `TIE`)."""

    def __init__(self, settings: Settings, questions: int = 100):
        self._engine = SearchEngine.open(settings, size=1)
        self._chance = random.Random(11)
        with connect(settings) as conn:
            rows = conn.execute(
                "SELECT product_id::text FROM fashion_sota.products WHERE embedding IS NOT NULL ORDER BY product_id LIMIT %s",
                (questions,),
            ).fetchall()
        self._questions = [product for (product,) in rows]

    def of(self, product: str) -> float | None:
        """Of one question; None where the product is gone."""
        try:
            nearest = self._engine.search(Query(product=product, mode="vector", exact=True)).hits
            found = self._engine.search(Query(product=product, mode="vector")).hits
        except SearchError:
            return None
        if not nearest:
            return None
        return sum(hit.score >= nearest[-1].score - TIE for hit in found) / len(nearest)

    def all(self) -> float:
        """Of all questions."""
        return float(np.mean([each for product in self._questions if (each := self.of(product)) is not None]))

    def until(self, stop: threading.Event) -> list[float]:
        """Of some questions a second."""
        found: list[float] = []
        while not stop.wait(0.3):
            if (each := self.of(self._chance.choice(self._questions))) is not None:
                found.append(each)
        return found

    def close(self) -> None:
        self._engine.close()


class Seen:
    """When readers see what was changed."""

    def __init__(self, settings: Settings):
        self._conn = connect(settings, autocommit=True)
        [(self._source,)] = self._conn.execute("SELECT name FROM fashion_ops.sources WHERE active").fetchall()
        self._waiting: dict[str, tuple[str | None, float]] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.seconds: list[float] = []
        self.superseded = 0
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def expect(self, external_id: str, title: str | None, committed: float) -> None:
        """That a product is to have a title, or to be gone."""
        with self._lock:
            self.superseded += external_id in self._waiting
            self._waiting[external_id] = (title, committed)

    def _look(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            with self._lock:
                waiting = dict(self._waiting)
            if not waiting:
                continue
            rows = dict(
                self._conn.execute(
                    "SELECT external_id, title FROM fashion_sota.products WHERE source = %s AND external_id = ANY (%s)",
                    (self._source, list(waiting)),
                ).fetchall()
            )
            now = time.monotonic()
            with self._lock:
                for external_id, (title, committed) in waiting.items():
                    if rows.get(external_id) == title and self._waiting.get(external_id) == (
                        title,
                        committed,
                    ):
                        del self._waiting[external_id]
                        self.seconds.append(now - committed)

    def close(self, patience: float) -> int:
        """How many changes were not seen within so many seconds."""
        until = time.monotonic() + patience
        while time.monotonic() < until and self._waiting:
            time.sleep(0.1)
        self._stop.set()
        self._thread.join()
        return len(self._waiting)


def change(parameters: dict[str, str], seen: Seen | None, rate: float, seconds: float) -> dict[str, int]:
    """Change the source at an even rate; how many changes of each kind. `seen` is told what readers are to see."""
    chance = random.Random(7)
    done = {"titles": 0, "prices": 0, "gone": 0, "new": 0}
    late: list[threading.Thread] = []
    expect = seen.expect if seen is not None else lambda *_: None
    with psycopg.connect(**parameters, autocommit=True) as conn:  # type: ignore[arg-type]
        ids = [row[0] for row in conn.execute("SELECT id FROM products ORDER BY id").fetchall()]
        taken: list[tuple] = []
        began, number = time.monotonic(), 0
        while (now := time.monotonic()) < began + seconds:
            number += 1
            time.sleep(max(0.0, began + number / rate - now))
            one, what = chance.choice(ids), chance.random()
            if what < 0.05 and len(ids) > 100:
                row = conn.execute("DELETE FROM products WHERE id = %s RETURNING *", (one,)).fetchone()
                if row is not None:
                    taken.append(row)
                    ids.remove(one)
                    expect(str(one), None, time.monotonic())
                    done["gone"] += 1
            elif what < 0.1 and taken:
                row = taken.pop(0)
                marks = sql.SQL(", ").join([sql.Placeholder()] * len(row))
                conn.execute(sql.SQL("INSERT INTO products VALUES ({})").format(marks), row)
                ids.append(row[0])
                expect(str(row[0]), row[TITLE], time.monotonic())
                done["new"] += 1
            elif what < 0.6:
                title = f"Renamed {number} Garment"
                statement = 'UPDATE products SET "productDisplayName" = %s WHERE id = %s'
                if chance.random() < 0.05:
                    thread = threading.Thread(target=_late, args=(parameters, statement, title, one, expect))
                    thread.start()
                    late.append(thread)
                else:
                    conn.execute(statement, (title, one))
                    expect(str(one), title, time.monotonic())
                done["titles"] += 1
            else:
                conn.execute("UPDATE products SET price = %s WHERE id = %s", (10 + number % 500, one))
                done["prices"] += 1
    for thread in late:
        thread.join()
    return done


def _late(
    parameters: dict[str, str],
    statement: str,
    title: str,
    one: int,
    expect: Callable[[str, str, float], None],
) -> None:
    with psycopg.connect(**parameters) as conn:  # type: ignore[arg-type]
        conn.execute(statement, (title, one))  # type: ignore[arg-type]
        time.sleep(LATE_SECONDS)
        # While the row is locked, so that a later change is expected later.
        expect(str(one), title, time.monotonic())
        conn.commit()


def differing(settings: Settings, parameters: dict[str, str]) -> dict[str, int]:
    """Rows of the table and of the live release of which the other side knows nothing, or something else."""
    with psycopg.connect(**parameters) as conn:  # type: ignore[arg-type]
        rows = conn.execute('SELECT id::text, "productDisplayName", price::float8 FROM products').fetchall()
    with connect(settings) as conn:
        released = conn.execute(
            "SELECT external_id, title, price::float8 FROM fashion_sota.products"
        ).fetchall()
        rejected = {
            row[0] for row in conn.execute("SELECT external_id FROM fashion_ops.quarantine").fetchall()
        }
        live = releases.live(conn)
    assert live is not None
    wanted, there = {row[0]: row[1:] for row in rows}, {row[0]: row[1:] for row in released}
    return {
        "table": len(wanted),
        "products": len(there),
        "quarantined": len(rejected),
        "missing": len(wanted.keys() - there.keys() - rejected),
        "too_many": len(there.keys() - wanted.keys()),
        "other": sum(there[key] != wanted[key] for key in there.keys() & wanted.keys()),
        "register": (live.products or 0) + (live.quarantined or 0) - (live.listings or 0),
    }


def spread(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    at = {
        name: float(np.percentile(values, share)) for name, share in (("p50", 50), ("p95", 95), ("p99", 99))
    }
    return {name: round(value, 3) for name, value in {**at, "max": max(values)}.items()}


def main() -> int:
    if sys.argv[1:2] == [READ]:
        read(Path(sys.argv[2]))
        return 0
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("listings", type=int, nargs="?", default=5_000)
    parser.add_argument("rate", type=float, nargs="?", default=50.0)
    parser.add_argument("seconds", type=float, nargs="?", default=600.0)
    parser.add_argument("--notify", action="store_true")
    given = parser.parse_args()
    folder, catalogue, rate, seconds = (
        given.folder.resolve(),
        given.catalogue.resolve(),
        given.rate,
        given.seconds,
    )
    settings = Settings(home=folder / "home")
    command = [sys.executable, "-m", "fashion_assets"]
    prepare(settings)
    url, parameters = make_source(settings, catalogue, given.listings, given.notify)
    at_home = ["--home", str(settings.home)]
    with connect(settings):
        subprocess.run(
            [*command, "run", "--catalog", url, "--pictures", str(catalogue / "images"), *at_home],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        recall = Recall(settings)
        recall_before = recall.all()

        def meanwhile(seen: Seen | None, seconds: float) -> tuple[dict[str, int], list[float]]:
            """The source changes, and recall is measured."""
            stop = threading.Event()
            with ThreadPoolExecutor(1) as pool:
                recalls = pool.submit(recall.until, stop)
                done = change(parameters, seen, rate, seconds)
                stop.set()
                return done, recalls.result()

        quiet = Readers(settings)
        cores = Cores(settings.home, readers=quiet.pid)
        time.sleep(min(30.0, seconds / 4))
        taken = {"quiet": cores.taken()}
        quiet.close()
        written = Readers(settings)
        cores = Cores(settings.home, readers=written.pid, writer=os.getpid())
        meanwhile(None, min(30.0, seconds / 4))
        taken["written"] = cores.taken()
        written.close()
        log = (folder / "watch.log").open("w")
        watching = subprocess.Popen(
            [*command, "sync", "--watch", *at_home], stdout=log, stderr=subprocess.STDOUT
        )
        time.sleep(8)
        seen, readers = Seen(settings), Readers(settings)
        cores = Cores(settings.home, readers=readers.pid, writer=os.getpid(), watch=watching.pid)
        done, recall_meanwhile = meanwhile(seen, seconds)
        taken["followed"] = cores.taken()
        unseen = seen.close(10.0)
        readers.close()
        time.sleep(3)
        watching.send_signal(signal.SIGTERM)
        watching.wait(60)
        found = differing(settings, parameters)
        recall_after = recall.all()
        recall.close()
        before, beside, during = (spread(each.times) for each in (quiet, written, readers))
        figures = {
            "changes": done,
            "a_second": round(sum(done.values()) / seconds, 1),
            "seconds_to_visible": spread(seen.seconds),
            "seen": len(seen.seconds),
            "overtaken_by_the_next": seen.superseded,
            "never_seen": unseen,
            "search_ms_quiet": before,
            "search_ms_written": beside,
            "search_ms_followed": during,
            "p95_of_quiet": {
                "written": round(beside["p95"] / before["p95"], 2),
                "followed": round(during["p95"] / before["p95"], 2),
            },
            "of_a_core": taken,
            "recall_at_10": {
                "before": round(recall_before, 4),
                "meanwhile": round(float(np.mean(recall_meanwhile)), 4),
                "after": round(recall_after, 4),
            },
            "searches": len(readers.times),
            "failed": len(readers.failed),
            "index_doubted": {name: each.doubted for name, each in (("quiet", quiet), ("followed", readers))},
            "release": found,
        }
    print(json.dumps(figures, indent=1))
    wrong = found["missing"] + found["too_many"] + found["other"] + abs(found["register"])
    return 1 if wrong or readers.failed or unseen else 0


if __name__ == "__main__":
    sys.exit(main())
