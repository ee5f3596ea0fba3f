"""A release measures enough of itself to be judged, and no more than it may."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fashion_assets.benchmarks import brief, results
from fashion_assets.benchmarks.latency import NOTHING
from fashion_assets.benchmarks.layouts import SCRATCH
from fashion_assets.benchmarks.recall import SELECTIVITIES
from fashion_assets.criteria.measured import MEASURED_CRITERIA, Measured
from fashion_assets.criteria.subject import Candidate
from fashion_assets.postgres.connections import Connection, connect


@contextmanager
def working() -> Iterator[None]:
    """A process elsewhere keeps a core busy."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def autocommitting(candidate: Candidate):
    with connect(candidate.settings, autocommit=True) as connection:
        yield connection


def test_a_large_release_measures_all_that_its_criteria_ask(candidate: Candidate, autocommitting: Connection):
    settings = candidate.settings.model_copy(update={"min_products_for_times": 40, "benchmark_seconds": 1.0})
    measured = brief.measure_briefly(settings, autocommitting, candidate.release)
    assert results.load(candidate.conn, candidate.release.release) == measured
    assert {row["selectivity"] for row in measured["recall"]} == set(SELECTIVITIES)
    assert {row["recall"] for row in measured["recall"]} == {1.0}
    (asked,) = {row["questions"] for row in measured["recall"]}
    assert asked >= 1
    assert {row["kind"] for row in measured["layouts"]} == {"listing", "filtered_listing", "vector", "point"}
    assert {row["products"] for row in measured["layouts"]} == {40}
    several = {row["kind"] for row in measured["latency"] if row["concurrency"] > 1}
    assert several == {"vector", "hybrid"} and measured["latency"][-1]["kind"] == NOTHING
    judged = Measured(10_000, measured, settings)
    assert all(
        "not measured" not in criterion.judge(judged, settings).reason for criterion in MEASURED_CRITERIA
    )


def test_a_load_that_threads_miss_is_asked_by_processes(candidate: Candidate, autocommitting: Connection):
    settings = candidate.settings.model_copy(
        update={
            "min_products_for_times": 40,
            "benchmark_seconds": 0.5,
            "vector_load_qps": 10**9,
            "max_used_by_others": 1.0,
        }
    )
    rows = brief.measure_briefly(settings, autocommitting, candidate.release)["latency"]
    # By one caller, by threads of two numbers, by processes.
    assert [row["concurrency"] for row in rows if row["kind"] == "vector"] == [1, 4, 8, 8]
    assert {row["errors"] for row in rows} == {0}
    # A machine that is busy with other things is asked no more than it takes to say so.
    busy = settings.model_copy(update={"max_used_by_others": 0.0})
    with working():
        rows = brief.measure_briefly(busy, autocommitting, candidate.release)["latency"]
    assert [row["concurrency"] for row in rows if row["kind"] == "vector"] == [1, 4, 8]
    assert rows[-1]["used_by_others"] > 0


def test_a_small_release_measures_its_recall_and_no_times_that_mean_nothing(
    candidate: Candidate, autocommitting: Connection
):
    settings = candidate.settings.model_copy(update={"benchmark_seconds": 0})
    measured = brief.measure_briefly(settings, autocommitting, candidate.release)
    assert "layouts" not in measured
    assert {row["concurrency"] for row in measured["latency"]} == {1}
    assert {row["questions"] for row in measured["recall"]} == {1}


def test_what_was_begun_beside_other_work_and_is_not_wanted_leaves_nothing(
    candidate: Candidate, autocommitting: Connection
):
    settings = candidate.settings.model_copy(update={"min_products_for_times": 40, "benchmark_seconds": 0.2})

    def layouts_are_there() -> bool:
        return autocommitting.execute("SELECT to_regnamespace(%s) IS NOT NULL", (SCRATCH,)).fetchone() == (
            True,
        )

    beside = brief.Beside(settings, candidate.release)
    ready = beside.ready()
    assert ready.layouts is not None and layouts_are_there()
    beside.close()
    beside.close()
    assert not layouts_are_there()
