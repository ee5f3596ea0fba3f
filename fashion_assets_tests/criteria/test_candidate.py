"""Each criterion of a release fails on a candidate that was damaged for it, and the swap refuses each by name."""

import json

import pyarrow as pa
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from fashion_assets.benchmarks.recall import SELECTIVITIES
from fashion_assets.catalog.profile import Profile
from fashion_assets.criteria.batch import BATCH_CRITERIA
from fashion_assets.criteria.candidate import CANDIDATE_CRITERIA, judge
from fashion_assets.criteria.subject import Candidate
from fashion_assets.criteria.verdict import Verdict
from fashion_assets.release.swap import PromotionRefused, promote
from fashion_assets.search import path
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets_tests.release.test_swap import copy_of


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
    "nothing_is_lost": "UPDATE {products} SET title = title || ' ' WHERE external_id = '7'",
    "there_are_products": "DELETE FROM {products}",
    "nothing_much_is_lost": "INSERT INTO fashion_ops.releases (release, number, state, content_version) "
    "VALUES ('fashion_sota_r0000', 0, 'live', 'before'); CREATE SCHEMA fashion_sota_r0000;"
    + ";".join(
        f"CREATE TABLE fashion_sota_r0000.{table} AS SELECT * FROM {{schema}}.{table}"
        for table in ("products", "product_embeddings", "users", "favourites")
    )
    + ";DELETE FROM {products} WHERE external_id::int <= 20",
    "product_ids_are_unique": "ALTER TABLE {products} DROP CONSTRAINT products_pkey;"
    "DROP INDEX {schema}.products_external_id; INSERT INTO {products} ({columns}) SELECT {columns} FROM {products} LIMIT 1",
    "critical_fields_are_not_null": "UPDATE {products} SET title = '  ' WHERE external_id = '7'",
    "image_paths_are_valid": "UPDATE {products} SET image_path = '/nowhere/7.jpg' WHERE external_id = '7'",
    "brands_are_present": "UPDATE {products} SET brand_origin = 'source';"
    "UPDATE {products} SET brand = NULL WHERE external_id::int <= 5",
    "prices_are_distributed_as_expected": "UPDATE {products} SET price = 10",
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
    "titles_find_their_article_type": "UPDATE {products} SET article_type = 'kind ' || external_id::int % 8 / 2, "
    "embedding = embedding - embedding - embedding",
    "text_search_finds_the_product": "ALTER TABLE {products} ALTER search_vector SET EXPRESSION AS (''::tsvector)",
    "picture_search_finds_the_product": "UPDATE {products} SET embedding = embedding - embedding - embedding",
    "filters_leave_what_meets_them": "UPDATE {products} SET gender = 'MEN'",
    "pictures_load": "UPDATE {products} SET image_path = '/dev/null'",
    "preserved_vectors_are_bit_for_bit": "ALTER TABLE {embeddings} DROP CONSTRAINT product_embeddings_space_check;"
    "INSERT INTO {embeddings} (product_id, embedding_space, embedding, kind, served) SELECT product_id, 'old', '[1,2]', 'image', false "
    "FROM {products} LIMIT 1",
    "table_rows_are_accounted_for": "INSERT INTO {schema}.users (user_id, source, record) VALUES ('x', 'fashion_demo', '{{}}')",
    "recommendations_are_new": "INSERT INTO {schema}.favourites (user_id, source, product_id, record) "
    "SELECT 'a', 'fashion_demo', product_id, '{{}}' FROM {products} LIMIT 1; INSERT INTO {schema}.users (user_id, source, record, style) "
    "VALUES ('a', 'fashion_demo', '{{}}', '\"no style\"')",
    "styles_are_told_apart": "UPDATE {schema}.style_clusters SET name = 'one'",
    "every_product_has_a_style": "DELETE FROM {schema}.product_style_affinity WHERE rank = 1",
    "styles_are_the_nearest": "UPDATE {schema}.product_style_affinity SET affinity = affinity - 0.1",
    "listing_is_quick": "SELECT",
    "vector_search_is_quick": "SELECT",
    "picture_search_is_quick": "SELECT",
    "errors_are_no_more_than_before": "ALTER TABLE {products} DROP COLUMN search_vector CASCADE",
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
def strict(candidate: Candidate, monkeypatch: pytest.MonkeyPatch) -> Candidate:
    """The candidate, its forty products judged as thousands are, and no search quick enough."""
    monkeypatch.setattr(path, "EXACT_ROWS", 1)
    hurry = dict.fromkeys(
        ("max_listing_p95_ms", "max_vector_search_p95_ms", "max_picture_search_p95_ms"), 1e-6
    )
    return with_settings(candidate, min_products_for_times=1, **hurry)


def with_settings(candidate: Candidate, **changed: object) -> Candidate:
    return Candidate(candidate.conn, candidate.release, candidate.settings.model_copy(update=changed))


def verdict_of(candidate: Candidate, name: str):
    criterion = next(criterion for criterion in CANDIDATE_CRITERIA if criterion.name == name)
    return criterion.judge(candidate, candidate.settings)


def read_prices(candidate: Candidate, prices: dict[str, str]) -> None:
    """The batches' listings state these prices."""
    store = ParquetStore(candidate.settings.assets_url)
    for batch in store.batches("raw_listings"):
        table = store.read("raw_listings", batch)
        texts = pa.array([prices.get(each) for each in table["external_id"].to_pylist()], pa.string())
        place = table.schema.get_field_index("price")
        store.write(table.set_column(place, table.schema.field(place), texts), "raw_listings", batch)


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


def test_every_criterion_says_what_to_do():
    for criterion in (*CANDIDATE_CRITERIA, *BATCH_CRITERIA):
        assert criterion.remedy.endswith("."), criterion.name
        assert "{" not in criterion.claim + criterion.remedy, criterion.name


def test_a_threshold_is_shown_as_it_is_in_force_and_how_to_set_it(candidate: Candidate):
    damage(candidate, DAMAGE["brands_are_present"])
    verdict = verdict_of(candidate, "brands_are_present")
    assert (verdict.outcome, verdict.value) == ("fail", 0.875)
    assert verdict.must_be == "at least 0.95 of them (set by FASHION_ASSETS_MIN_BRAND_SHARE)"
    lower = verdict_of(with_settings(candidate, min_brand_share=0.8), "brands_are_present")
    assert (lower.outcome, lower.threshold, lower.remedy) == ("pass", "at least 0.8 of them", "")


UNMET = {
    "min_found_share": ("text_search_finds_the_product", 1.1),
    "min_article_type_precision": ("titles_find_their_article_type", 1.1),
    "max_listing_p95_ms": ("listing_is_quick", 1e-6),
    "max_vector_search_p95_ms": ("vector_search_is_quick", 1e-6),
    "max_picture_search_p95_ms": ("picture_search_is_quick", 1e-6),
    "max_index_mb_per_10k": ("vector_index_is_small", 0.001),
}


@pytest.mark.parametrize("setting", UNMET)
def test_a_threshold_is_judged_by(candidate: Candidate, setting: str):
    name, unmet = UNMET[setting]
    assert verdict_of(candidate, name).outcome == "pass"
    verdict = verdict_of(with_settings(candidate, **{setting: unmet}), name)
    assert verdict.outcome == "fail"
    assert verdict.set_by == [f"FASHION_ASSETS_{setting.upper()}"] and f"{unmet:g}" in verdict.threshold


VARIABLES = sorted({name for each in (*CANDIDATE_CRITERIA, *BATCH_CRITERIA) for name in each.set_by})


@pytest.mark.parametrize("variable", VARIABLES)
def test_what_the_environment_sets_is_what_is_shown(variable: str, monkeypatch: pytest.MonkeyPatch):
    criteria = [each for each in (*CANDIDATE_CRITERIA, *BATCH_CRITERIA) if variable in each.set_by]
    before = [each.must_be_in(Settings()) for each in criteria]
    share = "SHARE" in variable or "RATE" in variable or "SHIFT" in variable
    share |= "PRECISION" in variable or "RECALL" in variable or "SHRINK" in variable
    monkeypatch.setenv(variable, "0.17" if share else "17")
    for each, shown in zip(criteria, before, strict=True):
        after = each.must_be_in(Settings())
        assert "17" in after and "17" not in shown and after.endswith(")") and variable in after


def test_search_quality_is_shown_beside_the_live_releases(candidate: Candidate):
    judged = judge(candidate)
    assert {verdict.live for verdict in judged} == {None}
    promote(candidate.conn, candidate.settings, candidate.release)
    second = Candidate(candidate.conn, copy_of(candidate, "second"), candidate.settings)
    beside = {verdict.name: verdict for verdict in judge(second)}
    kept = {verdict["name"]: verdict["value"] for verdict in releases.live(second.conn).criteria or []}
    shown = {name: verdict.live for name, verdict in beside.items() if verdict.live is not None}
    assert shown == {
        criterion.name: kept[criterion.name]
        for criterion in CANDIDATE_CRITERIA
        if criterion.beside_live and kept[criterion.name] is not None
    }
    assert {"vector_search_finds_the_product", "text_search_finds_the_product", "listing_is_quick"} <= set(
        shown
    )
    # The live release is judged by itself.
    live = Candidate(candidate.conn, releases.live(candidate.conn), candidate.settings)  # type: ignore[arg-type]
    assert {verdict.live for verdict in judge(live)} == {None}


def test_a_verdict_another_version_kept_is_read():
    kept = {"name": "a", "requirement": "A1", "claim": "c", "threshold": "> 0", "value": 1, "outcome": "pass"}
    old = Verdict.from_dict({**kept, "offenders": [], "reason": "", "of_a_later_version": 7})
    assert (old.name, old.must_be, old.live, old.remedy) == ("a", "> 0", None, "")


NOT_JUDGED = {
    "brands_are_present": "100.0% of fashion_demo's products have one read from their titles",
    "nothing_much_is_lost": "nothing is live yet",
    "prices_are_distributed_as_expected": "no price",
    "preserved_vectors_are_bit_for_bit": "no vector came",
    "vector_search_uses_the_index": "40 vectors",
    "recommendations_are_new": "no people",
    "new_layout_is_not_slower": "fashion-assets bench layouts",
    "vector_search_bears_its_load": "40 products are too few",
    "hybrid_search_bears_its_load": "40 products are too few",
}


def test_a_sound_candidate_passes_and_what_is_not_judged_says_why(candidate: Candidate):
    verdicts = {verdict.name: verdict for verdict in judge(candidate)}
    assert [name for name, verdict in verdicts.items() if verdict.outcome == "fail"] == []
    reasons = {
        name: verdict.reason for name, verdict in verdicts.items() if verdict.outcome == "not applicable"
    }
    assert set(reasons) == set(NOT_JUDGED)
    assert all(NOT_JUDGED[name] in reason for name, reason in reasons.items())


@pytest.mark.parametrize("name", sorted(DAMAGE))
def test_the_damage_is_seen_and_the_swap_refuses(strict: Candidate, name: str):
    damage(strict, DAMAGE[name])
    with pytest.raises(PromotionRefused) as refused:
        promote(strict.conn, strict.settings, strict.release)
    (verdict,) = [verdict for verdict in refused.value.failed if verdict.name == name]
    assert verdict.outcome == "fail" and verdict.remedy
    live = releases.live(strict.conn)
    assert live is None or live.release != strict.release.release


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


@pytest.mark.parametrize(
    ("name", "damage_done"),
    [
        ("critical_fields_are_not_null", "UPDATE {products} SET image_path = NULL WHERE external_id = '7'"),
        ("critical_fields_are_not_null", "UPDATE {products} SET gender = NULL WHERE external_id = '7'"),
        (
            "embeddings_are_complete",
            "UPDATE {products} SET embedding = NULL, embedding_space = NULL WHERE external_id = '7'",
        ),
        ("embeddings_are_complete", "UPDATE {embeddings} SET served = false"),
    ],
)
def test_what_the_profile_of_a_source_asks_for_is_missed(candidate: Candidate, name: str, damage_done: str):
    damage(candidate, damage_done)
    assert verdict_of(candidate, name).outcome == "fail"


BARE = (
    "UPDATE {products} SET image_path = NULL, image_sha256 = NULL, image_width = NULL, image_height = NULL, gender = NULL, "
    "brand_origin = 'source' WHERE external_id::int > 20;"
    "UPDATE {products} SET brand = NULL WHERE external_id::int > 30;"
    "UPDATE {products} SET title = NULL, embedding = NULL, embedding_space = NULL WHERE external_id::int > 38;"
    "DELETE FROM {embeddings} e USING {products} p WHERE p.product_id = e.product_id AND p.embedding IS NULL"
)
"""Twenty products of the kind second-hand markets have; two of them only show a picture, which cannot be had."""


def test_a_marketplace_is_held_to_its_own_profile_and_what_it_lacks_is_counted(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
):
    damage(candidate, BARE)
    shops = {
        name: verdict_of(candidate, name) for name in ("critical_fields_are_not_null", "brands_are_present")
    }
    assert {verdict.outcome for verdict in shops.values()} == {"fail"}
    market = Profile(critical=("category",), picture="optional")
    monkeypatch.setattr("fashion_assets.sources.sample.Sample.profile", market, raising=False)
    candidate.conn.execute("UPDATE fashion_ops.sources SET kind = 'sample', location = '40'")
    verdicts = {verdict.name: verdict for verdict in judge(candidate)}
    # Two have nothing to show: that nobody's profile allows.
    assert verdicts["critical_fields_are_not_null"].value == 2
    damage(
        candidate,
        "UPDATE {products} SET title = 'whole', embedding = (SELECT embedding FROM {products} LIMIT 0) WHERE title IS NULL",
    )
    assert verdict_of(candidate, "critical_fields_are_not_null").outcome == "pass"
    assert "brands are stated by marketplaces alone" in verdicts["brands_are_present"].reason
    assert "20 products have none" in verdicts["image_paths_are_valid"].reason
    assert "2 products can have none" in verdicts["embeddings_are_complete"].reason
    failed = {name for name, verdict in verdicts.items() if verdict.outcome == "fail"}
    # What has no vector any more still has a style.
    assert failed == {"critical_fields_are_not_null", "every_product_has_a_style"}


def test_vectors_that_were_refused_are_told(candidate: Candidate):
    counted = [{"space": "clip", "kind": "text", "reason": "vector_all_zero", "vectors": 7, "products": []}]
    candidate.conn.execute("UPDATE fashion_ops.release_batches SET refused_vectors = %s", (Jsonb(counted),))
    verdict = verdict_of(candidate, "embeddings_are_complete")
    lacking = releases.lacking(candidate.conn, candidate.release.release)
    assert lacking == {"without_picture": 0, "without_vector": 0, "refused_vectors": 14}
    assert verdict.outcome == "pass" and "14 that came are none: clip text, vector_all_zero" in verdict.reason


def test_brands_nobody_states_are_not_judged(candidate: Candidate):
    damage(candidate, "UPDATE {products} SET brand = NULL, brand_origin = NULL WHERE external_id::int > 10")
    verdict = verdict_of(candidate, "brands_are_present")
    assert verdict.outcome == "not applicable"
    assert (
        verdict.reason
        == "no source states brands; 25.0% of fashion_demo's products have one read from their titles"
    )
    damage(candidate, "UPDATE {products} SET brand = NULL, brand_origin = NULL")
    verdict = verdict_of(candidate, "brands_are_present")
    assert (verdict.outcome, verdict.reason) == ("not applicable", "no source states brands")


def test_a_source_without_brands_takes_nothing_from_one_that_states_them(candidate: Candidate):
    damage(
        candidate,
        "UPDATE {products} SET brand = NULL, brand_origin = NULL, source = 'silent' WHERE external_id::int > 10;"
        "UPDATE {products} SET brand_origin = 'source' WHERE external_id::int <= 10",
    )
    verdict = verdict_of(candidate, "brands_are_present")
    assert (verdict.outcome, verdict.value) == ("pass", 1.0)


def test_prices_are_those_that_were_read(candidate: Candidate):
    read_prices(candidate, {str(number): f"{number}.5" for number in range(1, 41)})
    damage(candidate, "UPDATE {products} SET price = external_id::int + 0.5")
    verdict = verdict_of(candidate, "prices_are_distributed_as_expected")
    assert (verdict.outcome, verdict.value, verdict.reason) == ("pass", 0.0, "40 prices read, 40 kept")

    # One price of forty moves no distribution beyond any limit, and is still another one.
    damage(candidate, "UPDATE {products} SET price = 7.49 WHERE external_id = '7'")
    verdict = verdict_of(with_settings(candidate, max_price_shift=0.5), "prices_are_distributed_as_expected")
    assert (verdict.outcome, verdict.reason) == ("fail", "40 prices read, 40 kept; 1 differ")
    assert verdict.offenders == ["7: read 7.50, kept 7.49"]

    damage(candidate, "UPDATE {products} SET price = NULL WHERE external_id = '7'")
    assert verdict_of(candidate, "prices_are_distributed_as_expected").offenders == [
        "7: read 7.50, kept none"
    ]


def test_prices_of_batches_that_were_read_anew_are_not_compared(candidate: Candidate):
    read_prices(candidate, {str(number): "5" for number in range(1, 41)})
    damage(
        candidate,
        "UPDATE {products} SET price = 5; UPDATE fashion_ops.batches SET content_version = 'another' "
        "WHERE batch = 'fashion_demo-00002'",
    )
    verdict = verdict_of(candidate, "prices_are_distributed_as_expected")
    assert verdict.outcome == "pass"
    assert verdict.reason == "20 prices read, 20 kept; the listings of 20 products were read anew since"
