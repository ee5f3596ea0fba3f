"""Readers and writers around swaps of releases: what they saw and how long each answer took; how long sessions waited for locks.

What belongs here: threads that ask or write while something else swaps, and their figures. What does not: the swaps and the scenario (`swaps`), readers
over HTTP (`http_swaps`).
"""

import collections
import random
import re
import threading
import time
from collections.abc import Callable

import psycopg
from psycopg import sql

from fashion_assets.postgres import server
from fashion_assets.postgres.connections import connect
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.query import Query
from fashion_assets.settings import Settings

VIEWS = ("products", "product_embeddings", "users", "favourites")


MARK = "mk2"


WORDS = ("red shirt", "women dress", "blue jeans", "black shoes", "watch", "summer top", "bag", "kurta")


JOINED = (
    "SELECT p.title FROM fashion_sota.products p JOIN fashion_sota.product_embeddings e USING (product_id) "
    "ORDER BY product_id LIMIT 20"
)


WAITED = re.compile(rb"process \d+ acquired (\w+) on .*? after ([\d.]+) ms")
"""What the server logs of a wait for a lock that took longer than `deadlock_timeout`."""


WAITS_FROM_MS = 100
"""The longest a swap may make readers wait: what takes longer is logged. A server told to look for deadlocks within the few tries
of a swap would end readers that only had to wait for a try to be given up."""


class LockWaits:
    """How long sessions waited for locks, from now on: as the server logs it, of waits longer than `WAITS_FROM_MS`."""

    def __init__(self, settings: Settings):
        with connect(settings, autocommit=True) as conn:
            conn.execute("ALTER SYSTEM SET log_lock_waits = on")
            conn.execute(sql.SQL("ALTER SYSTEM SET deadlock_timeout = {}").format(sql.Literal(WAITS_FROM_MS)))
            conn.execute("SELECT pg_reload_conf()")
        self._log = next((settings.home / "postgres").glob("**/server.log"))
        self._begin = self._log.stat().st_size

    def figures(self) -> dict[str, dict[str, float]]:
        """By the kind of lock, of waits longer than `WAITS_FROM_MS`: readers wait for AccessShareLock, swaps for AccessExclusiveLock."""
        waits: dict[str, list[float]] = collections.defaultdict(list)
        with self._log.open("rb") as file:
            file.seek(self._begin)
            for lock, taken in WAITED.findall(file.read()):
                waits[lock.decode()].append(float(taken))
        return {
            lock: {"waits": len(taken), "p50_ms": sorted(taken)[len(taken) // 2], "max_ms": max(taken)}
            for lock, taken in waits.items()
        }


class Readers:
    """Searching and SQL readers in threads; what they saw, and how long each answer took."""

    def __init__(self, settings: Settings, marked: str, pause: float = 0):
        """`pause`: seconds between two questions of one."""
        self._settings, self._marked, self._pause = settings, marked, pause
        with connect(settings) as conn:
            # Of damaged lines, which are as they were in both releases.
            self._unmarked = {
                title
                for (title,) in conn.execute(
                    sql.SQL("SELECT title FROM {} WHERE title NOT LIKE %s").format(
                        sql.Identifier(marked, "products")
                    ),
                    (f"% {MARK}",),
                )
            }
        self._stop = threading.Event()
        self._guard = threading.Lock()
        self.taken: dict[str, list[float]] = collections.defaultdict(list)
        self.failed: collections.Counter[str] = collections.Counter()
        self.mixed: collections.Counter[str] = collections.Counter()

    def __enter__(self) -> "Readers":
        self._engine = SearchEngine.open(self._settings, size=8)
        self._engine.search(Query("red shirt"))
        self._threads = [threading.Thread(target=self._search, args=(n,)) for n in range(8)]
        self._threads += [threading.Thread(target=self._look, args=(n,)) for n in range(4)]
        self._threads += [threading.Thread(target=each) for each in (self._repeat_prepared, self._repeat)]
        self._idle = connect(self._settings)
        self._idle.execute("SELECT 1 FROM fashion_sota.users LIMIT 1").fetchall()
        for thread in self._threads:
            thread.start()
        time.sleep(2)
        self.taken.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._engine.close()
        try:
            self._idle.execute("SELECT 1 FROM fashion_sota.products LIMIT 1").fetchall()
        except psycopg.Error as error:
            self.failed[f"idle reader: {error}"] += 1
        self._idle.close()

    def _timed(self, kind: str, ask: Callable[[], list[str]], release: Callable[[], str | None]) -> None:
        began = time.perf_counter()
        try:
            titles = ask()
        except Exception as error:
            with self._guard:
                self.failed[f"{kind}: {type(error).__name__}: {str(error)[:120]}"] += 1
            return
        taken = time.perf_counter() - began
        seen = {title.endswith(MARK) for title in titles if title not in self._unmarked}
        said = release()
        with self._guard:
            self.taken[kind].append(taken)
            if len(seen) > 1 or (seen and said is not None and seen != {said == self._marked}):
                self.mixed[kind] += 1

    def _search(self, number: int) -> None:
        rng = random.Random(number)
        while not self._stop.is_set():
            word = rng.choice(WORDS)
            query = rng.choice(
                (
                    Query(word),
                    Query(word, filters={"gender": "women"}),
                    Query(filters={"colour": "black"}, facets=("brand", "colour")),
                    Query(word, mode="text"),
                    Query(word, mode="vector"),
                )
            )
            answered: list = []

            def ask(query: Query = query, answered: list = answered) -> list[str]:
                answered.append(self._engine.search(query))
                return [hit.title for hit in answered[0].hits]

            self._timed("search", ask, lambda answered=answered: answered[0].plan.release)
            time.sleep(self._pause)

    def _look(self, number: int) -> None:
        rng = random.Random(100 + number)
        with psycopg.connect(**server.parameters(self._settings), autocommit=True) as conn:  # pyright: ignore[reportArgumentType]
            conn.execute("SET ROLE fashion_reader")
            while not self._stop.is_set():
                one, other = rng.sample(VIEWS, 2)
                title = "(SELECT title FROM fashion_sota.products LIMIT 1)"
                if rng.random() < 0.5:
                    self._timed("statement", lambda: _titles(conn, JOINED), lambda: None)
                else:
                    with conn.transaction():
                        for view in (one, other):
                            counted = f"SELECT {title} FROM fashion_sota.{view} LIMIT 1"
                            self._timed(
                                "in a transaction", lambda text=counted: _titles(conn, text), lambda: None
                            )
                time.sleep(max(0.002, self._pause))

    def _repeat_prepared(self) -> None:
        """`SELECT *`, kept prepared by the server for as long as the connection is there."""
        statement = (
            b"SELECT * FROM fashion_sota.products p JOIN fashion_sota.users u ON u.source = p.source LIMIT 20"
        )
        with connect(self._settings, autocommit=True) as conn:
            conn.prepare_threshold = 0
            place = [column.name for column in conn.execute(statement).description or ()].index("title")

            def titles() -> list[str]:
                return [row[place] for row in conn.execute(statement).fetchall() if row[place] is not None]

            while not self._stop.is_set():
                self._timed("prepared SELECT *", titles, lambda: None)
                time.sleep(max(0.002, self._pause))

    def _repeat(self) -> None:
        """A report: transactions that see the database as it was when they began."""
        with connect(self._settings) as conn:
            conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

            def titles() -> list[str]:
                with conn.transaction():
                    found = _titles(conn, JOINED)
                if not found:
                    raise AssertionError("no rows")
                return found

            while not self._stop.is_set():
                self._timed("repeatable read", titles, lambda: None)
                time.sleep(max(0.002, self._pause))

    def figures(self) -> dict[str, dict[str, float]]:
        return {kind: spread(taken) for kind, taken in sorted(self.taken.items())}


class Writers:
    """Two threads that mark favourites as an application does; what they committed, and how long each write took."""

    def __init__(self, settings: Settings, name: str, count: int = 2):
        self._settings = settings
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(f"{name}-{n}",)) for n in range(count)]
        self.written: list[str] = []
        self.taken: list[float] = []
        self.failed: collections.Counter[str] = collections.Counter()

    def __enter__(self) -> "Writers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, name: str) -> None:
        with psycopg.connect(**server.parameters(self._settings), autocommit=True) as conn:  # pyright: ignore[reportArgumentType]
            conn.execute("SET ROLE fashion_writer")
            number = 0
            while not self._stop.is_set():
                number += 1
                user, began = f"{name}-{number}", time.perf_counter()
                try:
                    conn.execute(
                        "INSERT INTO fashion_sota.favourites (user_id, source, external_id, record) VALUES (%s, 'written', 'x', '{}')",
                        (user,),
                    )
                except psycopg.Error as error:
                    self.failed[f"{type(error).__name__}: {str(error)[:120]}"] += 1
                else:
                    self.written.append(user)
                    self.taken.append(time.perf_counter() - began)
                time.sleep(0.005)

    def figures(self) -> dict[str, float]:
        return spread(self.taken)


def spread(taken: list[float]) -> dict[str, float]:
    ordered = sorted(taken)
    return {
        "answers": len(ordered),
        "p50_ms": round(1000 * ordered[len(ordered) // 2], 1),
        "p99_ms": round(1000 * ordered[int(len(ordered) * 0.99)], 1),
        "max_ms": round(1000 * ordered[-1], 1),
    }


def _titles(conn: psycopg.Connection, text: str) -> list[str]:
    return [title for (title,) in conn.execute(text.encode()).fetchall() if title is not None]
