"""A release's figures follow its rows: counted before and after some products are written, so that nothing else is read.

What belongs here: counting the rows of some products, and the register's figures of vectors. What does not: what is written (`applying`,
`carrying`), figures of batches, which either knows in its own way.
"""

from collections.abc import Mapping
from typing import NamedTuple

import psycopg
from psycopg import sql

from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import EMBEDDINGS, PRODUCTS


class InBatch(NamedTuple):
    """Some products of a batch."""

    products: int
    without_picture: int
    without_vector: int


class Counted(NamedTuple):
    """Some products of a release."""

    batches: Mapping[str, InBatch]
    vectors: Mapping[tuple[str, str], int]
    """Their vectors, by space and kind."""

    def of(self, batch: str) -> InBatch:
        """Those of a batch."""
        return self.batches.get(batch, InBatch(0, 0, 0))


def counted(conn: psycopg.Connection, release: Release, ids: sql.Composable) -> Counted:
    """The products whose ids a table has, as they are in a release."""
    of_batches = conn.execute(
        sql.SQL(
            "SELECT p.batch, count(*), count(*) FILTER (WHERE p.image_path IS NULL), count(*) FILTER (WHERE p.embedding IS NULL) "
            "FROM {} p JOIN {} USING (product_id) GROUP BY 1"
        ).format(release.table(PRODUCTS.name), ids)
    ).fetchall()
    of_vectors = conn.execute(
        sql.SQL(
            "SELECT e.embedding_space, e.kind, count(*) FROM {} e JOIN {} USING (product_id) GROUP BY 1, 2"
        ).format(release.table(EMBEDDINGS.name), ids)
    ).fetchall()
    return Counted(
        {batch: InBatch(*figures) for batch, *figures in of_batches},
        {(space, kind): count for space, kind, count in of_vectors},
    )


def count_vectors(conn: psycopg.Connection, release: Release, before: Counted, after: Counted) -> None:
    """Have the register say how many vectors of each space and kind a release has by now."""
    for space, kind in {*before.vectors, *after.vectors}:
        more = after.vectors.get((space, kind), 0) - before.vectors.get((space, kind), 0)
        if more:
            conn.execute(
                "INSERT INTO fashion_ops.release_spaces AS known (release, space, kind, vectors) VALUES (%s, %s, %s, %s) "
                "ON CONFLICT (release, space, kind) DO UPDATE SET vectors = known.vectors + excluded.vectors",
                (release.release, space, kind, more),
            )
