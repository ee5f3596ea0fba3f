"""Asking a candidate: what cannot be asked is said, answers are asked for once, and nothing stays behind.

That each criterion fails where it should: `test_candidate`.
"""

import time
from pathlib import Path

from fashion_assets.criteria.candidate import CANDIDATE_CRITERIA, Candidate, judge
from fashion_assets.criteria.searching import SEARCH_CRITERIA
from fashion_assets.criteria.verdict import Verdict
from fashion_assets.release.swap import promote
from fashion_assets_tests.criteria.test_candidate import damage, verdict_of
from fashion_assets_tests.release.test_swap import copy_of

NAMES = {criterion.name for criterion in SEARCH_CRITERIA}
OF_THE_MODEL = {
    "titles_find_their_article_type",
    "picture_search_finds_the_product",
    "picture_search_is_quick",
}

PEOPLE = (
    "INSERT INTO {schema}.favourites (user_id, source, product_id, record) "
    "SELECT 'likes-red', 'fashion_demo', product_id, '{{}}' FROM {products} WHERE colour = 'red' LIMIT 3; "
    "INSERT INTO {schema}.users (user_id, source, record) VALUES ('silent', 'fashion_demo', '{{}}')"
)


def verdicts_of(candidate: Candidate) -> dict[str, Verdict]:
    return {verdict.name: verdict for verdict in judge(candidate) if verdict.name in NAMES}


def connections(candidate: Candidate) -> int:
    # Within a transaction the view stays as it was first seen.
    candidate.conn.rollback()
    return candidate.number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")


def test_people_are_recommended_what_they_do_not_own(candidate: Candidate):
    damage(candidate, PEOPLE)
    verdict = verdict_of(candidate, "recommendations_are_new")
    assert (verdict.outcome, verdict.value) == ("pass", "2 people")


def test_who_is_recommended_nothing_is_named(candidate: Candidate):
    damage(
        candidate,
        PEOPLE
        + "; DELETE FROM {products} WHERE product_id NOT IN (SELECT product_id FROM {schema}.favourites)",
    )
    verdict = verdict_of(candidate, "recommendations_are_new")
    assert verdict.outcome == "fail"
    assert verdict.offenders == ["likes-red: nothing"]


def test_without_the_model_nothing_is_asked_and_the_reason_names_it(candidate: Candidate, tmp_path: Path):
    settings = candidate.settings.model_copy(update={"model": str(tmp_path / "none")})
    verdicts = verdicts_of(Candidate(candidate.conn, candidate.release, settings))
    unasked = {name: v.reason for name, v in verdicts.items() if v.outcome == "not applicable"}
    assert set(unasked) == NAMES - {"pictures_load"}
    no_people = unasked.pop("recommendations_are_new")
    assert "no people" in no_people
    assert all("no model folder" in reason for reason in unasked.values())


def test_what_another_model_embedded_is_asked_for_without_it(candidate: Candidate):
    damage(
        candidate,
        "ALTER TABLE {embeddings} DROP CONSTRAINT product_embeddings_space_check;"
        "UPDATE {products} SET embedding_space = 'other@0'; UPDATE {embeddings} SET embedding_space = 'other@0';"
        "DROP INDEX {schema}.product_embeddings_index",
    )
    verdicts = verdicts_of(candidate)
    unasked = {name: v.reason for name, v in verdicts.items() if v.outcome == "not applicable"}
    assert set(unasked) == OF_THE_MODEL | {"recommendations_are_new"}
    assert all("other@0" in unasked[name] for name in OF_THE_MODEL)
    assert {v.outcome for name, v in verdicts.items() if name not in unasked} == {"pass"}


def test_article_types_too_rare_for_a_page_are_not_judged(candidate: Candidate):
    damage(candidate, "UPDATE {products} SET article_type = 'kind ' || external_id")
    verdict = verdict_of(candidate, "titles_find_their_article_type")
    assert verdict.outcome == "not applicable" and "has 10 products" in verdict.reason


def test_a_release_without_products_has_nothing_to_ask_for(candidate: Candidate):
    damage(candidate, "DELETE FROM {products}; DELETE FROM {embeddings}")
    verdicts = verdicts_of(candidate)
    assert {verdict.outcome for verdict in verdicts.values()} == {"not applicable"}
    assert all(verdict.reason for verdict in verdicts.values())


def test_equal_products_stand_in_for_each_other(candidate: Candidate):
    damage(
        candidate,
        "UPDATE {products} SET title = 'Puma Men T-shirt', brand = 'Puma', colour = NULL, "
        "embedding = (SELECT embedding FROM {products} WHERE external_id = '1');"
        "UPDATE {embeddings} SET embedding = (SELECT embedding::vector FROM {products} WHERE external_id = '1')",
    )
    assert verdict_of(candidate, "vector_search_finds_the_product").value == "10 of 10"
    assert verdict_of(candidate, "text_search_finds_the_product").value == "10 of 10"


def test_errors_that_were_there_before_refuse_nothing(candidate: Candidate):
    promote(candidate.conn, candidate.settings, candidate.release)
    second = Candidate(candidate.conn, copy_of(candidate, "second"), candidate.settings)
    damage(second, "ALTER TABLE {products} DROP COLUMN search_vector")
    verdict = verdict_of(second, "errors_are_no_more_than_before")
    assert verdict.outcome == "fail" and any("search_vector" in offender for offender in verdict.offenders)
    damage(candidate, "ALTER TABLE {products} DROP COLUMN search_vector CASCADE")
    assert verdict_of(second, "errors_are_no_more_than_before").outcome == "pass"


def test_judging_asks_once_and_leaves_no_connection_behind(candidate: Candidate):
    before = connections(candidate)
    with candidate.searching() as searching:
        for criterion in CANDIDATE_CRITERIA:
            criterion.judge(candidate)
        first = searching.own_vectors
        criterion = next(c for c in CANDIDATE_CRITERIA if c.name == "vector_search_is_quick")
        assert criterion.judge(candidate).outcome == "pass"
        assert searching.own_vectors is first
        assert connections(candidate) == before + 1
    with candidate.searching() as again:
        assert again is not searching
    # The server takes a moment to notice that one was closed.
    deadline = time.monotonic() + 10
    while connections(candidate) > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert connections(candidate) == before


def test_a_candidate_is_judged_though_readers_may_not_see_it(candidate: Candidate):
    allowed = candidate.rows(
        "SELECT has_schema_privilege(%s, %s, 'USAGE')",
        (candidate.settings.reader_role, candidate.release.release),
    )
    assert allowed == [(False,)]
    assert {verdict.outcome for verdict in verdicts_of(candidate).values()} == {"pass", "not applicable"}
