"""The vocabularies' files: reading them, checking what people wrote into them, their version.

What belongs here: what is in `vocabularies/*.json`, as it stands there. What does not: what is done with it
(`catalog.normalization`, `catalog.brands`).
"""

import hashlib
import json
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from fashion_assets.errors import FashionAssetsError

VOCABULARIES = resources.files("fashion_assets.catalog").joinpath("vocabularies")

BRANDS = "brands"
"""The one vocabulary whose values are shown as they are written; those of the others are lower case."""


class VocabularyError(FashionAssetsError):
    """A vocabulary's file is not as it must be; the message says which, where, and what to do."""


def is_there(name: str, folder: Traversable = VOCABULARIES) -> bool:
    """Whether there is a vocabulary `name`."""
    return (folder / f"{name}.json").is_file()


@cache
def read(name: str, folder: Traversable = VOCABULARIES) -> dict[str, list[str]]:
    """Each canonical value of the vocabulary `name`, with its synonyms. Raises `VocabularyError`."""
    return _checked(name, folder, "brands" if name == BRANDS else "values")


@cache
def listed(name: str, key: str, folder: Traversable = VOCABULARIES) -> frozenset[str]:
    """What a vocabulary lists beside its values, under `key`. Raises `VocabularyError`."""
    found = _document(name, folder).get(key)
    if not _is_texts(found):
        raise VocabularyError(f'{folder / f"{name}.json"} must have a list of texts "{key}".')
    return frozenset(found or ())


@cache
def lists(name: str, key: str, folder: Traversable = VOCABULARIES) -> dict[str, list[str]]:
    """Lists of texts by name that a vocabulary has beside its values, under `key`. Raises `VocabularyError`."""
    found = _document(name, folder).get(key)
    if not isinstance(found, dict) or not all(_is_texts(those) for those in found.values()):
        raise VocabularyError(f'{folder / f"{name}.json"} must have an object of lists of texts "{key}".')
    return found


def check(folder: Traversable = VOCABULARIES) -> None:
    """Read every vocabulary there is. Raises `VocabularyError` for the first that is not as it must be."""
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".json"):
            read(file.name.removesuffix(".json"), folder)
    listed(BRANDS, "needs_gender_word", folder)


def version(folder: Traversable = VOCABULARIES) -> str:
    """Another one whenever a vocabulary changes: 12 hex digits of a hash over the files."""
    digest = hashlib.blake2b(digest_size=6)
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".json"):
            digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _document(name: str, folder: Traversable) -> dict:
    path = folder / f"{name}.json"
    try:
        found = json.loads(path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise VocabularyError(f"{path} is not UTF-8: {error.reason} at byte {error.start}.") from None
    except json.JSONDecodeError as error:
        raise VocabularyError(
            f"{path}, line {error.lineno}, is not JSON: {error.msg}. A comma between values, none after the last?"
        ) from None
    if not isinstance(found, dict):
        raise VocabularyError(f"{path} must be a JSON object.")
    return found


def _checked(name: str, folder: Traversable, key: str) -> dict[str, list[str]]:
    path, values = folder / f"{name}.json", _document(name, folder).get(key)
    if not isinstance(values, dict):
        raise VocabularyError(f'{path} must have an object "{key}": each value with a list of its synonyms.')
    owner: dict[str, str] = {}
    for value, synonyms in values.items():
        if not _is_texts(synonyms):
            raise VocabularyError(
                f'{path}: the synonyms of {value!r} must be a list of texts, as [] or ["sand"].'
            )
        for word in (value, *synonyms):
            if word != word.lower() and name != BRANDS:
                raise VocabularyError(
                    f"{path}: {word!r} must be lower case, as all values and synonyms: {word.lower()!r}."
                )
            other = owner.setdefault(word.lower(), value)
            if other != value:
                raise VocabularyError(
                    f"{path}: {word!r} stands for both {other!r} and {value!r}; leave it to one of them."
                )
    return values


def _is_texts(found: object) -> bool:
    return isinstance(found, list) and all(isinstance(each, str) for each in found)
