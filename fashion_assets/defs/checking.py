"""Checks again, by themselves: of one batch from its files, of a release from its tables.

What belongs here: the jobs. What does not: what is checked (`batches.recheck`, `release/checks`).

The checks of a batch belong to the steps that make it, so that a batch that fails one goes no further. Dagster (1.13) runs a
check of an asset with partitions only with the asset: the button on the asset's Checks page says so, and a job of such
checks alone has no partitions to choose from. Hence a job of one step that has the batch as its partition and reports the
same checks, of that partition, with their own names: they stand on the asset's page as those of its run do.
"""

from collections.abc import Iterator

import dagster as dg

from fashion_assets.batches.recheck import recheck
from fashion_assets.batches.stage import Work
from fashion_assets.defs.failures import telling
from fashion_assets.defs.partitions import BATCHES
from fashion_assets.defs.resources import EncoderResource, ParquetResource, WarehouseResource
from fashion_assets.defs.verdicts import check_result

RELEASE_CHECKS = dg.AssetSelection.checks_for_assets(
    "products", "style_clusters", "product_style_affinity", "product_embeddings_index", "search_benchmarks"
)


@dg.op(
    out=dg.Out(dg.Nothing),
    description="Every criterion of the batch, measured again in the files of its stages.",
)
@telling
def batch_criteria(
    context: dg.OpExecutionContext,
    warehouse: WarehouseResource,
    encoder: EncoderResource,
    parquet: ParquetResource,
) -> Iterator[dg.AssetCheckEvaluation | dg.Output]:
    """Fails where a criterion does, as the batch's own run would."""
    batch = context.partition_key
    work = Work(batch, warehouse.settings, parquet.store, warehouse.connect, encoder.installed)
    for criterion, verdict in recheck(work):
        result = check_result(verdict, criterion.asset)
        yield dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(criterion.asset),
            check_name=criterion.name,
            passed=verdict.passed,
            metadata=result.metadata,
            severity=result.severity,
            description=result.description,
            blocking=True,
            partition=batch,
        )
    yield dg.Output(None)


@dg.job(
    partitions_def=BATCHES,
    description="The checks of one batch again, from the files its run left; a backfill checks many. Nothing is made anew.",
    executor_def=dg.in_process_executor,
)
def check_batch() -> None:
    batch_criteria()


check_release = dg.define_asset_job(
    "check_release",
    selection=RELEASE_CHECKS,
    description="Every check of a release again: of the newest candidate, or else of the live release, or of the one named in "
    "the config. Nothing is built, and nothing goes live.",
    executor_def=dg.in_process_executor,
)


@dg.definitions
def checking() -> dg.Definitions:
    return dg.Definitions(jobs=[check_batch, check_release])
