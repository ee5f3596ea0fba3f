"""What people say for what a catalogue calls otherwise."""

import pytest

from fashion_assets.search.spoken import is_everyday, meaning, replaced
from fashion_assets.search.words import read, with_what_was_said, without_company


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
        # Names come first: of the vocabularies, and of brands.
        ("bomber jacket", "bomber jacket"),
        ("rouge lipstick", "rouge lipstick"),
        ("mac lipstick", "mac lipstick"),
        ("t shirt", "t shirt"),
        ("football club jersey", "football club jersey"),
        ("nike rotes kleid", "nike red dresses"),
        ("blue shirt for the office", "blue shirt for the office"),
        ("", ""),
    ],
)
def test_a_question_is_put_into_the_catalogues_words(said: str, read_as: str):
    assert replaced(said).text == read_as


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
