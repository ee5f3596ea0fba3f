"""Each criterion of a release fails on a candidate that was damaged for it, and the swap refuses each by name."""

import pytest
from psycopg import sql

from fashion_assets.criteria.candidate import CANDIDATE_CRITERIA, Candidate
from fashion_assets.release.swap import PromotionRefused, promote
from fashion_assets.search import vector
from fashion_assets.warehouse import releases

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
}


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
            sql.SQL(statement).format(
                products=candidate.release.table("products"),
                embeddings=candidate.release.table("product_embeddings"),
                schema=sql.Identifier(schema),
                columns=columns,
            )
        )
    candidate.conn.commit()


def test_there_is_a_damage_for_every_criterion():
    assert set(DAMAGE) == {criterion.name for criterion in CANDIDATE_CRITERIA}


def test_a_sound_candidate_passes(candidate: Candidate):
    outcomes = {c.name: c.judge(candidate).outcome for c in CANDIDATE_CRITERIA}
    assert "fail" not in outcomes.values()
    assert outcomes["prices_are_distributed_as_expected"] == "not applicable"
    assert outcomes["vector_search_uses_the_index"] == "not applicable"


@pytest.mark.parametrize("name", sorted(DAMAGE))
def test_the_damage_is_seen_and_the_swap_refuses(
    candidate: Candidate, name: str, monkeypatch: pytest.MonkeyPatch
):
    if name == "vector_search_uses_the_index":
        monkeypatch.setattr(vector, "MIN_PRODUCTS_FOR_INDEX", 1)
    damage(candidate, DAMAGE[name])
    assert verdict_of(candidate, name).outcome == "fail"
    candidate.conn.commit()
    with pytest.raises(PromotionRefused) as refused:
        promote(candidate.conn, candidate.settings, candidate.release)
    assert name in {verdict.name for verdict in refused.value.failed}
    assert releases.live(candidate.conn) is None


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
