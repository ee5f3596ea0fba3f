"""What Dagster shows: the assets, checks, jobs, sensor and schedule, and how cheaply they load."""

import os
import subprocess
import sys
from collections import defaultdict
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from fashion_assets.backfill.validation import CRITERIA as BACKFILL_CRITERIA
from fashion_assets.batches.rows import ROW_STAGES
from fashion_assets.batches.stages import STAGES
from fashion_assets.catalog.attributes import SPARSE
from fashion_assets.catalog.listing import ATTRIBUTES, COLUMNS_IN_WORDS
from fashion_assets.criteria.batch import BATCH_CRITERIA
from fashion_assets.criteria.candidate import CANDIDATE_CRITERIA
from fashion_assets.criteria.expectations import EXPECTATIONS
from fashion_assets.criteria.listings import RAW, VALIDATED
from fashion_assets.criteria.requirements import in_words
from fashion_assets.criteria.verdict import Verdict
from fashion_assets.definitions import defs
from fashion_assets.defs.described import SERVED
from fashion_assets.defs.verdicts import check_result, check_specs
from fashion_assets.places import DAGSTER_FILES
from fashion_assets.warehouse.serving import PRODUCTS

RATE = next(criterion for criterion in VALIDATED if criterion.name == "rejection_rate_is_bearable")

SOURCE = {"source_listings": "catalog"}
BATCH_ASSETS = {
    "raw_listings": "catalog",
    "validated_products": "catalog",
    "quarantined_listings": "catalog",
    "normalized_attributes": "catalog",
    "properties": "catalog",
    "image_embeddings": "embeddings",
    "text_embeddings": "embeddings",
    "product_embeddings": "embeddings",
}
TABLE_ASSETS = {"raw_rows": "tables", "validated_rows": "tables", "quarantined_rows": "tables"}
ROW_VERSIONED = {"validated_rows", "quarantined_rows"}
RELEASE_ASSETS = {
    "products": "release",
    "style_clusters": "release",
    "product_style_affinity": "release",
    "product_embeddings_index": "release",
    "search_benchmarks": "benchmarks",
    "migration_report": "release",
    "live_release": "release",
}
MEASURING_ASSETS = {
    "recall_benchmark": "benchmarks",
    "latency_benchmark": "benchmarks",
    "layout_benchmark": "benchmarks",
    "relevance_benchmark": "benchmarks",
}
DOCUMENTS = {"wardrobe_backfill": "wardrobe"}
WRITING = {"written_stories": "stories"}
SYNC = {"synced_release": "sync"}
CHECKS = {
    "wardrobe_backfill": {
        "normalized_values_are_canonical",
        "documents_are_found_by_what_they_state",
        "normalized_agrees_with_originals",
    },
    "raw_listings": {"every_reference_is_read", "records_are_whole_json"},
    "validated_products": {"listings_are_products_or_quarantined", "rejection_rate_is_bearable"},
    "quarantined_listings": {"rejections_have_reasons"},
    "normalized_attributes": {
        "every_product_is_normalized",
        "originals_are_untouched",
        "values_are_canonical",
        "every_product_has_a_story",
        "stories_say_what_records_say",
    },
    "properties": {"every_product_is_read", "stated_values_win", "what_is_filled_says_where_from"},
    **{
        asset: {f"{asset}_cover_every_product", f"{asset}_fit_their_space", f"{asset}_are_of_unit_length"}
        for asset in ("image_embeddings", "text_embeddings")
    },
    "product_embeddings": {
        "product_embeddings_cover_every_product",
        "product_embeddings_fit_their_space",
        "product_embeddings_are_of_unit_length",
        "vectors_that_came_are_kept",
    },
    "raw_rows": {"every_row_is_read"},
    "validated_rows": {"rows_are_kept_or_quarantined"},
    "quarantined_rows": {"rejected_rows_have_reasons"},
    "products": {
        "every_batch_is_loaded",
        "table_rows_are_accounted_for",
        "listings_are_accounted_for",
        "there_are_products",
        "nothing_is_lost",
        "preserved_vectors_are_bit_for_bit",
        "nothing_much_is_lost",
        "product_ids_are_unique",
        "critical_fields_are_not_null",
        "image_paths_are_valid",
        "brands_are_present",
        "prices_are_distributed_as_expected",
        "embeddings_are_complete",
        "product_ids_are_mapped",
        "title_is_never_null",
        "gender_is_never_null",
        "category_is_never_null",
        "article_type_is_never_null",
        "image_path_is_never_null",
        "product_id_is_unique",
        "price_is_in_range",
        "year_is_plausible",
        "title_is_never_empty",
        "description_is_never_empty",
        "brand_is_never_empty",
        "currency_is_never_empty",
        "size_is_never_empty",
        "condition_is_in_its_vocabulary",
        "image_width_is_positive",
        "image_sha256_is_a_digest",
        "gender_is_in_its_vocabulary",
        "category_is_in_its_vocabulary",
        "sub_category_is_in_its_vocabulary",
        "article_type_is_in_its_vocabulary",
        "colour_is_in_its_vocabulary",
        "season_is_in_its_vocabulary",
        "usage_is_in_its_vocabulary",
        *(f"{name}_is_in_its_vocabulary" for name in SPARSE),
        "pictures_load",
    },
    "style_clusters": {"styles_are_told_apart"},
    "product_style_affinity": {"every_product_has_a_style", "styles_are_the_nearest"},
    "product_embeddings_index": {
        "vector_index_is_whole",
        "vector_search_uses_the_index",
        "vector_index_is_small",
        "vector_search_finds_the_product",
        "titles_find_their_article_type",
        "text_search_finds_the_product",
        "picture_search_finds_the_product",
        "filters_leave_what_meets_them",
        "recommendations_are_new",
        "listing_is_quick",
        "vector_search_is_quick",
        "picture_search_is_quick",
        "errors_are_no_more_than_before",
    },
    "search_benchmarks": {
        "new_layout_is_not_slower",
        "vector_search_bears_its_load",
        "hybrid_search_bears_its_load",
        "filtered_search_keeps_its_recall",
    },
}


@pytest.fixture(scope="module")
def repository() -> dg.RepositoryDefinition:
    return defs().get_repository_def()


def test_assets_depend_on_what_their_stages_take(repository: dg.RepositoryDefinition):
    graph = repository.asset_graph
    for stages in (STAGES, ROW_STAGES):
        made: set[str] = set()
        for stage in stages:
            taken = {file.name for file in stage.takes}
            assert taken <= made, stage.name
            made |= {file.name for file in stage.makes}
            for file in stage.makes:
                parents = {key.to_user_string() for key in graph.get(dg.AssetKey(file.name)).parent_keys}
                assert parents - {"source_listings"} == taken, file.name


def test_loading_needs_no_database_and_no_heavy_library(tmp_path: Path):
    """The code location is loaded by every Dagster process, and by the UI again and again."""
    script = (
        "import sys; from fashion_assets.definitions import defs; defs().get_repository_def();"
        "print({'torch', 'sentence_transformers', 'transformers', 'great_expectations'} & set(sys.modules))"
    )
    nowhere = {
        "FASHION_ASSETS_HOME": str(tmp_path / "home"),
        "FASHION_ASSETS_DATABASE_URL": "postgresql://nobody:nothing@127.0.0.1:1/nothing",
    }
    loaded = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | nowhere,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.strip() == "set()"
    assert not (tmp_path / "home").exists()


def test_the_assets_are_these_and_each_says_what_and_whose_it_is(repository: dg.RepositoryDefinition):
    graph = repository.asset_graph
    nodes = {key.to_user_string(): graph.get(key) for key in graph.get_all_asset_keys()}
    assert {
        name: node.group_name for name, node in nodes.items()
    } == SOURCE | BATCH_ASSETS | TABLE_ASSETS | RELEASE_ASSETS | MEASURING_ASSETS | DOCUMENTS | WRITING | SYNC
    for name, node in nodes.items():
        assert node.description, name
        assert node.owners and all(owner.startswith("team:") for owner in node.owners), name
        assert node.kinds, name
        about = "source" if name in SOURCE else "batch" if name in BATCH_ASSETS | TABLE_ASSETS else "release"
        about = "documents" if name in DOCUMENTS else "products" if name in WRITING else about
        assert node.tags["granularity"] == about, name


def columns(repository: dg.RepositoryDefinition, asset: str) -> dict[str, dg.TableColumn]:
    schema = repository.asset_graph.get(dg.AssetKey(asset)).metadata["dagster/column_schema"]
    return {column.name: column for column in schema.columns}


def test_assets_say_which_columns_they_have_and_what_is_in_them(repository: dg.RepositoryDefinition):
    for asset in BATCH_ASSETS:
        unsaid = {name for name, column in columns(repository, asset).items() if not column.description}
        # The attributes' names say it.
        assert unsaid <= set(ATTRIBUTES), asset
    assert set(columns(repository, "products")) == set(PRODUCTS.copied)
    assert columns(repository, "products")["colour"].description == PRODUCTS.comments["colour"]
    assert columns(repository, "raw_listings")["price"].type == "string"
    assert columns(repository, "validated_products")["price"].type == "decimal128(12, 2)"
    assert not columns(repository, "raw_listings")["record"].constraints.nullable
    shown = {name for asset in (*BATCH_ASSETS, "products") for name in columns(repository, asset)}
    assert set(COLUMNS_IN_WORDS) <= shown  # nothing is said of what is not there


def test_assets_say_which_code_and_which_table_they_are_of(
    repository: dg.RepositoryDefinition, monkeypatch: pytest.MonkeyPatch
):
    graph = repository.asset_graph
    nodes = {key.to_user_string(): graph.get(key) for key in graph.get_all_asset_keys()}
    tables = {
        name: node.metadata["dagster/table_name"]
        for name, node in nodes.items()
        if "dagster/table_name" in node.metadata
    }
    assert tables == {
        "synced_release": "fashion_sota.products",
        "quarantined_listings": "fashion_ops.quarantine",
        "quarantined_rows": "fashion_ops.quarantine",
        "image_embeddings": "fashion_ops.embeddings",
        "text_embeddings": "fashion_ops.embeddings",
        "live_release": "fashion_sota.products",
    }
    versions = {name: node.code_version for name, node in nodes.items() if node.code_version}
    assert set(versions) == {
        *BATCH_ASSETS,
        *ROW_VERSIONED,
        "products",
        "style_clusters",
        "product_style_affinity",
        "product_embeddings_index",
        "live_release",
        "synced_release",
    }
    monkeypatch.setenv("FASHION_ASSETS_MODEL", "openai/clip")
    monkeypatch.setenv("FASHION_ASSETS_SOURCE_CODE_URL", "https://git.example/blob/main/")
    other = defs().get_repository_def().asset_graph
    assert versions["image_embeddings"] == "shipped"
    assert other.get(dg.AssetKey("image_embeddings")).code_version == "openai/clip"

    for name, node in nodes.items():
        if name in SOURCE:
            continue
        (place,) = node.metadata["dagster/code_references"].code_references
        said = Path(place.file_path).read_text("utf-8").splitlines()[place.line_number - 1 :]
        assert place.file_path.startswith(str(DAGSTER_FILES / "fashion_assets" / "defs"))
        assert "asset" in said[0], name  # the decorator
        (linked,) = other.get(node.key).metadata["dagster/code_references"].code_references
        at = Path(place.file_path).relative_to(DAGSTER_FILES).as_posix()
        assert linked.url == f"https://git.example/blob/main/{at}#L{place.line_number}"


def test_the_source_and_what_is_live_may_be_overdue_batches_may_not(
    repository: dg.RepositoryDefinition, monkeypatch: pytest.MonkeyPatch
):
    def policies(of: dg.RepositoryDefinition) -> dict:
        graph = of.asset_graph
        return {key.to_user_string(): graph.get(key).freshness_policy for key in graph.get_all_asset_keys()}

    known = policies(repository)
    assert {name for name, policy in known.items() if policy} == {*SOURCE, *SERVED}
    window = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=7), warn_window=timedelta(days=3.5))
    assert {known[name] for name in SERVED} == {window}
    monkeypatch.setenv("FASHION_ASSETS_STALE_AFTER_DAYS", "0")
    assert not any(policies(defs().get_repository_def()).values())


def test_the_source_is_an_asset_that_others_make(repository: dg.RepositoryDefinition):
    graph = repository.asset_graph
    (source,) = (graph.get(dg.AssetKey(name)) for name in SOURCE)
    assert source.is_external and not source.is_executable
    assert {key.to_user_string() for key in source.child_keys} == {
        "raw_listings",
        "raw_rows",
        "synced_release",
    }


def test_loading_warns_of_nothing_of_ours():
    """Deprecations, previews and betas of Dagster that a person would be told of at every start."""
    script = (
        "import warnings; warnings.simplefilter('always');"
        "from fashion_assets.definitions import defs; defs().get_repository_def()"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    ours = [line for line in loaded.stderr.splitlines() if "fashion_assets" in line or "Dagster" in line]
    assert ours == []


def test_batches_are_partitions_and_releases_are_made_of_all_of_them(repository: dg.RepositoryDefinition):
    graph = repository.asset_graph
    partitions = {key.to_user_string(): graph.get(key).partitions_def for key in graph.get_all_asset_keys()}
    for name in BATCH_ASSETS:
        partitioned = partitions[name]
        assert isinstance(partitioned, dg.DynamicPartitionsDefinition) and partitioned.name == "batches"
    assert all(partitions[name] is None for name in RELEASE_ASSETS | MEASURING_ASSETS)


def test_the_checks_are_these_and_those_of_batches_block(repository: dg.RepositoryDefinition):
    graph = repository.asset_graph
    names: dict[str, set[str]] = defaultdict(set)
    for key in graph.asset_check_keys:
        asset = key.asset_key.to_user_string()
        names[asset].add(key.name)
        spec = graph.get_check_spec(key)
        assert spec.blocking is (asset in BATCH_ASSETS | TABLE_ASSETS), key
        assert spec.description, key
        assert (spec.partitions_def is not None) is (asset in BATCH_ASSETS | TABLE_ASSETS), key
    assert dict(names) == CHECKS


def test_every_criterion_and_expectation_has_its_check(repository: dg.RepositoryDefinition):
    keys = {(key.asset_key.to_user_string(), key.name) for key in repository.asset_graph.asset_check_keys}
    declared = [(c.asset, c.name) for c in [*BATCH_CRITERIA, *CANDIDATE_CRITERIA, *BACKFILL_CRITERIA]]
    declared += [("products", expectation.name) for expectation in EXPECTATIONS]
    assert len(declared) == len(set(declared))
    assert keys == set(declared)


def test_a_check_says_what_must_hold_the_limit_in_force_and_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FASHION_ASSETS_MAX_REJECTION_RATE", "0.17")
    spec, _ = check_specs([RATE, *RAW], blocking=True)[:2]
    assert spec.description == (
        "The share of rejected listings is below the limit: in the batch, or else in its source so far and among those of the "
        "batch that were products before: at most 17% (set by FASHION_ASSETS_MAX_REJECTION_RATE). Requirement "
        + in_words("A2")
    )
    assert spec.metadata["threshold"].endswith("at most 17% (set by FASHION_ASSETS_MAX_REJECTION_RATE)")
    assert spec.metadata["remedy"] == RATE.remedy


def test_a_result_says_what_was_in_force_what_is_live_and_what_to_do():
    verdict = Verdict(
        "n",
        "A7",
        "It is found",
        "at least 0.9",
        0.5,
        "fail",
        ["x"],
        "of 9",
        ["FASHION_ASSETS_N"],
        "Mend it.",
        0.95,
    )
    metadata = check_result(verdict, "products").metadata
    assert {name: value.value for name, value in metadata.items()} == {
        "outcome": "fail",
        "value": 0.5,
        "threshold": "at least 0.9 (set by FASHION_ASSETS_N)",
        "claim": "It is found",
        "requirement": in_words("A7"),
        "live_release": "0.95",
        "reason": "of 9",
        "remedy": "Mend it.",
        "offenders": "- x",
    }


def test_the_jobs_do_what_they_are_called(repository: dg.RepositoryDefinition):
    jobs = {job.name: job for job in repository.get_all_jobs() if not job.name.startswith("__")}
    selected = {
        name: {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
        for name, job in jobs.items()
    }
    assert selected == {
        "migrate_batch": set(BATCH_ASSETS),
        "migrate_rows": set(TABLE_ASSETS),
        "backfill_wardrobe": set(DOCUMENTS),
        "write_stories": set(WRITING),
        "sync_release": set(SYNC),
        "build_release": set(RELEASE_ASSETS),
        "approve_candidate": set(),
        "check_batch": set(),
        "check_release": set(),
        "scan_sources": set(),
        "build_candidate": set(RELEASE_ASSETS) - {"live_release"},
        "promote_candidate": {"live_release"},
        "promote_smaller_candidate": {"live_release"},
        "measure_release": set(MEASURING_ASSETS),
    }
    for name in ("migrate_batch", "migrate_rows", "check_batch"):
        assert isinstance(jobs[name].partitions_def, dg.DynamicPartitionsDefinition)
    assert jobs["build_release"].partitions_def is None
    # Launched as it is, it says what a person has to say.
    assert jobs["promote_smaller_candidate"].run_config == {
        "ops": {"live_release": {"config": {"allow_shrink": True}}}
    }


def test_a_sensor_and_a_schedule_ask_for_runs_once_somebody_turns_them_on(
    repository: dg.RepositoryDefinition,
):
    sensors = {sensor.name: sensor for sensor in repository.sensor_defs}
    sensor = sensors.pop("new_or_changed_batches")
    # It asks for nothing, and is on so that what syncs keep fresh is not called overdue.
    assert sensors.pop("served_is_in_step").default_status is dg.DefaultSensorStatus.RUNNING
    assert set(sensors) == {
        "changes_of_sources",
        "tell_of_failed_runs",
        "tell_of_waiting_releases",
        "tell_of_stale_sources",
        "tell_of_the_installation",
    }
    assert all(each.default_status is dg.DefaultSensorStatus.STOPPED for each in sensors.values())
    assert {target.job_name for target in sensor.targets} == {
        "migrate_batch",
        "migrate_rows",
        "build_release",
    }
    (schedule,) = repository.schedule_defs
    assert (schedule.name, schedule.job_name) == ("nightly_release", "build_release")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 3 * * *", "UTC")
    assert "asks for their runs" in (sensor.description or "")
    assert "Every night" in (schedule.description or "")
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED


def test_only_embedding_waits_in_the_gpu_pool(repository: dg.RepositoryDefinition):
    graph = repository.asset_graph
    pools = {key.to_user_string(): graph.get(key).pools for key in graph.get_all_asset_keys()}
    assert {name for name, pool in pools.items() if pool} == {"image_embeddings", "text_embeddings"}
    assert pools["image_embeddings"] == pools["text_embeddings"] == {"gpu"}
