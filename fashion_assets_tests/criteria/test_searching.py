"""Asking a candidate: what cannot be asked is said, answers are asked for once, and nothing stays behind.

That each criterion fails where it should: `test_candidate`.
"""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from pgvector import HalfVector, Vector
from psycopg import sql

from fashion_assets.criteria import questions
from fashion_assets.criteria.candidate import CANDIDATE_CRITERIA, judge
from fashion_assets.criteria.questions import Asked, Searching
from fashion_assets.criteria.searching import SEARCH_CRITERIA, _answered_in_time, _recommendations_are_new
from fashion_assets.criteria.subject import Candidate
from fashion_assets.criteria.verdict import Verdict
from fashion_assets.embedding.embed import combine, text_sha256
from fashion_assets.release.swap import promote
from fashion_assets.settings import Settings
from fashion_assets.warehouse.embedding_store import EmbeddingStore
from fashion_assets_tests.criteria.test_candidate import DAMAGE, damage, verdict_of, with_settings
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


def test_who_is_recommended_nothing_of_what_is_there_is_named(candidate: Candidate):
    damage(candidate, PEOPLE)
    with Searching(candidate.conn, candidate.release, candidate.settings) as searching:
        # As from an index that has lost its products.
        searching.recommendations = [  # pyright: ignore[reportAttributeAccessIssue]
            replace(asked, results=replace(asked.results, hits=())) if asked.results else asked
            for asked in searching.recommendations
        ]
        finding = _recommendations_are_new(searching)
    assert finding.outcome == "fail"
    assert finding.offenders == ["likes-red: nothing", "silent: nothing"]


def test_who_owns_all_products_refuses_nothing(candidate: Candidate):
    damage(
        candidate,
        "INSERT INTO {schema}.favourites (user_id, source, product_id, record) "
        "SELECT 'collector', 'fashion_demo', product_id, '{{}}' FROM {products}",
    )
    verdict = verdict_of(candidate, "recommendations_are_new")
    assert (verdict.outcome, verdict.value) == ("pass", "1 people")
    assert verdict.reason == "1 of them own all that could be recommended"
    # Nor does who owns all that is for them: women's things are not recommended to who only likes men's.
    damage(
        candidate,
        "UPDATE {products} SET gender = 'women' WHERE external_id::int <= 20;"
        "DELETE FROM {schema}.favourites USING {products} p WHERE p.product_id = favourites.product_id AND p.gender = 'women'",
    )
    assert verdict_of(candidate, "recommendations_are_new").outcome == "pass"


def test_who_states_a_style_that_is_not_there_is_recommended_what_is_popular(candidate: Candidate):
    damage(
        candidate,
        "INSERT INTO {schema}.users (user_id, source, record, style) "
        "VALUES ('a', 'fashion_demo', '{{}}', '{{\"gender\": [\"women\"]}}')",
    )
    verdict = verdict_of(candidate, "recommendations_are_new")
    assert (verdict.outcome, verdict.offenders) == ("pass", [])
    with candidate.searching() as searching:
        (asked,) = searching.recommendations
        assert asked.results is not None and len(asked.ids) == 10
        assert asked.results.plan.notes == ("popular, as nothing is there by stated style: women",)


def sample(candidate: Candidate) -> list[str]:
    with candidate.searching() as searching:
        return [product.product_id for product in searching.products]


def test_the_same_products_are_asked_for_in_every_release(candidate: Candidate):
    first = with_settings(candidate, criteria_sample=20)
    asked = sample(first)
    assert len(asked) == 20 and asked == sample(first)
    second = Candidate(candidate.conn, copy_of(candidate, "second"), first.settings)
    assert sample(second) == asked
    # What is gone makes room for one; what is not asked for may change as it likes.
    candidate.conn.execute(
        sql.SQL("DELETE FROM {} WHERE product_id = %s").format(second.release.table("products")), (asked[7],)
    )
    after = sample(second)
    assert after[:19] == [product for product in asked if product != asked[7]]
    assert after[19] not in asked
    candidate.conn.execute(
        sql.SQL("DELETE FROM {} WHERE product_id <> ALL(%s)").format(second.release.table("products")),
        (after,),
    )
    assert sample(second) == after


def test_a_sample_is_said_to_be_one_and_judged_with_its_bound(candidate: Candidate):
    few = with_settings(candidate, criteria_sample=20, criteria_pictures=10)
    for name, size in (("text_search_finds_the_product", 20), ("picture_search_finds_the_product", 10)):
        verdict = verdict_of(few, name)
        assert (verdict.outcome, verdict.value) == ("pass", 1.0)
        assert f"{size} products asked for; of all, 0." in verdict.reason
        whole = verdict_of(candidate, name)
        assert whole.reason == "all 40 products asked for"
    # Asking all, the figure is the truth and has to meet the threshold.
    damage(
        candidate,
        "UPDATE {products} SET title = 'x' || external_id, brand = NULL WHERE external_id::int <= 6",
    )
    damage(
        candidate,
        "ALTER TABLE {products} ALTER search_vector SET EXPRESSION AS (to_tsvector('english', "
        "CASE WHEN external_id::int <= 6 THEN '' ELSE title END))",
    )
    assert (
        verdict_of(with_settings(candidate, min_found_share=0.86), "text_search_finds_the_product").outcome
        == "fail"
    )
    assert (
        verdict_of(with_settings(candidate, min_found_share=0.85), "text_search_finds_the_product").outcome
        == "pass"
    )
    sampled = with_settings(candidate, min_found_share=0.95, criteria_sample=30)
    assert verdict_of(sampled, "text_search_finds_the_product").outcome == "pass"


@pytest.mark.parametrize(
    "name",
    [
        "vector_search_finds_the_product",
        "text_search_finds_the_product",
        "picture_search_finds_the_product",
    ],
)
def test_a_damage_is_seen_by_a_sample_too(candidate: Candidate, name: str):
    few = with_settings(candidate, criteria_sample=20, criteria_pictures=10)
    assert verdict_of(few, name).outcome == "pass"
    damage(few, DAMAGE[name])
    verdict = verdict_of(few, name)
    assert (verdict.outcome, verdict.reason[:9]) == ("fail", f"{10 if 'picture' in name else 20} produc")


def answered(*milliseconds: float) -> list[Asked]:
    return [Asked("first", None, "", 9_999), *(Asked(None, None, "", ms) for ms in milliseconds)]


def test_late_answers_refuse_beyond_chance_alone(settings: Settings):
    def outcome(*milliseconds: float) -> tuple[str, str]:
        finding = _answered_in_time(200, answered(*milliseconds), settings, "nothing")
        return finding.outcome, finding.reason

    assert outcome(*[5.0] * 16) == ("pass", "16 asked")
    # One hiccup of four answers is no 95th percentile.
    sure = "(99.9 % sure of either) come in time"
    chance = "so that 95 % are within chance"
    assert outcome(5, 900, 5, 5) == (
        "pass",
        f"4 asked, 1 of them late; of all, 0.048 to 1.000 {sure}, {chance}",
    )
    assert outcome(*[5.0] * 90, *[900.0] * 10) == (
        "pass",
        f"100 asked, 10 of them late; of all, 0.754 to 0.976 {sure}, {chance}",
    )
    # A 95th percentile within the time needs no chance.
    assert outcome(*[5.0] * 98, *[900.0] * 2) == (
        "pass",
        f"100 asked, 2 of them late; of all, 0.881 to 1.000 {sure}",
    )
    assert outcome(*[5.0] * 80, *[900.0] * 20) == (
        "fail",
        f"100 asked, 20 of them late; of all, 0.629 to 0.919 {sure}",
    )
    assert outcome(900, 900, 900) == ("fail", f"3 asked, 3 of them late; of all, 0.000 to 0.900 {sure}")
    assert outcome(900, 900) == ("not applicable", "2 asked: too few to be sure of a time")


def test_a_search_that_fails_once_is_asked_again(candidate: Candidate):
    with candidate.searching() as searching:
        assert searching.texts
        # Whatever happened to the server in between.
        candidate.conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert {asked.error for asked in searching.own_vectors} == {""}
        verdict = verdict_of(candidate, "errors_are_no_more_than_before")
        assert verdict.outcome == "pass" and verdict.value.startswith("0 of ")


def test_what_fails_again_counts(candidate: Candidate):
    tried = []

    def fail() -> None:
        tried.append(None)
        raise RuntimeError(f"no. {len(tried)}\nof many")

    with Searching(candidate.conn, candidate.release, candidate.settings) as searching:
        asked = searching._ask("it", fail)  # type: ignore[arg-type]
    assert (len(tried), asked.error, asked.stumbled) == (2, "no. 2", "")


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
    assert verdict_of(candidate, "vector_search_finds_the_product").value == 1.0
    assert verdict_of(candidate, "text_search_finds_the_product").value == 1.0
    # Where a word of the title stands for others too, none that has it scores as much as one that would have all of them.
    damage(candidate, "UPDATE {products} SET title = 'Blue cotton shirt'")
    assert verdict_of(candidate, "text_search_finds_the_product").value == 1.0


def test_errors_that_were_there_before_refuse_nothing(candidate: Candidate):
    promote(candidate.conn, candidate.settings, candidate.release)
    second = Candidate(candidate.conn, copy_of(candidate, "second"), candidate.settings)
    damage(second, "ALTER TABLE {products} DROP COLUMN search_vector CASCADE")
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


def test_a_picture_that_the_model_cannot_tell_from_others_is_told_and_refuses_nothing(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(questions, "LIMIT", 1)
    few = with_settings(candidate, min_found_share=1.0, criteria_pictures=3)
    with Searching(candidate.conn, candidate.release, few.settings) as searching:
        asked, other = searching.products[0], searching.products[-1]
    store = EmbeddingStore(candidate.conn)
    (picture,) = store.get(asked.space, "image", [asked.image_sha256])[1]
    (title,) = store.get(asked.space, "image", [other.image_sha256])[1]
    # A model to which the title says something else than the picture, and another product is what the picture shows.
    candidate.conn.execute(
        "UPDATE fashion_ops.embeddings SET vector = %s WHERE kind = 'text' AND sha256 = decode(%s, 'hex')",
        (Vector(title), text_sha256(asked.title)),
    )
    products = sql.Identifier(candidate.release.release, "products")
    served = sql.SQL("UPDATE {} SET embedding = %s WHERE product_id = %s").format(products)
    mean = combine(picture[None], title[None])[0]
    candidate.conn.execute(served, (HalfVector(mean), asked.product_id))
    candidate.conn.execute(served, (HalfVector(picture), other.product_id))
    candidate.conn.commit()
    verdict = verdict_of(few, "picture_search_finds_the_product")
    assert len(verdict.offenders) == 1 and verdict.value == 0.667
    assert verdict.outcome == "pass" and "the model cannot tell the others apart" in verdict.reason
    # The same where the vector is not the product's own.
    candidate.conn.execute(served, (HalfVector(title), asked.product_id))
    candidate.conn.commit()
    assert verdict_of(few, "picture_search_finds_the_product").outcome == "fail"
