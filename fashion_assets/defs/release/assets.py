"""From all batches to a released schema: load, index, report, swap.

What belongs here: the Dagster face of `release`. These assets have no partitions: a release is made of all batches.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import dagster as dg
import psycopg
from psycopg import sql
from pydantic import Field

from fashion_assets.catalog.attributes import BRIEFLY
from fashion_assets.criteria.expectations import ExpectationResult
from fashion_assets.criteria.losses import NOTHING_MUCH_IS_LOST
from fashion_assets.criteria.subject import Candidate
from fashion_assets.criteria.verdict import Verdict
from fashion_assets.defs.failures import telling
from fashion_assets.defs.metadata import bar_chart, counts_table, table_schema
from fashion_assets.defs.release.judgement import Judgement
from fashion_assets.defs.resources import EncoderResource, ReleaseTurn, WarehouseResource
from fashion_assets.release import build, swap
from fashion_assets.release.approval import how, is_lacking
from fashion_assets.release.contracts import in_the_way
from fashion_assets.reports import report
from fashion_assets.serving.links import report_link
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.contract import contracts
from fashion_assets.warehouse.declared import declared_tables
from fashion_assets.warehouse.quarantine import reasons
from fashion_assets.warehouse.release_indexes import VECTOR_INDEX
from fashion_assets.warehouse.releases import Release

OWNERS = ["team:platform"]
GROUP = "release"

BESIDE_JUDGING = {"dagster/priority": "1"}
"""Of steps that run while a thread judges the products (`judgement`): before the checks, which wait for that thread."""


def candidate_of(
    conn: psycopg.Connection, context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext
) -> Release:
    """The candidate this run built, or the newest there is."""
    return releases.candidate(conn, context.run.run_id)


VERDICT_COLUMNS = (
    "criterion",
    "outcome",
    "value",
    "live",
    "threshold",
    "reason",
    "remedy",
    "check",
    "requirement",
)


def table_columns(conn: psycopg.Connection, table: sql.Identifier) -> dg.TableSchema:
    """The columns of a table or view as the database has them, with their types and comments."""
    rows = conn.execute(
        "SELECT attname, format_type(atttypid, atttypmod), col_description(attrelid, attnum) FROM pg_attribute "
        "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        (table.as_string(conn),),
    ).fetchall()
    # A comment, where there is one, says more than what is said of every column of this name.
    return table_schema(
        {name: kind for name, kind, _ in rows}, {name: said for name, _, said in rows if said}
    )


def verdict_table(verdicts: list[Verdict]) -> dg.TableMetadataValue:
    rows = [
        {
            "criterion": v.claim,
            "outcome": v.outcome,
            "value": str(v.value),
            "live": "" if v.live is None else str(v.live),
            "threshold": v.must_be,
            "reason": v.reason,
            "remedy": v.remedy,
            "check": v.name,
            "requirement": v.requirement,
        }
        for v in verdicts
    ]
    return dg.MetadataValue.table(
        records=[dg.TableRecord(row) for row in rows],
        schema=dg.TableSchema(columns=[dg.TableColumn(name=name) for name in VERDICT_COLUMNS]),
    )


@dg.asset(
    deps=[
        dg.AssetDep("normalized_attributes", partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep("properties", partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep("quarantined_listings", partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep("product_embeddings", partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep("validated_rows", partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep("quarantined_rows", partition_mapping=dg.AllPartitionMapping()),
    ],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"postgres"},
)
@telling
def products(
    context: dg.AssetExecutionContext,
    release_turn: ReleaseTurn,
    warehouse: WarehouseResource,
    encoder: EncoderResource,
    judgement: Judgement,
) -> dg.MaterializeResult:
    """The candidate's tables, loaded from all batches by streaming binary COPY into a fresh schema."""
    with warehouse.connect() as conn:
        for line in in_the_way(conn, declared_tables(conn)):
            context.log.warning(line)
        release = build.load(
            conn,
            warehouse.settings,
            encoder.space,
            context.run.run_id,
            lambda done, total: context.log.debug(f"loaded {done} of {total} batches"),
            context.log.info,
        )
        if release.made_from is not None:
            context.log.info(release.said_of_sharing)
        sample = conn.execute(
            sql.SQL("SELECT {} FROM {} ORDER BY product_id LIMIT 5").format(
                sql.SQL(", ").join(map(sql.Identifier, BRIEFLY)), release.table("products")
            )
        ).fetchall()
        types = conn.execute(
            sql.SQL(
                "SELECT article_type, count(*) FROM {} WHERE article_type IS NOT NULL GROUP BY 1 ORDER BY 2 DESC LIMIT 15"
            ).format(release.table("products"))
        ).fetchall()
        rejected = reasons(conn)
        columns_now = table_columns(conn, release.table("products"))
    judgement.begin(warehouse.settings, release)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(release.content_version),
        metadata={
            "dagster/row_count": release.products or 0,
            "dagster/table_name": f"{release.release}.products",
            "dagster/column_schema": columns_now,
            "release": release.release,
            "listings": release.listings or 0,
            "quarantined": release.quarantined or 0,
            "rejection_rate": (release.quarantined or 0) / max(1, release.listings or 0),
            **(
                {
                    "made_from": release.made_from,
                    "products_shared": release.shared or 0,
                    "products_written": release.written or 0,
                }
                if release.made_from is not None
                else {}
            ),
            "sample": dg.MetadataValue.table(
                records=[
                    dg.TableRecord({n: str(v) for n, v in zip(BRIEFLY, row, strict=True)}) for row in sample
                ],
                schema=dg.TableSchema(columns=[dg.TableColumn(name=name) for name in BRIEFLY]),
            ),
            "quarantine": counts_table(rejected, "reason"),
            "article_types": bar_chart("Products by article type", types),
        },
    )


# Of all tables, once all are written: those of styles, too.
@dg.asset(
    deps=[products, "product_style_affinity"],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"postgres", "pgvector"},
    op_tags=BESIDE_JUDGING,
)
@telling
def product_embeddings_index(
    context: dg.AssetExecutionContext, release_turn: ReleaseTurn, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """The one vector index (HNSW over halfvec), the indexes people filter by, and fresh statistics."""
    with warehouse.connect() as conn:
        release = candidate_of(conn, context)
    build.index(warehouse.settings, release, context.log.debug)
    with warehouse.connect() as conn:
        rows = conn.execute(
            "SELECT indexrelname, pg_relation_size(indexrelid) FROM pg_stat_all_indexes WHERE schemaname = %s "
            "ORDER BY 2 DESC",
            (release.release,),
        ).fetchall()
    sizes = dict(rows)
    return dg.MaterializeResult(
        metadata={
            "release": release.release,
            "vector_index_mb": sizes.get(VECTOR_INDEX, 0) / 2**20,
            "indexes_mb": sum(sizes.values()) / 2**20,
            "indexes": dg.MetadataValue.json({name: size for name, size in rows}),
        }
    )


@dg.asset(deps=["search_benchmarks"], group_name=GROUP, owners=OWNERS, kinds={"html"})
@telling
def migration_report(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, judgement: Judgement
) -> dg.MaterializeResult:
    """The candidate's report: criteria, counts through the lineage, what was quarantined and why. Kept per release."""
    with warehouse.connect() as conn:
        release = candidate_of(conn, context)
        verdicts = judgement.of(Candidate(conn, release, warehouse.settings))
        expectations: list[ExpectationResult] = []
        # What hinders them their own check says; the report is written whatever it is.
        with suppress(Exception):
            expectations, _ = judgement.expectations(warehouse.settings, release)
        unmet = [result.name for result in expectations if not result.passed]
        path = report.write(conn, warehouse.settings, release, verdicts, expectations)
    return dg.MaterializeResult(
        metadata={
            "release": release.release,
            # Where they could not be validated their number is not known, and not nought.
            **({"expectations_unmet": len(unmet)} if expectations else {}),
            "report": dg.MetadataValue.url(report_link(warehouse.settings, path)),
            "path": dg.MetadataValue.path(str(path)),
            "criteria": verdict_table(verdicts),
            "criteria_failed": sum(not verdict.passed for verdict in verdicts),
            **_beside(json.loads(path.with_suffix(".json").read_text("utf-8"))["beside"]),
        }
    )


def _beside(found: dict[str, Any] | None) -> dict[str, Any]:
    """What the candidate answers beside what is live, as metadata; nothing where nothing is live, or they could not be asked."""
    if found is None or "unknown" in found:
        return {}
    return {
        "beside": found["former"]["release"],
        "hits_that_stay": found["overlap"],
        "rank_biased_overlap": found["rbo"],
        **{
            f"{name}_{figure}": found[side][figure]
            for side, name in (("former", "live"), ("other", "candidate"))
            for figure in ("p50_ms", "p95_ms")
            if found[side][figure] is not None
        },
    }


class Promotion(dg.Config):
    """Which release goes live."""

    release: str = Field(
        default="",
        description="A candidate, or a retired release, by name. Empty: what this run built, or "
        "the only candidate there is.",
    )
    force: bool = Field(
        default=False, description="End the sessions that keep the serving views from being changed."
    )
    allow_shrink: bool = Field(
        default=False,
        description="Let it go live although much of the live release is gone (nothing_much_is_lost).",
    )
    automatically: bool | None = Field(
        default=None,
        description="Whether a release that this very run built goes live by itself. Empty: as FASHION_ASSETS_PROMOTE_AUTOMATICALLY "
        "says. If not, it waits for a person, who launches promote_candidate.",
    )


@dg.asset(
    deps=[migration_report, product_embeddings_index],
    output_required=False,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"postgres"},
)
@telling
def live_release(
    context: dg.AssetExecutionContext, config: Promotion, warehouse: WarehouseResource, judgement: Judgement
) -> Iterator[dg.MaterializeResult]:
    """The swap: every criterion is read anew from the candidate, and the serving views point at it only if all hold."""
    with warehouse.connect() as conn:
        before = releases.live(conn)
        try:
            release = _to_promote(conn, context.run.run_id, config.release)
            if _waits_for_a_person(release, context.run.run_id, config.automatically, warehouse.settings):
                first = (
                    f"approve_candidate (or {how(release.release)}), then "
                    if is_lacking(release, warehouse.settings)
                    else ""
                )
                context.log.info(
                    f"{release.release} is ready and waits for a person: launch {first}promote_candidate"
                )
                return
            accepted = [NOTHING_MUCH_IS_LOST] if config.allow_shrink else []
            verdicts = swap.promote(
                conn,
                warehouse.settings,
                release,
                accepted,
                force=config.force,
                answers=judgement.answers(release),
                told=lambda carried: context.log.info(str(carried)) if carried else None,
            )
        except swap.PromotionRefused as refused:
            raise dg.Failure(
                str(refused), metadata={"criteria": verdict_table(refused.failed)}, allow_retries=False
            ) from refused
        columns = table_columns(conn, sql.Identifier(contracts()[-1].schema, "products"))
    yield dg.MaterializeResult(
        data_version=dg.DataVersion(release.content_version),
        metadata={
            "dagster/row_count": release.products or 0,
            "dagster/column_schema": columns,
            "release": release.release,
            "before": before.release if before else "none",
            "products": release.products or 0,
            "criteria": verdict_table(verdicts),
            **({f"approved_{name}": said for name, said in (release.approval or {}).items()}),
        },
    )


def _waits_for_a_person(
    release: Release, run_id: str, automatically: bool | None, settings: Settings
) -> bool:
    """Whether a release is left where it is. A run that built nothing, or names a release, was launched by somebody who
    wants just that."""
    if release.run_id != run_id:
        return False
    if is_lacking(release, settings):
        return True
    return not (settings.promote_automatically if automatically is None else automatically)


def _to_promote(conn: psycopg.Connection, run_id: str, name: str) -> Release:
    """The release named, or what this run built, or the only candidate there is. Raises `ReleaseError`: nothing goes live
    because it happens to be the newest."""
    if name:
        return releases.get(conn, name)
    if (built := releases.built_by(conn, run_id)) is not None:
        return built
    return releases.only_candidate(conn)
