"""What of the live release would be gone is counted by source, and much of it waits for a person."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import sql

from fashion_assets.criteria.candidate import CANDIDATE_CRITERIA
from fashion_assets.criteria.losses import NOTHING_MUCH_IS_LOST
from fashion_assets.criteria.subject import Candidate
from fashion_assets.criteria.verdict import Verdict
from fashion_assets.release.swap import PromotionRefused, promote
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.sources import activate_source, set_active
from fashion_assets_tests.conftest import Template, changed_once, release_of
from fashion_assets_tests.release.copies import copy_of

PEOPLE = """
    DELETE FROM fashion_ops.declared_tables;
    INSERT INTO {schema}.users (user_id, source, record) SELECT 'u' || n, 'fashion_demo', '{{}}' FROM generate_series(1, 10) n;
    INSERT INTO {schema}.favourites (user_id, source, external_id, product_id, record)
    SELECT 'u' || n, 'fashion_demo', n::text, product_id, '{{}}'::json
    FROM generate_series(1, 10) n JOIN {products} ON external_id = n::text
    UNION ALL SELECT 'u1', 'fashion_demo', (1000 + n)::text, NULL, '{{}}'::json FROM generate_series(1, 50) n;
"""
"""People no source declares, so that nobody looks for them there. Favourites without a product are of a release that kept what
dangles."""


@pytest.fixture(scope="module")
def next_template(server_settings: Settings, candidate_template: Template) -> Iterator[Template]:
    def come_next(candidate: Candidate) -> None:
        change(candidate, PEOPLE)
        promote(candidate.conn, candidate.settings, candidate.release)
        copy_of(candidate, "next")

    with changed_once(server_settings, candidate_template, come_next) as template:
        yield template


@pytest.fixture
def next_one(
    server_settings: Settings, next_template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Candidate]:
    """A candidate beside a live release that has just what it has, people included."""
    with release_of(server_settings, next_template, tmp_path, monkeypatch) as first:
        release = releases.only_candidate(first.conn)
        first.conn.commit()
        yield Candidate(first.conn, release, first.settings)


def change(candidate: Candidate, statements: str) -> None:
    for statement in statements.split(";"):
        if statement.strip():
            candidate.conn.execute(
                sql.SQL(statement).format(  # pyright: ignore[reportArgumentType]
                    schema=sql.Identifier(candidate.release.release),
                    products=candidate.release.table("products"),
                    release=sql.Literal(candidate.release.release),
                )
            )
    candidate.conn.commit()


def judged(candidate: Candidate) -> Verdict:
    (criterion,) = [each for each in CANDIDATE_CRITERIA if each.name == NOTHING_MUCH_IS_LOST]
    return criterion.judge(candidate)


def test_where_nothing_is_live_or_it_is_the_live_one_nothing_is_judged(candidate: Candidate):
    assert "nothing is live yet" in judged(candidate).reason
    promote(candidate.conn, candidate.settings, candidate.release)
    verdict = judged(candidate)
    assert verdict.outcome == "not applicable" and "the live release itself" in verdict.reason
    # A live release without tables must not stop whatever would mend it.
    later = copy_of(candidate, "next")
    change(candidate, "DROP SCHEMA {schema} CASCADE")
    verdict = judged(Candidate(candidate.conn, later, candidate.settings))
    assert verdict.outcome == "not applicable" and "are not there" in verdict.reason


def test_products_that_are_gone_are_counted_one_by_one(next_one: Candidate):
    verdict = judged(next_one)
    assert (verdict.outcome, verdict.value, verdict.reason) == ("pass", 0.0, "")
    change(next_one, "DELETE FROM {products} WHERE external_id::int <= 8")
    verdict = judged(next_one)
    assert (verdict.outcome, verdict.value, verdict.offenders) == ("pass", 0.2, [])
    assert verdict.reason == "8 of 40 products are gone (source fashion_demo)"
    # As many come as go: what goes is gone all the same.
    change(next_one, "UPDATE {products} SET external_id = 'new ' || external_id WHERE external_id::int <= 20")
    verdict = judged(next_one)
    assert (verdict.outcome, verdict.value) == ("fail", 0.5)
    assert verdict.offenders == ["20 of 40 products are gone (source fashion_demo)"]
    assert verdict.reason.startswith("for example fashion_demo ")


@pytest.mark.parametrize(
    ("damage", "offender"),
    [
        (
            "UPDATE fashion_ops.release_batches SET listings = listings - 9 WHERE release = {release} "
            "AND batch = 'fashion_demo-00001'",
            "9 of 40 listings",
        ),
        (
            "DELETE FROM fashion_ops.release_batches WHERE release = {release} AND batch LIKE '%%2'",
            "20 of 40 listings",
        ),
        (
            "UPDATE {schema}.favourites SET external_id = '40' WHERE external_id::int <= 3",
            "3 of 10 favourites",
        ),
        ("DELETE FROM {schema}.users WHERE user_id <> 'u1'", "9 of 10 users"),
    ],
)
def test_listings_favourites_and_users_count_as_products_do(next_one: Candidate, damage: str, offender: str):
    change(next_one, damage.replace("%%", "%"))
    verdict = judged(next_one)
    assert verdict.outcome == "fail"
    assert verdict.offenders == [f"{offender} are gone (source fashion_demo)"]


def test_a_single_one_is_never_held(next_one: Candidate):
    live = releases.live(next_one.conn)
    assert live is not None
    former = Candidate(next_one.conn, live, next_one.settings)
    for candidate in (former, next_one):
        change(candidate, "DELETE FROM {schema}.favourites WHERE external_id::int > 2 OR external_id IS NULL")
    change(next_one, "DELETE FROM {schema}.favourites WHERE external_id = '1'")
    verdict = judged(next_one)
    assert (verdict.outcome, verdict.value) == ("pass", 0.5)
    assert verdict.reason == "1 of 2 favourites are gone (source fashion_demo)"


def test_a_source_that_vanished_is_lost_unless_it_was_the_drawn_sample(next_one: Candidate):
    conn = next_one.conn
    change(next_one, "UPDATE {products} SET source = 'other'; UPDATE {schema}.users SET source = 'other'")
    change(next_one, "UPDATE {schema}.favourites SET source = 'other'")
    lost = {
        "40 of 40 products are gone (source fashion_demo)",
        "10 of 10 favourites are gone (source fashion_demo)",
        "10 of 10 users are gone (source fashion_demo)",
    }
    assert set(judged(next_one).offenders) == lost
    activate_source(conn, "other", "folder", "/other")
    assert set(judged(next_one).offenders) == lost
    # Drawn, but active still: then less of it was asked for.
    activate_source(conn, "fashion_demo", "sample", "40")
    assert set(judged(next_one).offenders) == lost
    set_active(conn, "fashion_demo", False)
    assert judged(next_one).outcome == "pass"


def test_a_person_may_let_it_go_live_and_nothing_else(next_one: Candidate):
    conn, settings = next_one.conn, next_one.settings
    change(
        next_one,
        "DELETE FROM {schema}.users WHERE user_id <> 'u1'; DELETE FROM {schema}.favourites WHERE user_id <> 'u1'",
    )
    with pytest.raises(PromotionRefused) as refused:
        promote(conn, settings, next_one.release)
    said = str(refused.value)
    assert "9 of 10 favourites are gone (source fashion_demo)" in said and "stands ready" in said
    assert f"fashion-assets report {next_one.release.release}" in said
    assert f"promote {next_one.release.release} --allow-shrink" in said
    with pytest.raises(ValueError, match="nobody may accept that there_are_products fails"):
        promote(conn, settings, next_one.release, ["there_are_products"])
    assert releases.get(conn, next_one.release.release).state == "candidate"
    conn.commit()

    verdicts = promote(conn, settings, next_one.release, [NOTHING_MUCH_IS_LOST])
    live = releases.live(conn)
    assert live is not None and live.release == next_one.release.release
    assert {verdict.outcome for verdict in verdicts} == {"pass", "not applicable", "accepted"}
    (kept,) = [each for each in live.criteria or [] if each["outcome"] == "accepted"]
    assert kept["name"] == NOTHING_MUCH_IS_LOST and len(kept["offenders"]) == 2


def test_what_is_accepted_leaves_the_rest_refused(next_one: Candidate):
    change(next_one, "DELETE FROM {products} WHERE external_id::int <= 20")
    with pytest.raises(PromotionRefused) as refused:
        promote(next_one.conn, next_one.settings, next_one.release, [NOTHING_MUCH_IS_LOST])
    names = {verdict.name for verdict in refused.value.failed}
    assert "listings_are_accounted_for" in names and NOTHING_MUCH_IS_LOST not in names
    assert "--allow-shrink" not in str(refused.value)
