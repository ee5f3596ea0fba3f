"""Words of everyday English, by a list (`everyday.toml`): those that say nothing of what is looked for, and those that are no misspellings.

What belongs here: whether a word is one. What does not: what words mean.
"""

from collections.abc import Mapping
from functools import cache

from fashion_assets.search import word_files


@cache
def _words() -> Mapping[str, frozenset[str]]:
    return {name: frozenset(words.split()) for name, words in word_files.read("everyday")["words"].items()}


def is_filler(word: str) -> bool:
    """Whether a word says nothing of what is looked for: "something", "wear"."""
    return word in _words()["filler"]


def is_everyday(word: str) -> bool:
    """Whether a word is one of everyday English, and no misspelling of another."""
    plain = word.removesuffix("s")
    return not _words()["everyday"].isdisjoint((word, plain)) or is_filler(word)
