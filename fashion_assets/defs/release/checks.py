"""Checks of a candidate: every criterion, and the expectations on its `products` table.

What belongs here: check definitions, generated. None blocks: the candidate is built, measured and reported whatever
they say, and the swap asks every criterion itself. Each can be executed by itself, from its asset's Checks page.
"""

from collections.abc import Iterator

import dagster as dg
import psycopg
from pydantic import Field

from fashion_assets.criteria.candidate import CANDIDATE_CRITERIA
from fashion_assets.criteria.expectations import EXPECTATIONS
from fashion_assets.criteria.subject import Candidate
from fashion_assets.defs.failures import telling
from fashion_assets.defs.release.judgement import Judgement
from fashion_assets.defs.resources import WarehouseResource
from fashion_assets.defs.verdicts import check_result, check_specs
from fashion_assets.serving.links import expectations_link
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.releases import Release, ReleaseError


class Checked(dg.Config):
    """Which release is checked."""

    release: str = Field(
        default="",
        description="A release by name. Empty: what this run built, or else the newest candidate, or else what is live.",
    )


def _release_of(conn: psycopg.Connection, context: dg.AssetCheckExecutionContext, name: str) -> Release:
    """The release to check. Raises `dg.Failure` where there is none."""
    try:
        if name:
            return releases.get(conn, name)
        if (built := releases.built_by(conn, context.run.run_id)) is not None:
            return built
        standing = [*releases.candidates(conn), *filter(None, [releases.live(conn)])]
        if standing:
            return standing[0]
        return releases.candidate(conn)
    except ReleaseError as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def _wanted(context: dg.AssetCheckExecutionContext) -> set[str]:
    return {key.name for key in context.selected_asset_check_keys}


def criteria_checks(asset: str) -> dg.AssetChecksDefinition:
    """The criteria of an asset of the release, as its checks."""
    criteria = [criterion for criterion in CANDIDATE_CRITERIA if criterion.asset == asset]

    @dg.multi_asset_check(
        name=f"{asset}_criteria",
        specs=check_specs(criteria, blocking=False),
        can_subset=True,
        description=f"The criteria of {asset}, measured in the candidate.",
    )
    @telling
    def checks(
        context: dg.AssetCheckExecutionContext,
        config: Checked,
        warehouse: WarehouseResource,
        judgement: Judgement,
    ) -> Iterator[dg.AssetCheckResult]:
        with warehouse.connect() as conn:
            release = _release_of(conn, context, config.release)
            wanted = _wanted(context)
            chosen = [criterion for criterion in criteria if criterion.name in wanted]
            for verdict in judgement.of(Candidate(conn, release, warehouse.settings), chosen):
                yield check_result(verdict, asset, release=release.release)

    return checks


products_criteria = criteria_checks("products")
product_embeddings_index_criteria = criteria_checks("product_embeddings_index")
search_benchmarks_criteria = criteria_checks("search_benchmarks")


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            expectation.name, asset="products", description=expectation.claim_in(Settings()), blocking=False
        )
        for expectation in EXPECTATIONS
    ],
    can_subset=True,
)
@telling
def products_expectations(
    context: dg.AssetCheckExecutionContext,
    config: Checked,
    warehouse: WarehouseResource,
    judgement: Judgement,
) -> Iterator[dg.AssetCheckResult]:
    """A Great Expectations suite over the candidate's `products`, run in the database; Data Docs are linked."""
    settings = warehouse.settings
    with warehouse.connect() as conn:
        release = _release_of(conn, context, config.release)
    results, _ = judgement.expectations(settings, release)
    wanted = _wanted(context)
    for result in results:
        if result.name not in wanted:
            continue
        yield dg.AssetCheckResult(
            check_name=result.name,
            asset_key="products",
            passed=result.passed,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"{'pass' if result.passed else 'fail'}: {result.unexpected} unexpected of {result.elements}",
            metadata={
                "release": release.release,
                "unexpected": result.unexpected,
                "elements": result.elements,
                "offenders": dg.MetadataValue.json(result.offenders),
                "expectation": dg.MetadataValue.json(result.expectation),
                "data_docs": dg.MetadataValue.url(expectations_link(settings, release.release)),
            },
        )
