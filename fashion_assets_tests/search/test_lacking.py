"""Words that no product has: told, with the nearest there are."""

from psycopg import sql

from fashion_assets.catalog import colours
from fashion_assets.criteria.subject import Candidate
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.lacking import nearest_values
from fashion_assets.search.query import Query
from fashion_assets.search.told import Lacking


def lacking(engine: SearchEngine, words: str) -> dict[str, Lacking]:
    return {each.word: each for each in engine.search(Query(words)).plan.lacking}


def test_what_no_product_has_is_told_with_the_nearest_there_is(engine: SearchEngine):
    assert lacking(engine, "red tshirts for men") == {}
    found = lacking(engine, "Teal poncho velociraptor shrit")
    assert set(found) == {"teal", "poncho", "velociraptor", "shrit"}
    teal = found["teal"]
    assert (teal.kind, teal.by, teal.nearest[0].column) == ("colour", "colour", "colour")
    there = dict(engine.search(Query(facets=("colour",))).facets["colour"])
    assert teal.nearest and all(there[each.value] == each.products for each in teal.nearest)
    assert found["poncho"].kind == "article_type", "known, and no misspelling of another word"
    assert found["velociraptor"] == Lacking("velociraptor", "word")
    assert str(found["velociraptor"]) == "no product has 'velociraptor'"
    spelt = found["shrit"]
    assert spelt.by == "spelling" and [each.value for each in spelt.nearest] == ["shirt"]


def test_a_word_that_only_a_text_has_is_not_lacking(live: Candidate, engine: SearchEngine):
    assert set(lacking(engine, "teal zebra")) == {"teal", "zebra"}
    live.conn.execute(
        sql.SQL("UPDATE {} SET title = 'Teal zebra' WHERE external_id = '7'").format(
            live.release.table("products")
        )
    )
    live.conn.commit()
    with SearchEngine.open(live.settings, size=1) as another:
        assert lacking(another, "teal zebra") == {}


def test_words_of_other_languages_are_found_in_the_catalogues_own(engine: SearchEngine):
    red = {hit.product_id for hit in engine.search(Query("red", mode="text", limit=40)).hits}
    for typed in ("rot", "rouge", "rojo", "rosso"):
        results = engine.search(Query(typed, mode="text", limit=40))
        assert {hit.product_id for hit in results.hits} == red, (typed, results.plan)
        assert results.plan.lacking == () and "red" in results.plan.understood, typed


def test_colours_are_near_by_how_they_look():
    there = {"sea green": 3, "green": 12, "red": 40, "black": 90, "multi": 7}
    near, by = nearest_values("colour", "teal", there)
    assert by == "colour" and [(each.value, each.products) for each in near] == [
        ("sea green", 3),
        ("green", 12),
    ]
    near, _ = nearest_values("colour", "chartreuse", {**there, "fluorescent green": 1})
    assert near[0].value == "fluorescent green", "a colour of CSS, which no vocabulary has"
    near, _ = nearest_values("colour", "charcoal", {"grey": 5, **there})
    assert near[0].value == "grey", "the colour it is a kind of comes first"
    assert colours.distance("red", "multi") is None
    assert nearest_values("colour", "multi", {"red": 1}) == ((), None)


def test_kinds_are_near_by_what_they_stand_under():
    there = {"jackets": 9, "coats": 4, "handbags": 50, "sandals": 8}
    near, by = nearest_values("article_type", "cape", there)
    assert by == "vocabulary" and [each.value for each in near] == ["jackets", "coats"]
    assert nearest_values("article_type", "lipstick", there) == ((), None)
