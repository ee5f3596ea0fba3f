"""The old layout beside the new one: the same products, and nothing left behind."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from fashion_assets.benchmarks import layouts
from fashion_assets.criteria.subject import Candidate
from fashion_assets.postgres.connections import Connection, connect


@pytest.fixture
def autocommitting(candidate: Candidate) -> Iterator[Connection]:
    with connect(candidate.settings, autocommit=True) as connection:
        yield connection


def is_gone(conn: Connection) -> bool:
    return conn.execute("SELECT to_regnamespace(%s) IS NULL", (layouts.SCRATCH,)).fetchone() == (True,)


def test_every_kind_has_a_ratio_and_nothing_remains(candidate: Candidate, autocommitting: Connection):
    steps: list[str] = []
    rows = layouts.measure_layouts(autocommitting, candidate.release, questions=5, progress=steps.append)
    assert [row["kind"] for row in rows] == ["listing", "filtered_listing", "vector", "point"]
    for row in rows:
        assert list(row) == ["kind", "old_p50_ms", "new_p50_ms", "ratio", "products"]
        assert row["ratio"] == row["new_p50_ms"] / row["old_p50_ms"] > 0
    assert "vector" in steps
    assert is_gone(autocommitting)


def test_both_layouts_show_the_same_products(candidate: Candidate, autocommitting: Connection):
    with layouts.both(autocommitting, candidate.release, 25) as built:
        assert built is not None and built.space == candidate.release.space
        counts = [
            autocommitting.execute(
                sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(layouts.SCRATCH, table))
            ).fetchone()
            for table in ("productsdb", "product_embeddings_multimodal", "products")
        ]
        assert counts == [(25,)] * 3
        for kind, pairs in built.asked(12).questions.items():
            assert len(pairs) == 12
            for number, pair in enumerate(pairs):
                old = autocommitting.execute(pair.old, pair.old_values).fetchall()
                new = autocommitting.execute(pair.new, pair.new_values).fetchall()
                assert old and new
                # The one index holds the mean of picture and title: only the hybrid search of old is the same one.
                if kind != "vector" or number % 3 == 2:
                    assert {row[0] for row in old} == {row[0] for row in new}, kind
        indexes = autocommitting.execute(
            "SELECT count(*) FROM pg_indexes WHERE schemaname = %s AND indexdef LIKE '%%hnsw%%'",
            (layouts.SCRATCH,),
        ).fetchone()
        assert indexes == (4,)


def test_a_failure_leaves_nothing_either(candidate: Candidate, autocommitting: Connection):
    candidate.conn.execute(
        sql.SQL("ALTER TABLE {} RENAME COLUMN embedding TO gone").format(
            candidate.release.table("product_embeddings")
        )
    )
    candidate.conn.commit()
    with pytest.raises(psycopg.errors.UndefinedColumn):
        layouts.measure_layouts(autocommitting, candidate.release)
    assert is_gone(autocommitting)


def test_a_slower_layout_has_a_ratio_above_one():
    assert layouts.row("listing", [1.0, 2.0, 30.0], [4.0, 4.0, 5.0]) == {
        "kind": "listing",
        "old_p50_ms": 2.0,
        "new_p50_ms": 4.0,
        "ratio": 2.0,
    }


def test_an_empty_release_has_no_rows(candidate: Candidate, autocommitting: Connection):
    autocommitting.execute(sql.SQL("DELETE FROM {}").format(candidate.release.table("products")))
    assert layouts.measure_layouts(autocommitting, candidate.release) == []
    assert is_gone(autocommitting)
