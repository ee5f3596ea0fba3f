"""How long searches take, and how many are answered at once.

What belongs here: drawing questions of each kind from a release, asking an engine alone and from many callers at once.
What does not: thresholds (`criteria`), what the database alone could do (`pgbench`).
"""

import multiprocessing
import os
import secrets
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, get_args
from uuid import UUID

import numpy as np
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from fashion_assets.benchmarks.results import Row
from fashion_assets.postgres.connections import connect
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.query import HIT_COLUMNS, Query, Results
from fashion_assets.settings import Settings
from fashion_assets.warehouse.releases import Release

Kind = Literal["vector", "hybrid", "text", "listing", "product", "image_upload", "recommend"]
KINDS: tuple[Kind, ...] = get_args(Kind)

PAGE = 24
"""Products on a listing's page."""

QUESTIONS = 200
"""Of each kind for the full form, asked over and over: as in a shop, most words were asked for before, and their vectors
are in the engine's cache. Pictures never were."""

QUICK_QUESTIONS: Mapping[Kind, int] = {kind: 4 if kind == "image_upload" else 12 for kind in KINDS}
"""Of each kind for what a release measures of itself; together a third of a second."""

BRIEF_QUESTIONS = 48
"""Of each kind whose load a release measures of itself, asked over and over."""

BRIEF_CONCURRENCIES = (4, 8)
"""Callers it is asked by; more only where the fewer are not answered as often as was promised."""

NOTHING = "nothing"
"""Kind of the row that says what empty statements cost."""

CONCURRENCIES = (1, 4, 16)

SECONDS = 3.0
"""Each kind is asked for at each concurrency; hundreds of calls, so that a p99 is one."""

PROCESSES = 2
"""Processes that ask: one caller's Python keeps a core busy while it reads an answer, and two are what a small machine
has. On two cores more processes answer no more questions."""


@dataclass(frozen=True)
class Person:
    """Asks for recommendations for somebody."""

    user_id: str
    source: str


Question: TypeAlias = Query | Person


def ask(engine: SearchEngine, question: Question) -> Results:
    """The engine's answer. A picture is one it has not seen before: a comment in the JPEG makes its bytes new."""
    if isinstance(question, Person):
        return engine.recommend(question.user_id, question.source)
    if question.picture is not None:
        question = replace(question, picture=_unseen(question.picture))
    return engine.search(question)


def _unseen(jpeg: bytes) -> bytes:
    mark = secrets.token_bytes(8)
    comment = b"\xff\xfe" + (2 + len(mark)).to_bytes(2) + mark
    return jpeg[:2] + comment + jpeg[2:] if jpeg[:2] == b"\xff\xd8" else jpeg + mark


def questions(
    conn: psycopg.Connection, release: Release, kind: Kind, count: int, seed: int = 0
) -> list[Question]:
    """Up to `count` questions a release can be asked, made of its own products, the same for the same seed.

    `vector`: near a product's vector. `hybrid`: colour and article type as words, under a gender and a category.
    `text`: brand and article type as words, full text alone. `listing`: the first page of a category. `product`: one
    product by source and external id. `image_upload`: a product's picture as bytes. `recommend`: a person who has
    favourites; the engine knows those of the live release only, so that there are none for another.
    """
    if kind == "recommend":
        return list(_people(conn, release, count)) if release.state == "live" else []
    # Ids are hashes: those that follow any one are products drawn at random.
    first = UUID(bytes=np.random.default_rng(seed).bytes(16))
    with conn.cursor(binary=True, row_factory=dict_row) as cursor:
        drawn = cursor.execute(
            sql.SQL(
                "(SELECT {columns} FROM {products} WHERE product_id >= %(first)s ORDER BY product_id LIMIT %(count)s) UNION ALL "
                "(SELECT {columns} FROM {products} WHERE product_id < %(first)s ORDER BY product_id LIMIT %(count)s) LIMIT %(count)s"
            ).format(
                columns=sql.SQL(", ").join(
                    map(sql.Identifier, ("embedding_space", "embedding", *HIT_COLUMNS))
                ),
                products=release.table("products"),
            ),
            {"first": first, "count": count},
        ).fetchall()
    # The live release is asked as readers ask it: by the serving views, under their role.
    asked = None if release.state == "live" else release.release
    return [replace(query, release=asked) for row in drawn if (query := _query(kind, row)) is not None]


def _query(kind: Kind, row: Mapping[str, Any]) -> Query | None:
    """The question of a kind that a product suggests."""
    kind_of_thing = row["article_type"] or ""
    narrowed = {name: row[name] for name in ("gender", "category") if row[name] is not None}
    match kind:
        case "vector":
            if row["embedding"] is None:
                return None
            return Query(vector=row["embedding"].to_numpy(), space=row["embedding_space"], mode="vector")
        case "hybrid":
            asked = f"{row['colour'] or ''} {kind_of_thing}".strip()
            return Query(words=asked, filters=narrowed) if asked else None
        case "text":
            asked = f"{row['brand'] or ''} {kind_of_thing}".strip()
            return Query(words=asked, mode="text") if asked else None
        case "listing":
            return Query(filters={"category": row["category"]}, limit=PAGE) if row["category"] else None
        case "product":
            return Query(filters={"source": row["source"], "external_id": row["external_id"]}, limit=1)
        case "image_upload":
            path = row["image_path"]
            return Query(picture=Path(path).read_bytes()) if path and os.path.isfile(path) else None
        case "recommend":
            return None


def _people(conn: psycopg.Connection, release: Release, count: int) -> Sequence[Person]:
    rows = conn.execute(
        sql.SQL(
            "SELECT DISTINCT user_id, source FROM {} WHERE user_id <> '' AND product_id IS NOT NULL ORDER BY 1, 2 LIMIT %s"
        ).format(release.table("favourites")),
        (count,),
    ).fetchall()
    return [Person(*row) for row in rows]


@dataclass(frozen=True)
class Timings:
    """Seconds of every call, failed ones too: their time passed as well; how many failed, and how long all took."""

    seconds: Sequence[float]
    errors: int
    elapsed: float

    def row(self, kind: str, concurrency: int) -> Row:
        """As the table has it; `qps` counts what was answered."""
        p50, p95, p99 = (1000 * float(value) for value in np.percentile(self.seconds, (50, 95, 99)))
        return {
            "kind": kind,
            "concurrency": concurrency,
            "qps": (len(self.seconds) - self.errors) / self.elapsed,
            "p50_ms": p50,
            "p95_ms": p95,
            "p99_ms": p99,
            "errors": self.errors,
        }


def timed(engine: SearchEngine, asked: Sequence[Question]) -> Timings:
    """Each question once, one after the other."""
    seconds, errors = [], 0
    started = time.perf_counter()
    for question in asked:
        began = time.perf_counter()
        try:
            ask(engine, question)
        except Exception:
            errors += 1
        seconds.append(time.perf_counter() - began)
    return Timings(seconds, errors, time.perf_counter() - started)


def measure_quickly(
    engine: SearchEngine,
    conn: psycopg.Connection,
    release: Release,
    kinds: Sequence[Kind] = KINDS,
    seed: int = 0,
) -> list[Row]:
    """One caller, `QUICK_QUESTIONS` of each kind after one that is not counted; a row for each kind the release can be
    asked. Rows: `kind`, `concurrency`, `qps`, `p50_ms`, `p95_ms`, `p99_ms`, `errors`."""
    rows = []
    for kind in kinds:
        asked = questions(conn, release, kind, 1 + QUICK_QUESTIONS[kind], seed)
        if asked:
            timed(engine, asked[:1])
            rows.append(timed(engine, asked[1:] or asked).row(kind, 1))
    return rows


def measure_latency(
    settings: Settings,
    conn: psycopg.Connection,
    release: Release,
    *,
    kinds: Sequence[Kind] = KINDS,
    concurrencies: Sequence[int] = CONCURRENCIES,
    seconds: float = SECONDS,
    seed: int = 0,
    progress: Callable[[str], None] = lambda step: None,
) -> list[Row]:
    """Every kind at every concurrency for so many seconds, asked by processes on this machine. Rows as in
    `measure_quickly`, one for each kind the release can be asked and concurrency."""
    rows = []
    with Callers(settings, max(concurrencies)) as callers:
        for kind in kinds:
            asked = questions(conn, release, kind, QUESTIONS, seed)
            if not asked:
                continue
            progress(kind)
            callers.learn(asked)
            for concurrency in concurrencies:
                progress(f"{kind}, {concurrency} at once")
                rows.append(callers.ask(concurrency, seconds).row(kind, concurrency))
    return rows


def measure_load_briefly(
    engine: SearchEngine,
    questions: Mapping[Kind, Sequence[Question]],
    wanted: Mapping[Kind, float],
    seconds: float,
) -> list[Row]:
    """Kinds of searches asked by a few callers at once, threads of this process, until one number of callers is answered
    as many a second as are `wanted`; `questions` of each kind were asked before. Rows as in `measure_quickly`, one for each number that was tried, for so many `seconds` each.

    Threads share an interpreter, so that more is borne than they see: what they reach is borne, what they miss may be.
    """
    rows = []
    for kind, qps in wanted.items():
        asked = questions[kind]
        if not asked:
            continue
        for concurrency in BRIEF_CONCURRENCIES:
            with ThreadPoolExecutor(concurrency) as pool:
                began = time.perf_counter()
                starts = [place * len(asked) // concurrency for place in range(concurrency)]
                each = list(pool.map(partial(_for_a_time, engine, asked, seconds), starts))
                elapsed = time.perf_counter() - began
            row = _together(each, elapsed).row(kind, concurrency)
            rows.append(row)
            if row["qps"] >= qps:
                break
    return rows


def empty_statements(settings: Settings, seconds: float) -> Row:
    """How many empty statements a second one caller is answered: what the machine has to give at this moment. A row as in
    `measure_quickly`, of the kind `nothing`."""
    kept: list[float] = []
    with connect(settings, autocommit=True) as conn:
        began = time.perf_counter()
        while (elapsed := time.perf_counter() - began) < seconds or not kept:
            asked = time.perf_counter()
            conn.execute("SELECT", prepare=True)
            kept.append(time.perf_counter() - asked)
    return Timings(kept, 0, elapsed).row(NOTHING, 1)


def _together(each: Sequence[Timings], elapsed: float) -> Timings:
    """What several callers measured at the same time."""
    return Timings(
        [second for timings in each for second in timings.seconds],
        sum(timings.errors for timings in each),
        elapsed,
    )


class Callers:
    """Processes that ask questions of engines of their own, in threads, for as long as they are told."""

    def __init__(self, settings: Settings, most: int, processes: int = PROCESSES):
        # A fork would take over threads and connections that are in use.
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        for _ in range(min(processes, most)):
            here, there = context.Pipe()
            process = context.Process(
                target=_call, args=(there, settings, -(-most // processes)), daemon=True
            )
            process.start()
            there.close()
            self._pipes.append(here)
            self._processes.append(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join()

    def learn(self, asked: Sequence[Question]) -> None:
        """Take these questions from now on; every one is asked once, so that nothing is measured for the first time."""
        for pipe in self._pipes:
            pipe.send(list(asked))
        for pipe in self._pipes:
            pipe.recv()

    def ask(self, concurrency: int, seconds: float) -> Timings:
        """So many callers, each asking one question after the other. Raises `EOFError` if a process died."""
        shares = [len(range(first, concurrency, len(self._pipes))) for first in range(len(self._pipes))]
        busy = [(pipe, share) for pipe, share in zip(self._pipes, shares, strict=True) if share]
        begin = time.monotonic() + 0.05
        for pipe, share in busy:
            pipe.send((share, begin, seconds))
        each = [timings for pipe, _ in busy for timings in pipe.recv()]
        return _together(each, max(timings.elapsed for timings in each))


def _call(pipe: Connection, settings: Settings, threads: int) -> None:
    """What a process of `Callers` does until its pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that measures sees to it, and closes the pipe
    asked: list[Question] = []
    with (
        SearchEngine.open(settings, size=threads, curated=False) as engine,
        ThreadPoolExecutor(threads) as pool,
    ):
        while True:
            try:
                message = pipe.recv()
            except EOFError:
                return
            if isinstance(message, list):
                asked = message
                timed(engine, asked)
                pipe.send(None)
                continue
            share, begin, seconds = message
            time.sleep(max(0.0, begin - time.monotonic()))
            # Each begins elsewhere, so that callers do not ask the same at the same time.
            starts = [secrets.randbelow(len(asked)) for _ in range(share)]
            pipe.send(list(pool.map(partial(_for_a_time, engine, asked, seconds), starts)))


def _for_a_time(engine: SearchEngine, asked: Sequence[Question], seconds: float, start: int) -> Timings:
    kept: list[float] = []
    errors = 0
    began = time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds or not kept:
        one = timed(engine, [asked[(start + len(kept)) % len(asked)]])
        kept += one.seconds
        errors += one.errors
    return Timings(kept, errors, elapsed)
