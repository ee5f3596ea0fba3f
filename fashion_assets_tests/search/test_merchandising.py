"""Decisions of a merchant: which can be followed, what is kept, how words are read by synonyms."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest

from fashion_assets.search import curated, merchandising, words
from fashion_assets.search.curated import compiled, placed
from fashion_assets.search.filters import FilterError
from fashion_assets.search.merchandising import MerchandisingError, NothingDecided
from fashion_assets.search.query import Query
from fashion_assets.warehouse.merchandising import Rule, Synonym, decided

PRODUCT = uuid4()
NOW = datetime(2026, 11, 27, tzinfo=UTC)


def test_words_are_kept_as_a_search_reads_them():
    kept = merchandising.synonym(Synonym("s", ["  Sneakers!", "TRAINERS", "trainers"], note=" why\n so "))
    assert (kept.words, kept.note) == (["sneakers", "trainers"], "why so")
    assert merchandising.rule(Rule("r", "hide", "Red  DRESS,", product=PRODUCT)).words == "red dress"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (Synonym("s", ["sneakers", " ! "]), "synonym s has an empty word"),
        (Synonym("s", ["sneakers"]), "one word alone, 'sneakers'"),
        (Synonym("s", [], ["teal"]), "has no words"),
        (Synonym("s", ["teal"], ["Teal"]), "'teal' cannot become itself"),
        (Synonym("s", ["a b c d e", "f"]), "'a b c d e' has 5 words; 4 are the most"),
        (Synonym("s", [f"w{number}" for number in range(21)]), "has 21 words; 20 are the most"),
        (Synonym("s!", ["a", "b"]), "'s!' is no id"),
        (Rule("r", "pin", "red", product=PRODUCT), "rule r pins at None; a place is from 1 to 1,000"),
        (Rule("r", "pin", product=PRODUCT, place=1), "pins for words or for filters"),
        (Rule("r", "hide", filters=["colour=red"], product=PRODUCT), "hides for filters"),
        (Rule("r", "hide", "red"), "is for one product"),
        (Rule("r", "boost", "red", products=["colour=red"], factor=1), "boosts by 1; give a factor"),
        (Rule("r", "boost", "red", factor=2), "say which, as brand=Nike"),
        (Rule("r", "hide", "", product=PRODUCT), "has an empty word"),
        (Rule("r", "hide", product=PRODUCT, starts_at=NOW, ends_at=NOW), "before it starts"),
        (Rule("r", "raise", product=PRODUCT), "no action 'raise'"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_followed_is_refused(wrong: Synonym | Rule, told: str):
    with pytest.raises(MerchandisingError, match=told):
        merchandising.synonym(wrong) if isinstance(wrong, Synonym) else merchandising.rule(wrong)


def test_filters_are_read_before_they_are_kept():
    with pytest.raises(FilterError, match="known filters"):
        merchandising.rule(Rule("r", "boost", products=["shade=red"], factor=2))


def test_words_that_lead_back_to_themselves_are_refused():
    one, two = Synonym("one", ["teal"], ["turquoise"]), Synonym("two", ["turquoise"], ["cyan"])
    merchandising.check([one, two], [])
    for back in (Synonym("back", ["cyan"], ["teal"]), Synonym("back", ["cyan", "teal"])):
        with pytest.raises(MerchandisingError, match="goes round in a circle"):
            merchandising.check([one, two, back], [])
    chain = [Synonym(f"s{number}", [f"w{number}"], [f"w{number + 1}"]) for number in range(4_000)]
    merchandising.check(chain, [])


def test_there_are_not_too_many_of_anything():
    many = [Synonym(f"s{number}", ["shoe", f"w{number}"]) for number in range(21)]
    with pytest.raises(MerchandisingError, match="'shoe' would stand for 21 others"):
        merchandising.check(many, [])
    pins = [Rule(f"r{number}", "pin", "red", product=uuid4(), place=1) for number in range(51)]
    with pytest.raises(MerchandisingError, match="more than 50 rules that pin for red"):
        merchandising.check([], pins)


def test_decisions_are_kept_changed_and_removed_all_or_none(database: psycopg.Connection):
    merchandising.put(
        database, Synonym("teal", ["teal"], ["turquoise"]), Rule("r", "hide", product=PRODUCT, by="anna")
    )
    first = decided(database)
    assert [each.id for each in (*first.synonyms, *first.rules)] == ["teal", "r"] and first.revision == 1
    with pytest.raises(MerchandisingError, match="circle"):
        merchandising.put(database, Rule("s", "hide", product=PRODUCT), Synonym("x", ["turquoise"], ["teal"]))
    with pytest.raises(MerchandisingError, match="id of a synonym and of a rule"):
        merchandising.put(database, Rule("teal", "hide", product=PRODUCT))
    with pytest.raises(NothingDecided, match="'nothing'"):
        merchandising.remove(database, ["r", "nothing"])
    assert [each.id for each in decided(database).rules] == ["r"]
    same, other = Rule("r", "hide", product=PRODUCT, by="ben"), Synonym("new", ["a1", "b1"])
    assert merchandising.take_over(database, [same, other], alone=True) == (1, 0, 1)
    after = decided(database)
    assert [each.id for each in after.synonyms] == ["new"] and after.rules[0].by == "anna"
    assert [each.id for each in merchandising.remove(database, ["r"])] == ["r"]
    assert decided(database).rules == [] and decided(database).revision > after.revision
    with pytest.raises(MerchandisingError, match="no release ever had a product 'nobody/1'"):
        merchandising.product(database, "nobody/1")
    database.rollback()


SYNONYMS = compiled(
    1,
    [
        Synonym("1", ["kicks", "business look"], ["blazer"]),
        Synonym("2", ["teal"], ["blue green"]),
    ],
    [],
).synonyms


def test_a_synonym_adds_and_replaces_nothing():
    for text in ("red kicks", "teal dress", "business look red", "kicks"):
        plain, widened = words.read(text), words.read(text, SYNONYMS)
        assert words.strangers(widened) == [
            each for each in words.strangers(plain) if each not in ("kicks", "business", "look", "teal")
        ]
        for term in widened:
            own = [each for each in plain if each.phrases[0] in term.phrases[0]]
            assert all(phrase in term.tsquery for each in own for phrase in each.phrases)
    (term,) = words.read("Business  Look", SYNONYMS)
    assert (
        term.tsquery == "('business look' | (('formal' | 'business') & ('look')) | (('blazers' | 'blazer')))"
    )
    assert curated.applied([term]) == ("business look → blazer",)
    assert words.read("kick", SYNONYMS)[0].also == words.read("kicks", SYNONYMS)[0].also != ()
    assert words.read("kicks", None)[0].also == ()


@pytest.mark.parametrize(
    ("text", "otherwise"),
    [
        ("Red KICKS for men", ["Red blazer for men"]),
        ("teal kicks", ["blue green blazer"]),
        ("a business  look", ["a blazer"]),
        ("kicksy", []),
        ("", []),
    ],
)
def test_a_text_is_read_as_its_synonyms_say_it_too(text: str, otherwise: list[str]):
    assert list(words.otherwise(text, SYNONYMS)) == otherwise
    assert words.otherwise(text, None) == ()


def test_each_synonym_is_a_reading_up_to_some():
    many = compiled(1, [Synonym("1", ["sole", *(f"w{number}" for number in range(12))])], []).synonyms
    readings = words.otherwise("red sole", many)
    assert readings[:2] == ("red w0", "red w1") and len(readings) == words.MOST_READINGS


def test_rules_hold_for_their_words_and_in_their_time():
    rules = [
        Rule("always", "hide", product=PRODUCT),
        Rule("soon", "hide", product=uuid4(), starts_at=NOW + timedelta(hours=1)),
        Rule("pin", "pin", "red dress", product=uuid4(), place=1, ends_at=NOW + timedelta(hours=2)),
        Rule("lift", "boost", filters=["colour=red,blue"], products=["brand=Nike"], factor=2),
    ]
    known = compiled(1, [], rules)

    def ids(query: Query, hours: float, understood: str = "") -> list:
        found = known.chosen(query, understood or query.words, NOW + timedelta(hours=hours))
        return [
            len(found.hidden.ids),
            *(each.id for each in found.pins),
            *(each.rule for each in found.boosts),
        ]

    assert ids(Query("Red dress!"), 0) == [1, "pin"]
    assert ids(Query("red dress", avoid="long"), 0) == [1]
    assert ids(Query("red dress", product="x"), 1.5) == [2]
    assert ids(Query("red dresss"), 0, "red dress") == [1, "pin"]
    assert ids(Query("red dress"), 2) == [2]
    assert ids(Query("x", filters={"colour": ["blue", "red"], "gender": "men"}), 0.99) == [1, "lift"]
    assert ids(Query("x", filters={"colour": ["blue"]}), 0) == [1]


def test_places_close_up_where_too_little_is_found():
    assert placed([1, 1, 5, 900], 10) == [0, 1, 4, 13]
    assert placed([3, 3], 0) == [0, 1]
