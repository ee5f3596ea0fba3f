"""A stage of a batch as the body of an asset.

What belongs here: what a stage's work is given of the resources, and its verdicts as check results. What does not: the stages
(`batches`), and what the UI is shown of what they made (each asset's own module).
"""

from collections.abc import Collection, Iterator
from typing import Any

import dagster as dg

from fashion_assets.batches.stage import OnBatch, Stage, Tables, Work
from fashion_assets.compute.here import compute_of
from fashion_assets.defs.partitions import BATCHES
from fashion_assets.defs.resources import EncoderResource, ParquetResource, WarehouseResource
from fashion_assets.defs.verdicts import check_result, check_specs


def checks_of(stage: Stage[Any], partitions: dg.PartitionsDefinition = BATCHES) -> list[dg.AssetCheckSpec]:
    """The checks of what a stage makes; each holds the next stage up."""
    criteria = [criterion for file in stage.makes for criterion in file.criteria]
    return check_specs(criteria, blocking=True, partitions_def=partitions)


def work_of(
    context: dg.AssetExecutionContext,
    warehouse: WarehouseResource,
    encoder: EncoderResource,
    parquet: ParquetResource,
) -> Work:
    """The work on the batch that the run is of."""
    settings = warehouse.settings
    return Work(
        context.partition_key,
        settings,
        parquet.store,
        warehouse.connect,
        encoder.installed,
        compute_of(settings),
    )


def checked(
    stage: Stage[OnBatch], work: OnBatch, tables: Tables, accepted: Collection[str] = ()
) -> Iterator[dg.AssetCheckResult]:
    """The verdicts on what the stage made, as results of its checks."""
    for criterion, verdict in stage.verdicts(work, tables, accepted):
        yield check_result(verdict, criterion.asset)
