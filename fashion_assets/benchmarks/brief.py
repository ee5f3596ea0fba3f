"""What a release measures of itself before it may go live, within seconds that are a setting.

What belongs here: how much of each measurement that is, and when one is worth its time. What does not: measuring (the modules
beside this one), the full measurements, which take minutes and are asked for (`measurements`), judging (`criteria`).
"""

import psycopg

from fashion_assets.benchmarks import layouts, recall, results
from fashion_assets.benchmarks.latency import (
    BRIEF_QUESTIONS,
    Callers,
    Kind,
    empty_statements,
    measure_load_briefly,
    measure_quickly,
    questions,
)
from fashion_assets.benchmarks.results import Row
from fashion_assets.machine import used_by_others
from fashion_assets.search.engine import SearchEngine
from fashion_assets.settings import Settings
from fashion_assets.warehouse.releases import Release

CALLERS = 8
"""Callers at once, at the most."""

OF_RECALL, OF_A_LOAD, OF_NOTHING = 0.25, 0.1, 0.025
"""Shares of the seconds: the recall; each kind of search with each number of callers; empty statements. The rest is the
layouts', whose time follows from their products."""

LOOK_SECONDS = 0.2
"""For which is looked how busy the machine is with other things: some twenty of its clock's ticks."""

LAYOUT_PRODUCTS, LAYOUT_QUESTIONS = 500, 100
"""What the old layout is built of, and asked: little enough for a release to wait for, with medians over a hundred questions."""

LAYOUT_TRIES = 3


def measure_briefly(settings: Settings, conn: psycopg.Connection, release: Release) -> dict[str, list[Row]]:
    """Latency of one caller, recall under every filter, and, where the catalogue is large enough for times to mean something
    (`min_products_for_times`), the loads and the layouts; kept for the release. `conn` must be in autocommit mode.

    Takes about `benchmark_seconds`; with none of them one question under each filter, and neither loads nor layouts.
    """
    seconds = settings.benchmark_seconds
    timed = bool(seconds) and (release.products or 0) >= settings.min_products_for_times
    with SearchEngine.open(settings, size=CALLERS if timed else 1) as engine:
        measured = {
            "latency": measure_quickly(engine, conn, release),
            "recall": recall.measure_recall(
                engine.search, conn, release, tries=1, seconds=OF_RECALL * seconds
            ),
        }
        if timed:
            measured["latency"] += _loads(settings, engine, conn, release)
            measured["layouts"] = layouts.measure_layouts(
                conn,
                release,
                products=LAYOUT_PRODUCTS,
                questions=LAYOUT_QUESTIONS,
                enough=settings.max_slowdown,
                tries=LAYOUT_TRIES,
            )
    results.save_all(conn, release.release, measured)
    return measured


def _loads(settings: Settings, engine: SearchEngine, conn: psycopg.Connection, release: Release) -> list[Row]:
    seconds = OF_A_LOAD * settings.benchmark_seconds
    wanted: dict[Kind, float] = {"vector": settings.vector_load_qps, "hybrid": settings.hybrid_load_qps}
    used = used_by_others(LOOK_SECONDS)
    rows = measure_load_briefly(engine, conn, release, wanted, seconds)
    missed: list[Kind] = [
        kind for kind, qps in wanted.items() if all(row["qps"] < qps for row in rows if row["kind"] == kind)
    ]
    if missed and used <= settings.max_used_by_others:
        # Threads see less than is borne; processes, which take seconds to start, see all of it.
        with Callers(settings, CALLERS) as callers:
            for kind in missed:
                if asked := questions(conn, release, kind, BRIEF_QUESTIONS):
                    callers.learn(asked)
                    rows.append(callers.ask(CALLERS, seconds).row(kind, CALLERS))
        used = max(used, used_by_others(LOOK_SECONDS))
    nothing = empty_statements(settings, OF_NOTHING * settings.benchmark_seconds)
    return [*rows, nothing | {"used_by_others": round(used, 3)}]
