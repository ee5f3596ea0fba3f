"""Runs that Dagster launched, and sources that deliver nothing: who is told what by the sensors."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.criteria.subject import Candidate
from fashion_assets.defs.alerts import (
    tell_of_failed_runs,
    tell_of_stale_sources,
    tell_of_the_installation,
    tell_of_waiting_releases,
)
from fashion_assets.defs.resources import WarehouseResource
from fashion_assets.release.scan import scan_active_sources
from fashion_assets.run_tags import RUNNER
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.sources import activate_source
from fashion_assets.worker import repository
from fashion_assets_tests.catalogue import write_catalogue
from fashion_assets_tests.defs.test_automation import evaluate, skipped
from fashion_assets_tests.receivers import Webhook, webhook


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with webhook() as hook:
        monkeypatch.setenv("FASHION_ASSETS_NOTIFY_WEBHOOK", hook.url)
        monkeypatch.setenv("FASHION_ASSETS_UI_URL", "https://dagster.shop.example")
        yield hook


def executed(
    instance: dg.DagsterInstance, job: str, batch: str | None = None, **tags: str
) -> dg.ExecuteInProcessResult:
    if batch:
        instance.add_dynamic_partitions("batches", [batch])
    job_def = repository().resolve_job_def(job)
    return job_def.execute_in_process(instance=instance, partition_key=batch, raise_on_error=False, tags=tags)


def ended(sensor: dg.RunStatusSensorDefinition, instance: dg.DagsterInstance, run: dg.ExecuteInProcessResult):
    """The sensor's answer to the run's end, as the daemon asks it."""
    context = dg.build_run_status_sensor_context(
        sensor_name=sensor.name,
        dagster_event=run.all_events[-1],
        dagster_instance=instance,
        dagster_run=instance.get_run_by_id(run.run_id),  # type: ignore[arg-type]
        resources={"warehouse": WarehouseResource()},
    )
    return sensor(context if run.success else context.for_run_failure())


def test_a_batch_that_fails_is_told_with_the_reason_and_where_to_look(
    instance: dg.DagsterInstance,
    hook: Webhook,
    database: psycopg.Connection,
    settings: Settings,
    tmp_path: Path,
):
    catalogue = write_catalogue(tmp_path / "catalogue", 25)
    for picture in (catalogue / "images").iterdir():
        picture.write_bytes(b"no picture")
    with database.transaction():
        activate_source(database, "fashion_demo", "folder", str(catalogue))
        scan_active_sources(database, settings)
    run = executed(instance, "migrate_batch", "fashion_demo-00001")
    assert not run.success and ended(tell_of_failed_runs, instance, run) is None
    (sent,) = hook.received
    assert sent["event"] == "batch_failed"
    assert sent["title"] == "migrate_batch of fashion_demo-00001 failed and waits for a person"
    (detail,) = sent["details"]
    assert detail.startswith("check rejection_rate_is_bearable failed (rejected are 25 of 25 listings")
    assert sent["link"] == f"https://dagster.shop.example/runs/{run.run_id}"

    # A partition that is no batch: in our own words.
    run = executed(instance, "migrate_batch", "abc")
    ended(tell_of_failed_runs, instance, run)
    assert "there is no batch 'abc' in the register" in hook.received[1]["details"][0]

    # Runs of a command, which tells of them itself, and those that are tried again.
    for name, value in ((RUNNER, "host:1"), ("dagster/will_retry", "true")):
        run = executed(instance, "migrate_batch", "abc")
        instance.add_run_tags(run.run_id, {name: value})
        assert isinstance(ended(tell_of_failed_runs, instance, run), dg.SkipReason)
    # One that somebody has executed again is Dagster's, whatever tags it inherited.
    run = executed(instance, "migrate_batch", "abc", **{RUNNER: "host:1", "dagster/parent_run_id": "another"})
    assert ended(tell_of_failed_runs, instance, run) is None
    assert len(hook.received) == 3


def test_a_release_that_is_refused_is_told_with_what_fails(
    candidate: Candidate, candidate_instance: dg.DagsterInstance, hook: Webhook
):
    candidate.conn.execute(
        sql.SQL("DELETE FROM {} WHERE external_id = '7'").format(candidate.release.table("products"))
    )
    candidate.conn.commit()
    run = executed(candidate_instance, "promote_candidate")
    ended(tell_of_failed_runs, candidate_instance, run)
    (sent,) = hook.received
    assert sent["event"] == "release_refused"
    assert any("listings_are_accounted_for" in line for line in sent["details"])


def test_a_release_that_is_left_to_a_person_waits_and_is_told(
    candidate: Candidate,
    candidate_instance: dg.DagsterInstance,
    hook: Webhook,
    monkeypatch: pytest.MonkeyPatch,
):
    conn, settings = candidate.conn, candidate.settings
    monkeypatch.setenv("FASHION_ASSETS_BATCH_SIZE", "20")
    monkeypatch.setenv("FASHION_ASSETS_PROMOTE_AUTOMATICALLY", "false")
    run = executed(candidate_instance, "build_release")
    assert run.success
    built = releases.built_by(conn, run.run_id)
    conn.commit()
    assert built is not None and built.state == "candidate" and releases.live(conn) is None
    conn.commit()
    assert not run.asset_materializations_for_node("live_release")
    ended(tell_of_waiting_releases, candidate_instance, run)
    (sent,) = hook.received
    assert sent["event"] == "release_waits" and built.release in sent["title"]
    assert sent["link"] == f"https://dagster.shop.example/fashion-assets/reports/{built.release}.html"

    # The sensor builds no second one of the same, and the config of a single run says otherwise.
    assert not evaluate(candidate_instance).run_requests
    job = repository().resolve_job_def("build_release")
    config = {"ops": {"live_release": {"config": {"automatically": True}}}}
    assert job.execute_in_process(instance=candidate_instance, run_config=config).success
    live = releases.live(conn)
    assert live is not None and live.number == built.number + 1
    conn.commit()

    # Launched by a person to go live: it does.
    promoted = executed(candidate_instance, "promote_candidate")
    assert not promoted.success  # it was built before what is live by now
    run = executed(candidate_instance, "build_candidate")
    newest = releases.built_by(conn, run.run_id)
    conn.commit()
    assert newest is not None
    config = {"ops": {"live_release": {"config": {"release": newest.release}}}}
    job = repository().resolve_job_def("promote_candidate")
    assert job.execute_in_process(instance=candidate_instance, run_config=config).success
    live = releases.live(conn)
    assert live is not None and live.release == newest.release
    assert settings.promote_automatically  # those of the fixture, from before


def test_a_release_that_went_live_waits_for_nobody(
    candidate: Candidate,
    candidate_instance: dg.DagsterInstance,
    hook: Webhook,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("FASHION_ASSETS_BATCH_SIZE", "20")
    run = executed(candidate_instance, "build_release")
    assert run.success and run.asset_materializations_for_node("live_release")
    assert isinstance(ended(tell_of_waiting_releases, candidate_instance, run), dg.SkipReason)
    assert hook.received == []


def test_what_the_doctor_finds_is_told_once_with_what_to_do(
    instance: dg.DagsterInstance,
    hook: Webhook,
    database: psycopg.Connection,
    settings: Settings,
    durable: None,
):
    settings.home.chmod(0o700)
    cursor = None
    for statement in ("SELECT", "CREATE SCHEMA fashion_sota_r9999", "SELECT"):
        database.execute(statement)  # pyright: ignore[reportArgumentType]
        database.commit()
        context = dg.build_sensor_context(
            instance=instance, cursor=cursor, resources={"warehouse": WarehouseResource()}
        )
        tell_of_the_installation(context)
        cursor = context.cursor
    (sent,) = hook.received
    assert sent["event"] == "installation_unsound" and "fashion-assets doctor" in sent["remedy"]
    assert "DROP SCHEMA fashion_sota_r9999" in sent["details"][0]
    told = CliRunner().invoke(app, ["doctor", "--tell"])
    assert told.exit_code == 1 and len(hook.received) == 2


def test_a_source_that_delivers_nothing_is_told_once_until_it_delivers_again(
    instance: dg.DagsterInstance,
    hook: Webhook,
    database: psycopg.Connection,
    settings: Settings,
    tmp_path: Path,
):
    def looked(cursor: str | None) -> str | None:
        context = dg.build_sensor_context(
            instance=instance, cursor=cursor, resources={"warehouse": WarehouseResource()}
        )
        said = tell_of_stale_sources(context)
        assert isinstance(said, dg.SkipReason)
        return context.cursor

    with database.transaction():
        activate_source(database, "shop", "folder", str(write_catalogue(tmp_path / "catalogue", 3)))
        scan_active_sources(database, settings)
    cursor = looked(None)
    assert hook.received == []

    def last_changed(days: float) -> None:
        moment = datetime.now(UTC) - timedelta(days=days)
        database.execute("UPDATE fashion_ops.batches SET updated_at = %s", (moment,))
        database.commit()

    last_changed(6.9)
    cursor = looked(cursor)
    assert hook.received == []
    last_changed(7.1)
    for _ in range(2):
        cursor = looked(cursor)
    (sent,) = hook.received
    assert sent["event"] == "source_stale" and "source shop has not changed since" in sent["title"]
    last_changed(0)
    cursor = looked(cursor)
    last_changed(8)
    looked(cursor)
    assert len(hook.received) == 2


def test_a_source_that_cannot_be_read_is_told_once_and_again_when_it_is_something_else(
    instance: dg.DagsterInstance,
    hook: Webhook,
    database: psycopg.Connection,
    settings: Settings,
    tmp_path: Path,
):
    catalogue = write_catalogue(tmp_path / "catalogue", 3)
    with database.transaction():
        activate_source(database, "shop", "folder", str(catalogue))
    catalogue.rename(tmp_path / "elsewhere")
    said = skipped(evaluate(instance))
    assert "catalogue" in said
    (sent,) = hook.received
    assert sent["event"] == "source_unreadable" and sent["details"] == [said]


@pytest.mark.parametrize("configured", [False, True])
def test_the_sensors_are_on_where_there_is_somebody_to_tell(configured: bool):
    script = (
        "from fashion_assets.definitions import defs\n"
        "print({s.default_status.value for s in defs().get_repository_def().sensor_defs if s.name.startswith('tell_')})"
    )
    more = {"FASHION_ASSETS_NOTIFY_EMAIL": "shop@example.org"} if configured else {}
    shown = subprocess.check_output([sys.executable, "-c", script], env=os.environ | more, text=True)
    assert shown.strip() == ("{'RUNNING'}" if configured else "{'STOPPED'}")
