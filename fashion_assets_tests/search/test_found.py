"""What a search finds is what its pages show: totals, facets, ranges and orders, held against walking to the last page."""

import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fashion_assets.postgres.connections import connect
from fashion_assets.search import legs, merchandising, nearness
from fashion_assets.search.arranging import ARRANGED
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.filters import SearchError
from fashion_assets.search.path import Facts, Sample, Space
from fashion_assets.search.query import SORTS, Hit, Mode, Query, Results
from fashion_assets.search.work import Read
from fashion_assets.settings import Settings
from fashion_assets.warehouse.merchandising import Rule, Synonym
from fashion_assets.warehouse.value_counts import EDGES
from fashion_assets_tests.conftest import Template, release_of
from fashion_assets_tests.search.large import COLOURS, GROUPS, PRODUCTS, SPACE, Large, near_as

FACETS = ("colour", "article_type", "price")


@pytest.fixture(scope="module")
def drawn(
    server_settings: Settings, filled: tuple[Template, Large], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Settings, Large]]:
    """Thousands of drawn products, which no test changes."""
    template, large = filled
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        release_of(server_settings, template, tmp_path_factory.mktemp("found"), monkeypatch) as candidate,
    ):
        yield candidate.settings, large


@pytest.fixture(scope="module")
def searched(drawn: tuple[Settings, Large]) -> Iterator[tuple[SearchEngine, Large]]:
    """An engine on them, that finds what is there."""
    settings, large = drawn
    with SearchEngine.open(settings, size=1, curated=False) as engine:
        yield engine, large


def walked(engine: SearchEngine, query: Query) -> tuple[Results, list[Hit]]:
    """The first page, and the hits of all."""
    first = results = engine.search(query)
    hits = list(results.hits)
    while results.next_page is not None:
        results = engine.search(replace(query, page=results.next_page))
        assert results.total == first.total and results.hits
        hits += results.hits
    return first, hits


filters = st.fixed_dictionaries(
    {},
    optional={
        "colour": st.lists(st.sampled_from(COLOURS), min_size=1, max_size=2),
        "article_type": st.lists(
            st.sampled_from([f"kind {group}" for group in range(GROUPS)]), min_size=1, max_size=9
        ),
        "price": st.sampled_from([{"from": "20"}, {"to": "50.5"}, {"from": "10", "to": "14.99"}]),
        "image_width": st.sampled_from([{"to": 5}, {"to": 300}]),
    },
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    words=st.sampled_from(
        ["", "thing 12", "kind 3", "red thing", "red shirt", "blue kind 7", "nothing of it", "navy blue"]
    ),
    like=st.none() | st.integers(0, PRODUCTS - 1),
    narrowed=filters,
    sort=st.sampled_from(list(SORTS)),
    limit=st.sampled_from([70, 400, 1_000]),
)
def test_totals_and_facets_are_those_of_walking_to_the_last_page(
    searched: tuple[SearchEngine, Large], words: str, like: int | None, narrowed: dict, sort: str, limit: int
):
    engine, large = searched
    query = Query(
        words,
        product=None if like is None else str(like),
        filters=narrowed,
        sort=sort,  # type: ignore[arg-type]
        limit=limit,
        facets=FACETS,
        release=large.release,
    )
    first, hits = walked(engine, query)
    assert first.total is not None and first.total.exact and first.total.rule
    assert len(hits) == len({hit.product_id for hit in hits}) == first.total.value
    assert all(each.matches(hit.attributes) for hit in hits for each in query.narrowed if each.name in FACETS)
    if (order := SORTS[sort]) is not None and order[0] == "price":  # type: ignore[index]
        prices = [hit.price for hit in hits if hit.price is not None]
        assert prices == sorted(prices, reverse=order[1])
        assert all(hit.price is None for hit in hits[len(prices) :])
    for column in FACETS:
        counted = hits
        if column in narrowed:
            others = replace(
                query, filters={name: value for name, value in narrowed.items() if name != column}
            )
            _, counted = walked(engine, others)
        values = Counter(value for hit in counted if (value := hit.attributes[column]) is not None)
        if column == "price":
            stretches = first.ranges[column].buckets if values else ()
            assert sum(each.count for each in stretches) == values.total()
            for each in stretches:
                within = [value for value in values if each.low <= value <= (each.high or value)]
                assert each.count == sum(values[value] for value in within)
            if values:
                assert (first.ranges[column].low, first.ranges[column].high) == (min(values), max(values))
        else:
            assert dict(first.facets[column]) == values


def test_what_a_facet_counts_is_what_its_value_finds(searched: tuple[SearchEngine, Large]):
    engine, large = searched
    query = Query("thing", product="17", filters={"colour": "red"}, facets=("colour",), release=large.release)
    for value, count in engine.search(query).facets["colour"]:
        other = engine.search(replace(query, filters={"colour": value}))
        assert other.total is not None and other.total.value == count


def test_how_many_have_the_words_is_counted_once(
    searched: tuple[SearchEngine, Large], monkeypatch: pytest.MonkeyPatch
):
    engine, large = searched
    reading, known = engine._read, []

    def read(step: Read) -> list[list[tuple]]:
        known.extend(b"%(matching)s" in each.text for each in step.statements if b"page AS" in each.text)
        return reading(step)

    monkeypatch.setattr(engine, "_read", read)
    modes: list[tuple[Mode, bool]] = [("hybrid", False), ("text", True)]
    for colour in ("red", "blue"):
        for mode, before in modes:
            query = Query(
                "thing", product="17", mode=mode, filters={"colour": colour}, limit=7, release=large.release
            )
            counted = engine.search(replace(query, facets=("colour",))).total
            known.clear()
            first = engine.search(query)
            assert first.next_page is not None
            following = engine.search(replace(query, page=first.next_page))
            assert first.total == following.total == counted
            assert known == [before, True]


def test_words_without_a_letter_are_walked_as_no_words_are(searched: tuple[SearchEngine, Large]):
    engine, large = searched
    query = Query("&", mode="text", filters={"colour": "red"}, limit=1_000, release=large.release)
    first, hits = walked(engine, query)
    assert first.total == engine.search(replace(query, words="", mode="hybrid")).total
    assert (
        first.total is not None and len({hit.product_id for hit in hits}) == first.total.value > query.limit
    )


def test_filters_that_leave_nothing_near_leave_the_nearest(searched: tuple[SearchEngine, Large]):
    engine, large = searched
    own = int(large.groups[17])
    far = {"article_type": f"kind {(own + 1) % GROUPS}"}
    query = Query(product="17", filters=far, facets=("article_type",), release=large.release)
    results, hits = walked(engine, query)
    assert "the nearest of what they leave" in results.plan.notes[0]
    assert results.total is not None and results.total.value == len(hits) == 100
    assert "100 nearest of what the filters leave" in results.total.rule
    # What other kinds would find, they find within the cut-off.
    assert f"kind {own}" in dict(results.facets["article_type"])


def test_what_is_left_out_as_too_far_is_none_of_the_nearest(
    searched: tuple[SearchEngine, Large], monkeypatch: pytest.MonkeyPatch
):
    engine, large = searched
    half, kept = large.unrelated(0.5)
    query = Query(
        vector=large.vectors[0],
        space=SPACE,
        mode="vector",
        filters=(half,),
        limit=100,
        exact=True,
        release=large.release,
    )
    told: list[float | None] = []

    def telling(*asked: Any) -> float | None:
        told.append(nearness.far_enough(*asked))
        return told[-1]

    found = []
    # As the sample has it, nothing left out, and by a sample that misleads.
    for way in (telling, lambda *_: None, lambda *_: 0.05):
        monkeypatch.setattr(legs, "far_enough", way)
        found.append([(hit.product_id, hit.score) for hit in engine.search(query).hits])
    assert found[0] == found[1] == found[2]
    distances = large.nearest_distances(large.vectors[0], kept, 100)
    np.testing.assert_allclose([1 - score for _, score in found[0]], distances, atol=1e-3)
    assert told[0] is not None and distances[-1] < told[0] < 1
    assert (distances < 0.05).sum() < len(distances)


def test_the_cut_off_does_not_hang_on_filters_and_follows_the_question():
    similarities = np.linspace(0, 1, 2_000, dtype=np.float32)
    near = near_as(similarities)
    facts = Facts("r", 40_000, (), Sample([{}] * 2_000, [], {}, {}))
    cut = nearness.cut_off(facts, near)
    assert cut is not None and 1 - cut == pytest.approx(0.5 + 0.85 * 0.4995, abs=1e-3)
    # Few stand out: those at least are found.
    alike = np.full(2_000, 0.3, np.float32)
    alike[0] = 0.9
    assert nearness.cut_off(facts, near_as(alike)) == pytest.approx(1 - 0.3, abs=1e-6)
    small = Facts("r", 40, (), Sample([{}] * 40, [], {}, {}))
    assert nearness.cut_off(small, near_as(similarities[:40])) is None
    space = Space("s", 1, True)
    assert nearness.reach(facts, space, near, None, ()) == 1_000
    assert (
        40_000 * (similarities >= 1 - cut).mean() > 2_900
        and nearness.reach(facts, space, near, cut, ()) == 1_000
    )
    few = Facts("r", 2_000, (), facts.sample)
    assert nearness.reach(few, space, near, cut, ()) == int((1 - similarities <= cut).sum()) + 1


def test_orders_there_are_not_are_refused():
    with pytest.raises(SearchError, match="no sort 'cheapest'; there are relevance, price, -price, newest"):
        Query("red", sort="cheapest")  # type: ignore[arg-type]


def test_stretches_of_prices_are_round_and_join():
    assert list(EDGES) == sorted(set(EDGES))
    assert {Decimal("10"), Decimal("15"), Decimal("20"), Decimal("70")} <= set(EDGES)


def thing(row: int) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_OID, str(row))


HIDDEN = range(100, 160)
PINNED = {"kind 3": [5, 17, 40, 99], "red thing": [1]}
"""Rows, in the order of their places."""
LAST_YEAR = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def decided(drawn: tuple[Settings, Large]) -> Iterator[SearchEngine]:
    """An engine on them that follows what a merchant decided."""
    settings, _ = drawn
    with connect(settings, vectors=False) as connection:
        merchandising.put(
            connection,
            Synonym("crimson", ["crimson"], ["red"]),
            *(Rule(f"hide-{row}", "hide", product=thing(row)) for row in HIDDEN),
            Rule("hide-own", "hide", "red thing", product=thing(0)),
            Rule("pin-5", "pin", "Kind  3!", product=thing(5), place=1),
            Rule("pin-5-again", "pin", "kind 3", product=thing(5), place=7),
            Rule("pin-17", "pin", "kind 3", product=thing(17), place=4),
            Rule("pin-40", "pin", "kind 3", product=thing(40), place=4),
            Rule("pin-99", "pin", "kind 3", product=thing(99), place=1_000),
            Rule("pin-nothing", "pin", "kind 3", product=uuid.uuid4(), place=2),
            Rule("pin-hidden", "pin", "kind 3", product=thing(100), place=2),
            Rule("pin-over", "pin", "kind 3", product=thing(8), place=2, ends_at=LAST_YEAR),
            Rule("pin-1", "pin", "red thing", product=thing(1), place=2),
            Rule("pin-listed", "pin", filters=["colour=red"], product=thing(14), place=3),
            Rule("cheap", "boost", products=["price=..9"], factor=3),
            Rule("dear", "boost", "blue kind 7", products=["price=100.."], factor=0.2),
            Rule("evens", "boost", filters=["colour=blue"], products=["year=2012"], factor=1 / 3),
            Rule("bury", "boost", filters=["colour=blue"], products=["year=2013"], factor=0.5),
        )
    with SearchEngine.open(settings, size=1) as engine:
        yield engine


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    words=st.sampled_from(["", "kind 3", "red thing", "blue kind 7", "crimson thing"]),
    like=st.sampled_from([None, None, 17]),
    narrowed=filters,
    sort=st.sampled_from(["relevance", "relevance", "-price"]),
    limit=st.sampled_from([70, 400]),
)
def test_what_is_pinned_hidden_and_boosted_is_counted_as_it_is_shown(
    searched: tuple[SearchEngine, Large],
    decided: SearchEngine,
    words: str,
    like: int | None,
    narrowed: dict,
    sort: str,
    limit: int,
):
    plain, large = searched
    query = Query(
        words,
        product=None if like is None else str(like),
        filters=narrowed,
        sort=sort,  # type: ignore[arg-type]
        limit=limit,
        facets=FACETS,
        release=large.release,
    )
    first, hits = walked(decided, query)
    found = {hit.product_id for hit in hits}
    assert first.total is not None and len(hits) == len(found) == first.total.value
    for column in FACETS[:2]:
        others = {name: value for name, value in narrowed.items() if name != column}
        counted = hits if column not in narrowed else walked(decided, replace(query, filters=others))[1]
        assert dict(first.facets[column]) == Counter(each.attributes[column] for each in counted)
    others = walked(plain, replace(query, words=words.replace("crimson", "red")))[1]
    pins = {str(thing(row)) for row in PINNED.get(words, ())} if like is None else set()
    hidden = {str(thing(row)) for row in HIDDEN} | (
        {str(thing(0))} if pins and words == "red thing" else set()
    )
    assert found - pins == {hit.product_id for hit in others} - hidden - pins
    assert all(each.matches(hit.attributes) for hit in hits for each in query.narrowed if each.name in FACETS)


def test_pins_stand_at_their_places_on_whatever_page_those_are(
    searched: tuple[SearchEngine, Large], decided: SearchEngine
):
    query = Query("kind 3", release=searched[1].release, limit=3)
    first, hits = walked(decided, query)
    marked = {place: hit.rules[0].rule for place, hit in enumerate(hits, 1) if hit.rules}
    pinned = {place: rule for place, rule in marked.items() if rule.startswith("pin")}
    assert pinned == {1: "pin-5", 4: "pin-17", 5: "pin-40", len(hits): "pin-99"}
    assert first.total is not None and "it is pinned" in first.total.rule
    # They stand there whatever the order of the others, beyond those that are arranged, too.
    spread, arranged = walked(decided, replace(query, limit=30, diversity=0.5))
    assert (
        spread.total == first.total
        and {hit.product_id for hit in arranged} == {hit.product_id for hit in hits}
        and len(arranged) == len(hits) > ARRANGED
    )
    assert pinned == {
        place: hit.rules[0].rule
        for place, hit in enumerate(arranged, 1)
        if hit.rules and hit.rules[0].action == "pin"
    }
    one = decided.search(replace(query, limit=9, filters={"colour": COLOURS[17 % 7 % 4]}))
    assert {hit.rules[0].rule for hit in one.hits if hit.rules and hit.rules[0].action == "pin"} >= {"pin-17"}
    listed = decided.search(Query(filters={"colour": "red"}, release=query.release, limit=2))
    assert [hit.rules[0].rule for hit in listed.hits] == ["cheap", "cheap"]
    rest = decided.search(
        Query(filters={"colour": "red"}, release=query.release, limit=2, page=listed.next_page)
    )
    assert [hit.rules[0].rule for hit in rest.hits] == ["pin-listed", "cheap"]


def test_boosts_lift_and_bury_what_they_are_for(searched: tuple[SearchEngine, Large], decided: SearchEngine):
    lifted = decided.search(Query("blue kind 7", release=searched[1].release, limit=20))
    factors = [
        float(np.prod([each.factor for each in hit.rules if each.factor is not None])) for hit in lifted.hits
    ]
    assert factors[0] == 3 and set(factors[1:]) >= {1.0} and lifted.plan.synonyms == ()
    assert all(
        hit.price is not None and hit.price <= 9
        for hit, factor in zip(lifted.hits, factors, strict=True)
        if factor == 3
    )
    widened = decided.search(Query("crimson thing", release=searched[1].release))
    assert widened.plan.synonyms == ("crimson → red",) and widened.plan.understood == "crimson thing"


@pytest.mark.parametrize("filters", [{}, {"colour": "red"}, {"colour": "blue"}])
def test_boosts_order_a_list_by_filters_alone(
    searched: tuple[SearchEngine, Large], decided: SearchEngine, filters: dict
):
    query = Query(filters=filters, release=searched[1].release, limit=700)
    first, hits = walked(decided, query)
    assert first.total is not None and len({hit.product_id for hit in hits}) == first.total.value
    stands = []
    for hit in (hit for hit in hits if not any(each.action == "pin" for each in hit.rules)):
        own = {"cheap"} if hit.price is not None and hit.price <= 9 else set()
        if filters.get("colour") == "blue":
            row = int(hit.external_id)  # whose year is 2010 + row % 9, where it has one
            own |= {2: {"evens"}, 3: {"bury"}}.get(row % 9, set()) if row % 5 else set()
        assert {each.rule for each in hit.rules} == own
        stands.append((-round(np.prod([each.factor or 1 for each in hit.rules]), 9), hit.product_id))
    assert stands == sorted(stands)
    assert len({factor for factor, _ in stands}) == (5 if filters.get("colour") == "blue" else 2)


def test_a_list_goes_on_where_it_was_ordered_otherwise_before(
    searched: tuple[SearchEngine, Large], decided: SearchEngine
):
    plain, large = searched
    query = Query(filters={"colour": "blue"}, release=large.release, limit=5)
    for one, other in ((plain, decided), (decided, plain)):
        rest = other.search(replace(query, page=one.search(query).next_page))
        assert len(rest.hits) == 5 and rest.plan.notes[-1].startswith("rules for these words changed")


def test_a_page_says_that_the_rules_are_others_than_on_the_first(
    searched: tuple[SearchEngine, Large], decided: SearchEngine
):
    plain, large = searched
    query = Query("kind 3", release=large.release, limit=5)
    page = decided.search(query).next_page
    told = plain.search(replace(query, page=page)).plan.notes
    assert told[-1].startswith("rules for these words changed")
