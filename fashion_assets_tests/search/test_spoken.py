"""What people say for what a catalogue calls otherwise."""

import pytest

from fashion_assets.catalog.ontology.tokens import plain
from fashion_assets.search import word_files
from fashion_assets.search.everyday import is_everyday
from fashion_assets.search.spoken import meaning, replaced
from fashion_assets.search.words import is_name, read, with_what_was_said, without_company


@pytest.mark.parametrize(
    ("said", "read_as"),
    [
        ("LBD", "black dress"),
        ("nike kicks", "nike sneakers"),
        ("mens blk tee l/s", "mens black tee long sleeve"),
        ("something for chapped lips", "something for lip care"),
        ("robe rouge", "dresses red"),
        ("rotes Kleid für Damen", "red dresses women"),
        ("zapatos negros para hombre", "shoes black men"),
        ("camicia bianca", "shirt white"),
        ("grüne Jacke", "green jacket"),
        ("grune jacke", "green jacket"),
        ("Krawatte fuer die Herren", "tie men"),
        ("vestido de verao azul", "dresses blue"),
        ("rode schoenen", "red shoes"),
        ("красное платье", "red dresses"),
        ("लाल साड़ी", "red saree"),
        ("lal saree", "red saree"),
        # What is wrong, in whatever order.
        ("my hands are always freezing", "my gloves"),
        ("cold fingers", "gloves"),
        ("my lips crack in the wind", "my lip care in the wind"),
        ("shoes for sore feet", "shoes for sore feet"),
        ("cold shoulder top", "cold shoulder top"),
        ("pale lips", "lipstick"),
        ("white hairs showing", "hair colour showing"),
        ("thighs chafe under skirts", "leggings under skirts"),
        (f"{'word ' * 60}cold hands", f"{'word ' * 60}gloves"),
        (f"{'word ' * 60}hands feel cold", f"{'word ' * 60}hands feel cold"),
        # Names the other way round.
        ("cover for my phone", "mobile pouch"),
        ("red laces for shoes", "red shoe laces"),
        ("shoes for a dress", "shoes for a dress"),
        ("bag for the laptop", "bag for the laptop"),
        ("shirt for", "shirt for"),
        # Words that are English, too, or a name's, tell no language.
        ("rock band tshirt", "rock band tshirt"),
        ("rosso brunello shoes", "rosso brunello shoes"),
        # Names come first: of the vocabularies, and of brands.
        ("bomber jacket", "bomber jacket"),
        ("rouge lipstick", "rouge lipstick"),
        ("mac lipstick", "mac lipstick"),
        ("t shirt", "t shirt"),
        ("football club jersey", "football club jersey"),
        ("team jersey", "team jersey"),
        ("nike rotes kleid", "nike red dresses"),
        ("blue shirt for the office", "blue shirt for the office"),
        ("", ""),
    ],
)
def test_a_question_is_put_into_the_catalogues_words(said: str, read_as: str):
    assert replaced(said).text == read_as


def test_what_is_meant_is_in_the_catalogues_words():
    """Values of its columns, or what titles say."""
    in_titles = {
        "striped",
        "checked",
        "floral",
        "printed",
        "solid",
        "leather",
        "wool",
        "cotton",
        "synthetic",
        "cheap",
        "wedding",
        "without",
    }
    in_titles |= {
        "blouse",
        "slippers",
        "polo neck",
        "v neck",
        "round neck",
        "short sleeve",
        "long sleeve",
        "sleeveless",
    }
    in_titles |= {"black dress", "white dress", "black white"}
    spoken = word_files.read("spoken")
    meant = {
        each for section in ("slang", "abbreviations", "needs", "complaints") for each in spoken[section]
    }
    meant |= {
        each for language in word_files.read("languages").values() for each in language if each != "filler"
    }
    assert {each for each in meant if not is_name(each)} <= in_titles


def test_words_that_tell_a_language_are_not_everyday_english():
    english = {
        (language, word)
        for language, meanings in word_files.read("languages").items()
        for meant, said in meanings.items()
        for word in said.split(", ")
        if meant != "filler" and is_everyday(plain(word))
    }
    assert english == set()


def test_a_word_with_two_meanings_is_read_in_the_language_of_the_others():
    assert replaced("cartera roja de mujer").text == "wallet red women"
    assert replaced("bolsa preta").text == "handbag black" and replaced("bolsa negra").text == "bags black"


def test_what_was_said_is_looked_for_as_well():
    said = replaced("nike kicks")
    brand, kind = with_what_was_said(tuple(read(said.text)), said.also)
    assert brand.phrases == ("nike",) and kind.value == "casual shoes"
    assert kind.phrases == ("casual shoes", "sneakers", "kicks") and kind.said == "kicks"


def test_what_a_thing_is_to_go_with_is_not_asked_for():
    for typed, asked in (
        ("belt for jeans", ["belts"]),
        ("earrings that go with a red saree for women", ["earrings", "women"]),
        ("bag for my laptop", ["bags", None, None]),
        ("shirt for men", ["shirts", "men"]),
        ("shoes that match a formal suit for men", ["shoes", "formal", "men"]),
        ("stockings under a skirt", ["stockings"]),
        ("kurta with dupatta", ["kurtas", None, "dupatta"]),
    ):
        assert [term.value for term in without_company(typed) if term.phrases != ("for",)] == asked, typed


def test_words_of_everyday_english_are_no_misspellings():
    assert all(map(is_everyday, ("school", "hands", "smell", "something")))
    assert not any(map(is_everyday, ("shrit", "sandels", "")))


def test_a_word_alone_means_what_any_language_says_unless_they_differ():
    assert meaning("rot") == ("colour", "red", False)
    assert meaning("poncho") == ("subcategory", "cape", True)
    assert meaning("xyzzy") is None
