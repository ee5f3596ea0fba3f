"""Checks of a candidate: every criterion, and the expectations on its `products` table.

What belongs here: check definitions, generated. None blocks: the candidate is built, measured and reported whatever
they say, and the swap asks every criterion itself.
"""

from collections.abc import Iterator

import dagster as dg

from fashion_assets.criteria.candidate import CANDIDATE_CRITERIA, Candidate
from fashion_assets.criteria.expectations import EXPECTATIONS
from fashion_assets.defs.release.assets import candidate_of
from fashion_assets.defs.release.judgement import Judgement
from fashion_assets.defs.resources import WarehouseResource
from fashion_assets.defs.verdicts import check_result, check_specs
from fashion_assets.serving.links import report_link
from fashion_assets.settings import Settings


def _criteria_checks(asset: str) -> dg.AssetChecksDefinition:
    criteria = [criterion for criterion in CANDIDATE_CRITERIA if criterion.asset == asset]

    @dg.multi_asset_check(
        name=f"{asset}_criteria",
        specs=check_specs(criteria, blocking=False),
        description=f"The criteria of {asset}, measured in the candidate.",
    )
    def checks(
        context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource, judgement: Judgement
    ) -> Iterator[dg.AssetCheckResult]:
        with warehouse.connect() as conn:
            candidate = Candidate(conn, candidate_of(conn, context), warehouse.settings)
            for verdict in judgement.of(candidate, criteria):
                yield check_result(verdict, asset)

    return checks


products_criteria = _criteria_checks("products")
product_embeddings_index_criteria = _criteria_checks("product_embeddings_index")
search_benchmarks_criteria = _criteria_checks("search_benchmarks")


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            expectation.name, asset="products", description=expectation.claim_in(Settings()), blocking=False
        )
        for expectation in EXPECTATIONS
    ],
)
def products_expectations(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource, judgement: Judgement
) -> Iterator[dg.AssetCheckResult]:
    """A Great Expectations suite over the candidate's `products`, run in the database; Data Docs are linked."""
    settings = warehouse.settings
    with warehouse.connect() as conn:
        release = candidate_of(conn, context)
    results, docs = judgement.expectations(settings, release)
    for result in results:
        yield dg.AssetCheckResult(
            check_name=result.name,
            asset_key="products",
            passed=result.passed,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"{'pass' if result.passed else 'fail'}: {result.unexpected} unexpected of {result.elements}",
            metadata={
                "unexpected": result.unexpected,
                "elements": result.elements,
                "offenders": dg.MetadataValue.json(result.offenders),
                "expectation": dg.MetadataValue.json(result.expectation),
                "data_docs": dg.MetadataValue.url(report_link(settings, docs)),
            },
        )
