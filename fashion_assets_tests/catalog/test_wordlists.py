"""The vocabularies' files: another version for another word, and a clear line for what people may write wrongly."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fashion_assets.catalog import compatibility, normalization, wordlists
from fashion_assets.catalog.wordlists import VOCABULARIES, VocabularyError
from fashion_assets.outcome import MigrationResult
from fashion_assets.settings import Settings
from fashion_assets_tests.catalogue import write_catalogue


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the package's vocabularies, free to be changed."""
    return shutil.copytree(str(VOCABULARIES), tmp_path / "vocabularies")


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def test_a_word_that_is_added_makes_another_version(folder: Path):
    """What was normalized with another one is normalized again, without anybody raising a number."""
    before = wordlists.version(folder)
    assert normalization.NORMALIZATION_VERSION.startswith(f"{normalization.RULES_VERSION}-{before}-")
    (folder / "README").write_text("no vocabulary")
    assert wordlists.version(folder) == before
    change(folder / "colour.json", '"camel",', '"camel", "oatmeal",')
    assert wordlists.version(folder) != before
    assert "oatmeal" in wordlists.read("colour", folder)["beige"]


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("colour", '"bronze": [],', '"bronze": []', r"colour\.json, line \d+, is not JSON: Expecting"),
        ("colour", '"bronze": []', '"bronze": "gold"', "the synonyms of 'bronze' must be a list"),
        ("colour", '"bronze": []', '"bronze": ["Old Gold"]', "'Old Gold' must be lower case.*'old gold'"),
        ("colour", '"bronze": []', '"bronze": ["camel"]', "'camel' stands for both 'beige' and 'bronze'"),
        ("colour", '"values"', '"value"', 'must have an object "values"'),
        ("brands", '"Alma": []', '"Alma": ["ADIDAS"]', "'ADIDAS' stands for both 'Adidas' and 'Alma'"),
        ("brands", '"needs_gender_word": [', '"needs_gender_word": [7, ', "must have a list of texts"),
    ],
)
def test_what_is_written_wrongly_is_told_with_its_place(
    folder: Path, name: str, old: str, new: str, said: str
):
    wordlists.check(folder)
    change(folder / f"{name}.json", old, new)
    wordlists.read.cache_clear()
    wordlists.listed.cache_clear()
    with pytest.raises(VocabularyError, match=said):
        wordlists.check(folder)


def test_a_file_that_is_no_text_or_no_object_is_told(folder: Path):
    (folder / "mood.json").write_bytes(b"\xff{}")
    with pytest.raises(VocabularyError, match=r"mood\.json is not UTF-8"):
        wordlists.check(folder)
    (folder / "mood.json").write_text(json.dumps([1]))
    with pytest.raises(VocabularyError, match=r"mood\.json must be a JSON object"):
        wordlists.check(folder)


def test_no_run_begins_with_a_vocabulary_or_a_table_that_cannot_be_read(
    folder: Path,
    settings: Settings,
    migrate: Callable[..., MigrationResult],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    (folder / "season.json").write_text("{")
    monkeypatch.setattr(wordlists.check, "__defaults__", (folder,))
    with pytest.raises(VocabularyError, match=r"season\.json, line 1"):
        migrate(write_catalogue(tmp_path / "catalogue", 3))
    monkeypatch.setattr(wordlists.check, "__defaults__", (wordlists.VOCABULARIES,))
    (tables := tmp_path / "tables").mkdir()
    (tables / "style.json").write_text('{"values": {"a": []}, "compatible": {"a": ["b"]}, "accepts": {}}')
    monkeypatch.setattr(compatibility.check, "__defaults__", (tables,))
    with pytest.raises(VocabularyError, match=r"style\.json: 'b' stands in \"compatible\""):
        migrate(tmp_path / "catalogue")
    assert not (settings.home / "assets").exists()
