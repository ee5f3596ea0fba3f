"""Wardrobe documents and their backfill.

What belongs here: the Dagster face of `backfill`.
"""

import time
from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from fashion_assets.backfill.documents import InTable
from fashion_assets.backfill.environments import PRODUCTION, connected
from fashion_assets.backfill.errors import NoSuchTarget, NotConfigured
from fashion_assets.backfill.monitor import report
from fashion_assets.backfill.register import Progress
from fashion_assets.backfill.run import Run
from fashion_assets.backfill.table import Table
from fashion_assets.backfill.validation import CRITERIA, validated, verdicts
from fashion_assets.backfill.walk import Options
from fashion_assets.defs.failures import telling
from fashion_assets.defs.resources import WarehouseResource
from fashion_assets.defs.verdicts import check_result, check_specs
from fashion_assets.progress import SECONDS

USUAL_TABLE = "wardrobe"
"""Where documents are unless somebody says otherwise, as for the commands."""

SAMPLED = 100
"""Documents that the checks look at."""


class Backfilled(dg.Config):
    """Which documents."""

    environment: str = "development"
    """development, staging or production: the database its setting names."""
    table: str | None = None
    """Unset: `wardrobe`, where there is one."""
    column: str | None = None
    key: str | None = None
    workers: int = Field(default=1, ge=1)
    """Ranges of the table's keys that are gone through at once, by a connection each."""
    confirm: str = ""
    """For production: that word, typed by a person."""


@dg.asset(
    group_name="wardrobe",
    owners=["team:catalog"],
    kinds={"postgres"},
    check_specs=check_specs(CRITERIA, blocking=False),
)
@telling
def wardrobe_backfill(
    context: dg.AssetExecutionContext, config: Backfilled, warehouse: WarehouseResource
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    """Canonical styles, occasions, moods and seasons in every wardrobe document of a table, where it lies. Continues where the last run,
    of whatever kind, stopped. Where nothing is configured, and there is no table `wardrobe`, there is nothing to do."""
    if config.environment == PRODUCTION and config.confirm != PRODUCTION:
        raise NotConfigured(
            "Production is written to only where a person says so: put `confirm: production` into the config."
        )
    told = 0.0

    def tell(progress: Progress, what: str) -> None:
        nonlocal told
        if what or time.monotonic() - told >= SECONDS:
            told = time.monotonic()
            context.log.info(
                f"{progress.counts.get('processed', 0):,} of {progress.total:,} documents {what}"
            )

    with connected(config.environment, warehouse.settings) as conn:
        try:
            table = Table(conn, config.table or USUAL_TABLE, config.column, config.key)
        except NoSuchTarget as error:
            # Materialized along with all others, by somebody who may have no documents at all.
            if config.table is not None:
                raise
            context.log.info(f"Nothing to backfill. {error}")
            for verdict in verdicts([]):
                yield check_result(verdict, "wardrobe_backfill")
            yield dg.MaterializeResult(
                metadata={
                    "environment": config.environment,
                    "nothing_done": f"{error} In the UI: `table` in the config of the job backfill_wardrobe.",
                }
            )
            return
        Run(
            table,
            Options(workers=config.workers),
            tell,
            connect=lambda: connected(config.environment, warehouse.settings),
        ).go()
        documents = InTable(table)
        found, sample = report(documents), validated(documents, SAMPLED)
    for verdict in verdicts(sample):
        yield check_result(verdict, "wardrobe_backfill")
    yield dg.MaterializeResult(
        metadata={
            "environment": config.environment,
            "target": found["target"],
            **found["summary"],
            "counts": dg.MetadataValue.json(found["progress"]["counts"]),
            "parked": dg.MetadataValue.json(found["normalization_errors"]),
            "recommendations": "\n".join(found["recommendations"]),
        }
    )
