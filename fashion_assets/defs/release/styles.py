"""The styles of a release, and how near its products are to them.

What belongs here: the Dagster face of `release.styles`, between the products and their indexes.
"""

import dagster as dg

from fashion_assets.defs.failures import telling
from fashion_assets.defs.metadata import bar_chart
from fashion_assets.defs.release.assets import BESIDE_JUDGING, GROUP, OWNERS, candidate_of
from fashion_assets.defs.release.checks import criteria_checks
from fashion_assets.defs.resources import ReleaseTurn, WarehouseResource
from fashion_assets.release import styles

SHOWN = 100
"""Styles shown at the most, those with most products."""


@dg.asset(
    deps=["products"], group_name=GROUP, owners=OWNERS, kinds={"postgres", "numpy"}, op_tags=BESIDE_JUDGING
)
@telling
def style_clusters(
    context: dg.AssetExecutionContext, release_turn: ReleaseTurn, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """Styles of the catalogue: groups of products whose vectors point the same way, named by what is over-represented in them."""
    with warehouse.connect() as conn:
        release = candidate_of(conn, context)
        found = styles.find(conn, release)
    return dg.MaterializeResult(
        metadata={
            "release": release.release,
            "styles": len(found),
            "dagster/table_name": f"{release.release}.style_clusters",
            "names": dg.MetadataValue.table(
                records=[
                    dg.TableRecord(
                        {
                            "style": each.name,
                            "over-represented": ", ".join(
                                f"{word['value']} {word['lift']:.1f}x" for word in each.words[:6]
                            ),
                        }
                    )
                    for each in found[:SHOWN]
                ],
                schema=dg.TableSchema(
                    columns=[dg.TableColumn(name="style"), dg.TableColumn(name="over-represented")]
                ),
            ),
        }
    )


@dg.asset(
    deps=[style_clusters],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"postgres", "pgvector"},
    op_tags=BESIDE_JUDGING,
)
@telling
def product_style_affinity(
    context: dg.AssetExecutionContext, release_turn: ReleaseTurn, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """For each product the few styles nearest to it, and the cosine of its vector and theirs."""
    with warehouse.connect() as conn:
        release = candidate_of(conn, context)
    found = styles.assign(warehouse.settings, release)
    sizes = sorted(((each.name, each.products) for each in found), key=lambda each: -each[1])
    return dg.MaterializeResult(
        metadata={
            "release": release.release,
            "products": sum(size for _, size in sizes),
            "dagster/table_name": f"{release.release}.product_style_affinity",
            "largest_style": sizes[0][1] if sizes else 0,
            "sizes": bar_chart("Products by style", sizes[:15]),
        }
    )


style_clusters_criteria = criteria_checks("style_clusters")
product_style_affinity_criteria = criteria_checks("product_style_affinity")
