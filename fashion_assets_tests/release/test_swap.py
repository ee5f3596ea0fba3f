"""Going live, going back, letting go: the order of releases, and what is refused."""

import psycopg
import pytest
from psycopg import sql

from fashion_assets.criteria.subject import Candidate
from fashion_assets.postgres.connections import connect
from fashion_assets.release.swap import PromotionRefused, previous, promote, retire, rollback, tidy
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.locks import Busy
from fashion_assets.warehouse.releases import ReleaseError
from fashion_assets_tests.release.copies import copy_of


def served_titles(conn: psycopg.Connection) -> set[str]:
    return {row[0] for row in conn.execute("SELECT DISTINCT title FROM fashion_sota.products").fetchall()}


def test_promotion_serves_the_release_and_keeps_its_verdicts(candidate: Candidate):
    verdicts = promote(candidate.conn, candidate.settings, candidate.release)
    live = releases.live(candidate.conn)
    assert live is not None and live.release == candidate.release.release
    assert live.promoted_at is not None
    assert [verdict["name"] for verdict in live.criteria or []] == [verdict.name for verdict in verdicts]
    assert candidate.number("SELECT count(*) FROM fashion_sota.products") == 40


def states(candidate: Candidate) -> dict[int, str]:
    found = {release.number: release.state for release in releases.releases(candidate.conn)}
    candidate.conn.commit()
    return found


def test_going_back_leads_ever_further_back_and_forward_is_a_promotion(live: Candidate):
    conn, settings = live.conn, live.settings
    second, third = copy_of(live, "second"), copy_of(live, "third")
    promote(conn, settings, second)
    promote(conn, settings, third)
    assert served_titles(conn) == {"third"}
    assert rollback(conn, settings).release == second.release
    # Not forward to the one that was gone back from.
    assert rollback(conn, settings).release == live.release.release
    with pytest.raises(ReleaseError, match="no earlier release"):
        rollback(conn, settings)
    assert states(live) == {1: "live", 2: "retired", 3: "retired"}
    promote(conn, settings, releases.get(conn, third.release))
    assert served_titles(conn) == {"third"}
    # What it replaced the last time it went forward.
    assert previous(conn).release == live.release.release
    assert rollback(conn, settings, to=second.release).state == "live"
    assert served_titles(conn) == {"second"}


def test_going_back_twice_at_once_goes_back_once(live: Candidate):
    conn, settings = live.conn, live.settings
    second, third = copy_of(live, "second"), copy_of(live, "third")
    promote(conn, settings, second)
    promote(conn, settings, third)
    assert rollback(conn, settings, away_from=third.release).release == second.release
    with pytest.raises(ReleaseError, match=f"{third.release} is no longer live, {second.release} is"):
        rollback(conn, settings, live.release.release, away_from=third.release)
    assert states(live) == {1: "retired", 2: "live", 3: "retired"}


def test_there_must_be_something_to_go_back_to(candidate: Candidate):
    with pytest.raises(ReleaseError, match="nothing is live"):
        rollback(candidate.conn, candidate.settings)
    with pytest.raises(ReleaseError, match="there is no release 'nonsense'"):
        rollback(candidate.conn, candidate.settings, to="nonsense")
    with pytest.raises(ReleaseError, match="only a retired release"):
        rollback(candidate.conn, candidate.settings, to=candidate.release.release)


def test_a_candidate_that_fails_stays_and_nothing_changes(live: Candidate):
    conn, settings = live.conn, live.settings
    second = copy_of(live, "second")
    conn.execute(sql.SQL("UPDATE {} SET gender = ''").format(second.table("products")))
    with pytest.raises(PromotionRefused, match="critical_fields_are_not_null"):
        promote(conn, settings, second)
    assert states(live) == {1: "live", 2: "candidate"}
    assert "second" not in served_titles(conn)


def test_a_candidate_that_is_still_written_to_is_not_judged(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("fashion_assets.warehouse.locks.STILL_WRITTEN_MS", 50)
    with connect(candidate.settings) as writing:
        writing.execute(sql.SQL("UPDATE {} SET brand = brand").format(candidate.release.table("products")))
        with pytest.raises(Busy, match="still being written to by fashion-assets"):
            promote(candidate.conn, candidate.settings, candidate.release)
    promote(candidate.conn, candidate.settings, candidate.release)


def test_candidates_stand_until_something_later_is_live(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FASHION_ASSETS_KEEP_CANDIDATES", "2")
    conn, settings = candidate.conn, Settings()  # type: ignore[call-arg]
    second, third = copy_of(candidate, "second"), copy_of(candidate, "third")
    with pytest.raises(
        ReleaseError, match=r"say which is to go live: fashion_sota_r0003 .*, fashion_sota_r0002"
    ):
        releases.only_candidate(conn)
    tidy(conn, settings)
    assert states(candidate) == {1: "dropped", 2: "candidate", 3: "candidate"}
    # One more is about to be built.
    tidy(conn, settings, building=True)
    assert states(candidate) == {1: "dropped", 2: "dropped", 3: "candidate"}
    fourth = copy_of(Candidate(conn, third, settings), "fourth")
    promote(conn, settings, fourth)
    assert states(candidate) == {1: "dropped", 2: "dropped", 3: "dropped", 4: "live"}
    with pytest.raises(ReleaseError, match="only a finished candidate"):
        promote(conn, settings, second)
    with pytest.raises(ReleaseError, match="no candidate waits"):
        releases.only_candidate(conn)


def test_what_a_dead_run_left_half_built_goes_before_the_next_is_built(candidate: Candidate):
    half = copy_of(candidate, "half")
    candidate.conn.execute(
        "UPDATE fashion_ops.releases SET state = 'building' WHERE release = %s", (half.release,)
    )
    tidy(candidate.conn, candidate.settings)
    assert states(candidate) == {1: "candidate", 2: "building"}
    tidy(candidate.conn, candidate.settings, building=True)
    assert states(candidate) == {1: "candidate", 2: "dropped"}
    schema = "SELECT count(*) FROM pg_namespace WHERE nspname = %s"
    assert candidate.number(schema, (half.release,)) == 0


def test_only_so_many_retired_releases_are_kept(live: Candidate, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FASHION_ASSETS_KEEP_RELEASES", "1")
    settings = Settings()  # type: ignore[call-arg]
    for title in ("second", "third"):
        promote(live.conn, settings, copy_of(live, title))
    assert states(live) == {1: "dropped", 2: "retired", 3: "live"}
    schema = "SELECT count(*) FROM pg_namespace WHERE nspname = %s"
    assert live.number(schema, (live.release.release,)) == 0


def test_the_live_release_cannot_be_retired(live: Candidate):
    with pytest.raises(ReleaseError, match="is live"):
        retire(live.conn, live.release.release)


def test_retiring_marks_first_and_drops_when_nobody_reads(live: Candidate, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fashion_assets.release.swap.DROP_WAIT_MS", 50)
    conn, settings = live.conn, live.settings
    promote(conn, settings, copy_of(live, "second"))
    third = copy_of(live, "third")
    promote(conn, settings, third)
    with connect(settings) as dump:
        # As pg_dump does for as long as it takes.
        dump.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(live.release.table("products")))
        assert retire(conn, live.release.release) is False
        assert states(live) == {1: "dropping", 2: "retired", 3: "live"}
        # Nobody waits for it, and nobody finds what is on its way out.
        assert rollback(conn, settings).number == 2
        with pytest.raises(ReleaseError, match="is dropping"):
            rollback(conn, settings, to=live.release.release)
        with pytest.raises(ReleaseError, match="no earlier release"):
            rollback(conn, settings)
    tidy(conn, settings)
    assert states(live) == {1: "dropped", 2: "live", 3: "retired"}


def test_one_swap_at_a_time_and_it_is_said_whose(live: Candidate, monkeypatch: pytest.MonkeyPatch):
    conn, settings = live.conn, live.settings
    promote(conn, settings, copy_of(live, "second"))
    for waits in ("SWAP_WAIT_MS", "STILL_WRITTEN_MS"):
        monkeypatch.setattr(f"fashion_assets.warehouse.locks.{waits}", 50)
    with connect(settings, application_name="another swap") as other:
        other.execute("LOCK TABLE fashion_ops.swap_lock IN EXCLUSIVE MODE")
        with pytest.raises(Busy, match=r"another swap \(server process \d+, role .*since \d{4}-"):
            rollback(conn, settings)
    assert rollback(conn, settings).release == live.release.release


@pytest.mark.parametrize("table", ["run_lock", "swap_lock"])
def test_readers_cannot_take_the_locks(candidate: Candidate, table: str):
    candidate.conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(candidate.settings.reader_role)))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        candidate.conn.execute(
            sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(sql.Identifier("fashion_ops", table))
        )
    candidate.conn.rollback()
