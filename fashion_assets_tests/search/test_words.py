"""Words as people type them: terms of the catalogue, misspellings, full-text queries."""

from fashion_assets.criteria.candidate import Candidate
from fashion_assets.search.words import Term, nearest_word, read, strangers, tiers


def test_names_of_the_vocabularies_are_found_in_what_is_typed():
    terms = {term.phrases[-1]: (term.column, term.value) for term in read("Gray T-Shirts for men's wear")}
    assert terms["gray"] == ("colour", "grey")
    assert terms["t-shirts"] == ("article_type", "tshirts")
    assert terms["men's"] == ("gender", "men")
    assert strangers(read("zebra kurta zebra")) == ["zebra"]
    assert read("navy blue jeans")[0].value == "navy blue"
    assert read("") == []


def test_names_are_known_with_and_without_blanks_and_signs():
    for typed, value in (
        ("us polo shirt", "U.S. Polo Assn."),
        ("U.S. Polo Assn. shirt", "U.S. Polo Assn."),
        ("fab india shirt", "Fabindia"),
        ("sun glasses", "sunglasses"),
    ):
        assert read(typed)[0].value == value, typed


def test_misspelt_words_are_corrected_to_the_nearest_known_one():
    counts = {"printed": 90, "painted": 5}
    assert nearest_word("snekaers", counts) is None or nearest_word("snekaers", counts) == "sneakers"
    assert nearest_word("dres", counts) == "dress"
    assert nearest_word("pritned", counts) == "printed"
    assert nearest_word("qqqqqq", counts) is None
    assert nearest_word("abc", {"abd": 1}) is None


def test_tiers_share_no_match_and_miss_none(candidate: Candidate):
    terms = [
        Term(("red",), 3, "colour", "red"),
        Term(("tshirts",), 4, "article_type", "tshirts"),
        Term(("7",), 2),
    ]
    words = ["red", "tshirt", "7"]
    for chosen in range(8):
        has = [word for place, word in enumerate(words) if chosen >> place & 1]
        text = " ".join(has)
        met = candidate.conn.execute(
            "SELECT q FROM unnest(%s::text[]) q WHERE setweight(to_tsvector('english', %s), 'B') @@ to_tsquery('english', q)",
            (tiers(terms), text),
        ).fetchall()
        assert len(met) == (1 if has else 0), (has, met)
    assert tiers([]) == []


def test_quotes_and_operators_stay_words(candidate: Candidate):
    for text in ("o'neill", "a & b | !c", "x:*", "back\\slash", "<->"):
        for tier in tiers(read(text)):
            assert candidate.conn.execute("SELECT to_tsquery('english', %s)", (tier,)).fetchone()
