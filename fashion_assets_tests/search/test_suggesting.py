"""What is suggested while somebody types."""

import asyncio

import pytest

from fashion_assets.criteria.subject import Candidate
from fashion_assets.search.engine import AsyncSearchEngine, SearchEngine
from fashion_assets.search.filters import SearchError
from fashion_assets.search.suggesting import _Known, complete

KNOWN = _Known(
    {
        ("colour", "red"): 50,
        ("colour", "navy blue"): 20,
        ("article_type", "dresses"): 30,
        ("article_type", "tshirts"): 90,
        ("brand", "Reebok"): 70,
        ("brand", "Dressberry"): 5,
    },
    {"printed": 12, "red": 3, "reebok": 9},
)


def texts(typed: str, limit: int = 8) -> list[str]:
    return [each.text for each in complete(KNOWN, typed.split(), limit)]


def test_what_begins_so_is_suggested_the_most_frequent_first():
    assert texts("re") == ["reebok", "red"] and texts("re", 1) == ["reebok"]
    assert texts("red dr") == ["red dresses", "red dressberry"]
    assert texts("navy b") == ["navy blue"] and texts("red navy b") == ["red navy blue"]
    assert texts("pri") == ["printed"]
    assert texts("tee") == ["tshirts"], "another name of the value"
    assert texts("zzz") == [] == texts("")
    assert texts("red re") == ["red reebok"], "what stands there already is not suggested again"


def test_misspelt_beginnings_are_taken_for_near_ones():
    (first, *_) = complete(KNOWN, ["rebok"], 3)
    assert (first.text, first.column, first.products, first.corrected) == ("reebok", "brand", 70, True)
    assert texts("pritn") == ["printed"] and texts("red drsse")[0] == "red dresses"


def test_a_release_suggests_what_it_has(live: Candidate):
    with SearchEngine.open(live.settings, size=1) as engine:
        found = engine.suggest("green t-sh")
        assert found[0].text == "green tshirts" and found[0].products == 40
        assert engine.suggest("pum")[0].value == "Puma" and engine.suggest("\0 \ud800") == []
        with pytest.raises(SearchError, match="limit"):
            engine.suggest("red", limit=0)

    async def asked() -> list:
        async with AsyncSearchEngine.open(live.settings) as other:
            return await other.suggest("green t-sh")

    assert asyncio.run(asked()) == found
