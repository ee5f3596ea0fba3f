"""What assets say of themselves beside their names: columns, tables, versions, freshness, tags, where their code is.

What belongs here: one table of it for all assets, and the function that puts it on them. What does not: what a run found
(the assets' own metadata), what columns mean (`catalog.listing`, the database's comments).
"""

import inspect
import warnings
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa

import fashion_assets
from fashion_assets.batches.files import (
    IMAGE_EMBEDDINGS,
    QUARANTINED_LISTINGS,
    QUARANTINED_ROWS,
    TEXT_EMBEDDINGS,
)
from fashion_assets.batches.rows import ROW_STAGES
from fashion_assets.batches.stage import Given
from fashion_assets.batches.stages import STAGES
from fashion_assets.defs.metadata import table_schema
from fashion_assets.defs.sources import SOURCE_LISTINGS
from fashion_assets.release import graphs
from fashion_assets.release.plan import RELEASE_VERSION
from fashion_assets.release.styles import STYLES_VERSION
from fashion_assets.settings import Settings
from fashion_assets.warehouse.contract import contracts
from fashion_assets.warehouse.schemas import OPS
from fashion_assets.warehouse.serving import PRODUCT_STYLE_AFFINITY, PRODUCTS, STYLE_CLUSTERS, Table

PACKAGE = Path(fashion_assets.__file__).parent

SERVED = (
    "live_release",
    "products",
    "style_clusters",
    "product_style_affinity",
    "product_embeddings_index",
)
"""Assets that readers read, once their release is live."""

IN_DATABASE = {
    QUARANTINED_LISTINGS.name: f"{OPS}.quarantine",
    QUARANTINED_ROWS.name: f"{OPS}.quarantine",
    IMAGE_EMBEDDINGS.name: f"{OPS}.embeddings",
    TEXT_EMBEDDINGS.name: f"{OPS}.embeddings",
}
"""Where the rows of a batch's files are in the database too."""


@dataclass(frozen=True)
class Described:
    """What is known of an asset before any run."""

    granularity: str
    """What one materialization of it is about: a batch, a release, the source, documents elsewhere."""
    columns: pa.Schema | Table | None = None
    table: str | None = None
    """Where its rows are in the database, with the schema."""
    code_version: str | None = None
    """Raised by whoever changes what the code makes of the same input; what a setting decides is part of it."""


def _described(settings: Settings) -> dict[str, Described]:
    model = "@".join(filter(None, (settings.model or "shipped", settings.model_revision)))
    given = Given(settings, model)
    index = f"{RELEASE_VERSION};m={graphs.LINKS};ef_construction={graphs.BUILT_WITH}"
    return {
        SOURCE_LISTINGS: Described("source"),
        **{
            file.name: Described("batch", file.shape, IN_DATABASE.get(file.name), stage.version(given))
            for stage in (*STAGES, *ROW_STAGES)
            for file in stage.makes
        },
        "products": Described("release", PRODUCTS, code_version=RELEASE_VERSION),
        "style_clusters": Described("release", STYLE_CLUSTERS, code_version=STYLES_VERSION),
        "product_style_affinity": Described("release", PRODUCT_STYLE_AFFINITY, code_version=STYLES_VERSION),
        "product_embeddings_index": Described("release", code_version=index),
        "search_benchmarks": Described("release"),
        "migration_report": Described("release"),
        "live_release": Described("release", PRODUCTS, f"{contracts()[-1].schema}.products", RELEASE_VERSION),
        "recall_benchmark": Described("release"),
        "latency_benchmark": Described("release"),
        "layout_benchmark": Described("release"),
        "relevance_benchmark": Described("release"),
        "wardrobe_backfill": Described("documents"),
        "written_stories": Described("products"),
        "synced_release": Described(
            "release", PRODUCTS, f"{contracts()[-1].schema}.products", RELEASE_VERSION
        ),
    }


def described(definitions: dg.Definitions, settings: Settings) -> dg.Definitions:
    """The definitions, each asset saying what it is. Raises `KeyError` for one that is not in the table."""
    known, freshness, code = _described(settings), _freshness(settings), _code(definitions, settings)

    def with_words(spec: dg.AssetSpec) -> dg.AssetSpec:
        name = spec.key.path[-1]
        about = known[name]
        metadata: dict[str, Any] = dict(spec.metadata)
        kept: dict[str, str] = {}
        if about.columns is not None:
            metadata["dagster/column_schema"] = (
                table_schema(about.columns.copied, about.columns.comments)
                if isinstance(about.columns, Table)
                else table_schema(about.columns)
            )
        if about.table is not None:
            metadata["dagster/table_name"] = about.table
            kept["dagster/storage_kind"] = "postgres"
        if spec.key in code:
            metadata["dagster/code_references"] = code[spec.key]
        return spec.replace_attributes(
            metadata=metadata,
            code_version=about.code_version,
            tags={**spec.tags, "granularity": about.granularity, **kept},
            freshness_policy=freshness if name in (SOURCE_LISTINGS, *SERVED) else None,
        )

    with warnings.catch_warnings():
        # `map_asset_specs` of all definitions at once is in preview, what it does to each asset is not.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return definitions.map_asset_specs(func=with_words)


def _freshness(settings: Settings) -> dg.FreshnessPolicy | None:
    """When the source, or what is live, is overdue. Not for batches: an unchanged batch is as it should be however long ago
    it ran, and Dagster's freshness is of an asset, not of its partitions."""
    if not settings.stale_after_days:
        return None
    return dg.FreshnessPolicy.time_window(
        fail_window=timedelta(days=settings.stale_after_days),
        warn_window=timedelta(days=settings.stale_after_days) / 2,
    )


def _code(
    definitions: dg.Definitions, settings: Settings
) -> dict[dg.AssetKey, dg.CodeReferencesMetadataValue]:
    """Where the function of each asset stands: in a file of this machine, or where `source_code_url` says it is browsed."""
    found = {}
    with warnings.catch_warnings():
        # In beta; what the UI draws from it is a link beside the asset's definition, and nothing hangs on it.
        warnings.simplefilter("ignore", dg.BetaWarning)
        for assets in dg.with_source_code_references([*(definitions.assets or ())]):  # type: ignore[list-item]
            if not isinstance(assets, dg.AssetsDefinition):
                continue
            for key in assets.keys:
                (place,) = assets.metadata_by_key[key]["dagster/code_references"].code_references
                # Its line is that of the function, its file that of whatever the function is wrapped in (`failures.telling`).
                made = inspect.unwrap(assets.op.compute_fn.decorated_fn)  # type: ignore[union-attr]
                file = Path(inspect.getfile(made))
                place = dg.LocalFileCodeReference(file_path=str(file), line_number=place.line_number)
                if settings.source_code_url is not None and file.is_relative_to(PACKAGE.parent):
                    url = f"{settings.source_code_url.rstrip('/')}/{file.relative_to(PACKAGE.parent).as_posix()}"
                    place = dg.UrlCodeReference(url=f"{url}#L{place.line_number}", label=file.name)
                found[key] = dg.CodeReferencesMetadataValue(code_references=[place])
    return found
