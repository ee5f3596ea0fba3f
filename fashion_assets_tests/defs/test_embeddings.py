"""A picture that changes or breaks after its listing was judged: its listing alone is quarantined, and judged anew."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from fashion_assets.defs.automation import AGAIN
from fashion_assets.outcome import MigrationResult
from fashion_assets.release.plan import plan
from fashion_assets.release.recovery import recovered_plan
from fashion_assets.release.scan import scan_active_sources
from fashion_assets.settings import Settings
from fashion_assets.warehouse.sources import activate_source
from fashion_assets.worker import repository
from fashion_assets_tests.catalogue import draw_picture, write_catalogue
from fashion_assets_tests.defs.test_automation import add_run, evaluate, nightly, skipped

BATCH = "fashion_demo-00001"
JUDGING = ("raw_listings", "validated_products", "quarantined_listings", "normalized_attributes")
EMBEDDING = ("image_embeddings", "properties", "text_embeddings", "product_embeddings")


def execute(
    instance: dg.DagsterInstance, job: str, assets: tuple[str, ...] = ()
) -> dg.ExecuteInProcessResult:
    batch = BATCH if job == "migrate_batch" else None
    if batch:
        instance.add_dynamic_partitions("batches", [batch])
    return (
        repository()
        .resolve_job_def(job)
        .execute_in_process(
            instance=instance,
            partition_key=batch,
            asset_selection=[dg.AssetKey(asset) for asset in assets] or None,
            raise_on_error=False,
        )
    )


def scanned(conn: psycopg.Connection, settings: Settings, catalogue: Path) -> None:
    with conn.transaction():
        activate_source(conn, "fashion_demo", "folder", str(catalogue))
        scan_active_sources(conn, settings)


def quarantine(conn: psycopg.Connection) -> list[tuple]:
    found = conn.execute(
        "SELECT external_id, reasons, record->>'productDisplayName' IS NOT NULL FROM fashion_ops.quarantine ORDER BY 1"
    ).fetchall()
    conn.commit()
    return found


def test_a_picture_that_breaks_before_it_is_embedded_costs_its_listing_alone(
    migrate: Callable[..., MigrationResult],
    database: psycopg.Connection,
    settings: Settings,
    instance: dg.DagsterInstance,
    tmp_path: Path,
):
    catalogue = write_catalogue(tmp_path / "catalogue", 30)
    scanned(database, settings, catalogue)
    assert execute(instance, "migrate_batch", JUDGING).success
    sound, away, gone, other = (catalogue / "images" / f"{number}.jpg" for number in (3, 4, 7, 9))
    kept = sound.read_bytes()
    away.rename(tmp_path / "4.jpg")
    sound.write_bytes(kept[:300])
    gone.unlink()
    draw_picture(other, 1009)

    embedded = execute(instance, "migrate_batch", EMBEDDING)
    assert embedded.success
    rejected = ["image_changed"]
    assert quarantine(database) == [(number, rejected, True) for number in ("3", "4", "7", "9")]
    checks = {check.check_name: check for check in embedded.get_asset_check_evaluations()}
    covering = checks["image_embeddings_cover_every_product"]
    said = str(covering.metadata)
    assert covering.passed and "3.jpg" in said and "7.jpg is gone" in said and "9.jpg changed" in said

    # The rest is released, and listings in = products + quarantined.
    assert execute(instance, "build_release").success
    live = "SELECT products, quarantined, listings FROM fashion_ops.releases WHERE state = 'live'"
    assert database.execute(live).fetchall() == [(26, 4, 30)]
    missing = "SELECT count(*) FROM fashion_sota.products WHERE external_id IN ('3', '4', '7', '9')"
    assert database.execute(missing).fetchall() == [(0,)]
    database.commit()
    assert [batch.name for batch in plan(database, settings).stale] == [BATCH]
    database.commit()

    # What they are rejected for stands in the files as well.
    before = quarantine(database)
    database.execute("DELETE FROM fashion_ops.quarantine")
    wanted, recovered = recovered_plan(database, settings)
    assert recovered is not None and recovered.batches == 1 and wanted.incomplete == {BATCH}
    assert quarantine(database) == before

    # One is sound again, one came back as another, one stays away: an ordinary rejection now. One was away for a moment, and becomes a
    # product without any change.
    sound.write_bytes(kept)
    (tmp_path / "4.jpg").rename(away)
    mended = migrate(catalogue)
    assert mended.succeeded and mended.live and (mended.products, mended.quarantined) == (29, 1)
    # To the register neither it nor the first is another than it was.
    assert "0 new, 2 changed, 0 gone" in mended.lines[0]
    assert quarantine(database) == [("7", ["image_missing"], True)]
    assert plan(database, settings).stale == []
    database.commit()
    assert migrate(catalogue).lines[-1] == "nothing changed"


def test_the_sensor_tries_such_a_batch_once_more_and_releases_the_others_either_way(
    database: psycopg.Connection, settings: Settings, instance: dg.DagsterInstance, tmp_path: Path
):
    catalogue = write_catalogue(tmp_path / "catalogue", 25)
    scanned(database, settings, catalogue)

    def embed_without_one() -> None:
        assert execute(instance, "migrate_batch", JUDGING).success
        picture, elsewhere = catalogue / "images" / "4.jpg", tmp_path / "4.jpg"
        picture.rename(elsewhere)
        assert execute(instance, "migrate_batch", EMBEDDING).success
        elsewhere.rename(picture)

    def asked() -> dg.RunRequest:
        (request,) = evaluate(instance).run_requests or []
        return request

    embed_without_one()
    first = asked()
    assert first.partition_key == BATCH and AGAIN not in first.tags
    add_run(instance, first, dg.DagsterRunStatus.SUCCESS)
    again = asked()
    assert again.partition_key == BATCH and AGAIN in again.tags and again.run_key != first.run_key
    add_run(instance, again, dg.DagsterRunStatus.SUCCESS)
    release = asked()
    assert release.job_name == "build_release"
    assert execute(instance, "build_release").success
    assert f"could not be embedded, twice: {BATCH}" in skipped(evaluate(instance))
    night = nightly()
    assert isinstance(night, dg.SkipReason) and "nothing changed" in (night.skip_message or "")

    # Once it has a vector a release is due that has it, though no listing changed.
    assert execute(instance, "migrate_batch", EMBEDDING).success
    assert plan(database, settings).incomplete == frozenset()
    database.commit()
    complete = asked()
    assert complete.job_name == "build_release" and complete.run_key != release.run_key
    assert execute(instance, "build_release").success
    live = "SELECT products, quarantined FROM fashion_ops.releases WHERE state = 'live'"
    assert database.execute(live).fetchall() == [(25, 0)]
    assert skipped(evaluate(instance)) == "nothing changed"


def test_expectations_that_cannot_be_validated_are_not_told_as_met(
    candidate_instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    made = candidate_instance.get_latest_materialization_event(dg.AssetKey("migration_report"))
    assert made is not None and made.asset_materialization is not None
    assert made.asset_materialization.metadata["expectations_unmet"].value == 0

    def hindered(*_: object) -> None:
        raise OSError("no space left for the Data Docs")

    monkeypatch.setattr("fashion_assets.defs.release.judgement.validate_products", hindered)
    run = execute(candidate_instance, "build_candidate")
    (report,) = run.asset_materializations_for_node("migration_report")
    assert not run.success and "expectations_unmet" not in report.metadata
    assert Path(str(report.metadata["path"].value)).is_file()


def test_where_too_many_pictures_fail_at_once_the_batch_stops(
    database: psycopg.Connection, settings: Settings, instance: dg.DagsterInstance, tmp_path: Path
):
    catalogue = write_catalogue(tmp_path / "catalogue", 25)
    scanned(database, settings, catalogue)
    assert execute(instance, "migrate_batch", JUDGING).success
    (catalogue / "images").rename(catalogue / "unmounted")
    stopped = execute(instance, "migrate_batch", EMBEDDING)
    assert not stopped.success
    failed = {check.check_name for check in stopped.get_asset_check_evaluations() if not check.passed}
    assert failed == {"image_embeddings_cover_every_product"}
    (catalogue / "unmounted").rename(catalogue / "images")
    assert execute(instance, "migrate_batch", EMBEDDING).success
    assert quarantine(database) == []
