"""Worker processes of a command: one that is gone is told in words, whenever it went."""

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest

from fashion_assets.batches.plan import active_batches
from fashion_assets.places import DAGSTER_FILES
from fashion_assets.postgres.connections import connect
from fashion_assets.release.scan import scan_active_sources
from fashion_assets.run_tags import RUNNER, is_of_a_command
from fashion_assets.runs import Runs, shares
from fashion_assets.settings import Settings
from fashion_assets.warehouse.sources import activate_source
from fashion_assets.worker import encode_on
from fashion_assets_tests.catalogue import write_catalogue


def test_a_worker_that_is_gone_before_its_work_is_told_in_words(settings: Settings):
    with Runs() as runs:
        runs._prepared.result().result()
        for worker in multiprocessing.active_children():
            worker.kill()
            worker.join()
        for _ in range(2):  # the pool notices, and then takes nothing more
            reason = runs.run("promote_candidate")
            assert reason is not None and "its worker process died" in reason


def test_a_worker_that_cannot_reach_the_database_says_so(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FASHION_ASSETS_DATABASE_URL", "postgresql://me:s3cret@127.0.0.1:1/x")
    with Runs() as runs:
        reason = runs.run("promote_candidate")
    assert reason is not None and reason.startswith(
        "The database cannot be reached (Postgres at 127.0.0.1, port 1"
    )
    assert "s3cret" not in reason


@pytest.mark.parametrize("killed", [False, True])
def test_a_first_worker_is_there_before_it_is_known_what_there_is_to_do(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: bool
):
    monkeypatch.setenv("FASHION_ASSETS_BATCH_SIZE", "5")
    settings = Settings()
    with Runs(all_is_new=True) as runs:
        runs._starter.submit(bool).result()
        early = multiprocessing.active_children()
        assert len(early) == 2  # the release's, and one for what may be a single batch
        assert runs._early is not None
        batches = runs._early._processes
        with connect(settings) as conn:
            activate_source(conn, "shop", "folder", str(write_catalogue(tmp_path / "catalogue", 15)))
            scan_active_sources(conn, settings)
            names = [batch.name for batch in active_batches(conn)]
        assert len(names) == 3
        if killed:
            for process in list(batches.values()):
                process.kill()
                process.join()
        # One that died with nothing in hand costs no batch.
        assert dict(runs.batches(names)) == dict.fromkeys(names)


def test_batches_side_by_side_share_the_cores():
    assert shares(20, 2, 2) == [1] * 20
    assert shares(3, 2, 2) == [1, 1, 2] and shares(1, 1, 2) == [2] and shares(1, 2, 8) == [8]
    assert shares(5, 3, 12) == [4, 4, 4, 6, 6] and shares(2, 2, 1) == [1, 1] and shares(0, 2, 2) == []


@pytest.mark.parametrize("chosen", [None, "3"])
def test_a_worker_computes_on_its_share_unless_the_user_says_otherwise(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, chosen: str | None
):
    monkeypatch.setattr("fashion_assets.runs.usable_cores", lambda: 8)
    if chosen is not None:
        monkeypatch.setenv("FASHION_ASSETS_ENCODE_THREADS", chosen)
    with Runs() as runs:
        first = runs._pool(2)
        assert first.submit(_threads).result() == int(chosen or 2)
        first.submit(encode_on, "5").result()
        assert first.submit(_threads).result() == int(chosen or 5)


def _threads() -> int | None:
    return Settings().encode_threads


def _kill_whoever_runs(settings: Settings, batch: str, times: int, done: threading.Event) -> list[int]:
    """Kill the worker that runs a batch, so many times; the processes killed."""
    killed: list[int] = []
    with connect(settings, autocommit=True) as conn:
        while len(killed) < times and not done.wait(0.01):
            if conn.execute("SELECT to_regclass('dagster.run_tags')").fetchone() == (None,):
                continue
            rows = conn.execute(
                "SELECT t.value FROM dagster.runs r JOIN dagster.run_tags t ON t.run_id = r.run_id "
                "WHERE r.partition = %s AND t.key = %s",
                (batch, RUNNER),
            ).fetchall()
            for process in {int(value.rpartition(":")[2]) for (value,) in rows} - set(killed):
                os.kill(process, signal.SIGKILL)
                killed.append(process)
    return killed


@pytest.mark.parametrize("times", [1, 2])
def test_a_batch_that_kills_its_worker_fails_alone(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
):
    monkeypatch.setenv("FASHION_ASSETS_BATCH_SIZE", "5")
    settings = Settings()
    with connect(settings) as conn:
        activate_source(conn, "shop", "folder", str(write_catalogue(tmp_path / "catalogue", 20)))
        scan_active_sources(conn, settings)
        names = [batch.name for batch in active_batches(conn)]
    assert len(names) == 4
    done = threading.Event()
    with ThreadPoolExecutor(1) as pool, Runs() as runs:
        killing = pool.submit(_kill_whoever_runs, settings, names[1], times, done)
        try:
            outcomes = dict(runs.batches(names))
        finally:
            done.set()
    assert len(killing.result()) == times
    assert sorted(outcomes) == names
    reason = outcomes.pop(names[1])
    assert set(outcomes.values()) == {None}
    # Killed once it runs again, by itself; killed again it is the one that fails.
    assert reason is None if times == 1 else reason is not None and "its worker process died" in reason


def test_runs_stand_under_their_job_of_the_code_location_and_the_daemon_leaves_them_alone(
    settings: Settings, tmp_path: Path
):
    with connect(settings) as conn:
        activate_source(conn, "shop", "folder", str(write_catalogue(tmp_path / "catalogue", 3)))
        scan_active_sources(conn, settings)
    with Runs() as runs:
        assert dict(runs.batches(["shop-00001"])) == {"shop-00001": None}
        assert "no candidate waits" in (runs.run("promote_candidate") or "")
    with dg.DagsterInstance.from_config(str(DAGSTER_FILES)) as instance:
        # What the UI asks for on the page of a job, and what its timeline puts a run under.
        of_location = {".dagster/repository": "__repository__@fashion_assets"}
        for job in ("migrate_batch", "promote_candidate"):
            (run,) = instance.get_runs(dg.RunsFilter(job_name=job, tags=of_location))
            assert run.remote_job_origin is not None and run.remote_job_origin.job_name == job
            assert run.remote_job_origin.repository_origin.get_label() == "__repository__@fashion_assets"
            assert run.tags["dagster/code_location"] == "fashion_assets"
            assert run.tags["dagster/max_retries"] == "0" and is_of_a_command(run.tags)


def test_a_run_that_dagster_executes_again_is_not_taken_for_the_commands(settings: Settings):
    """It has the tags of the run it repeats, whose process is gone."""
    tags = {RUNNER: f"{os.uname().nodename}:999999999"}
    first, again = (
        dg.DagsterRun("migrate_batch", status=dg.DagsterRunStatus.STARTED, tags=tags | more)
        for more in ({}, {"dagster/parent_run_id": "another"})
    )
    with dg.DagsterInstance.from_config(str(DAGSTER_FILES)) as instance:
        for run in (first, again):
            instance.add_run(run)
        with Runs() as runs:
            runs._prepared.result().result()
        statuses = [instance.get_run_by_id(run.run_id).status for run in (first, again)]  # type: ignore[union-attr]
    assert statuses == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED]
