"""What must hold of a release's styles: every product has some, they are the nearest ones, and no two have one name.

What belongs here: these criteria. What does not: finding styles (`release.styles`).
"""

from typing import Any, LiteralString, Protocol

import psycopg
from psycopg import sql

from fashion_assets.criteria.verdict import OFFENDERS_SHOWN, Criterion, Finding, holds, not_applicable
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import PRODUCT_STYLE_AFFINITY, STYLE_CLUSTERS

COMPARED = 200
"""Products whose styles the database compares anew, drawn by their ids, which are hashes."""

TIE = 2e-3
"""Cosines of half-precision vectors, computed in two ways, differ by no more: styles so close are equally near."""


class Styled(Protocol):
    """A release that is judged."""

    @property
    def conn(self) -> psycopg.Connection: ...
    @property
    def release(self) -> Release: ...


def _rows(styled: Styled, query: LiteralString, *parameters: Any) -> list[tuple]:
    text = sql.SQL(query).format(
        products=styled.release.table("products"),
        styles=styled.release.table(STYLE_CLUSTERS.name),
        affinity=styled.release.table(PRODUCT_STYLE_AFFINITY.name),
    )
    return styled.conn.execute(text, parameters or None).fetchall()


def _nothing_to_judge(styled: Styled) -> str | None:
    """Why a release has no styles and need not have; None where it must."""
    ((kept,),) = styled.conn.execute(
        "SELECT to_regclass(%s) IS NOT NULL", (f"{styled.release.release}.{STYLE_CLUSTERS.name}",)
    ).fetchall()
    if not kept:
        return "it was built by a version that kept no styles"
    if not _rows(styled, "SELECT FROM {products} WHERE embedding IS NOT NULL LIMIT 1"):
        return "no product has a vector"
    return None


def _every_product_has_a_style(styled: Styled) -> Finding:
    if (why := _nothing_to_judge(styled)) is not None:
        return not_applicable(why)
    rows = _rows(
        styled,
        """
        SELECT coalesce(p.product_id, a.product_id)::text, count(*) OVER () FROM
            (SELECT product_id FROM {products} WHERE embedding IS NOT NULL) p
        FULL JOIN (SELECT product_id FROM {affinity} WHERE rank = 1) a USING (product_id)
        WHERE p.product_id IS NULL OR a.product_id IS NULL LIMIT %s
        """,
        OFFENDERS_SHOWN,
    )
    return holds(not rows, rows[0][1] if rows else 0, [product for product, _ in rows])


def _styles_are_the_nearest(styled: Styled) -> Finding:
    if (why := _nothing_to_judge(styled)) is not None:
        return not_applicable(why)
    rows = _rows(
        styled,
        """
        SELECT p.product_id::text, own.nearness, best.nearness, own.affinity FROM
            (SELECT product_id, embedding_space, embedding::vector AS embedding FROM {products}
             WHERE embedding IS NOT NULL ORDER BY product_id LIMIT %s) p
        LEFT JOIN LATERAL (
            SELECT a.affinity, 1 - (p.embedding <=> s.centre) AS nearness FROM {affinity} a JOIN {styles} s USING (cluster)
            WHERE a.product_id = p.product_id AND a.rank = 1 AND s.embedding_space = p.embedding_space
            AND vector_dims(s.centre) = vector_dims(p.embedding)
        ) own ON true
        CROSS JOIN LATERAL (
            SELECT max(1 - (p.embedding <=> s.centre)) AS nearness FROM {styles} s
            WHERE s.embedding_space = p.embedding_space AND vector_dims(s.centre) = vector_dims(p.embedding)
        ) best
        """,
        COMPARED,
    )
    wrong = [
        product
        for product, nearness, best, affinity in rows
        if nearness is None or best - nearness > TIE or abs(affinity - nearness) > TIE
    ]
    return holds(not wrong, f"{len(rows) - len(wrong)} of {len(rows)}", wrong)


def _styles_are_told_apart(styled: Styled) -> Finding:
    if (why := _nothing_to_judge(styled)) is not None:
        return not_applicable(why)
    ((styles,),) = _rows(styled, "SELECT count(*) FROM {styles}")
    again = _rows(
        styled,
        "SELECT btrim(name), count(*) FROM {styles} GROUP BY 1 HAVING count(*) > 1 OR btrim(name) = '' ORDER BY 1",
    )
    return holds(
        styles > 0 and not again, f"{styles} styles", [f"{name!r}: {count} styles" for name, count in again]
    )


_REMEDY = (
    "Materialise style_clusters and product_style_affinity, or build the release again: fashion-assets run."
)

STYLE_CRITERIA: list[Criterion[Any]] = [
    Criterion(
        "styles_are_told_apart",
        "A12",
        "The catalogue has styles, and no two of one name",
        "at least one, each with a name of its own",
        "style_clusters",
        _styles_are_told_apart,
        _REMEDY,
    ),
    Criterion(
        "every_product_has_a_style",
        "A12",
        "Every product with a vector has a style, and nothing else has",
        "0 products without",
        "product_style_affinity",
        _every_product_has_a_style,
        _REMEDY,
    ),
    Criterion(
        "styles_are_the_nearest",
        "A12",
        "Products' styles are those whose centres the database finds nearest to them",
        "all of those compared",
        "product_style_affinity",
        _styles_are_the_nearest,
        _REMEDY,
    ),
]
"""The criteria of a release's styles."""
