"""What happens by itself: a sensor for new and changed batches, a nightly release.

What belongs here: when to ask for runs. What does not: what is stale (`batches.plan`).
"""

from datetime import UTC, datetime, timedelta
from itertools import islice

import dagster as dg

from fashion_assets.criteria.losses import NOTHING_MUCH_IS_LOST
from fashion_assets.defs.jobs import build_release, migrate_batch, migrate_rows, sync_release
from fashion_assets.defs.partitions import BATCHES, TABLE_BATCHES
from fashion_assets.defs.resources import WarehouseResource
from fashion_assets.defs.sources import CatalogueResource, note, source_events
from fashion_assets.notifications import Event, notify
from fashion_assets.release import approval
from fashion_assets.release.plan import Plan, plan
from fashion_assets.release.recovery import recovered_plan
from fashion_assets.release.scan import scan_active_sources
from fashion_assets.settings import Settings
from fashion_assets.sources import SourceError
from fashion_assets.warehouse.locks import Busy, run_lock
from fashion_assets.warehouse.names import is_of_a_table
from fashion_assets.warehouse.register import Batch

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]

ENDED_WITHOUT_RELEASE = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]

ASKED_FOR = "fashion_assets/batch_version"
"""Tag of the runs the sensors ask for: the version of the batch, or of all content, they are for."""

AGAIN = "fashion_assets/again"
"""Tag of those it asks for though nothing changed, since a picture could not be embedded the last time. Once: what is wrong
with it is not likely to end by itself a second time."""


SYNC_AGAIN_AFTER = timedelta(hours=1)
"""So long after a sync failed it is asked for again, where the sources are as they were."""


def _job_of(batch: Batch) -> str:
    return migrate_rows.name if is_of_a_table(batch.name) else migrate_batch.name


def _runs_of(batch: Batch) -> dg.RunsFilter:
    return dg.RunsFilter(job_name=_job_of(batch), tags={"dagster/partition": batch.name})


def _tell_unread(context: dg.SensorEvaluationContext, settings: Settings, said: list[str]) -> None:
    """Tell people of sources that cannot be read: once, and again when it is another error."""
    if said and context.cursor != "\n".join(said):
        title = "a source cannot be read, so that nothing new of it is migrated"
        notify(settings, Event("source_unreadable", title, said))
    if said or context.cursor:
        context.update_cursor("\n".join(said))


def _waiting_for(wanted: Plan, settings: Settings) -> str:
    """Why no release is due."""
    existing = wanted.existing
    if existing is None or existing.state != "candidate":
        return "nothing changed"
    failed = {
        verdict["name"]: ", ".join(map(str, verdict["offenders"])) or str(verdict["value"])
        for verdict in existing.criteria or []
        if verdict["outcome"] == "fail"
    }
    why = f" ({'; '.join(f'{name}: {said}' for name, said in failed.items())})" if failed else ""
    how = "promote_candidate"
    if approval.is_lacking(existing, settings):
        how = f"approve_candidate (or {approval.how(existing.release)}), then promote_candidate"
    if set(failed) == {NOTHING_MUCH_IS_LOST}:
        how = "promote_smaller_candidate, if so much is meant to be gone"
    return f"{existing.release} stands ready and waits for a person{why}: launch {how}"


@dg.sensor(
    jobs=[migrate_batch, migrate_rows, build_release],
    minimum_interval_seconds=60,
    description="Finds new and changed batches of the active sources, asks for their runs a few at a time, and for a "
    "release once all are through. A batch that failed waits for a person, or for other content.",
)
def new_or_changed_batches(
    context: dg.SensorEvaluationContext, warehouse: WarehouseResource, catalogue: CatalogueResource
) -> dg.SensorResult | dg.SkipReason:
    """A batch that failed is asked for again only when its content, the rules or the model change; one with a picture that
    could not be embedded once more as it is. A person may launch either at any time."""
    settings = warehouse.settings
    wanted = _wanted(context, warehouse, catalogue)
    if isinstance(wanted, dg.SkipReason):
        return wanted
    instance = context.instance
    requests = _partitions_lacking(instance, wanted)
    running = [
        run
        for job in (migrate_batch, migrate_rows)
        for run in instance.get_runs(dg.RunsFilter(job_name=job.name, statuses=UNFINISHED))
    ]
    if stale := [*wanted.stale, *wanted.of_rows.stale]:
        room = max(0, settings.sensor_runs_per_tick - len(running))
        asked_for = (_run_due(instance, wanted, batch) for batch in stale)
        if due := list(islice(filter(None, asked_for), room)):
            return dg.SensorResult(run_requests=due, dynamic_partitions_requests=requests)
        if running:
            return dg.SensorResult(skip_reason=f"{len(running)} batch runs are under way")
        failed = [batch.name for batch in stale if batch.name not in wanted.incomplete]
        if failed:
            return dg.SensorResult(
                skip_reason=f"these batches failed and wait for a person: {', '.join(failed[:10])}"
            )
    # Batches that lack but a few vectors do not hold a release up: what they lack is in quarantine.
    if running or wanted.existing is not None:
        reason = "batch runs are under way" if running else _waiting_for(wanted, settings)
        if wanted.incomplete and not running:
            names = ", ".join(sorted(wanted.incomplete)[:10])
            reason += f"; pictures in these batches could not be embedded, twice: {names}"
        return dg.SensorResult(skip_reason=reason, dynamic_partitions_requests=requests)
    release = _release_due(instance, wanted)
    if isinstance(release, str):
        return dg.SensorResult(skip_reason=release, dynamic_partitions_requests=requests)
    return dg.SensorResult(run_requests=[release], dynamic_partitions_requests=requests)


def _wanted(
    context: dg.SensorEvaluationContext, warehouse: WarehouseResource, catalogue: CatalogueResource
) -> Plan | dg.SkipReason:
    """What there is to do, once the active sources were scanned; or why they were not."""
    settings = warehouse.settings
    with warehouse.connect() as conn:
        try:
            with run_lock(settings, new_or_changed_batches.name, shared=True, wait=0):
                with conn.transaction():
                    catalogue.activate(conn)
                    scans = scan_active_sources(conn, settings)
                if not scans:
                    return dg.SkipReason(
                        "no source is active: launch the job scan_sources with the folder of a catalogue, or run "
                        "`fashion-assets run --catalog DIR` once, or --sample N"
                    )
                wanted, _ = recovered_plan(conn, settings)
        except Busy as busy:
            return dg.SkipReason(str(busy))
        except (SourceError, OSError) as error:
            _tell_unread(context, settings, [str(error)])
            return dg.SkipReason(str(error))
        _tell_unread(context, settings, [str(scan) for scan in scans if scan.unread])
        note(context.instance, source_events(scans))
    return wanted


def _partitions_lacking(instance: dg.DagsterInstance, wanted: Plan) -> list[dg.AddDynamicPartitionsRequest]:
    """Requests for the partitions of batches that have none."""
    requests = []
    for partitions, batches in ((BATCHES, wanted.batches), (TABLE_BATCHES, wanted.of_rows.batches)):
        names = {batch.name for batch in batches}
        if add := sorted(names - set(instance.get_dynamic_partitions(partitions.name or ""))):
            requests.append(partitions.build_add_request(add))
    return requests


def _run_due(instance: dg.DagsterInstance, wanted: Plan, batch: Batch) -> dg.RunRequest | None:
    """A request for a run of a stale batch; None where one is under way, or ended without making it good."""
    version = wanted.versions[batch.name]
    latest = next(iter(instance.get_runs(_runs_of(batch), limit=1)), None)
    tags = {ASKED_FOR: version}
    if latest is not None and latest.status in UNFINISHED:
        return None
    if latest is not None and latest.tags.get(ASKED_FOR) == version:
        if batch.name not in wanted.incomplete or AGAIN in latest.tags:
            return None
        tags[AGAIN] = "once"
    # A run key counts for ever. With the run before in it, a batch that went back to an earlier content after
    # a failed attempt can be asked for again.
    before = latest.run_id if latest else "none"
    return dg.RunRequest(
        run_key=f"{batch.name}:{version}:{before}",
        partition_key=batch.name,
        job_name=_job_of(batch),
        tags=tags,
    )


def _release_due(instance: dg.DagsterInstance, wanted: Plan) -> dg.RunRequest | str:
    """A request for a release of what the batches hold; or why none is made, where one failed."""
    # A key counts for ever. With the live release in it, a content that was gone from is asked for again.
    key = f"release:{wanted.content_version}:{wanted.live.release if wanted.live else 'first'}"
    # Dagster itself would drop a second request of this key, and say nothing of why no release comes.
    tried = dg.RunsFilter(
        job_name=build_release.name, tags={"dagster/run_key": key}, statuses=ENDED_WITHOUT_RELEASE
    )
    for run in instance.get_runs(tried, limit=1):
        return (
            f"the release of this content failed in run {run.run_id[:8]} and waits for a person: "
            f"launch {build_release.name} again, or `fashion-assets run`"
        )
    return dg.RunRequest(run_key=key, job_name=build_release.name)


@dg.sensor(
    job=sync_release,
    minimum_interval_seconds=30,
    description="Finds what changed in the sources and has it written into the live release. In place of new_or_changed_batches, which "
    "has a new release built; the batches' files come up to date with a run.",
)
def changes_of_sources(
    context: dg.SensorEvaluationContext, warehouse: WarehouseResource
) -> dg.RunRequest | dg.SkipReason:
    """Asks once for each content of the sources that the live release is behind with, and again an hour after a sync of it failed: what was in
    its way, a source that was away above all, may be gone."""
    settings = warehouse.settings
    if context.instance.get_runs(dg.RunsFilter(job_name=sync_release.name, statuses=UNFINISHED), limit=1):
        return dg.SkipReason("a sync is under way")
    with warehouse.connect() as conn:
        try:
            with run_lock(settings, changes_of_sources.name, shared=True, wait=0), conn.transaction():
                scans = scan_active_sources(conn, settings)
        except Busy as busy:
            return dg.SkipReason(str(busy))
        except (SourceError, OSError) as error:
            _tell_unread(context, settings, [str(error)])
            return dg.SkipReason(str(error))
        _tell_unread(context, settings, [str(scan) for scan in scans if scan.unread])
        wanted = plan(conn, settings)
        live = wanted.live
        if live is None:
            return dg.SkipReason("nothing is live yet: launch build_release, or `fashion-assets run`")
        if live.made_with != wanted.made_with:
            return dg.SkipReason(
                f"{live.release} was made with other sources, mappings, rules or another model: launch build_release"
            )
        if live.content_version == wanted.content_version:
            return dg.SkipReason("nothing changed")
    key = f"sync:{live.release}:{live.revision}:{wanted.content_version}"
    tags = {ASKED_FOR: wanted.content_version}
    failed = context.instance.get_run_records(
        dg.RunsFilter(job_name=sync_release.name, tags=tags, statuses=ENDED_WITHOUT_RELEASE), limit=1
    )
    for record in failed:
        run = record.dagster_run.run_id
        if datetime.now(UTC) - record.update_timestamp < SYNC_AGAIN_AFTER:
            return dg.SkipReason(
                f"the sync of this content failed in run {run[:8]}; it is tried again within the hour, or launch {sync_release.name}"
            )
        key += f":{run}"
    return dg.RunRequest(run_key=key, tags=tags)


@dg.schedule(
    job=build_release,
    cron_schedule="0 3 * * *",
    execution_timezone="UTC",
    description="Every night at 03:00 UTC: a release of what the batches hold, if anything changed since the last.",
)
def nightly_release(
    context: dg.ScheduleEvaluationContext, warehouse: WarehouseResource
) -> dg.RunRequest | dg.SkipReason:
    """The run key holds the day: a release that failed is tried again the next night."""
    with warehouse.connect() as conn:
        wanted = plan(conn, warehouse.settings)
    if not wanted.batches:
        return dg.SkipReason("no batch is registered")
    if wanted.missing:
        where = ", ".join(f"{name} is not at {place}" for name, place in sorted(wanted.missing.items()))
        return dg.SkipReason(f"a source is not where it was: {where}")
    if wanted.existing is not None:
        return dg.SkipReason(_waiting_for(wanted, warehouse.settings))
    return dg.RunRequest(
        run_key=f"nightly:{context.scheduled_execution_time.date()}:{wanted.content_version}"
    )


@dg.definitions
def automation() -> dg.Definitions:
    return dg.Definitions(sensors=[new_or_changed_batches, changes_of_sources], schedules=[nightly_release])
