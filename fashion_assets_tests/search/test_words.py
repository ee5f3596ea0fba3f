"""Words as people type them: terms of the catalogue, misspellings, full-text queries."""

# Typographic signs are what some of these tests are about.
# ruff: noqa: RUF001

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from fashion_assets.criteria.subject import Candidate
from fashion_assets.postgres import server
from fashion_assets.postgres.connections import connect
from fashion_assets.search.spelling import abbreviated, nearest_word
from fashion_assets.search.words import Term, read, strangers, tiers, tokens
from fashion_assets.settings import Settings


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


def test_words_without_their_vowels_are_written_out():
    counts = {"leather": 90, "lather": 5}
    assert abbreviated("jckts", counts) == "jacket" and abbreviated("hndbg", counts) == "handbag"
    assert abbreviated("lthr", counts) == "leather"
    assert all(abbreviated(each, counts) is None for each in ("red", "dr", "b12", "zzzz"))


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


def test_words_are_whole_in_every_script():
    for text in (
        "जूते पुरुष नीला",
        "เสื้อยืดสีแดง กางเกง",
        "قَمِيص أَحْمَر",
        "cafe\u0301 cre\u0300me",
        "می\u200cخواهم क\u200dष",
        "платье синее",
    ):
        assert [word.word for word in tokens(text)] == text.split(), text
    assert [word.word for word in tokens("İPEK elbise")] == ["ipek", "elbise"]


def test_words_among_typographic_signs_are_looked_for_with_and_without_them():
    assert [term.phrases for term in read("“Zari” men’s red—blue")] == [
        ("zari", "“zari”"),
        ("men", "men's", "men’s"),
        ("red", "red—blue"),
        ("blue", "red—blue"),
    ]
    assert strangers(read("“zari” zebra")) == ["zebra"]


TITLES = (
    "जूते पुरुष नीला",
    "साड़ी रेशमी हरी",
    "เสื้อยืดสีแดง กางเกง",
    "قَمِيص أَحْمَر ١٢٣",
    "cafe\u0301 cre\u0300me",
    "İPEK Işık elbise",
    "ΜΠΛΕ φόρεμα",
    "可愛い、シャツ 「赤」",
    "한글 원피스",
    "Levi’s® Men’s Jeans – “slim” fit… ½ sleeve",
    "Zari red—blue Nike™ 20×30 100°",
    "T‑shirt 👗dress soft\u00adhyphen zero\u200bwidth",
    "Anne\u00a0Klein ‚low’ «haute»",
    "O'Neill T-shirt, size 4.5/XL & more",
)


LOCALES = {"embedded": "", "unicode": " LOCALE_PROVIDER libc LOCALE 'C.UTF-8'"}


@pytest.fixture(params=LOCALES)
def parsing(request: pytest.FixtureRequest, server_settings: Settings) -> Iterator[psycopg.Connection]:
    """A database whose parser takes all that is not ASCII for letters, as the embedded server's, or knows Unicode's."""
    name = f"parsing_{request.param}"
    with connect(server_settings, autocommit=True, vectors=False) as conn:
        try:
            conn.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0" + LOCALES[request.param]).format(
                    sql.Identifier(name)
                )
            )
        except psycopg.errors.WrongObjectType as error:
            pytest.skip(str(error))
        try:
            with psycopg.connect(**{**server.parameters(server_settings), "dbname": name}) as own:
                yield own
        finally:
            conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.parametrize("title", TITLES)
def test_every_word_of_a_title_finds_it_as_the_database_cuts_it(parsing: psycopg.Connection, title: str):
    terms = read(title)
    assert terms
    for term in terms:
        ((says_something, found),) = parsing.execute(
            "SELECT numnode(q) > 0, to_tsvector('english', %s) @@ q FROM to_tsquery('english', %s) AS q",
            (title, term.tsquery),
        ).fetchall()
        assert found or not says_something, term
