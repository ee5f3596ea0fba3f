"""Plain vector search on one connection: exact where it is asked to be, and its plan."""

import numpy as np
import pytest
from psycopg import sql

from fashion_assets.criteria.candidate import Candidate
from fashion_assets.search.vector import explain_nearest, nearest


@pytest.mark.parametrize("exact", [False, True])
def test_the_nearest_are_those_of_a_comparison_with_every_vector(candidate: Candidate, exact: bool):
    rows = candidate.conn.execute(
        sql.SQL("SELECT external_id, e.embedding::real[] FROM {} e JOIN {} p USING (product_id)").format(
            candidate.release.table("product_embeddings"), candidate.release.table("products")
        )
    ).fetchall()
    matrix, space = np.array([row[1] for row in rows], np.float32), candidate.release.space
    assert space is not None
    for row in range(0, 40, 7):
        hits = nearest(candidate.conn, matrix[row], space, release=candidate.release, exact=exact)
        assert hits[0].external_id == rows[row][0]
        np.testing.assert_allclose(
            [hit.score for hit in hits], np.sort(matrix @ matrix[row])[::-1][:10], atol=1e-3
        )
    assert nearest(candidate.conn, matrix[0], "other@000000000000", release=candidate.release) == []


def test_the_plan_is_told_for_each_space(candidate: Candidate):
    assert set(explain_nearest(candidate.conn, candidate.release)) == {candidate.release.space}
