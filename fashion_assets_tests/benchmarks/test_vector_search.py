"""Figures of vector search on a finished candidate."""

from psycopg import sql

from fashion_assets.benchmarks.vector_search import QUERIES, measure_vector_search
from fashion_assets.criteria.candidate import Candidate


def test_so_many_products_are_asked_for_and_the_index_misses_none(candidate: Candidate):
    measured = measure_vector_search(candidate.conn, candidate.release)
    assert measured.queries == QUERIES < 40
    assert measured.recall_at_10 == 1.0
    assert 0 < measured.p50_ms <= measured.p95_ms
    assert measured.exact_p50_ms > 0

    few = measure_vector_search(candidate.conn, candidate.release, queries=7)
    assert 0 < few.queries <= 7 and few.recall_at_10 == 1.0

    for table in ("products", "product_embeddings"):
        candidate.conn.execute(sql.SQL("DELETE FROM {}").format(candidate.release.table(table)))
    assert measure_vector_search(candidate.conn, candidate.release).queries == 0
