"""Answers are taken over for as long as nobody could write to the release, and no longer."""

from collections.abc import Iterator

import psycopg
import pytest
from dagster import build_init_resource_context
from psycopg import sql

from fashion_assets.criteria.answers import HeldAnswers
from fashion_assets.criteria.subject import Candidate
from fashion_assets.defs.release.judgement import Judgement
from fashion_assets.postgres.connections import connect
from fashion_assets.postgres.errors import Busy
from fashion_assets.release.swap import PromotionRefused, promote

LOST = "vector_search_finds_the_product"


@pytest.fixture
def untrue(candidate: Candidate) -> Iterator[HeldAnswers]:
    """Answers by which no product's vector finds it: whoever takes them over is seen to do so."""
    answers = HeldAnswers(candidate.settings, candidate.release)
    answers.searching.__dict__["own_vectors"] = [
        asked.__class__(asked.about, None, "untrue", 1.0) for asked in answers.searching.own_vectors
    ]
    yield answers
    answers.close()


def write(candidate: Candidate) -> None:
    with connect(candidate.settings) as writing:
        writing.execute("SET lock_timeout = '100ms'")
        writing.execute(sql.SQL("UPDATE {} SET brand = brand").format(candidate.release.table("products")))


def test_nobody_writes_to_a_release_whose_answers_are_held(candidate: Candidate, untrue: HeldAnswers):
    with pytest.raises(psycopg.errors.LockNotAvailable):
        write(candidate)
    with pytest.raises(PromotionRefused, match=LOST):
        promote(candidate.conn, candidate.settings, candidate.release, answers=untrue)
    untrue.close()
    write(candidate)
    assert not untrue.are_good()


def test_a_hold_that_ended_is_not_taken_for_a_later_one(candidate: Candidate, untrue: HeldAnswers):
    assert untrue.are_good()
    untrue._conn.rollback()
    write(candidate)
    assert not untrue.are_good()


def test_answers_whose_hold_was_broken_are_asked_for_anew(candidate: Candidate, untrue: HeldAnswers):
    with connect(candidate.settings, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", (untrue._conn.info.backend_pid,))
    promote(candidate.conn, candidate.settings, candidate.release, answers=untrue)


def test_a_run_holds_what_it_built_and_lets_go_at_its_end(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
):
    judgement = Judgement()
    assert all(verdict.passed for verdict in judgement.of(candidate))
    assert judgement.answers(candidate.release) is None  # another run's
    judgement = Judgement()
    judgement.begin(candidate.settings, candidate.release)
    assert all(verdict.passed for verdict in judgement.of(candidate))
    held = judgement.answers(candidate.release)
    assert held is not None and held.are_good() and held.searching.own_vectors
    judgement.teardown_after_execution(build_init_resource_context())
    assert not held.are_good()
    # Somebody who writes is not waited for longer than for any promotion.
    monkeypatch.setattr("fashion_assets.warehouse.locks.STILL_WRITTEN_MS", 50)
    with connect(candidate.settings) as writing:
        writing.execute(sql.SQL("UPDATE {} SET brand = brand").format(candidate.release.table("products")))
        with pytest.raises(Busy, match="still being written to"):
            HeldAnswers(candidate.settings, candidate.release)
