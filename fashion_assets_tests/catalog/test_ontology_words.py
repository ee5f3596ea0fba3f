"""The ontology's files: what people may write wrongly is told with its file, and what stands there means one thing."""

import shutil
from pathlib import Path

import pytest

from fashion_assets.catalog.ontology import calibration
from fashion_assets.catalog.ontology.vocabulary import LANGUAGES, WORDS, ontology
from fashion_assets.catalog.wordlists import VocabularyError


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("colour", "black = {", "black = [", r"colour\.toml is not TOML"),
        (
            "colour",
            'black = { en = "black',
            'black = { english = "black',
            r"colour\.toml: 'black' has english",
        ),
        (
            "colour",
            'cream = { under = "beige, white"',
            'cream = { under = "beije, white"',
            "'cream' is under 'beije', which is no value",
        ),
        ("colour", 'en = "black,', 'en = "---, black,', "'---' of 'black' has no letters"),
        ("colour", 'fr = "noir//e', 'fr = "gris, noir//e', "'gris' stands for both 'black' and 'grey' in fr"),
        ("colour", "[values]", "[valeurs]", r"must have a section \[values\]"),
        ("fit", "skinny = {", "skinny = 7\nslender = {", "'skinny' must be written as"),
    ],
)
def test_what_is_written_wrongly_is_told(tmp_path: Path, name: str, old: str, new: str, said: str):
    folder = shutil.copytree(str(WORDS), tmp_path / "words")
    path = folder / f"{name}.toml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(VocabularyError, match=said):
        ontology(folder)


def test_a_word_that_is_added_is_read(tmp_path: Path):
    folder = shutil.copytree(str(WORDS), tmp_path / "words")
    path = folder / "colour.toml"
    path.write_text(
        path.read_text("utf-8").replace('en = "black,', 'en = "midnight/ly/ish, black,', 1), "utf-8"
    )
    found = ontology(folder)
    assert {meaning.value for meaning in found.phrases["midnightish",]} == {"black"}
    assert found != ontology()


def test_every_language_has_words_for_what_is_asked_most():
    known = ontology()
    for name in ("category", "colour", "material", "condition", "gender"):
        for language in LANGUAGES:
            values = {each.value for meanings in known.phrases.values() for each in meanings if (each.kind, each.language) == (name, language)}  # fmt: skip
            assert len(values) >= 5, (name, language)


def test_confidences_are_shares():
    for shares in calibration.table().values():
        assert all(0 < share < 1 for share in shares.values())
    assert calibration.confidence("no property", "no way") == calibration.confidence("no property", "text")
