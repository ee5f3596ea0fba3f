"""Runs that Dagster starts take turns with those of the command line, and with each other."""

import threading
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from fashion_assets.release.scan import scan_active_sources
from fashion_assets.run_tags import RUNNER, this_process
from fashion_assets.settings import Settings
from fashion_assets.warehouse.locks import run_lock
from fashion_assets.warehouse.sources import activate_source
from fashion_assets.worker import repository
from fashion_assets_tests.catalogue import write_catalogue
from fashion_assets_tests.defs.test_automation import evaluate, skipped

BATCH = "fashion_demo-00001"


@pytest.fixture
def batch(settings: Settings, database: psycopg.Connection, instance: dg.DagsterInstance, tmp_path: Path):
    """A batch that is registered and was never run."""
    with database.transaction():
        activate_source(database, "fashion_demo", "folder", str(write_catalogue(tmp_path / "catalogue", 3)))
        scan_active_sources(database, settings)
    instance.add_dynamic_partitions("batches", [BATCH])


def read_listings(instance: dg.DagsterInstance, **tags: str) -> dg.ExecuteInProcessResult:
    return (
        repository()
        .resolve_job_def("migrate_batch")
        .execute_in_process(
            instance=instance,
            partition_key=BATCH,
            asset_selection=[dg.AssetKey("raw_listings")],
            raise_on_error=False,
            tags=tags,
        )
    )


def said(instance: dg.DagsterInstance, run: dg.ExecuteInProcessResult) -> str:
    return "\n".join(entry.message for entry in instance.all_logs(run.run_id))


def test_a_batch_waits_for_a_run_that_is_at_it_and_says_for_whom(
    batch: None, settings: Settings, instance: dg.DagsterInstance
):
    ended: list[dg.ExecuteInProcessResult] = []
    waiting = threading.Thread(target=lambda: ended.append(read_listings(instance)))
    with run_lock(settings, "the command"):
        waiting.start()
        while not any(
            "the command, process" in entry.message
            for run in instance.get_runs()
            for entry in instance.all_logs(run.run_id)
        ):
            waiting.join(0.05)
        assert waiting.is_alive()
    waiting.join(60)
    assert ended[0].success and "another run is at it: the command" in said(instance, ended[0])


def test_batches_do_not_wait_for_each_other_nor_runs_of_a_command_for_it(
    batch: None, settings: Settings, instance: dg.DagsterInstance
):
    with run_lock(settings, "another batch", shared=True):
        assert read_listings(instance).success
    with run_lock(settings, "the command"):
        assert read_listings(instance, **{RUNNER: this_process()}).success


def test_the_sensor_does_not_look_while_a_release_is_built(
    batch: None, settings: Settings, instance: dg.DagsterInstance
):
    with run_lock(settings, "build_release"):
        assert "Another run is at it: build_release, process" in skipped(evaluate(instance))
    with run_lock(settings, "migrate_batch", shared=True):
        assert evaluate(instance).run_requests
