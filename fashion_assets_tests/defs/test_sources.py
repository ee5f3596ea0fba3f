"""The source as an asset, the job that looks at it, and partitions that are none."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from fashion_assets.batches.files import OF_LISTINGS
from fashion_assets.defs.metadata import kind_in_words
from fashion_assets.defs.sources import CatalogueResource, note
from fashion_assets.outcome import MigrationResult
from fashion_assets.settings import Settings
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.sources import active_sources
from fashion_assets.worker import repository
from fashion_assets_tests.catalogue import line, replace_line, write_catalogue
from fashion_assets_tests.defs.test_automation import evaluate, skipped
from fashion_assets_tests.defs.test_checking import execute, failure
from fashion_assets_tests.defs.test_definitions import columns

SOURCE = dg.AssetKey("source_listings")


def scanned(instance: dg.DagsterInstance, **config: str) -> dg.ExecuteInProcessResult:
    return execute(instance, "scan_sources", config={"ops": {"scan": {"config": config}}})


def delivered(instance: dg.DagsterInstance) -> dict:
    (record,) = instance.fetch_materializations(SOURCE, limit=1).records
    assert record.asset_materialization is not None
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def counts(instance: dg.DagsterInstance) -> tuple[int, int]:
    """How often the source delivered, and how often it was only looked at."""
    return (
        len(instance.fetch_materializations(SOURCE, limit=100).records),
        len(instance.fetch_observations(SOURCE, limit=100).records),
    )


def test_a_person_begins_in_the_ui_with_a_folder(
    instance: dg.DagsterInstance,
    database: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("FASHION_ASSETS_BATCH_SIZE", "20")
    nothing = scanned(instance)
    assert not nothing.success and "the folder of a catalogue" in failure(nothing)
    folder = write_catalogue(tmp_path / "catalogue", 25)
    assert scanned(instance, folder=str(folder)).success
    assert instance.get_dynamic_partitions("batches") == ["fashion_demo-00001", "fashion_demo-00002"]
    found = delivered(instance)
    assert (found["dagster/row_count"], found["new"], found["changed"], found["gone"]) == (25, 25, 0, 0)
    assert (found["source"], found["location"]) == ("fashion_demo", str(folder))

    # Looked at again: the same source, without naming it.
    assert scanned(instance).success
    assert counts(instance) == (1, 1)
    replace_line(folder, 1, line(1, "Nike Women Skirt"))
    assert scanned(instance).success
    assert counts(instance) == (2, 1) and delivered(instance)["changed"] == 1

    # A folder that is none takes nobody's place.
    wrong = scanned(instance, folder=str(tmp_path / "nowhere"), name="other")
    assert not wrong.success and "nowhere" in failure(wrong)
    assert [(source.name, source.location) for source in active_sources(database)] == [
        ("fashion_demo", str(folder))
    ]


def test_the_sensor_and_the_command_say_what_they_found(
    migrate: Callable[..., MigrationResult], instance: dg.DagsterInstance, settings: Settings, tmp_path: Path
):
    folder = write_catalogue(tmp_path / "catalogue", 25)
    assert migrate(folder).live
    assert counts(instance) == (1, 0) and delivered(instance)["new"] == 25
    for _ in range(3):  # every minute, and told once an hour
        assert skipped(evaluate(instance)) == "nothing changed"
    assert counts(instance) == (1, 1)
    replace_line(folder, 1, line(1, "Nike Women Skirt"))
    assert evaluate(instance).run_requests
    assert counts(instance) == (2, 1) and delivered(instance)["changed"] == 1


def test_each_source_is_told_of_for_itself(instance: dg.DagsterInstance):
    def looked_at(source: str) -> dg.AssetObservation:
        return dg.AssetObservation(SOURCE, metadata={"source": source})

    # Every minute both; that nothing changed is told once an hour, of either.
    note(instance, [looked_at("shop"), looked_at("outlet")])
    note(instance, [looked_at("shop"), looked_at("outlet")])
    told = instance.fetch_observations(SOURCE, limit=10).records
    assert [
        record.asset_observation.metadata["source"].value for record in told if record.asset_observation
    ] == ["outlet", "shop"]


def test_files_have_the_columns_their_assets_say(
    migrate: Callable[..., MigrationResult], settings: Settings, instance: dg.DagsterInstance, tmp_path: Path
):
    assert migrate(write_catalogue(tmp_path / "catalogue", 5)).live
    store, definitions = ParquetStore(settings.assets_url), repository().get_repository_def()
    for stage in (file.name for file in OF_LISTINGS.files):
        schema = store.read(stage, "fashion_demo-00001").schema
        said = {
            name: (column.type, column.constraints.nullable)
            for name, column in columns(definitions, stage).items()
        }
        assert {
            name: (kind_in_words(schema.field(name).type), schema.field(name).nullable)
            for name in schema.names
        } == said, stage
    # And the tables those that the database has, with what it says of them.
    for asset in ("products", "live_release"):
        event = instance.get_latest_materialization_event(dg.AssetKey(asset))
        assert event is not None and event.asset_materialization is not None
        schema = event.asset_materialization.metadata["dagster/column_schema"].value
        assert isinstance(schema, dg.TableSchema)
        types = {column.name: column.type for column in schema.columns}
        assert (
            types["product_id"] == "uuid"
            and types["embedding"] == "halfvec"
            and types["price"] == "numeric(12,2)"
        )


def test_a_catalogue_given_by_the_code_location_is_the_source(
    database: psycopg.Connection, settings: Settings, tmp_path: Path
):
    one, two = (write_catalogue(tmp_path / name, 3) for name in ("one", "two"))
    for folder in (one, two, two):
        with database.transaction():
            CatalogueResource(name="shop", folder=str(folder)).activate(database)
        (source,) = active_sources(database)
        assert (source.name, source.kind, source.location) == ("shop", "folder", str(folder))
    CatalogueResource().activate(database)
    assert [source.location for source in active_sources(database)] == [str(two)]


def test_a_partition_that_is_no_batch_is_refused_in_words(instance: dg.DagsterInstance):
    instance.add_dynamic_partitions("batches", ["abc"])
    run = execute(instance, "migrate_batch", "abc")
    assert not run.success
    said = failure(run)
    assert (
        "there is no batch 'abc' in the register" in said
        and "scan_sources" in said
        and "remove this partition" in said
    )
    # So is a later stage of it, materialized by itself.
    run = (
        repository()
        .resolve_job_def("migrate_batch")
        .execute_in_process(
            instance=instance,
            partition_key="abc",
            asset_selection=[dg.AssetKey("normalized_attributes")],
            raise_on_error=False,
        )
    )
    assert not run.success and "validated_products has no file of batch 'abc'" in failure(run)
