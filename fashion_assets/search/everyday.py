"""Words of everyday English, by a list (`everyday.toml`): those that say nothing of what is looked for, and those that are no misspellings.

What belongs here: whether a word is one. What does not: what words mean.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources


@cache
def _words() -> Mapping[str, frozenset[str]]:
    document = tomllib.loads(
        resources.files("fashion_assets.search").joinpath("everyday.toml").read_text("utf-8")
    )
    return {name: frozenset(words.split()) for name, words in document.items()}


def is_filler(word: str) -> bool:
    """Whether a word says nothing of what is looked for: "something", "wear"."""
    return word in _words()["filler"]


def is_everyday(word: str) -> bool:
    """Whether a word is one of everyday English, and no misspelling of another."""
    plain = word.removesuffix("s")
    return not _words()["everyday"].isdisjoint((word, plain)) or is_filler(word)
