"""A whole migration, and every later one: only what changed is done again, and nothing bad goes live."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from rich.console import Console

from fashion_assets.criteria.expectations import EXPECTATIONS
from fashion_assets.criteria.subject import Candidate
from fashion_assets.embedding.tuning import FILE
from fashion_assets.migration import Migration
from fashion_assets.outcome import MigrationResult
from fashion_assets.postgres.connections import connect
from fashion_assets.release.plan import plan
from fashion_assets.release.scan import scan_active_sources
from fashion_assets.release.swap import rollback
from fashion_assets.run_tags import RUNNER
from fashion_assets.runs import Runs
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.locks import run_lock
from fashion_assets_tests.catalogue import draw_picture, line, replace_line, write_catalogue
from fashion_assets_tests.conftest import Template, restored, run_migration

Migrate = Callable[..., MigrationResult]


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASHION_ASSETS_BATCH_SIZE", "20")


def rows(conn: psycopg.Connection, query: str, *parameters: object) -> list[tuple]:
    """What a query says now, outside any transaction left open."""
    found = conn.execute(query, parameters).fetchall()  # type: ignore[arg-type]
    conn.commit()
    return found


def number(conn: psycopg.Connection, query: str, *parameters: object) -> int:
    return rows(conn, query, *parameters)[0][0]


def dagster_runs(conn: psycopg.Connection) -> int:
    return number(conn, "SELECT count(*) FROM dagster.runs")


def state(conn: psycopg.Connection) -> tuple:
    """Everything a run that does nothing must leave as it is."""
    return (
        rows(conn, "SELECT release, state, content_version FROM fashion_ops.releases ORDER BY number"),
        rows(conn, "SELECT batch, listings, content_version FROM fashion_ops.batches ORDER BY batch"),
        rows(conn, "SELECT name, kind, location, active FROM fashion_ops.sources ORDER BY name"),
        number(conn, "SELECT count(*) FROM fashion_ops.listings WHERE present"),
    )


def figure(instance: dg.DagsterInstance, asset: str, batch: str, name: str) -> Any:
    """A figure of an asset's last materialization for a batch."""
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[batch]), limit=1
    )
    materialization = found.records[0].asset_materialization
    assert materialization is not None
    return materialization.metadata[name].value


def batch_runs(instance: dg.DagsterInstance) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for run in instance.get_runs(dg.RunsFilter(job_name="migrate_batch")):
        counts[run.tags["dagster/partition"]] += 1
    return dict(counts)


def remove_line(folder: Path, listing: int) -> None:
    path = folder / "styles.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(text for text in lines if not text.startswith(f"{listing},")), encoding="utf-8")


def add_line(folder: Path, text: str) -> None:
    with (folder / "styles.csv").open("a", encoding="utf-8") as file:
        file.write(text + "\n")


def test_only_what_changed_is_done_again(
    migrate: Migrate,
    database: psycopg.Connection,
    settings: Settings,
    instance: dg.DagsterInstance,
    tmp_path: Path,
):
    catalogue = write_catalogue(tmp_path / "catalogue", 60)

    first = migrate(catalogue)
    assert first.succeeded and first.live
    assert (first.listings, first.products, first.quarantined) == (60, 60, 0)
    assert (first.batches, first.batches_run) == (3, 3)
    assert first.report is not None and Path(first.report).is_file()
    assert all(verdict.passed for verdict in first.verdicts) and first.verdicts
    assert not any("expectations not met" in said for said in first.lines)
    expected = len(EXPECTATIONS)
    assert f"{expected} of {expected} are met" in Path(first.report).read_text()
    # Batches are shared out to worker processes.
    runners = rows(
        database,
        "SELECT value FROM dagster.run_tags JOIN dagster.runs USING (run_id) WHERE key = %s AND pipeline_name = 'migrate_batch'",
        RUNNER,
    )
    processes = {runner.rpartition(":")[2] for (runner,) in runners}
    assert len(runners) == 3 and str(os.getpid()) not in processes and 1 <= len(processes) <= 2
    assert number(database, "SELECT count(*) FROM fashion_sota.products") == 60
    assert number(database, "SELECT count(*) FROM fashion_ops.embeddings WHERE kind = 'image'") == 60

    # The same again: nothing is done, and what would do it is not even imported.
    before, runs = state(database), dagster_runs(database)
    again = migrate(catalogue)
    assert again.succeeded and again.live and again.release == first.release
    assert again.batches_run == 0 and again.lines[-1] == "nothing changed"
    script = (
        "import sys; from fashion_assets.cli import app\n"
        "try: app(['run'])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'torch', 'dagster', 'sentence_transformers', 'sqlalchemy', 'pandas'} & set(sys.modules)"
    )
    quick = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert quick.returncode == 0, quick.stderr
    assert "nothing changed" in quick.stdout
    assert (state(database), dagster_runs(database)) == (before, runs)

    # Three lines of batch 1; a picture changed and a listing gone in batch 2; batch 3 left alone; one new
    # listing whose picture is byte for byte another's.
    for listing in (1, 2, 3):
        replace_line(catalogue, listing, line(listing, f"Nike Women Skirt {listing}"))
    draw_picture(catalogue / "images" / "25.jpg", 1025)
    remove_line(catalogue, 30)
    add_line(catalogue, line(61))
    shutil.copyfile(catalogue / "images" / "41.jpg", catalogue / "images" / "61.jpg")
    second = migrate(catalogue)
    assert second.succeeded and second.live and second.release != first.release
    assert (second.listings, second.products, second.quarantined) == (60, 60, 0)
    ran = batch_runs(instance)
    b1, b2, b3, b4 = (f"fashion_demo-{n:05d}" for n in range(1, 5))
    assert second.batches_run == 3
    assert ran == {b1: 2, b2: 2, b3: 1, b4: 1}
    assert figure(instance, "validated_products", b1, "validated_anew") == 3
    assert figure(instance, "validated_products", b2, "validated_anew") == 1
    assert figure(instance, "image_embeddings", b1, "embedded_anew") == 0
    assert figure(instance, "text_embeddings", b1, "embedded_anew") == 3
    assert figure(instance, "image_embeddings", b2, "embedded_anew") == 1
    assert figure(instance, "text_embeddings", b2, "embedded_anew") == 0
    assert figure(instance, "image_embeddings", b4, "embedded_anew") == 0
    assert figure(instance, "image_embeddings", b4, "found_in_store") == 1
    assert number(database, "SELECT count(*) FROM fashion_ops.embeddings WHERE kind = 'image'") == 61
    same = "SELECT count(*), count(DISTINCT image_sha256) FROM fashion_sota.products WHERE external_id IN ('41', '61')"
    assert rows(database, same) == [(2, 1)]
    titles = "SELECT title FROM fashion_sota.products WHERE external_id = ANY (%s) ORDER BY external_id"
    assert rows(database, titles, ["1", "30"]) == [("Nike Women Skirt 1",)]

    # A rollback stands until something changes.
    assert rollback(database, settings).release == first.release
    before, runs = state(database), dagster_runs(database)
    after = migrate(catalogue)
    assert after.succeeded and after.live and after.release == first.release
    assert "rolled back" in after.lines[-1] and str(second.release) in after.lines[-1]
    assert (state(database), dagster_runs(database)) == (before, runs)
    assert rows(database, titles, ["1", "30"]) == [
        ("Puma Men Blue T-shirt 1",),
        ("Puma Men Pink T-shirt 30",),
    ]


def test_a_spoiled_batch_stops_the_release_and_only_its_own_work(
    migrate: Migrate, database: psycopg.Connection, instance: dg.DagsterInstance, shop: Path
):
    catalogue, first = shop, releases.live(database)
    assert first is not None

    for listing in range(21, 41):
        picture = catalogue / "images" / f"{listing}.jpg"
        picture.write_bytes(picture.read_bytes()[:-400])
    replace_line(catalogue, 1, line(1, "Nike Women Skirt"))
    failed = migrate(catalogue)
    assert not failed.succeeded and not failed.live
    assert set(failed.failed_batches) == {"fashion_demo-00002"}
    said = failed.failed_batches["fashion_demo-00002"]
    assert (
        "rejection_rate_is_bearable" in said and "20 of 20 of those in this batch that were products" in said
    )
    assert batch_runs(instance) == {"fashion_demo-00001": 2, "fashion_demo-00002": 2}
    assert figure(instance, "product_embeddings", "fashion_demo-00001", "dagster/row_count") == 20
    assert failed.refusal is not None
    assert "every_batch_is_loaded" in failed.refusal and "fashion_demo-00002" in failed.refusal
    live = releases.live(database)
    assert live is not None and live.release == first.release
    assert number(database, "SELECT count(*) FROM fashion_sota.products") == 40
    assert number(database, "SELECT count(*) FROM fashion_sota.products WHERE title LIKE 'Nike%%'") == 0
    summary = "\n".join(failed.summary())
    assert "fashion_demo-00002" in summary and "rejection_rate_is_bearable" in summary

    # What a batch that stopped left behind is not what it was before.
    again = migrate(catalogue).failed_batches["fashion_demo-00002"]
    assert "20 of 20 of those in this batch that were products" in again

    for listing in range(21, 41):
        draw_picture(catalogue / "images" / f"{listing}.jpg", listing)
    mended = migrate(catalogue)
    assert mended.succeeded and mended.live and mended.batches_run == 1
    assert (mended.products, mended.quarantined) == (40, 0)
    assert number(database, "SELECT count(*) FROM fashion_sota.products WHERE title LIKE 'Nike%%'") == 1


def test_new_bad_lines_are_in_quarantine_and_stop_no_release(
    migrate: Migrate, database: psycopg.Connection, shop: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FASHION_ASSETS_MIN_LISTINGS_FOR_A_RATE", "6")
    for listing in range(1001, 1007):
        add_line(shop, line(listing))  # without a picture
    result = migrate(shop)
    assert result.succeeded and result.live
    assert (result.listings, result.products, result.quarantined) == (46, 40, 6)
    assert any("fashion_demo-00003: 6 of 6 listings were rejected" in said for said in result.lines)

    # So many that the source is bad: a person has to know of them.
    for listing in range(2001, 2013):
        add_line(shop, line(listing))
    stopped = migrate(shop)
    ((batch, reason),) = stopped.failed_batches.items()
    assert (
        batch == "fashion_demo-00004"
        and "12 of 12 listings of this batch, 18 of 58 of its source's" in reason
    )
    assert "--accept-rejections" in reason and not stopped.live
    accepted = migrate(shop, rejections=True)
    assert accepted.live and (accepted.batches_run, accepted.quarantined) == (1, 18)
    assert number(database, "SELECT count(*) FROM fashion_sota.products") == 40


def test_a_dry_run_changes_nothing(
    migrate: Migrate, database: psycopg.Connection, instance: dg.DagsterInstance, tmp_path: Path
):
    untouched = state(database)
    told = migrate(write_catalogue(tmp_path / "catalogue", 25), dry_run=True)
    assert told.succeeded and (told.listings, told.batches, told.release) == (25, 2, None)
    assert "2 of 2 batches would run" in told.lines[-1]
    assert (state(database), dagster_runs(database)) == (untouched, 0)


def test_a_candidate_waits_until_it_is_promoted(
    candidate: Candidate,
    candidate_template: Template,
    candidate_instance: dg.DagsterInstance,
    tmp_path: Path,
):
    with restored(candidate_template.home / "catalogue", tmp_path) as catalogue:
        _wait_until_it_is_promoted(candidate.conn, candidate_instance, catalogue)


def _wait_until_it_is_promoted(
    database: psycopg.Connection, instance: dg.DagsterInstance, catalogue: Path
) -> None:
    migrate = run_migration
    ready = migrate(catalogue, promote=False)
    assert ready.succeeded and not ready.live and (ready.products, ready.batches_run) == (40, 0)
    assert "fashion-assets promote" in list(ready.summary())[-1]
    assert releases.live(database) is None
    assert releases.candidate(database).release == ready.release
    database.commit()

    # A dry run of a changed catalogue, beside a run whose process is gone.
    replace_line(catalogue, 1, line(1, "Nike Women Skirt"))
    before, runs = state(database), dagster_runs(database)
    told = migrate(catalogue, dry_run=True)
    assert "1 of 2 batches would run (fashion_demo-00001)" in told.lines[-1]
    assert (state(database), dagster_runs(database)) == (before, runs)
    replace_line(catalogue, 1, line(1))

    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    )
    died, alive = (
        dg.DagsterRun(
            job_name="migrate_batch",
            status=dg.DagsterRunStatus.STARTED,
            tags={RUNNER: f"{os.uname().nodename}:{process}"},
        )
        for process in (dead.stdout.strip(), os.getppid())
    )
    for run in (died, alive):
        instance.add_run(run)
    # What a killed run held of the pool, it must not hold for ever.
    pools = instance.event_log_storage
    for run in (died, alive):
        assert pools.claim_concurrency_slot("gpu", run.run_id, "image_embeddings").is_claimed
    live = Migration(Settings(), Console(quiet=True)).promote(str(ready.release))  # type: ignore[call-arg]
    assert live.succeeded and live.live and live.release == ready.release
    assert number(database, "SELECT count(*) FROM fashion_sota.products") == 40
    statuses = [instance.get_run_by_id(run.run_id).status for run in (died, alive)]  # type: ignore[union-attr]
    assert statuses == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED]
    assert pools.get_concurrency_run_ids() == {alive.run_id}
    pools.free_concurrency_slots_for_run(alive.run_id)
    assert run_migration().lines[-1] == "nothing changed"


def test_expectations_that_are_not_met_are_told_and_hold_nothing_up(migrate: Migrate, shop: Path):
    expected = len(EXPECTATIONS)
    replace_line(shop, 3, line(3).replace(",2012,", ",2999,"))
    told = migrate(shop)
    assert told.live
    assert any(said.endswith("want a look: year_is_plausible") for said in told.lines)
    assert told.report is not None
    page = Path(told.report).read_text()
    assert f"{expected - 1} of {expected} are met" in page and "Years lie between 1900 and 2100" in page
    assert "1 of 40 are otherwise" in page and "<code>2999</code>" in page


def test_a_dry_run_of_a_fresh_home_leaves_it_without_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    catalogue = write_catalogue(tmp_path / "catalogue", 3)
    home = tmp_path / "fresh"
    monkeypatch.setenv("FASHION_ASSETS_HOME", str(home))
    told = run_migration(catalogue, dry_run=True)
    assert (told.listings, told.batches, told.succeeded) == (3, 1, True)
    assert "Nothing was changed" in told.lines[-1]
    told = run_migration(sample=80, dry_run=True)
    assert (told.listings, told.batches) == (80, 4)
    told = run_migration(dry_run=True)
    assert told.listings == 1800 and "the drawn sample has 1,800 listings" in told.lines[-1]
    assert not home.exists()


def test_a_large_catalogue_is_preceded_by_a_calibration(
    migrate: Migrate,
    settings: Settings,
    database: psycopg.Connection,
    shop: Path,
    live_template: Template,
    monkeypatch: pytest.MonkeyPatch,
):
    kept = settings.home / FILE
    assert not (live_template.home / FILE).exists()  # so few
    monkeypatch.setattr("fashion_assets.migration.CALIBRATED_FROM", 30)
    monkeypatch.setattr("fashion_assets.embedding.calibration.SECONDS", 0.02)

    def forget_vectors() -> None:
        database.execute("DELETE FROM fashion_ops.embeddings")
        database.commit()

    def calibrated(runs: Runs | None) -> list[str]:
        """What is told of it, before the batches that are stale by now; without `runs` it is not even begun."""
        with database.transaction():
            scan_active_sources(database, settings)
        wanted, told = plan(database, settings), MigrationResult()
        database.commit()
        assert len(wanted.stale) == 2
        Migration(settings, Console(quiet=True))._calibrate(wanted, told, runs)  # type: ignore[arg-type]
        return told.lines

    # A change in every batch makes all of them stale, but there is hardly a picture to embed.
    for listing in (1, 21):
        draw_picture(shop / "images" / f"{listing}.jpg", 1000 + listing)
    assert calibrated(None) == [] and not kept.exists()
    forget_vectors()
    assert migrate(shop).live and len(json.loads(kept.read_text())) == 1
    for listing in (1, 21):
        draw_picture(shop / "images" / f"{listing}.jpg", 2000 + listing)
    forget_vectors()
    assert calibrated(None) == []

    # Where it is not possible the migration goes on, and says so.
    kept.unlink()
    for picture in (shop / "images").iterdir():
        picture.write_bytes(b"no picture")
    with Runs() as runs:
        (said,) = calibrated(runs)
    assert "not calibrated: of 20 pictures none can be encoded" in said and not kept.exists()


def test_a_worker_that_dies_fails_its_batch_in_words_and_the_next_run_repairs_it(
    migrate: Migrate,
    settings: Settings,
    instance: dg.DagsterInstance,  # its tables are there
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("FASHION_ASSETS_BATCH_SIZE", "100")
    catalogue = write_catalogue(tmp_path / "catalogue", 100)
    killed: list[int] = []

    def kill_the_first_worker() -> None:
        while not killed:
            with connect(settings) as conn:
                started = rows(
                    conn,
                    "SELECT t.value FROM dagster.run_tags t JOIN dagster.runs r USING (run_id) WHERE t.key = %s "
                    "AND r.status = 'STARTED' AND r.pipeline_name = 'migrate_batch'",
                    RUNNER,
                )
            for (runner,) in started:
                killed.append(int(runner.rpartition(":")[2]))
                os.kill(killed[-1], signal.SIGKILL)
            time.sleep(0.02)

    killer = threading.Thread(target=kill_the_first_worker, daemon=True)
    killer.start()
    result = migrate(catalogue)
    ((batch, reason),) = result.failed_batches.items()
    assert killed and "its worker process died" in reason
    assert not result.succeeded and batch in (result.refusal or "")
    mended = migrate(catalogue)
    assert mended.succeeded and mended.products == 100


def test_two_runs_at_once_end_one_after_the_other(
    settings: Settings, database: psycopg.Connection, tmp_path: Path
):
    catalogue = write_catalogue(tmp_path / "catalogue", 30)
    command = [sys.executable, "-c", "from fashion_assets.cli import main; main()", "run", "--catalog"]
    both = [
        subprocess.Popen(
            [*command, str(catalogue)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    waited = [text for text in said if "another run is at it: run, process" in text]
    assert len(waited) == 1 and "nothing changed" in waited[0]
    assert rows(database, "SELECT state, products FROM fashion_ops.releases") == [("live", 30)]
    assert number(database, "SELECT count(*) FROM fashion_sota.products") == 30
    with run_lock(settings, "another"):
        left = subprocess.run([*command, str(catalogue), "--no-wait"], capture_output=True, text=True)
    assert left.returncode == 1 and "Another run is at it: another, process" in left.stderr.replace("\n", " ")
    assert "Traceback" not in left.stderr
