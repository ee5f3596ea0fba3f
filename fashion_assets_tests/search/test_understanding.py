"""Questions held against a release: what its titles name, which words it has, and what is meant by those it has not."""

from collections.abc import Iterator

import pytest
from psycopg import sql

from fashion_assets.criteria.subject import Candidate
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.query import Query

TITLES = {
    "1": "Acme Zebra Watch 255",
    "2": "Acme Zebra Watch 256",
    "3": "Acme Zebra Watch MTP-1233D-7ADF(A190)",
    "4": "Acme Printed Crimson Giraffe",
    "5": "Acme Crimson Printed Giraffe",
    "7": "Acme Funk",
}


@pytest.fixture
def engine(live: Candidate) -> Iterator[SearchEngine]:
    """Forty T-shirts of men, some of which are called otherwise."""
    products = live.release.table("products")
    for external_id, title in TITLES.items():
        live.conn.execute(
            sql.SQL("UPDATE {} SET title = %s WHERE external_id = %s").format(products), (title, external_id)
        )
    for title in ("Acme Punk %", "Acme Watch"):
        live.conn.execute(
            sql.SQL("UPDATE {} SET title = %s WHERE external_id::int BETWEEN %s AND %s").format(products),
            (title, *((11, 14) if "%" in title else (15, 18))),
        )
    live.conn.commit()
    with SearchEngine.open(live.settings, size=1) as engine:
        yield engine


def test_what_a_title_names_comes_first(engine: SearchEngine):
    """However near the vectors of others are."""
    for typed, external_id in (
        ("zebra watch 255", "1"),
        ("acme 256 watch", "2"),
        ("MTP-1233D", "3"),
        ("acme mtp-1233d", "3"),
        *((title, external_id) for external_id, title in TITLES.items() if external_id in "45"),
        ("acme funk", "7"),
    ):
        results = engine.search(Query(typed))
        assert results.hits[0].external_id == external_id, (typed, results.hits[0].title)
        assert results.hits[0].score == pytest.approx(sum(each.score for each in results.hits[0].explanation))
    assert {each.word for each in engine.search(Query("acme mtp-1233d mtp-9")).plan.lacking} == {"mtp-9"}


def test_themes_and_what_a_shop_has_none_of(engine: SearchEngine, live: Candidate):
    live.conn.execute(
        sql.SQL("UPDATE {} SET title = 'Batman Sees Red' WHERE external_id = '21'").format(
            live.release.table("products")
        )
    )
    live.conn.commit()
    assert engine.search(Query("superheroes")).hits[0].external_id == "21"
    without = engine.search(Query("red", avoid="superheroes", limit=40)).hits
    assert "21" in {hit.external_id for hit in without}, "what is not wanted is what is said"
    # There are T-shirts alone.
    tops = engine.search(Query("red tops"))
    assert tops.plan.terms == ("red", "tops | shirts | tshirts") and tops.hits[0].colour == "red"
    assert [each.word for each in tops.plan.lacking] == ["tops"]
