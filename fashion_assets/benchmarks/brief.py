"""What a release measures of itself before it may go live, within seconds that are a setting.

What belongs here: how much of each measurement that is, and when one is worth its time. What does not: measuring (the modules
beside this one), the full measurements, which take minutes and are asked for (`measurements`), judging (`criteria`).
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

import psycopg

from fashion_assets.benchmarks import layouts, recall, results
from fashion_assets.benchmarks.latency import (
    BRIEF_QUESTIONS,
    Callers,
    Kind,
    Question,
    empty_statements,
    measure_load_briefly,
    measure_quickly,
    questions,
    timed,
)
from fashion_assets.benchmarks.layouts import Layouts
from fashion_assets.benchmarks.results import Row
from fashion_assets.machine import used_by_others
from fashion_assets.postgres.connections import connect
from fashion_assets.search.engine import SearchEngine
from fashion_assets.settings import Settings
from fashion_assets.warehouse.releases import Release

LOADS: tuple[Kind, ...] = ("vector", "hybrid")
"""Kinds of searches of which so many a second are promised."""

CALLERS = 8
"""Callers at once, at the most."""

OF_RECALL, OF_A_LOAD, OF_NOTHING = 0.25, 0.1, 0.025
"""Shares of the seconds: the recall; each kind of search with each number of callers; empty statements. The rest is the
layouts', whose time follows from their products."""

FEWEST = 3
"""Questions asked under each filter, whatever time they take: of a hundred thousand products one alone takes the seconds there are, and
one says little."""

LOOK_SECONDS = 0.2
"""For which is looked how busy the machine is with other things: some twenty of its clock's ticks."""

LAYOUT_PRODUCTS, LAYOUT_QUESTIONS = 500, 100
"""What the old layout is built of, and asked: little enough for a release to wait for, with medians over a hundred questions."""

LAYOUT_TRIES = 3


@dataclass(frozen=True)
class _Ready:
    """What was done beside other work."""

    recall: list[Row]
    engine: SearchEngine
    asked: Mapping[Kind, Sequence[Question]]
    """Questions of each kind whose load is measured, each answered once."""
    layouts: Layouts | None


class Beside:
    """What of a release's measurements wants no quiet, in a thread beside other work from the moment it is made: recall, building the
    old layout beside the new, and asking once what is timed later. Close it, or leave the `with`, and nothing of the layouts remains."""

    def __init__(self, settings: Settings, release: Release) -> None:
        self._settings, self._release = settings, release
        self._opened = ExitStack()
        pool = ThreadPoolExecutor(1, "measuring")
        self._done = pool.submit(self._prepare)
        pool.shutdown(wait=False)

    @property
    def timed(self) -> bool:
        """Whether times mean anything in the release, and are asked for."""
        settings = self._settings
        return (
            bool(settings.benchmark_seconds)
            and (self._release.products or 0) >= settings.min_products_for_times
        )

    def _prepare(self) -> _Ready:
        settings, release, opened = self._settings, self._release, self._opened
        conn = opened.enter_context(connect(settings, autocommit=True))
        engine = opened.enter_context(
            SearchEngine.open(settings, size=CALLERS if self.timed else 1, curated=False)
        )
        seconds = OF_RECALL * settings.benchmark_seconds
        rows = recall.measure_recall(
            engine.search, conn, release, tries=1, seconds=seconds, fewest=FEWEST if seconds else 1
        )
        if not self.timed:
            return _Ready(rows, engine, {}, None)
        built = opened.enter_context(layouts.both(conn, release, LAYOUT_PRODUCTS))
        if built is not None:
            built = built.asked(LAYOUT_QUESTIONS)
        asked: dict[Kind, Sequence[Question]] = {
            kind: questions(conn, release, kind, BRIEF_QUESTIONS) for kind in LOADS
        }
        for each in asked.values():
            timed(engine, each)  # so that nothing is measured for the first time
        return _Ready(rows, engine, asked, built)

    def ready(self) -> _Ready:
        """What was done, when all of it is. Raises what the thread raised."""
        return self._done.result()

    def close(self) -> None:
        """Drop the layouts, when they are built; again is fine."""
        self._done.exception()
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def measure_briefly(
    settings: Settings, conn: psycopg.Connection, release: Release, beside: Beside | None = None
) -> dict[str, list[Row]]:
    """Latency of one caller, recall under every filter, and, where the catalogue is large enough for times to mean something
    (`min_products_for_times`), the loads and the layouts; kept for the release. `conn` must be in autocommit mode. `beside`: the part
    that was begun before; it is closed.

    Takes about `benchmark_seconds`; with none of them one question under each filter, and neither loads nor layouts.
    """
    with beside or Beside(settings, release) as begun:
        ready = begun.ready()
        measured = {"latency": measure_quickly(ready.engine, conn, release), "recall": ready.recall}
        if begun.timed:
            measured["latency"] += _loads(settings, ready)
            measured["layouts"] = []
            if ready.layouts is not None:
                measured["layouts"] = ready.layouts.compared(enough=settings.max_slowdown, tries=LAYOUT_TRIES)
    results.save_all(conn, release.release, measured)
    return measured


def _loads(settings: Settings, ready: _Ready) -> list[Row]:
    seconds = OF_A_LOAD * settings.benchmark_seconds
    wanted: dict[Kind, float] = {"vector": settings.vector_load_qps, "hybrid": settings.hybrid_load_qps}
    used = used_by_others(LOOK_SECONDS)
    rows = measure_load_briefly(ready.engine, ready.asked, wanted, seconds)
    missed: list[Kind] = [
        kind for kind, qps in wanted.items() if all(row["qps"] < qps for row in rows if row["kind"] == kind)
    ]
    if missed and used <= settings.max_used_by_others:
        # Threads see less than is borne; processes, which take seconds to start, see all of it.
        with Callers(settings, CALLERS) as callers:
            for kind in missed:
                if asked := ready.asked[kind]:
                    callers.learn(asked)
                    rows.append(callers.ask(CALLERS, seconds).row(kind, CALLERS))
        used = max(used, used_by_others(LOOK_SECONDS))
    nothing = empty_statements(settings, OF_NOTHING * settings.benchmark_seconds)
    return [*rows, nothing | {"used_by_others": round(used, 3)}]
