"""When runs are asked for by themselves: by the sensor for batches, then for a release; by the schedule at night."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from fashion_assets.criteria.subject import Candidate
from fashion_assets.definitions import defs
from fashion_assets.defs.automation import new_or_changed_batches, nightly_release
from fashion_assets.defs.resources import WarehouseResource
from fashion_assets.defs.sources import CatalogueResource
from fashion_assets.release.swap import promote
from fashion_assets.warehouse.sources import activate_source
from fashion_assets_tests.catalogue import line, replace_line, write_catalogue


def evaluate(instance: dg.DagsterInstance) -> dg.SensorResult:
    context = dg.build_sensor_context(
        instance=instance,
        repository_def=defs().get_repository_def(),
        resources={"warehouse": WarehouseResource(), "catalogue": CatalogueResource()},
    )
    result = new_or_changed_batches(context)
    if isinstance(result, dg.SkipReason):
        return dg.SensorResult(skip_reason=result)
    assert isinstance(result, dg.SensorResult)
    return result


def nightly() -> dg.RunRequest | dg.SkipReason:
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime(2026, 1, 2, 3, tzinfo=UTC),
        resources={"warehouse": WarehouseResource()},
    )
    result = nightly_release(context)
    assert isinstance(result, dg.RunRequest | dg.SkipReason)
    return result


def add_run(instance: dg.DagsterInstance, request: dg.RunRequest, status: dg.DagsterRunStatus) -> None:
    """A run as the daemon makes it of a request."""
    assert request.run_key is not None and request.job_name is not None
    tags = {**request.tags, "dagster/run_key": request.run_key}
    if request.partition_key is not None:
        tags["dagster/partition"] = request.partition_key
    instance.add_run(dg.DagsterRun(job_name=request.job_name, status=status, tags=tags))


def skipped(result: dg.SensorResult) -> str:
    assert not result.run_requests
    assert result.skip_reason is not None and result.skip_reason.skip_message is not None
    return result.skip_reason.skip_message


def test_without_a_source_nothing_is_asked_for(instance: dg.DagsterInstance):
    assert "no source is active" in skipped(evaluate(instance))
    waiting = nightly()
    assert isinstance(waiting, dg.SkipReason) and waiting.skip_message == "no batch is registered"


def test_stale_batches_are_asked_for_a_few_at_a_time_and_once_per_content(
    instance: dg.DagsterInstance,
    database: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("FASHION_ASSETS_BATCH_SIZE", "2")
    monkeypatch.setenv("FASHION_ASSETS_SENSOR_RUNS_PER_TICK", "3")
    catalogue = write_catalogue(tmp_path / "catalogue", 10)
    activate_source(database, "fashion_demo", "folder", str(catalogue))
    database.commit()
    names = [f"fashion_demo-{number:05d}" for number in range(1, 6)]

    first = evaluate(instance)
    assert first.run_requests is not None
    assert [request.partition_key for request in first.run_requests] == names[:3]
    assert {request.job_name for request in first.run_requests} == {"migrate_batch"}
    (added,) = first.dynamic_partitions_requests or []
    assert isinstance(added, dg.AddDynamicPartitionsRequest)
    assert (added.partitions_def_name, list(added.partition_keys)) == ("batches", names)
    keys = {request.partition_key: request.run_key for request in first.run_requests}
    assert len(set(keys.values())) == 3
    assert all(key is not None and key.startswith(f"{name}:") for name, key in keys.items())
    instance.add_dynamic_partitions("batches", names)

    # Asked again before the daemon did anything, the keys are the same, and the partitions are there.
    repeated = evaluate(instance)
    assert [request.run_key for request in repeated.run_requests or []] == list(keys.values())
    assert not repeated.dynamic_partitions_requests

    # One failed, two are under way: one place is free.
    failed, *under_way = first.run_requests
    add_run(instance, failed, dg.DagsterRunStatus.FAILURE)
    for request in under_way:
        add_run(instance, request, dg.DagsterRunStatus.STARTED)
    second = evaluate(instance)
    assert [request.partition_key for request in second.run_requests or []] == names[3:4]

    # All asked for: what failed waits until its content changes.
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        instance.report_run_failed(run)
    third = evaluate(instance)
    assert [request.partition_key for request in third.run_requests or []] == names[3:]
    for request in third.run_requests or []:
        add_run(instance, request, dg.DagsterRunStatus.STARTED)
    assert skipped(evaluate(instance)) == "2 batch runs are under way"
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        instance.report_run_failed(run)
    waiting = skipped(evaluate(instance))
    assert "wait for a person" in waiting and all(name in waiting for name in names)
    replace_line(catalogue, 1, line(1, "Nike Women Skirt"))
    (mended,) = evaluate(instance).run_requests or []
    assert mended.partition_key == names[0] and mended.run_key != keys[names[0]]

    due = nightly()
    assert isinstance(due, dg.RunRequest) and (due.run_key or "").startswith("nightly:2026-01-02:")


def test_once_all_batches_are_through_one_release_is_asked_for_until_it_is_there(
    candidate: Candidate, candidate_instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    conn, settings = candidate.conn, candidate.settings
    monkeypatch.setenv("FASHION_ASSETS_BATCH_SIZE", "20")
    waiting = f"{candidate.release.release} stands ready and waits for a person: launch promote_candidate"
    assert skipped(evaluate(candidate_instance)) == waiting
    assert waiting in str(nightly())
    promote(conn, settings, candidate.release)
    conn.commit()
    assert skipped(evaluate(candidate_instance)) == "nothing changed"
    waiting = nightly()
    assert isinstance(waiting, dg.SkipReason) and "nothing changed" in (waiting.skip_message or "")

    # The release is gone from the register, the batches' files are there.
    conn.execute("UPDATE fashion_ops.releases SET state = 'dropped'")
    conn.commit()
    (request,) = evaluate(candidate_instance).run_requests or []
    assert (request.job_name, request.partition_key) == ("build_release", None)
    (again,) = evaluate(candidate_instance).run_requests or []
    kind, version, after = (request.run_key or "").split(":")
    assert again.run_key == request.run_key and (kind, after) == ("release", "first")
    due = nightly()
    assert isinstance(due, dg.RunRequest) and due.run_key == f"nightly:2026-01-02:{version}"

    # A release that failed would fail again: it waits, and the sensor says so.
    add_run(candidate_instance, request, dg.DagsterRunStatus.FAILURE)
    waiting = skipped(evaluate(candidate_instance))
    assert "failed in run" in waiting and "launch build_release again" in waiting

    # What failed once, or was live once, is asked for again when the sources come back to it from another content.
    conn.execute("UPDATE fashion_ops.releases SET state = 'live', content_version = 'another'")
    conn.commit()
    (later,) = evaluate(candidate_instance).run_requests or []
    assert later.run_key == f"release:{version}:{candidate.release.release}"
