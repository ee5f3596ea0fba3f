"""Checks again, by themselves: of a batch from its files, of a release from its tables."""

from collections.abc import Iterator

import dagster as dg
import pyarrow as pa
import pytest
from psycopg import sql

from fashion_assets.criteria.batch import BATCH_CRITERIA
from fashion_assets.criteria.candidate import CANDIDATE_CRITERIA
from fashion_assets.criteria.expectations import EXPECTATIONS
from fashion_assets.criteria.subject import Candidate
from fashion_assets.places import DAGSTER_FILES
from fashion_assets.release.swap import promote
from fashion_assets.settings import Settings
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.worker import repository

BATCH, OTHER = "fashion_demo-00001", "fashion_demo-00002"


@pytest.fixture
def instance(candidate: Candidate) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(DAGSTER_FILES)) as instance:
        instance.add_dynamic_partitions("batches", [BATCH, OTHER, "abc"])
        yield instance


def execute(instance: dg.DagsterInstance, job: str, batch: str | None = None, config: dict | None = None):
    return (
        repository()
        .resolve_job_def(job)
        .execute_in_process(
            instance=instance, partition_key=batch, raise_on_error=False, run_config=config or {}
        )
    )


def failure(run: dg.ExecuteInProcessResult) -> str:
    (failed,) = run.filter_events(lambda event: event.is_step_failure)
    return failed.step_failure_data.user_failure_data.description  # type: ignore[union-attr, return-value]


def failed_checks(run: dg.ExecuteInProcessResult) -> set[str]:
    return {check.check_name for check in run.get_asset_check_evaluations() if not check.passed}


def test_the_checks_of_a_batch_are_made_again_from_its_files(
    candidate: Candidate, instance: dg.DagsterInstance
):
    before = instance.get_latest_materialization_event(dg.AssetKey("product_embeddings"))
    run = execute(instance, "check_batch", BATCH)
    assert run.success
    checks = run.get_asset_check_evaluations()
    assert {(check.asset_key.to_user_string(), check.check_name) for check in checks} == {
        (criterion.asset, criterion.name)
        for criterion in BATCH_CRITERIA
        if not criterion.asset.endswith("_rows")  # of tables beside the listings
    }
    assert {(check.partition, check.blocking) for check in checks} == {(BATCH, True)}
    assert all(check.passed for check in checks)
    assert instance.get_latest_materialization_event(dg.AssetKey("product_embeddings")) == before

    # A file that is no longer what it was: that batch fails, by name, and no other.
    store = ParquetStore(candidate.settings.assets_url)
    table = store.read("normalized_attributes", BATCH)
    shouted = table.set_column(
        table.schema.get_field_index("colour"), "colour", pa.array(["RED "] * table.num_rows, pa.string())
    )
    store.write(shouted, "normalized_attributes", BATCH)
    run = execute(instance, "check_batch", BATCH)
    assert not run.success and failed_checks(run) == {"values_are_canonical"}
    (record,) = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey("normalized_attributes"), "values_are_canonical"), limit=1
    )
    assert record.run_id == run.run_id and record.partition == BATCH
    assert execute(instance, "check_batch", OTHER).success


def test_a_batch_that_never_ran_and_one_that_is_none_are_told(
    candidate: Candidate, instance: dg.DagsterInstance
):
    ParquetStore(candidate.settings.assets_url).delete("text_embeddings", OTHER)
    run = execute(instance, "check_batch", OTHER)
    assert not run.success
    assert f"batch {OTHER} has no file of text_embeddings" in failure(run) and "migrate_batch" in failure(run)
    run = execute(instance, "check_batch", "abc")
    assert not run.success and "there is no batch 'abc' in the register" in failure(run)


def test_the_checks_of_a_release_are_made_of_the_candidate_the_live_one_or_the_one_named(
    candidate: Candidate, instance: dg.DagsterInstance
):
    release, asked = candidate.release.release, "config"
    run = execute(instance, "check_release")
    assert run.success
    checks = run.get_asset_check_evaluations()
    assert {check.check_name for check in checks} == {
        *(criterion.name for criterion in CANDIDATE_CRITERIA),
        *(expectation.name for expectation in EXPECTATIONS),
    }
    assert {check.metadata["release"].value for check in checks} == {release}
    assert not run.get_asset_materialization_events()

    promote(candidate.conn, candidate.settings, candidate.release)
    candidate.conn.execute(
        sql.SQL("DELETE FROM {} WHERE external_id = '7'").format(candidate.release.table("products"))
    )
    candidate.conn.commit()
    run = execute(instance, "check_release")
    # They hold nothing up: what is live stays so.
    assert run.success and "listings_are_accounted_for" in failed_checks(run)
    assert {check.metadata["release"].value for check in run.get_asset_check_evaluations()} == {release}

    # One by itself, as the button beside it does.
    one = dg.AssetCheckKey(dg.AssetKey("product_embeddings_index"), "vector_index_is_whole")
    alone = repository().resolve_job_def("check_release").get_subset(asset_check_selection={one})
    run = alone.execute_in_process(instance=instance, raise_on_error=False)
    assert run.success and [check.check_name for check in run.get_asset_check_evaluations()] == [one.name]

    named = {"ops": {"products_criteria": {asked: {"release": "fashion_sota_r0099"}}}}
    run = execute(instance, "check_release", config=named)
    assert not run.success and "known releases: " + release in failure(run)


def test_without_a_release_there_is_nothing_to_check(settings: Settings):
    with dg.DagsterInstance.from_config(str(DAGSTER_FILES)) as instance:
        run = execute(instance, "check_release")
    assert not run.success
    said = [
        event.step_failure_data.user_failure_data
        for event in run.filter_events(lambda event: event.is_step_failure)
    ]
    assert said and all(
        each is not None and "there is no candidate" in str(each.description) for each in said
    )
