"""Vector search over a release: exact where it must be, unmoved by hostile filters."""

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from psycopg import sql

from fashion_assets.criteria.candidate import Candidate
from fashion_assets.search.vector import FILTERS, FilterError, explain_nearest, nearest, parse_filters


@pytest.fixture
def vectors(candidate: Candidate) -> tuple[list[str], np.ndarray]:
    """External ids and float32 vectors of every product."""
    rows = candidate.conn.execute(
        sql.SQL(
            "SELECT external_id, e.embedding::real[] FROM {} e JOIN {} p USING (product_id) ORDER BY external_id"
        ).format(candidate.release.table("product_embeddings"), candidate.release.table("products"))
    ).fetchall()
    return [row[0] for row in rows], np.array([row[1] for row in rows], np.float32)


def space(candidate: Candidate) -> str:
    assert candidate.release.space is not None
    return candidate.release.space


@pytest.mark.parametrize("exact", [False, True])
def test_the_nearest_are_those_of_a_comparison_with_every_vector(candidate: Candidate, vectors, exact: bool):
    ids, matrix = vectors
    for row in range(0, 40, 7):
        hits = nearest(
            candidate.conn, matrix[row], space(candidate), limit=10, release=candidate.release, exact=exact
        )
        similarity = matrix @ matrix[row]
        assert hits[0].external_id == ids[row]
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        np.testing.assert_allclose([hit.score for hit in hits], np.sort(similarity)[::-1][:10], atol=1e-3)
        for hit in hits:
            assert hit.score == pytest.approx(similarity[ids.index(hit.external_id)], abs=1e-3)


def test_a_selective_filter_leaves_no_row_out(candidate: Candidate, vectors):
    """HNSW alone looks at the nearest few and filters them afterwards, so that too few are left."""
    matrix = vectors[1]
    conn, release = candidate.conn, candidate.release
    for filters, expected in (
        ({"colour": "red"}, {"8", "16", "24", "32", "40"}),
        ({"colour": "RED", "brand": "puma"}, {"8", "16", "24", "32", "40"}),
        ({"external_id": "7"}, {"7"}),
        ({"year": "2012", "colour": "blue", "gender": "men"}, {"1", "9", "17", "25", "33"}),
        ({"colour": "no such colour"}, set()),
    ):
        for row in (0, 20):
            hits = nearest(conn, matrix[row], space(candidate), limit=10, filters=filters, release=release)
            assert {hit.external_id for hit in hits} == expected
    three = nearest(conn, matrix[0], space(candidate), limit=3, filters={"colour": "red"}, release=release)
    everything = nearest(conn, matrix[0], space(candidate), limit=1000, release=release)
    assert (len(three), len(everything)) == (3, 40)


def test_a_space_nobody_made_vectors_in_finds_nothing(candidate: Candidate, vectors):
    assert nearest(candidate.conn, vectors[1][0], "other-model@000000000000", release=candidate.release) == []


@effort(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(FILTERS),
    value=st.one_of(
        st.sampled_from(
            [
                "'",
                '"',
                "%",
                "_",
                "' OR '1'='1",
                "'; DROP TABLE products; --",
                "\\",
                "%(vector)s",
                "a" * 100_000,
            ]
        ),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30),
    ),
)
def test_no_filter_value_does_harm(candidate: Candidate, name: str, value: str):
    filters = parse_filters([f"{name}={value}"])
    assert filters == {name: value}
    unit = np.zeros(512, np.float32)
    unit[0] = 1
    hits = nearest(candidate.conn, unit, space(candidate), filters=filters, release=candidate.release)
    stored = candidate.conn.execute(
        sql.SQL("SELECT count(*), count(*) FILTER (WHERE lower({}::text) = lower(%s)) FROM {}").format(
            sql.Identifier(name), candidate.release.table("products")
        ),
        (value,),
    ).fetchone()
    assert stored is not None
    assert stored[0] == 40 and len(hits) == min(10, stored[1])


def test_filters_that_do_not_exist_are_refused_with_the_list_of_those_that_do():
    for name in ("color", "title", "", "brand; DROP TABLE products", "Brand"):
        with pytest.raises(FilterError, match="known filters: brand, gender"):
            parse_filters([f"{name}=x"])
    with pytest.raises(FilterError, match="not NAME=VALUE"):
        parse_filters(["brand"])
    with pytest.raises(FilterError, match="NUL"):
        parse_filters(["brand=pu\0ma"])
    assert parse_filters(["brand=a=b", "colour="]) == {"brand": "a=b", "colour": ""}


def test_a_search_changes_no_setting_for_those_after_it(candidate: Candidate, vectors):
    conn = candidate.conn
    ask = "SELECT current_setting('enable_indexscan'), current_setting('hnsw.ef_search', true)"

    def settings_now(conn: psycopg.Connection) -> tuple | None:
        found = conn.execute(ask).fetchone()
        conn.commit()
        return found

    conn.execute("SELECT '[1]'::vector")  # loads the extension, which defines its settings
    before = settings_now(conn)
    nearest(conn, vectors[1][0], space(candidate), filters={"colour": "red"}, release=candidate.release)
    conn.commit()
    assert settings_now(conn) == before and before is not None and before[0] == "on"


def test_the_plan_is_told_for_each_space(candidate: Candidate):
    assert set(explain_nearest(candidate.conn, candidate.release)) == {space(candidate)}
