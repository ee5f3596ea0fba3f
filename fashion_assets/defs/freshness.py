"""Telling Dagster that what is served is in step with its sources, or since when it is not, and why.

What belongs here: when to tell it of which asset. What does not: whether it is (`release.freshness`), when an asset is overdue (`described`).

Of batches one word for each asset says how many are stale, since when and why: partitions have no freshness in Dagster.

A release is materialized once and then kept fresh by syncs, of which commands and watchers tell Dagster nothing. So what is served is
materialized again, as far as Dagster is told, whenever a look at the sources found it in step: else its freshness policy would call it overdue.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import dagster as dg

from fashion_assets.batches.rows import ROW_STAGES
from fashion_assets.batches.stage import Stage
from fashion_assets.batches.stages import STAGES
from fashion_assets.defs.described import SERVED
from fashion_assets.defs.resources import WarehouseResource
from fashion_assets.release.freshness import Freshness, Unmade, freshness, unmade
from fashion_assets.release.plan import plan
from fashion_assets.warehouse import releases

NOTED_EVERY = timedelta(hours=6)
"""How often it is noted that what is served is in step where no sync changed it; the shortest window of a policy is half a day."""

DATA_VERSION = "dagster/data_version"


@dg.sensor(
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells the UI that what is served is in step with its sources, as syncs keep it, or since when it is not, and why. Looks at no "
    "source.",
)
def served_is_in_step(context: dg.SensorEvaluationContext, warehouse: WarehouseResource) -> dg.SkipReason:
    """The cursor keeps what was told last, so that a daemon that starts again goes on where it was."""
    with warehouse.connect() as conn:
        wanted = plan(conn, warehouse.settings)
        found = freshness(conn, wanted)
        candidates = bool(releases.candidates(conn))
        batches = [
            (stages, unmade(conn, of))
            for stages, of in ((STAGES, wanted.of_listings), (ROW_STAGES, wanted.of_rows))
            if of.batches
        ]
    if found is None or wanted.live is None:
        return dg.SkipReason("nothing is live yet")
    told = json.loads(context.cursor or "{}")
    told["batches"] = _tell_of_batches(context.instance, batches, told.get("batches", {}))
    context.update_cursor(json.dumps(told))
    if not found.is_in_step:
        why = found.why()
        key = [
            found.release,
            found.made_otherwise,
            found.tables_wait,
            found.waiting,
            *(each.source for each in found.behind),
        ]
        if told.get("why") != key:
            # With a candidate there, the other assets are its tables.
            for name in ("live_release",) if candidates else SERVED:
                context.instance.report_runless_asset_event(dg.AssetObservation(name, metadata=_said(found)))
            context.update_cursor(json.dumps({**told, "why": key}))
        return dg.SkipReason("; ".join(why))
    if found.as_of is None:
        return dg.SkipReason("a source was never looked at")
    if _is_due(found, told):
        for event in _events(context.instance, found, wanted.live, only_live=candidates):
            context.instance.report_runless_asset_event(event)
        context.update_cursor(
            json.dumps(
                {
                    "release": found.release,
                    "revision": found.revision,
                    "as_of": found.as_of.isoformat(),
                    "batches": told["batches"],
                }
            )
        )
    return dg.SkipReason(
        f"{found.release}, revision {found.revision}, is in step as of {found.as_of:%Y-%m-%d %H:%M}"
    )


def _tell_of_batches(
    instance: dg.DagsterInstance,
    batches: Sequence[tuple[Sequence[Stage], Unmade | None]],
    told: dict[str, str],
) -> dict[str, str]:
    """Observe each asset of batches where since when and why some are stale is not what was told before; returns what is told by now."""
    now = {}
    for stages, found in batches:
        name = stages[0].name
        key = "" if found is None else str(found)
        if key:
            now[name] = key
        if key == told.get(name, ""):
            continue
        said = {"in_step": found is None}
        if found is not None:
            said |= {"stale_batches": found.stale, "batches": found.of}
            said |= {name: value for name, value in found.to_dict().items() if value is not None}
        for file in (file for stage in stages for file in stage.makes):
            instance.report_runless_asset_event(dg.AssetObservation(file.name, metadata=said))
    return now


def _is_due(found: Freshness, told: dict) -> bool:
    """Whether there is something to tell: another release or revision, a stale one that is no more, or that it was looked at again."""
    if "why" in told or (told.get("release"), told.get("revision")) != (found.release, found.revision):
        return True
    assert found.as_of is not None
    return found.as_of - datetime.fromisoformat(told["as_of"]) >= NOTED_EVERY


def _events(
    instance: dg.DagsterInstance, found: Freshness, live: releases.Release, *, only_live: bool
) -> Iterator[dg.AssetMaterialization]:
    """What is served, as materialized once more. With a candidate there its tables are what the other assets were materialized as last."""
    for name in ("live_release",) if only_live else SERVED:
        before = instance.get_latest_materialization_event(dg.AssetKey(name))
        latest = before and before.asset_materialization
        if latest is None and name != "live_release":
            continue  # of an installation whose runs Dagster knows nothing of
        # The version of the last one: what was made of it is as good as it was.
        kept = (latest.tags or {}).get(DATA_VERSION) if latest else None
        version = live.content_version if name == "live_release" else kept
        rows = {"dagster/row_count": live.products or 0} if name in ("live_release", "products") else {}
        yield dg.AssetMaterialization(
            name,
            description="in step with its sources",
            metadata={**_said(found), **rows},
            tags={DATA_VERSION: version} if version else {},
        )


def _said(found: Freshness) -> dict:
    said = found.to_dict()
    return {
        "release": found.release,
        "revision": found.revision,
        "in_step": found.is_in_step,
        "sources_looked_at": said["sources_looked_at"] or "never",
        **({"stale_since": said["stale_since"]} if said["stale_since"] else {}),
        **({"why": "; ".join(said["why"])} if said["why"] else {}),
    }


@dg.definitions
def freshness_of_what_is_served() -> dg.Definitions:
    return dg.Definitions(sensors=[served_is_in_step])
