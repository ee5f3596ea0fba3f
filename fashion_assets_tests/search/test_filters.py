"""Filters: read, typed, canonical, and harmless whatever they hold."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from psycopg import sql
from psycopg.types.json import Jsonb

from fashion_assets.criteria.subject import Candidate
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.filters import (
    COLUMNS,
    MAX_VALUES,
    AnyOf,
    Between,
    FilterError,
    Holds,
    NoneOf,
    as_filters,
    contradictions,
    parse_filters,
)
from fashion_assets.search.query import Query


def test_text_becomes_typed_and_canonical_filters():
    read = parse_filters(
        [
            "colour=Gray,blue",
            "price=10..50",
            "year=2011..",
            "normalized.material=Cotton",
            "brand=PUMA",
            "gender=Ladies",
        ]
    )
    assert read == (
        AnyOf("colour", ("grey", "blue")),
        Between("price", Decimal(10), Decimal(50)),
        Between("year", 2011, None),
        Holds("material", ("cotton",)),
        AnyOf("brand", ("Puma",)),
        AnyOf("gender", ("women",)),
    )
    assert parse_filters(['external_id="a,b"']) == (AnyOf("external_id", ("a,b",)),)
    assert parse_filters(["normalized.washable=true"]) == (Holds("washable", ("true", True)),)
    assert parse_filters(["colour!=Gray,red", "size=X-Large,EU 42", "year>=2011", "price <= 9.5"]) == (
        NoneOf("colour", ("grey", "red")),
        AnyOf("size", ("xl", "eu 42")),
        Between("year", 2011, None),
        Between("price", None, Decimal("9.5")),
    )
    assert as_filters({"year": {"from": 2011}, "colour": ["red"], "normalized.washable": True}) == (
        Between("year", 2011, None),
        AnyOf("colour", ("red",)),
        Holds("washable", (True,)),
    )


@pytest.mark.parametrize("written", ["100..10", "10..100", " 10 ... 100 ", "10\u2026100"])
def test_a_range_is_what_lies_between_its_bounds_however_they_are_written(written: str):
    assert parse_filters([f"price={written}"]) == (Between("price", Decimal(10), Decimal(100)),)
    assert as_filters({"price": {"from": 100, "to": 10}}) == (Between("price", Decimal(10), Decimal(100)),)


def test_filters_that_leave_nothing_to_one_another_are_told():
    for pairs in (
        ["colour=red", "colour=blue"],
        ["price>=100", "price<=10"],
        ["year=2011,2012", "year=2013.."],
    ):
        (said,) = contradictions(parse_filters(pairs))
        assert said.startswith(f"the filters on {pairs[0][:5].strip('>=')}")
    for pairs in (
        ["colour=red,blue", "colour=blue"],
        ["price>=10", "price<=10"],
        ["year=2012", "year=2011..", "year!=2012"],
    ):
        assert contradictions(parse_filters(pairs)) == []


def test_what_goes_with_a_value_is_a_filter_on_every_value_that_does():
    asked = ("herbst,summer", ["herbst", "summer"])
    read = [*parse_filters([f"goes_with.season={asked[0]}"]), *as_filters({"goes_with.season": asked[1]})]
    assert read[0] == read[1]
    assert isinstance(read[0], Holds) and read[0].key == "season"
    assert {"fall", "summer", "all season"} <= set(read[0].values) and "winter" not in read[0].values


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("goes_with.colour=red", r"there is no filter 'goes_with\.colour'; known .*goes_with\.style"),
        ("goes_with.style=", "nothing says what goes with style ''"),
        ("goes_with.style=causal", r"style 'causal' \(did you mean 'casual'\?\); known are academic, active"),
        ("goes_with.style=casual,ca\0sual", "NUL"),
        ("color=red", r"did you mean 'colour'\?\); known filters: brand, gender"),
        ("xyzzy=red", "'xyzzy'; known filters: brand, gender"),
        ("price=1,000", "write thousands without one"),
        ("price!=1..2", "takes values of a column"),
        ("goes_with.season!=summer", "takes values of a column"),
        ("colour<=red", "no number that is compared"),
        ("=red", "known filters: brand"),
        ("Brand=x", "known filters: brand"),
        ("title=x", "known filters: brand"),
        ("normalized.=x", "known filters: brand"),
        ("brand; DROP TABLE products=x", "known filters: brand"),
        ("brand", "not NAME=VALUE"),
        ("brand=pu\0ma", "NUL"),
        ("brand=\ud800", "half a character"),
        ("year=new", "needs a number"),
        ("year=2011.5", "whole number"),
        ("year=99999999999", "up to"),
        ("price=nan", "up to"),
        ("price=1..x", "needs a number"),
        ("brand=" + "x" * 2_000, "characters"),
        ("brand=" + ",".join(map(str, range(MAX_VALUES + 1))), "are the most"),
    ],
)
def test_what_is_no_filter_is_refused_and_says_why(pair: str, said: str):
    with pytest.raises(FilterError, match=said):
        parse_filters([pair])


def test_ranges_of_what_is_no_number_are_refused():
    with pytest.raises(FilterError, match="is no number"):
        as_filters({"brand": {"from": "a"}})
    with pytest.raises(FilterError, match="other keys"):
        as_filters({"year": {"min": 1}})
    with pytest.raises(FilterError, match="needs text"):
        as_filters({"brand": 7})


HOSTILE = [
    "'",
    '"',
    "%",
    "_",
    "' OR '1'='1",
    "'; DROP TABLE products; --",
    "\\",
    "%(limit)s",
    "{}",
    "{1,2}",
    "NULL",
]


@pytest.fixture
def engine(candidate: Candidate):
    with SearchEngine.open(candidate.settings, size=1) as engine:
        yield engine


@effort(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from([*COLUMNS, "normalized.style", "normalized.gender", "normalized.a'b"]),
    values=st.lists(
        st.one_of(
            st.sampled_from([*HOSTILE, "red", "men", "2012", "puma"]), st.text(max_size=20), st.integers()
        ),
        max_size=5,
    ),
)
def test_no_value_does_harm(candidate: Candidate, engine: SearchEngine, name: str, values: list):
    try:
        filters = as_filters({name: values})
    except FilterError:
        return
    release = candidate.release.release
    found = engine.search(Query(filters=filters, release=release, limit=100)).hits
    facts = engine._answering.releases._facts.peek(release)
    assert facts is not None
    rows = [row for row in facts.sample.rows if filters[0].matches(row)]
    assert sorted(hit.external_id for hit in found) == sorted(row["external_id"] for row in rows)
    count = candidate.conn.execute(
        sql.SQL("SELECT count(*) FROM {}").format(candidate.release.table("products"))
    ).fetchone()
    assert count == (40,)


def test_a_release_is_narrowed_down_to_what_goes_with_a_value(candidate: Candidate, engine: SearchEngine):
    stated = {"7": ["streetwear", "edgy"], "8": ["formal"], "9": ["edgy", "smart casual"], "10": ["western"]}
    products = candidate.release.table("products")
    for external_id, styles in stated.items():
        candidate.conn.execute(
            sql.SQL("UPDATE {} SET normalized = normalized || %s, style = %s WHERE external_id = %s").format(
                products
            ),
            (Jsonb({"style": styles}), styles[0], external_id),
        )
    candidate.conn.commit()
    release = candidate.release.release

    def found(filters: dict) -> set[str]:
        answer = engine.search(Query(filters=filters, release=release, limit=100))
        assert not answer.plan.notes
        return {hit.external_id for hit in answer.hits}

    assert found({"goes_with.style": "casual"}) == {"7", "9"}
    assert found({"goes_with.style": ["casual", "formal"]}) == {"7", "8", "9"}
    assert found({"goes_with.style": "casual", "external_id": ["8", "9"]}) == {"9"}
    counted = engine.search(
        Query(filters={"goes_with.style": "casual"}, facets=("style",), release=release)
    ).facets["style"]
    assert sorted(counted) == [("edgy", 1), ("streetwear", 1)]


def test_ten_thousand_values_are_searched(candidate: Candidate, engine: SearchEngine):
    ids = tuple(str(number) for number in range(7, 7 + MAX_VALUES))
    query = Query(filters={"external_id": ids}, release=candidate.release.release, limit=100)
    assert len(engine.search(query).hits) == 34


def test_ranges_and_normalized_values_narrow_down(candidate: Candidate, engine: SearchEngine):
    conn, products = candidate.conn, candidate.release.table("products")
    conn.execute(sql.SQL("UPDATE {} SET price = external_id::numeric").format(products))
    conn.execute(
        sql.SQL(
            """UPDATE {} SET normalized = normalized || '{{"style": ["boho", "chic"], "washable": true}}'
            WHERE external_id IN ('3', '4')"""
        ).format(products)
    )
    conn.commit()

    def found(*pairs: str) -> set[str]:
        query = Query(filters=parse_filters(pairs), release=candidate.release.release, limit=100)
        return {hit.external_id for hit in engine.search(query).hits}

    assert found("price=10.5..12") == {"11", "12"}
    assert found("price=..2") == {"1", "2"}
    assert found("normalized.style=chic") == {"3", "4"}
    assert found("normalized.washable=true", "price=4") == {"4"}
    assert found("normalized.washable=false") == set()
