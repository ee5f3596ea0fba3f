"""Seasons as shops state them: `SS24`, `A/W 2023`, `Fall 2012`, `Herbst/Winter`.

What belongs here: the seasons such a statement names. What does not: their plain names and synonyms (`vocabularies`), seasons in texts (`ontology`).
"""

import hashlib
import re
import tomllib
from functools import cache
from importlib import resources

_WORDS = resources.files("fashion_assets.catalog").joinpath("seasons.toml")
_YEAR = r"(?:(?:19|20)\d{2}|['\u2019]?\d{2})"
_YEARS = re.compile(rf"^{_YEAR}(?:[/-]\d{{2}})?(?!\d)[\s/_-]*|[\s/_-]*(?<!\d){_YEAR}(?:[/-](?:20)?\d{{2}})?$")
_BETWEEN = re.compile(r"\s*[/,;|&+-]\s*|\s+(?:(?:and|und|et|y|e|en)\s+)?")
_SIGNS = re.compile(r"[\s/.&-]+")


def stated(text: str) -> list[str]:
    """The canonical seasons that a statement in lower case names, in its order; none where a word of it is no season's."""
    names, codes = _words()
    bare = _YEARS.sub("", text.strip())
    if (code := codes.get(_SIGNS.sub("", bare))) is not None:
        return list(code)
    found = [names.get(word) for word in _BETWEEN.split(bare)]
    return [] if None in found else list(dict.fromkeys(filter(None, found)))


@cache
def version() -> str:
    """Changes whenever a word does."""
    return hashlib.blake2b(_WORDS.read_bytes(), digest_size=4).hexdigest()


@cache
def _words() -> tuple[dict[str, str], dict[str, list[str]]]:
    said = tomllib.loads(_WORDS.read_text("utf-8"))
    return {word: season for season, words in said["names"].items() for word in words}, said["codes"]
