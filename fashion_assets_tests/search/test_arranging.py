"""Best hits arranged otherwise: variants together, unlike ones first; nothing that is found is lost or comes twice."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest
from psycopg import sql

from fashion_assets.catalog.variants import variant_key
from fashion_assets.criteria.subject import Candidate
from fashion_assets.search import arranging
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.filters import SearchError
from fashion_assets.search.query import Hit, Query, Results


def walked(engine: SearchEngine, query: Query) -> tuple[Results, list[Hit]]:
    first = results = engine.search(query)
    hits = list(results.hits)
    while results.next_page is not None:
        results = engine.search(replace(query, page=results.next_page))
        assert results.total == first.total and results.hits
        hits += results.hits
    return first, hits


@pytest.fixture
def engine(live: Candidate, monkeypatch: pytest.MonkeyPatch) -> Iterator[SearchEngine]:
    """Forty T-shirts of thirteen names in several colours, of whose best hits a dozen are arranged, or two pages' worth."""
    monkeypatch.setattr(arranging, "ARRANGED", 12)
    live.conn.execute(
        sql.SQL(
            "UPDATE {} SET title = 'Acme Zephyr' || external_id::int % 13 || ' Men ' || colour || ' T-shirt'"
        ).format(live.release.table("products"))
    )
    live.conn.commit()
    with SearchEngine.open(live.settings, size=1) as engine:
        yield engine


def test_pages_of_arranged_hits_have_each_hit_once(engine: SearchEngine):
    together = 0
    for words, filters, sort, limit in product(
        ("red t-shirt", "zephyr4", ""), ({}, {"colour": ["red", "blue"]}), ("relevance", "price"), (3, 7, 40)
    ):
        plain = Query(words, filters=filters, sort=sort, limit=limit)  # type: ignore[arg-type]
        first, hits = walked(engine, plain)
        ids = [hit.product_id for hit in hits]
        assert first.total is not None and len(ids) == len(set(ids)) == first.total.value
        for group, diversity in (("variants", 0.0), (None, 0.4), ("variants", 0.4)):
            query = replace(plain, group=group, diversity=diversity)
            of_these, arranged = walked(engine, query)
            others = [each for hit in arranged if hit.variants for each in hit.variants.ids]
            assert sorted([*(hit.product_id for hit in arranged), *others]) == sorted(ids), query
            assert of_these.total is not None and of_these.total.value == len(arranged), query
            assert all(hit.variants.count == len(hit.variants.ids) for hit in arranged if hit.variants)
            assert not others or "variants of" in of_these.total.rule
            together += len(others)
    assert together > 100


def test_the_best_of_a_group_stands_for_it(engine: SearchEngine):
    query = Query("red zephyr4 t-shirt", limit=40)
    plain = {hit.product_id: place for place, hit in enumerate(engine.search(query).hits)}
    best, *_ = engine.search(replace(query, group="variants")).hits
    assert best.product_id == next(iter(plain)) and best.variants is not None
    assert all(plain[each] > 0 for each in best.variants.ids)


def test_unlike_hits_come_before_like_ones(engine: SearchEngine):
    query = Query("t-shirt", limit=12)
    plain, spread = engine.search(query), engine.search(replace(query, diversity=0.5))
    assert plain.hits[0] == spread.hits[0]
    assert len({hit.colour for hit in spread.hits[:4]}) >= len({hit.colour for hit in plain.hits[:4]})
    assert [hit.product_id for hit in plain.hits] != [hit.product_id for hit in spread.hits]


def test_what_cannot_be_arranged_is_refused():
    with pytest.raises(SearchError, match="there is no group"):
        Query("shirt", group="brand")  # type: ignore[arg-type]
    for diversity in (-0.1, 1.1, float("nan")):
        with pytest.raises(SearchError, match="from 0 to 1"):
            Query("shirt", diversity=diversity)


@pytest.mark.parametrize(
    ("title", "other", "alike"),
    [
        ("Nike Women Air Dictate Black Sports Shoes", "Nike Women Grey Air Dictate Sports Shoes", True),
        ("Nike Air Dictate Navy Blue Shoes UK 8", "Nike Air Dictate Lime Green Shoes UK 10.5", True),
        ("Nike Dictate Tee XL", "Nike Dictate Tee S", True),
        ("Nike Dictate 50 ml", "Nike Dictate 100ml", True),
        ("Nike Women Air Dictate 4 Shoes", "Nike Women Air Dictate 5 Shoes", False),
        ("Nike Polo Dictate", "Nike Printed Dictate", False),
    ],
)
def test_variants_differ_in_colour_and_size_alone(title: str, other: str, alike: bool):
    of_them = [variant_key(each, "Nike", "women", "sports shoes") for each in (title, other)]
    assert None not in of_them and (of_them[0] == of_them[1]) is alike
    assert of_them[0] != variant_key(title, "Puma", "women", "sports shoes")


def test_a_title_that_names_no_article_is_a_variant_of_none():
    for title in ("Catwalk Women Black Heels", "Catwalk Women Striped Casual Heels", "", None):
        assert variant_key(title, "Catwalk", "women", "heels") is None
