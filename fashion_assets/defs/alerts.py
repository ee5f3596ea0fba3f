"""Telling people of runs that Dagster launched, and of sources that deliver nothing.

What belongs here: which ends of runs are worth telling, and how. What does not: sending (`notifications`), and runs of a
command, which tells of them itself (`migration`).

These sensors are on where somebody is to be told (`notify_webhook`, `notify_email`), and off otherwise.
"""

import json

import dagster as dg

from fashion_assets.defs.jobs import build_release, migrate_batch, migrate_rows, promote_candidate
from fashion_assets.defs.resources import WarehouseResource
from fashion_assets.doctor.examination import event_of, examine
from fashion_assets.failed_runs import reason_of
from fashion_assets.notifications import Event, Kind, is_configured, notify, waits
from fashion_assets.release.approval import is_lacking
from fashion_assets.release.scan import stale_sources
from fashion_assets.run_tags import is_of_a_command
from fashion_assets.serving.links import report_link, run_link
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases

KINDS: dict[str, Kind] = {
    migrate_batch.name: "batch_failed",
    migrate_rows.name: "batch_failed",
    build_release.name: "release_refused",
    promote_candidate.name: "release_refused",
}
"""What it is that failed with a job's run; of any other job, a run."""


def _status() -> dg.DefaultSensorStatus:
    on = is_configured(Settings())
    return dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED


def _reason(context: dg.RunFailureSensorContext, settings: Settings) -> str:
    """Why a run failed, in our own words where there are some."""
    entries = context.instance.all_logs(
        context.dagster_run.run_id,
        of_type={
            dg.DagsterEventType.ASSET_CHECK_EVALUATION,
            dg.DagsterEventType.STEP_FAILURE,
            dg.DagsterEventType.RUN_FAILURE,
        },
    )
    return reason_of([entry.dagster_event for entry in entries if entry.dagster_event], settings, keep=False)


@dg.run_failure_sensor(
    default_status=_status(),
    minimum_interval_seconds=30,
    description="Tells people of runs that failed: a batch whose check stopped it, a release that was refused, any other. Off "
    "unless there is somebody to tell (FASHION_ASSETS_NOTIFY_WEBHOOK, FASHION_ASSETS_NOTIFY_EMAIL).",
)
def tell_of_failed_runs(
    context: dg.RunFailureSensorContext, warehouse: WarehouseResource
) -> dg.SkipReason | None:
    """Not of one that is tried again by itself."""
    run, settings = context.dagster_run, warehouse.settings
    if is_of_a_command(run.tags):
        return dg.SkipReason("the command that executed it tells of it")
    if run.tags.get("dagster/will_retry") == "true":
        return dg.SkipReason("it is tried again by itself")
    partition = run.tags.get("dagster/partition")
    # A run of assets or checks that somebody chose has a job's name that nobody knows.
    chosen = sorted(key.to_user_string() for key in run.asset_selection or ()) or ["checks"]
    what = ", ".join(chosen) if run.job_name.startswith("__") else run.job_name
    what = f"{what} of {partition}" if partition else what
    kind = KINDS.get(run.job_name, "run_failed")
    notify(
        settings,
        Event(
            kind,
            f"{what} failed and waits for a person",
            [_reason(context, settings)],
            run_link(settings, run.run_id),
        ),
    )
    return None


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[build_release],
    default_status=_status(),
    minimum_interval_seconds=30,
    description="Tells people of a release that was built and is left to them (FASHION_ASSETS_PROMOTE_AUTOMATICALLY=false).",
)
def tell_of_waiting_releases(
    context: dg.RunStatusSensorContext, warehouse: WarehouseResource
) -> dg.SkipReason | None:
    """Not of one that somebody put live meanwhile."""
    if is_of_a_command(context.dagster_run.tags):
        return dg.SkipReason("the command that executed it tells of it")
    with warehouse.connect() as conn:
        built = releases.built_by(conn, context.dagster_run.run_id)
    if built is None or built.state != "candidate":
        return dg.SkipReason("what it built waits for nobody")
    settings = warehouse.settings
    page = settings.reports / f"{built.release}.html"
    title = waits(built.release, built.products, is_lacking(built, settings))
    notify(settings, Event("release_waits", title, link=report_link(settings, page, absolute=True)))
    return None


@dg.sensor(
    default_status=_status(),
    minimum_interval_seconds=3600,
    description="Tells people once of a source in which nothing changed for FASHION_ASSETS_STALE_AFTER_DAYS: its deliveries may "
    "have stopped.",
)
def tell_of_stale_sources(context: dg.SensorEvaluationContext, warehouse: WarehouseResource) -> dg.SkipReason:
    """The cursor keeps of which deliveries it was told that they are the last."""
    told: dict[str, str] = json.loads(context.cursor or "{}")
    with warehouse.connect() as conn:
        stale = stale_sources(conn, warehouse.settings)
    for source in stale:
        if told.get(source.source) != source.changed_at.isoformat():
            notify(warehouse.settings, Event("source_stale", str(source)))
    context.update_cursor(json.dumps({source.source: source.changed_at.isoformat() for source in stale}))
    return dg.SkipReason("; ".join(map(str, stale)) or "no source is overdue")


@dg.sensor(
    default_status=_status(),
    minimum_interval_seconds=3600,
    description="Looks the installation over as fashion-assets doctor does, and tells people of what needs one of them: room on the disk, "
    "indexes that are not valid, rights, a clock that is wrong, changes that wait for a release. Once, and again when it is something else.",
)
def tell_of_the_installation(
    context: dg.SensorEvaluationContext, warehouse: WarehouseResource
) -> dg.SkipReason:
    """The cursor keeps which checks people were told of."""
    found = list(examine(warehouse.settings))
    event = event_of(found)
    wanting = ", ".join(sorted({each.check for each in found if each.state == "mend"}))
    if event is not None and wanting != context.cursor:
        notify(warehouse.settings, event)
    context.update_cursor(wanting)
    return dg.SkipReason(event.title if event else "nothing needs a person")


@dg.definitions
def alerts() -> dg.Definitions:
    return dg.Definitions(
        sensors=[
            tell_of_failed_runs,
            tell_of_waiting_releases,
            tell_of_stale_sources,
            tell_of_the_installation,
        ]
    )
