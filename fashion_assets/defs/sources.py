"""The sources as an asset that others make, and the job that looks at them.

What belongs here: what the UI is told of a source when it is scanned, and which catalogue a code location is of. What does
not: scanning (`release.scan`), reading (`sources`), when to look (`automation`).

When a scan finds something new, changed or gone, the source delivered: the asset is materialized. When it finds nothing,
the asset was merely looked at: it is observed. Whether the source is overdue follows from its last delivery.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import dagster as dg
import psycopg
from pydantic import Field

from fashion_assets.batches.plan import active_batches, active_table_batches
from fashion_assets.defs.failures import telling
from fashion_assets.defs.partitions import BATCHES, TABLE_BATCHES
from fashion_assets.defs.resources import WarehouseResource
from fashion_assets.release import roots
from fashion_assets.release.scan import Scanned, fetch_pictures, scan_active_sources, use_source
from fashion_assets.sources.locations import without_password
from fashion_assets.warehouse.locks import run_lock
from fashion_assets.warehouse.sources import active_sources

SOURCE_LISTINGS = "source_listings"

OBSERVED_EVERY = timedelta(hours=1)
"""How often it is noted that a source was looked at in which nothing changed: the sensor looks every minute."""

OBSERVED = 1_000
"""Observations looked through for that: more sources than one home has."""

SourceEvent = dg.AssetMaterialization | dg.AssetObservation

source_listings = dg.AssetSpec(
    SOURCE_LISTINGS,
    description="The listings of every source in use, as its own system has them: what is read, and never written to. Materialized for "
    "each source in which a scan finds a change, observed for one in which it finds none; the event says which source, and where it is.",
    group_name="catalog",
    owners=["team:catalog"],
    kinds={"file"},
)


class CatalogueResource(dg.ConfigurableResource):
    """The catalogue a code location is of. Empty: whatever source was made active, by the command line or `scan_sources`."""

    name: str = ""
    folder: str = ""

    def activate(self, conn: psycopg.Connection) -> None:
        """Put it in use, if it is not; others stay in use. In the transaction of the scan: one that cannot be read must not take
        the place of the one in use."""
        if not self.folder:
            return
        wanted = (self.name, "folder", str(Path(self.folder).expanduser().resolve()))
        if wanted not in [(known.name, known.kind, known.location) for known in active_sources(conn)]:
            use_source(conn, *wanted)


def source_events(scans: Sequence[Scanned]) -> Iterator[SourceEvent]:
    """What scans found, as events of `source_listings`; one each. A source that cannot be read delivered nothing, and was not
    looked at."""
    for source, report, _ in scans:
        if report is None:
            continue
        metadata = {
            "dagster/row_count": report.listings,
            "source": source.name,
            "kind": source.kind,
            "location": without_password(source.location),
            "new": report.new,
            "changed": report.changed,
            "gone": report.gone,
        }
        delivered = report.new or report.changed or report.gone
        event = dg.AssetMaterialization if delivered else dg.AssetObservation
        yield event(SOURCE_LISTINGS, metadata=metadata)


def note(instance: dg.DagsterInstance, events: Iterable[SourceEvent]) -> None:
    """Keep what scans found that no run tells of. That nothing changed is kept once in a while."""
    for event in events:
        if isinstance(event, dg.AssetObservation):
            # Of this source: others are looked at as often, and are no less or more quiet for it.
            since = time.time() - OBSERVED_EVERY.total_seconds()
            lately = instance.fetch_observations(
                dg.AssetRecordsFilter(dg.AssetKey(SOURCE_LISTINGS), after_timestamp=since), limit=OBSERVED
            ).records
            if event.metadata["source"] in [
                known.asset_observation.metadata.get("source") for known in lately if known.asset_observation
            ]:
                continue
        instance.report_runless_asset_event(event)


class Scan(dg.Config):
    """A catalogue to look at, too."""

    name: str = Field(
        default="",
        description="Name of the source; it is part of its products' ids and must not change. Empty: FASHION_ASSETS_SOURCE_NAME.",
    )
    folder: str = Field(
        default="",
        description="Folder with styles.csv and images/, as the machine that runs this sees it; from now on in use, beside other catalogues. "
        "Empty: the sources that are in use already.",
    )


@dg.op(
    out=dg.Out(dg.Nothing),
    description="Looks for new, changed and gone listings, and puts new ones into batches.",
)
@telling
def scan(
    context: dg.OpExecutionContext, config: Scan, warehouse: WarehouseResource, catalogue: CatalogueResource
) -> Iterator[SourceEvent | dg.Output]:
    """Every record of each source is read; pictures only of those that may have changed."""
    settings = warehouse.settings
    chosen = CatalogueResource(name=config.name or settings.source_name, folder=config.folder)
    with warehouse.connect() as conn:
        if settings.fetch_pictures:
            known = roots.active(conn, settings)
            conn.commit()
            for said in fetch_pictures(known, settings):
                context.log.info(said)
        with run_lock(settings, "scan_sources", shared=True, told=context.log.info), conn.transaction():
            (chosen if config.folder else catalogue).activate(conn)
            scans = scan_active_sources(conn, settings, needed={chosen.name} if config.folder else ())
        if not scans:
            raise dg.Failure(
                "No source is in use: launch this job with the folder of a catalogue in its config."
            )
        names = [batch.name for batch in active_batches(conn)]
        of_tables = [batch.name for batch in active_table_batches(conn)]
    context.instance.add_dynamic_partitions(str(BATCHES.name), names)
    context.instance.add_dynamic_partitions(str(TABLE_BATCHES.name), of_tables)
    for scan in scans:
        if scan.unread:
            context.log.error(str(scan))
    yield from source_events(scans)
    yield dg.Output(None)


@dg.job(
    description="Looks at every source in use once: new listings get batches, and each batch a partition. What there is to do then is "
    "done by the sensor, or by a backfill of migrate_batch and build_release.",
    executor_def=dg.in_process_executor,
)
def scan_sources() -> None:
    scan()


@dg.definitions
def sources() -> dg.Definitions:
    return dg.Definitions(
        assets=[source_listings], jobs=[scan_sources], resources={"catalogue": CatalogueResource()}
    )
