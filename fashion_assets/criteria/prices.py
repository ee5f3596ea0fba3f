"""Prices as the old records state them and as the products have them.

What belongs here: reading both sides of a release, and how far apart they lie. What does not: the rule by which a text is a
price (`catalog.validation`), the limit (`thresholds`), drawing them (`release.charts`).
"""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql

from fashion_assets.catalog.validation import parse_price
from fashion_assets.warehouse.releases import Release

FIELD = "price"
"""What a record calls its price, in capitals or not."""

LOOKED_AT = 100
"""Records of each source whose fields are looked at."""

CHUNK = 50_000
"""Different prices read at once."""


@dataclass(frozen=True)
class Prices:
    """How many records state each amount, and how many products have it; amounts (float64 [n]) ascend."""

    amounts: np.ndarray
    stated: np.ndarray
    kept: np.ndarray

    @property
    def distance(self) -> float:
        """Two-sample Kolmogorov-Smirnov distance: the largest gap between the two empirical distribution functions, 0 to 1.
        Both sides must have prices."""
        curves = [np.cumsum(side) / side.sum() for side in (self.stated, self.kept)]
        return float(np.abs(curves[0] - curves[1]).max())


def stated_and_kept(conn: psycopg.Connection, release: Release) -> Prices:
    """The prices of a release's products, and what validation reads in their records: a text that it reads as no price is
    none here either. Memory grows with how many different prices there are, of which two decimals leave ten million."""
    names = conn.execute(
        sql.SQL(
            "SELECT DISTINCT field FROM (SELECT DISTINCT source FROM {products}) AS s, "
            "LATERAL (SELECT record FROM {products} p WHERE p.source = s.source LIMIT %s) AS r, "
            "json_object_keys(r.record) AS field WHERE lower(btrim(field)) = %s ORDER BY field"
        ).format(products=release.table("products")),
        (LOOKED_AT, FIELD),
    ).fetchall()
    fields = [sql.SQL("record ->> {}").format(sql.Literal(name)) for (name,) in names]
    stated = sql.SQL("coalesce({})").format(sql.SQL(", ").join(fields)) if fields else sql.SQL("NULL::text")
    counts: dict[Decimal, list[int]] = {}
    with conn.cursor(name="prices") as cursor:
        cursor.itersize = CHUNK
        cursor.execute(
            sql.SQL(
                "SELECT {stated}, price, count(*) FROM {products} "
                "WHERE price IS NOT NULL OR {stated} IS NOT NULL GROUP BY 1, 2"
            ).format(stated=stated, products=release.table("products"))
        )
        while rows := cursor.fetchmany(CHUNK):
            read = parse_price(pa.array([text for text, _, _ in rows], pa.string()))
            for old, (_, new, products) in zip(read.to_pylist(), rows, strict=True):
                for place, price in enumerate((old, new)):
                    if price is not None:
                        counts.setdefault(price, [0, 0])[place] += products
    amounts = sorted(counts)
    sides = np.array([counts[amount] for amount in amounts], np.int64).reshape(-1, 2)
    return Prices(np.array(amounts, np.float64), sides[:, 0], sides[:, 1])
