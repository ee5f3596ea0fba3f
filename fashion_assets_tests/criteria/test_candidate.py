"""Each criterion of a release fails on a candidate that was damaged for it, and the swap refuses each by name."""

import json

import pytest
from psycopg import sql

from fashion_assets.benchmarks.recall import SELECTIVITIES
from fashion_assets.criteria import measured, thresholds
from fashion_assets.criteria.candidate import CANDIDATE_CRITERIA, Candidate, judge
from fashion_assets.release.swap import PromotionRefused, promote
from fashion_assets.search import path
from fashion_assets.warehouse import releases


def stored(name: str, *rows: dict) -> str:
    """The statement that keeps these rows as a benchmark's."""
    text = json.dumps(rows).replace("{", "{{").replace("}", "}}")
    return (
        f"INSERT INTO fashion_ops.benchmarks (release, name, rows) SELECT release, '{name}', '{text}' "
        "FROM fashion_ops.releases ON CONFLICT (release, name) DO UPDATE SET rows = excluded.rows"
    )


DAMAGE = {
    "every_batch_is_loaded": "DELETE FROM fashion_ops.release_batches WHERE batch = 'fashion_demo-00002'",
    "listings_are_accounted_for": "DELETE FROM {products} WHERE external_id = '7'",
    "there_are_products": "DELETE FROM {products}",
    "product_ids_are_unique": "ALTER TABLE {products} DROP CONSTRAINT products_pkey;"
    "DROP INDEX {schema}.products_external_id; INSERT INTO {products} ({columns}) SELECT {columns} FROM {products} LIMIT 1",
    "critical_fields_are_not_null": "UPDATE {products} SET title = '  ' WHERE external_id = '7'",
    "image_paths_are_valid": "UPDATE {products} SET image_path = '/nowhere/7.jpg' WHERE external_id = '7'",
    "brands_are_present": "UPDATE {products} SET brand = NULL WHERE external_id::int <= 5",
    "prices_are_distributed_as_expected": 'UPDATE {products} SET record = \'{{"price": "10"}}\', price = 10;'
    "UPDATE {products} SET price = 1000 WHERE external_id::int <= 10",
    "embeddings_are_complete": "DELETE FROM {embeddings} WHERE product_id = (SELECT min(product_id::text)::uuid FROM {products})",
    "product_ids_are_mapped": "DELETE FROM fashion_ops.id_map WHERE external_id = '7'",
    "vector_index_is_whole": "DROP INDEX {schema}.product_embeddings_index",
    "vector_search_uses_the_index": "DROP INDEX {schema}.product_embeddings_index",
    # Each new vector leaves the old one's entry behind.
    "vector_index_is_small": ";".join(
        [
            "UPDATE {products} SET embedding = l2_normalize(embedding + (SELECT array_agg(random())::halfvec "
            "FROM generate_series(1, vector_dims(embedding))))"
        ]
        * 12
    ),
    "vector_search_finds_the_product": "UPDATE {embeddings} SET embedding = embedding - embedding - embedding",
    "titles_find_their_article_type": "UPDATE {products} SET article_type = 'kind ' || external_id::int % 4, "
    "embedding = embedding - embedding - embedding",
    "text_search_finds_the_product": "ALTER TABLE {products} ALTER search_vector SET EXPRESSION AS (''::tsvector)",
    "picture_search_finds_the_product": "UPDATE {products} SET embedding = embedding - embedding - embedding",
    "filters_leave_what_meets_them": "UPDATE {products} SET gender = 'MEN'",
    "pictures_load": "UPDATE {products} SET image_path = '/dev/null'",
    "recommendations_are_new": "INSERT INTO {schema}.favourites (user_id, source, product_id, record) "
    "SELECT 'a', 'fashion_demo', product_id, '{{}}' FROM {products} LIMIT 1; ALTER TABLE {schema}.users DROP COLUMN record",
    "listing_is_quick": "SELECT",
    "vector_search_is_quick": "SELECT",
    "picture_search_is_quick": "SELECT",
    "errors_are_no_more_than_before": "ALTER TABLE {products} DROP COLUMN search_vector",
    "new_layout_is_not_slower": stored("layouts", {"kind": "listing", "old_p50_ms": 1, "new_p50_ms": 2}),
    "vector_search_bears_its_load": stored(
        "latency", {"kind": "vector", "concurrency": 4, "qps": 90, "p95_ms": 1, "errors": 0}
    ),
    "hybrid_search_bears_its_load": stored(
        "latency", {"kind": "hybrid", "concurrency": 4, "qps": 900, "p95_ms": 101, "errors": 0}
    ),
    "filtered_search_keeps_its_recall": stored(
        "recall", *({"selectivity": share, "tied": True, "recall": 0.98} for share in SELECTIVITIES)
    ),
}
"""What spoils a sound candidate for each criterion; the last ones by what was measured on it."""


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty products are judged as thousands are, and no search is quick enough."""
    monkeypatch.setattr(path, "EXACT_ROWS", 1)
    monkeypatch.setattr(measured, "MIN_PRODUCTS_FOR_TIMES", 1)
    for kind in thresholds.P95_MS:
        monkeypatch.setitem(thresholds.P95_MS, kind, 0)


def verdict_of(candidate: Candidate, name: str):
    return next(criterion for criterion in CANDIDATE_CRITERIA if criterion.name == name).judge(candidate)


def damage(candidate: Candidate, statements: str) -> None:
    schema = candidate.release.release
    columns = sql.SQL(", ").join(
        sql.Identifier(row[0])
        for row in candidate.conn.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = 'products' "
            "AND is_generated = 'NEVER' ORDER BY ordinal_position",
            (schema,),
        )
    )
    for statement in statements.split(";"):
        candidate.conn.execute(
            sql.SQL(statement).format(  # pyright: ignore[reportArgumentType]
                products=candidate.release.table("products"),
                embeddings=candidate.release.table("product_embeddings"),
                schema=sql.Identifier(schema),
                columns=columns,
            )
        )
    candidate.conn.commit()


def test_there_is_a_damage_for_every_criterion():
    assert set(DAMAGE) == {criterion.name for criterion in CANDIDATE_CRITERIA}


NOT_JUDGED = {
    "prices_are_distributed_as_expected": "no price",
    "vector_search_uses_the_index": "40 products",
    "recommendations_are_new": "no people",
    "new_layout_is_not_slower": "fashion-assets bench layouts",
    "vector_search_bears_its_load": "40 products are too few",
    "hybrid_search_bears_its_load": "40 products are too few",
    "filtered_search_keeps_its_recall": "not measured at 0.1 %",
}


def test_a_sound_candidate_passes_and_what_is_not_judged_says_why(candidate: Candidate):
    verdicts = {verdict.name: verdict for verdict in judge(candidate)}
    assert [name for name, verdict in verdicts.items() if verdict.outcome == "fail"] == []
    reasons = {
        name: verdict.reason for name, verdict in verdicts.items() if verdict.outcome == "not applicable"
    }
    assert set(reasons) == set(NOT_JUDGED)
    assert all(NOT_JUDGED[name] in reason for name, reason in reasons.items())


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("name", sorted(DAMAGE))
def test_the_damage_is_seen_and_the_swap_refuses(candidate: Candidate, name: str):
    damage(candidate, DAMAGE[name])
    assert verdict_of(candidate, name).outcome == "fail"
    candidate.conn.commit()
    with pytest.raises(PromotionRefused) as refused:
        promote(candidate.conn, candidate.settings, candidate.release)
    assert name in {verdict.name for verdict in refused.value.failed}
    assert releases.live(candidate.conn) is None


def test_the_engine_reads_the_index_of_what_is_worth_one(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(path, "EXACT_ROWS", 1)
    verdict = verdict_of(candidate, "vector_search_uses_the_index")
    assert (verdict.outcome, verdict.value) == ("pass", candidate.release.space)


def test_a_space_without_an_index_is_named(candidate: Candidate, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(path, "EXACT_ROWS", 1)
    damage(candidate, "UPDATE {products} SET embedding_space = 'other@0' WHERE external_id::int <= 20")
    verdict = verdict_of(candidate, "vector_search_uses_the_index")
    assert verdict.outcome == "fail"
    assert len(verdict.offenders) == 1 and verdict.offenders[0].startswith("other@0: ")


def test_an_index_of_a_few_vectors_has_no_size_to_judge(candidate: Candidate):
    damage(candidate, "DELETE FROM {products} WHERE external_id::int >= 20")
    verdict = verdict_of(candidate, "vector_index_is_small")
    assert verdict.outcome == "not applicable" and "19 vectors" in verdict.reason


def test_a_missing_batch_is_named(candidate: Candidate):
    damage(candidate, DAMAGE["every_batch_is_loaded"])
    assert verdict_of(candidate, "every_batch_is_loaded").offenders == ["fashion_demo-00002 (did not finish)"]


def test_an_invalid_index_fails(candidate: Candidate):
    damage(
        candidate,
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{schema}.product_embeddings_index'::regclass".replace(
            "{schema}", candidate.release.release
        ),
    )
    verdict = verdict_of(candidate, "vector_index_is_whole")
    assert verdict.outcome == "fail"
    assert "product_embeddings_index is not valid" in verdict.offenders


def test_brands_nobody_states_are_not_judged(candidate: Candidate):
    damage(candidate, "UPDATE {products} SET brand = NULL, brand_origin = NULL")
    verdict = verdict_of(candidate, "brands_are_present")
    assert verdict.outcome == "not applicable"
    assert "no brands" in verdict.reason


def test_prices_that_kept_their_distribution_pass(candidate: Candidate):
    damage(
        candidate,
        "UPDATE {products} SET price = external_id::int, record = json_build_object('price', external_id)",
    )
    verdict = verdict_of(candidate, "prices_are_distributed_as_expected")
    assert (verdict.outcome, verdict.value) == ("pass", 0.0)
