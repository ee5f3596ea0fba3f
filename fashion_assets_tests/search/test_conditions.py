"""What the words of a question say of prices and of what is not wanted."""

from decimal import Decimal

import pytest

from fashion_assets.criteria.subject import Candidate
from fashion_assets.search import pictographs, priced, refused
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.filters import AnyOf, Between, NoneOf
from fashion_assets.search.query import Query


@pytest.mark.parametrize(
    ("typed", "words", "avoid"),
    [
        ("shirt not red", "shirt", "red"),
        ("NOT red shirt", "shirt", "red"),
        ("shirt -red", "shirt", "red"),
        ("non-black shoes", "shoes", "black"),
        ("shoes except for black or brown", "shoes", "black brown"),
        ("neither red nor blue shirt", "shirt", "red blue"),
        ("anything but blue jeans", "jeans", "blue"),
        ("shoes other than nike", "shoes", "nike"),
        ("bag that isn't leather", "bag", "leather"),
        ("shirt, no collar", "shirt", "collar"),
        ("red dress but not for girls", "red dress", "girls"),
        ("everything except watches", "", "watches"),
        ("kleid nicht rot", "dresses", "red"),
        ("camisa no roja", "shirt", "red"),
        ("robe pas noire", "dresses", "black"),
        ("I don't like red, show me shirts", ", show me shirts", "red"),
    ],
)
def test_what_is_not_wanted_is_left_out(typed: str, words: str, avoid: str):
    assert refused.says_so(typed)
    found = refused.parted(typed)
    assert found is not None and (found.words, found.avoid) == (words, avoid)


def test_values_of_columns_are_refused_as_such():
    assert (found := refused.parted("nike shoes, not red and not puma")) is not None
    assert found.filters == (NoneOf("colour", ("red",)), NoneOf("brand", ("Puma",)))
    assert (found := refused.parted("bag without fur")) is not None and found.filters == ()


@pytest.mark.parametrize(
    "typed",
    [
        "rebel without a clue tshirt",
        "not tonight ladies",
        "no show socks",
        "no panty line",
        "shirt - red",
        "t-shirt",
    ],
)
def test_what_refuses_nothing_that_has_a_meaning_is_as_it_was(typed: str):
    assert not refused.says_so(typed) or refused.parted(typed) is None


@pytest.mark.parametrize(
    ("typed", "words", "low", "high"),
    [
        ("shoes under 500", "shoes", None, 500),
        ("shoes for under $1,500 men", "shoes men", None, 1500),
        ("dress <50\u20ac", "dress", None, 50),
        ("watch over 100 dollars", "watch", 100, None),
        ("dress between 40 and 20 euros", "dress", 20, 40),
        ("watches under 1.5k", "watches", None, 1500),
        ("kleid unter 49,90", "kleid", None, Decimal("49.90")),
        ("boots around 80", "boots", 64, 96),
        ("about £50 dress", "dress", 40, 60),
        ("priced around $1,000 watch", "watch", 800, 1200),
        ("kleid ca. 50 euro", "kleid", 40, 60),
        ("~50 shirt", "shirt", 40, 60),
        ("$50ish heels", "heels", 40, 60),
        ("dress 20-40€", "dress", 20, 40),
        ("$20 to $40 shirts", "shirts", 20, 40),
        ("shoes 38-40 $20-$60", "shoes 38-40", 20, 60),
        ("jeans $50 or less", "jeans", None, 50),
        ("bags 100€ and more", "bags", 100, None),
        ("$100+ watches", "watches", 100, None),
        ("shoes price: 50-100", "shoes", 50, 100),
        ("robe à moins de 30", "robe", None, 30),
        ("zapatos por menos de 50", "zapatos", None, 50),
        ("scarpe sotto i 50", "scarpe", None, 50),
    ],
)
def test_a_price_that_is_said_is_a_range(typed: str, words: str, low: int | None, high: int | Decimal | None):
    found = priced.parted(typed)
    assert found is not None and found.words == words
    assert found.range == Between(
        "price", None if low is None else Decimal(low), None if high is None else Decimal(high)
    )


@pytest.mark.parametrize(
    "typed",
    [
        "under armour",
        "under 25 years jersey",
        "perfume under 100ml",
        "size between 8 and 10",
        "over 40",
        "at least 3 stripes",
        "50% off",
        "all around 40 denier tights",
        "size around 40",
        "dress about 50",
        "wrap around dress",
        "watch around 40mm",
        "pack of 2-4",
        "20-40 shirt",
        "levis 501 or more",
        "reddish 50",
    ],
)
def test_other_numbers_are_no_prices(typed: str):
    assert priced.parted(typed) is None


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("\U0001f457", "dress"),
        ("\U0001f534 \U0001f457", "red dress"),
        ("\U0001f462\U0001f3fd for winter", "womans boots for winter"),
        ("shoes \U0001f525", "shoes"),
        ("\U0001f3a9", "hat"),
        ("\U0001f3d6\ufe0f", ""),
        ("L'Or\u00e9al \u2122", "L'Or\u00e9al \u2122"),
        ("\u2764 dress", "\u2764 dress"),
    ],
)
def test_what_is_drawn_is_called_by_its_name(typed: str, read: str):
    assert pictographs.named(typed) == read


def test_letters_are_read_however_they_were_typed():
    assert Query("\uff32\uff25\uff24\u3000dress").words == "RED dress"
    assert Query("red\u200bdress").words == "red dress"
    for sent in (b"\xe9t\xe9", "\u00e9t\u00e9".encode()):
        assert Query(sent.decode("ascii", "surrogateescape")).words == "\u00e9t\u00e9"
    assert Query("a\ud800b").words == "ab"


def test_both_narrow_a_search_and_are_told(live: Candidate):
    with SearchEngine.open(live.settings, size=1) as engine:
        # A listing by filters alone says what there is.
        colours = {hit.colour for hit in engine.search(Query(limit=100)).hits}
        for typed in ("tshirt not red", "not red"):
            answer = engine.search(Query(typed, limit=100))
            assert "red" in colours and {hit.colour for hit in answer.hits} == colours - {"red"}
            assert "left out, as the words say: red" in answer.plan.told
        answer = engine.search(Query("tshirt", avoid="red", limit=100))
        assert {hit.colour for hit in answer.hits} == colours - {"red"}
        assert "red" in {hit.colour for hit in engine.search(Query("tshirt", limit=100)).hits}
        for mode in ("text", "vector"):  # which must have something to look for
            assert engine.search(Query("not red", mode=mode)).plan.told == ()
        for mode in ("hybrid", "vector"):
            answer = engine.search(Query("?!", mode=mode))
            assert not answer.hits and answer.plan.told == ("there is no word in '?!'",)
        assert engine.search(Query("\U0001f455 \U0001f534")).plan.understood == "t-shirt red"
        assert engine.search(Query("r\u00e9d tsh\u00efrt")).plan.understood == "red tshirt"
        answer = engine.search(Query("tshirt under 1"))
        assert any("price" in note and "'under 1'" in note for note in answer.plan.told)
        prices = [
            hit.price for hit in engine.search(Query(filters=[Between("price", None, None)], limit=100)).hits
        ]
        assert all(price > 1 for price in prices) and (not prices or not answer.hits)
        answer = engine.search(Query(filters=[AnyOf("colour", ("red",)), AnyOf("colour", ("blue",))]))
        assert not answer.hits and any("leave nothing to one another" in note for note in answer.plan.told)
