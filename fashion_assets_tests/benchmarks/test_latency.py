"""Latency: questions of every kind, every call counted, failures told."""

import io
from collections.abc import Iterator
from dataclasses import replace

import pytest
from PIL import Image
from psycopg import sql

from fashion_assets.benchmarks.latency import (
    KINDS,
    QUICK_QUESTIONS,
    Callers,
    Person,
    Timings,
    ask,
    measure_latency,
    measure_quickly,
    questions,
    timed,
)
from fashion_assets.criteria.subject import Candidate
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.query import Query

COLUMNS = ["kind", "concurrency", "qps", "p50_ms", "p95_ms", "p99_ms", "errors"]


@pytest.fixture
def engine(candidate: Candidate) -> Iterator[SearchEngine]:
    with SearchEngine.open(candidate.settings, size=1) as engine:
        yield engine


def test_each_kind_asks_what_it_is_called(candidate: Candidate, engine: SearchEngine):
    conn, release = candidate.conn, candidate.release
    for kind in KINDS:
        if kind == "recommend":
            continue
        asked = questions(conn, release, kind, 7)
        assert len(asked) == 7
        results = [ask(engine, question) for question in asked]
        assert all(result.hits and result.plan.release == release.release for result in results), kind
        if kind == "product":
            assert all(len(result.hits) == 1 for result in results)
            assert len({result.hits[0].product_id for result in results}) == 7
        if kind == "hybrid":
            assert all(len(result.plan.legs) == 2 and result.plan.selectivity for result in results)
        if kind in ("vector", "text"):
            assert all(len(result.plan.legs) == 1 for result in results)


def test_the_same_seed_draws_the_same_and_no_more_than_there_are(candidate: Candidate):
    def drawn(seed: int) -> list[str]:
        asked = questions(candidate.conn, candidate.release, "product", 100, seed)
        return [question.digest() for question in asked if isinstance(question, Query)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert sorted(drawn(1)) == sorted(drawn(2)) and len(set(drawn(1))) == 40


def test_people_are_asked_for_in_the_live_release_alone(candidate: Candidate):
    conn, release = candidate.conn, candidate.release
    (product,) = candidate.rows("SELECT product_id FROM {products} LIMIT 1")[0]
    for user, liked in (("ann", product), ("bob", None), ("", product)):
        conn.execute(
            sql.SQL(
                "INSERT INTO {} (user_id, source, product_id, record) VALUES (%s, 's', %s, '{{}}')"
            ).format(release.table("favourites")),
            (user, liked),
        )
    assert questions(conn, release, "recommend", 5) == []
    assert questions(conn, replace(release, state="live"), "recommend", 5) == [Person("ann", "s")]


def test_an_uploaded_picture_is_new_every_time(candidate: Candidate, engine: SearchEngine):
    (question,) = questions(candidate.conn, candidate.release, "image_upload", 1)
    assert isinstance(question, Query) and question.picture is not None
    before = engine.cache().misses
    first, second = ask(engine, question), ask(engine, question)
    assert engine.cache().misses == before + 2
    assert first.hits == second.hits
    assert Image.open(io.BytesIO(question.picture)).size == (60, 80)


def test_the_quick_form_has_a_row_for_each_kind_and_no_errors(candidate: Candidate, engine: SearchEngine):
    rows = measure_quickly(engine, candidate.conn, candidate.release)
    assert [row["kind"] for row in rows] == [kind for kind in KINDS if kind != "recommend"]
    for row in rows:
        assert list(row) == COLUMNS
        assert (row["concurrency"], row["errors"]) == (1, 0)
        assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"] and row["qps"] > 0


def test_failures_are_counted_and_are_no_answers(candidate: Candidate, engine: SearchEngine):
    good = questions(candidate.conn, candidate.release, "listing", 2)
    bad = Query(product="no such product", release=candidate.release.release)
    timings = timed(engine, [*good, bad, Person("nobody", "s")])
    assert (len(timings.seconds), timings.errors) == (4, 2)
    row = timings.row("listing", 1)
    assert row["errors"] == 2
    assert row["qps"] == pytest.approx(2 / timings.elapsed)


def test_a_search_that_always_fails_measures_as_nothing_answered(candidate: Candidate, engine: SearchEngine):
    candidate.conn.execute(
        sql.SQL("ALTER TABLE {} RENAME COLUMN search_vector TO gone").format(
            candidate.release.table("products")
        )
    )
    candidate.conn.commit()
    (row,) = measure_quickly(engine, candidate.conn, candidate.release, kinds=("text",))
    assert row["qps"] == 0.0 and row["errors"] == QUICK_QUESTIONS["text"]


def test_percentiles_are_of_milliseconds():
    row = Timings([0.001 * number for number in range(1, 101)], 10, 2.0).row("vector", 4)
    assert row["p50_ms"] == pytest.approx(50.5) and row["p95_ms"] == pytest.approx(95.05)
    assert (row["qps"], row["concurrency"]) == (45.0, 4)


def test_many_callers_are_counted_together(candidate: Candidate):
    rows = measure_latency(
        candidate.settings,
        candidate.conn,
        candidate.release,
        kinds=("listing", "recommend"),
        concurrencies=(1, 3),
        seconds=0.2,
    )
    assert [(row["kind"], row["concurrency"], row["errors"]) for row in rows] == [
        ("listing", 1, 0),
        ("listing", 3, 0),
    ]
    assert all(list(row) == COLUMNS and row["qps"] > 0 for row in rows)


def test_callers_tell_failures(candidate: Candidate):
    with Callers(candidate.settings, 2) as callers:
        callers.learn([Query(product="no such product", release=candidate.release.release)])
        timings = callers.ask(2, 0.1)
    assert timings.errors == len(timings.seconds) >= 2
    assert timings.row("vector", 2)["qps"] == 0.0
