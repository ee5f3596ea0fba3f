"""Why runs failed is told by its first reason, once for all batches that share it, and again by status."""

import json
import shutil
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.embedding.spaces import SHIPPED_MODEL
from fashion_assets.failed_runs import last_reasons, reason_of
from fashion_assets.failure import FOLDER, Reason
from fashion_assets.postgres.connections import connect
from fashion_assets.runs import Runs
from fashion_assets.settings import Settings
from fashion_assets_tests.catalogue import write_catalogue
from fashion_assets_tests.conftest import run_migration


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASHION_ASSETS_BATCH_SIZE", "20")
    monkeypatch.setenv("COLUMNS", "200")


def broken_model(folder: Path) -> Path:
    """The shipped model, its weights cut off: what every batch needs and none can have."""
    shutil.copytree(SHIPPED_MODEL, folder)
    for weights in folder.rglob("*.safetensors"):
        weights.write_bytes(weights.read_bytes()[:1000])
    return folder


def test_what_all_batches_share_is_told_once_and_no_more_are_begun(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FASHION_ASSETS_MODEL", str(broken_model(tmp_path / "broken-clip")))
    result = run_migration(write_catalogue(tmp_path / "catalogue", 120))
    assert not result.succeeded and result.refusal is None and result.release is None, result.failed_batches
    assert 1 <= result.batches_run <= 2 and result.batches_run + result.not_begun == 6
    ((reason, *same),) = [list(result.failed_batches.values())]
    assert set(same) <= {reason} and "broken-clip" in reason and "Traceback" not in reason
    assert isinstance(reason, Reason) and reason.shared
    *_, failed, more = result.summary()
    assert failed.count("broken-clip") == 1 and "more batches were not begun" in more
    assert result.to_dict()["batches_not_begun"] == result.not_begun

    # The step says it in the UI, and status says it again.
    told = json.loads(CliRunner().invoke(app, ["status", "--json"]).stdout)
    assert told["batches"]["failed"] == result.failed_batches
    with connect(settings) as conn:
        kinds = conn.execute(
            "SELECT event FROM dagster.event_logs WHERE dagster_event_type = 'STEP_FAILURE'"
        ).fetchall()
    assert all(reason in json.loads(event)["dagster_event"]["event_specific_data"]["user_failure_data"]["description"]
               for (event,) in kinds)  # fmt: skip
    lines = CliRunner().invoke(app, ["status"]).stdout.splitlines()
    (line,) = [line for line in lines if line.startswith("failed")]
    assert reason in line

    monkeypatch.delenv("FASHION_ASSETS_MODEL")
    mended = run_migration()
    assert mended.live and mended.products == 120
    assert json.loads(CliRunner().invoke(app, ["status", "--json"]).stdout)["batches"]["failed"] == {}


def test_an_error_that_nobody_foresaw_names_its_step_and_a_file(settings: Settings):
    @dg.op
    def stumble() -> None:
        raise ZeroDivisionError("division by zero")

    @dg.job
    def stumbling() -> None:
        stumble()

    run = stumbling.execute_in_process(raise_on_error=False)
    reason = reason_of(run.all_events, settings)
    (file,) = (settings.home / FOLDER).iterdir()
    assert reason == (
        "stumble: an error that nobody foresaw: ZeroDivisionError: division by zero. Please report it; its traceback is in "
        f"{file}"
    )
    assert not reason.shared and "in stumble" in file.read_text()
    assert "in the Dagster UI" in reason_of(run.all_events, settings, keep=False)


def test_a_step_that_meets_a_full_disk_tells_the_cause_alone(settings: Settings):
    from fashion_assets.defs.failures import telling

    @dg.op
    @telling
    def write() -> None:
        try:
            with open("/dev/full", "w") as file:
                file.write("x")
        except OSError as error:
            raise RuntimeError("the batch could not be kept") from error

    @dg.op
    @telling
    def generate():
        yield dg.Output(1)
        write_it()

    def write_it() -> None:
        Path("/dev/full").write_text("x")

    @dg.job
    def writing() -> None:
        write()

    @dg.job
    def generating() -> None:
        generate()

    for job in (writing, generating):
        run = job.execute_in_process(raise_on_error=False)
        reason = reason_of(run.all_events, settings)
        assert reason.startswith("No space left on device") and reason.shared and "\n" not in reason
        (failed,) = [event for event in run.all_events if event.is_step_failure]
        assert failed.step_failure_data.user_failure_data.description == reason


def test_what_dagster_itself_cannot_have_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    with Runs() as runs:
        runs._prepared.result().result()
        with connect(settings, autocommit=True) as conn:
            conn.execute("ALTER SCHEMA dagster RENAME TO elsewhere")
        try:
            reason = runs.run("build_release")
        finally:
            with connect(settings, autocommit=True) as conn:
                conn.execute("ALTER SCHEMA elsewhere RENAME TO dagster")
    assert reason is not None and "\n" not in reason and "An error that nobody foresaw: " in reason
    assert list((settings.home / FOLDER).iterdir())


def test_nothing_is_told_of_a_database_without_runs(bare_settings: Settings):
    with connect(bare_settings) as conn:
        assert last_reasons(conn, bare_settings, "migrate_batch", ["x-00001"]) == {}
