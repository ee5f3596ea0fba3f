"""What is served is in step, or Dagster and people are told since when it is not, and why; and a sync that failed is asked for again."""

import os
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from rich.console import Console
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.defs import automation
from fashion_assets.defs.automation import changes_of_sources
from fashion_assets.defs.described import SERVED
from fashion_assets.defs.freshness import served_is_in_step
from fashion_assets.defs.resources import WarehouseResource
from fashion_assets.release.freshness import Behind, Freshness
from fashion_assets.settings import Settings
from fashion_assets.sync import Sync, SyncResult
from fashion_assets_tests.catalogue import draw_picture, line, replace_line
from fashion_assets_tests.defs.test_automation import add_run


def synced(settings: Settings, **how: Any) -> SyncResult:
    with closing(Sync(settings, Console(quiet=True))) as sync:
        return sync.once(**how)


def tick(instance: dg.DagsterInstance, cursor: str | None) -> tuple[str | None, str | None]:
    """As a daemon does it that was just started: all it has of before is the cursor. Returns the next one, and what was said."""
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, resources={"warehouse": WarehouseResource()}
    )
    said = served_is_in_step(context)
    assert isinstance(said, dg.SkipReason)
    return context.cursor, said.skip_message


def told(instance: dg.DagsterInstance, name: str, *, observed: bool = False) -> list[dict[str, Any]]:
    """What Dagster was told of an asset by no run, the latest first."""
    fetch = instance.fetch_observations if observed else instance.fetch_materializations
    records = fetch(dg.AssetKey(name), limit=50).records
    events = [record.asset_observation if observed else record.asset_materialization for record in records]
    return [
        {key: value.value for key, value in event.metadata.items()} | {"tags": event.tags}
        for event in events
        if event is not None and "in_step" in event.metadata
    ]


def status() -> str:
    done = CliRunner().invoke(app, ["status"])
    assert done.exit_code == 0, done.output
    return done.output


def test_syncs_keep_what_is_served_fresh_and_what_is_stale_says_why(
    shop: Path, settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    assert "fresh     in step with its sources as of 20" in status()
    with monkeypatch.context() as otherwise:
        otherwise.setenv("FASHION_ASSETS_FILL_FROM", "nothing")
        assert "batches: 2 are read otherwise by now: fashion-assets run" in " ".join(status().split())
    cursor, said = tick(instance, None)
    assert said is not None and "fashion_sota_r0001, revision 0, is in step as of" in said
    for name in SERVED:
        (once,) = told(instance, name)
        assert (once["release"], once["revision"], once["in_step"]) == ("fashion_sota_r0001", 0, True)
    # As good as it was: what hangs on it is not called out of date.
    first, second = instance.fetch_materializations(dg.AssetKey("products"), limit=2).records
    versions = [
        (record.asset_materialization.tags or {}).get("dagster/data_version")
        for record in (first, second)
        if record.asset_materialization
    ]
    assert versions[0] is not None and versions[0] == versions[1]
    cursor, _ = tick(instance, cursor)
    assert len(told(instance, "live_release")) == 1

    # Something changed, which nobody brought into the release yet.
    replace_line(shop, 3, line(3, "Puma Men Purple Blazer 3"))
    asked = changes_of_sources(sensor_context(instance))
    assert isinstance(asked, dg.RunRequest)
    cursor, said = tick(instance, cursor)
    assert said is not None and said.startswith("fashion_demo changed in 1 batches, first noticed 20")
    cursor, _ = tick(instance, cursor)
    (stale,) = told(instance, "live_release", observed=True)
    assert (
        stale["in_step"] is False and stale["stale_since"].startswith("20") and "fashion_demo" in stale["why"]
    )
    assert "stale     fashion_demo changed in 1 batches, first noticed 20" in status()
    for name in SERVED:
        assert len(told(instance, name, observed=True)) == 1
    # So do the batches', once, however often it is asked.
    for name in ("raw_listings", "product_embeddings"):
        (unmade,) = told(instance, name, observed=True)
        assert (unmade["in_step"], unmade["stale_batches"]) == (False, 1)
        assert unmade["stale_since"].startswith("20") and unmade["why"].startswith(
            "1 changed; first changed 20"
        )

    # A sync that failed, as one does whose source went away, is asked for again, an hour later.
    add_run(instance, asked._replace(job_name="sync_release"), dg.DagsterRunStatus.FAILURE)
    waiting = changes_of_sources(sensor_context(instance))
    assert isinstance(waiting, dg.SkipReason) and "tried again within the hour" in (
        waiting.skip_message or ""
    )
    with monkeypatch.context() as later:
        later.setattr(automation, "SYNC_AGAIN_AFTER", timedelta(0))
        again = changes_of_sources(sensor_context(instance))
    assert isinstance(again, dg.RunRequest) and again.run_key != asked.run_key

    assert synced(settings).revision == 1
    cursor, _ = tick(instance, cursor)
    latest, _ = told(instance, "live_release")
    assert (latest["revision"], latest["in_step"], latest["dagster/row_count"]) == (1, True, 40)
    assert "fresh     in step with its sources as of 20" in (said := status())
    # The files are a run's to make.
    assert "stale batches: 1 changed; first changed 20" in " ".join(said.split())
    assert len(told(instance, "raw_listings", observed=True)) == 1

    # A source that is away is told, and everything stays.
    (shop / "styles.csv").rename(shop / "away.csv")
    away = changes_of_sources(sensor_context(instance))
    assert isinstance(away, dg.SkipReason) and "styles.csv" in (away.skip_message or "")
    tick(instance, cursor)
    (shop / "away.csv").rename(shop / "styles.csv")
    back = changes_of_sources(sensor_context(instance))
    assert isinstance(back, dg.SkipReason) and back.skip_message == "nothing changed"


def test_what_mends_it_is_what_would():
    since = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    stale = Freshness("fashion_sota_r0001", 0, since, (Behind("shop", 2, since),), False, False)
    assert stale.why() == ["shop changed in 2 batches, first noticed 2026-01-02 03:04: fashion-assets sync"]
    assert stale.since == since and not stale.is_in_step
    assert [each.rpartition(": ")[2] for each in replace(stale, made_otherwise=True).why()] == [
        "fashion-assets run"
    ] * 2
    waited_for = replace(stale, waiting="fashion_sota_r0002").why()
    assert waited_for[0].endswith(
        "fashion_sota_r0002 has it, and waits: fashion-assets promote fashion_sota_r0002"
    )
    assert replace(stale, behind=(), tables_wait=True).why() == [
        "rows of other tables changed: fashion-assets sync"
    ]
    assert replace(stale, behind=()).is_in_step


def sensor_context(instance: dg.DagsterInstance) -> dg.SensorEvaluationContext:
    return dg.build_sensor_context(instance=instance, resources={"warehouse": WarehouseResource()})


def test_a_refresh_finds_what_hid_its_change(shop: Path, settings: Settings, database: psycopg.Connection):
    picture = shop / "images" / "5.jpg"
    before = picture.stat()
    draw_picture(picture, 1_105)
    picture.write_bytes(picture.read_bytes().ljust(before.st_size, b"\0"))
    os.utime(picture, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert picture.stat().st_size == before.st_size, "draw a simpler one"
    assert synced(settings).mode == "nothing"
    result = synced(settings, refresh=True)
    assert (result.mode, result.followed.written) == ("triggered", 1)
    assert synced(settings, refresh=True).mode == "nothing"
