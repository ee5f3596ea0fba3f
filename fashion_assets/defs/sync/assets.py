"""The live release brought in step with its sources.

What belongs here: the Dagster face of `sync`.
"""

from contextlib import closing

import dagster as dg
from rich.console import Console

from fashion_assets.defs.failures import telling
from fashion_assets.defs.resources import WarehouseResource
from fashion_assets.defs.sources import SOURCE_LISTINGS
from fashion_assets.release.applying import NeedsSnapshot
from fashion_assets.warehouse.releases import SERVING_SCHEMA


class Syncing(dg.Config):
    """Which source, and what may go."""

    source: str | None = None
    """One source alone. Unset: all that are in use."""
    allow_shrink: bool = False
    """Whether much of what is live is meant to be gone."""
    refresh: bool = False
    """Whether every record and picture is read again, also where nothing seems to have changed."""


@dg.asset(
    deps=[dg.AssetDep(SOURCE_LISTINGS), dg.AssetDep("live_release")],
    group_name="sync",
    owners=["team:platform"],
    kinds={"postgres"},
    output_required=False,
)
@telling
def synced_release(context: dg.AssetExecutionContext, config: Syncing, warehouse: WarehouseResource):
    """What is new, changed or gone in the sources, through the same stages and criteria, written into the live release while it is read. Where
    rules, mappings or the model are others than it was made with, nothing is done: a new release is to be built (build_release)."""
    from fashion_assets.sync import Sync  # here: it brings the encoder along

    settings = warehouse.settings
    with closing(Sync(settings, Console(quiet=True))) as sync:
        try:
            result = sync.once(
                "triggered", config.source, allow_shrink=config.allow_shrink, refresh=config.refresh
            )
        except NeedsSnapshot as error:
            context.log.warning(str(error))
            return
        result.lines_after += sync.tend(context.log.info)
    for line in result.summary():
        context.log.info(line)
    done = result.followed
    yield dg.MaterializeResult(
        metadata={
            "dagster/table_name": f"{SERVING_SCHEMA}.products",
            "release": result.release or "",
            "revision": result.revision,
            "products_written": done.written,
            "products_new": done.new,
            "products_taken_out": done.removed,
            "listings_rejected": done.rejected,
            "rows_of_other_tables": done.rows,
            **{f"seconds_{name.replace(' ', '_')}": seconds for name, seconds in result.seconds.items()},
        }
    )
