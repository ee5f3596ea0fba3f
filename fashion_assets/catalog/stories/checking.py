"""Facts of a story that its record lacks: numbers, brands, materials, colours, kinds of thing, conditions.

What belongs here: finding claims in a text, and those of a story that nothing in its record supports. It goes by words, whoever wrote
the story. What does not: what becomes of such a story.

A claim is supported where the record makes it, in whichever spelling its vocabulary has. What is no claim of these kinds (that it rained)
is not found.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache, lru_cache
from importlib import resources
from typing import Any, NamedTuple

from fashion_assets.catalog import wordlists
from fashion_assets.catalog.brands import gazetteer
from fashion_assets.catalog.normalization import vocabulary
from fashion_assets.catalog.stories.story import Story

_CLAIMS = resources.files("fashion_assets.catalog.stories").joinpath("claims.toml")

_VOCABULARIES = ("colour", "article_type", "condition")

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"\w+", re.UNICODE)

LONGEST = 5
"""Words of the longest name that is looked for."""


class Claim(NamedTuple):
    """Something a text claims: of which kind, and what."""

    kind: str
    value: str


def unsupported(story: Story, record: Any) -> list[Claim]:
    """The claims of a story (its words and its memories) that nothing in its record supports, sorted. `record`: whatever is known of the
    product, as JSON taken apart; what supports most comes first, for the rest is read only where something is left."""
    left = {claim for text in (story.narrative, *story.memories) for claim in claims(text)}
    heard: set[str] = set()
    for text in _texts(record):
        if not left:
            break
        if text not in heard:
            heard.add(text)
            left -= claims(text, names_as_written=False)
    return sorted(left)


def claims(text: str, *, names_as_written: bool = True) -> set[Claim]:
    """What a text claims. `names_as_written`: brands count only as they are written, since many are common words too."""
    found = {Claim("number", _plain_number(number)) for number in _NUMBER.findall(text)}
    words = _WORD.findall(text)
    folded = [word.casefold() for word in words]
    names, reach = _names(), _reach()
    for start in range(len(words)):
        for end in range(start + 1, min(start + reach.get(folded[start], 0), len(words)) + 1):
            said = " ".join(folded[start:end])
            for claim in names.get(said, ()):
                if claim.kind != "brand" or not names_as_written or _is_a_name(words[start:end]):
                    found.add(claim)
    return found


def _is_a_name(words: list[str]) -> bool:
    return all(word[:1].isupper() or word[:1].isdigit() for word in words)


@lru_cache(maxsize=10_000)
def _plain_number(text: str) -> str:
    """A number without what people write around it: `18.00` and `18` are one; `1,299` is that, or 1.299, and one with both."""
    signs = [sign for sign in text if sign in ",."]
    if len(set(signs)) > 1:  # the last one is the decimal sign
        whole, _, rest = text.rpartition(signs[-1])
        text = f"{re.sub(r'[.,]', '', whole)}.{rest}"
    elif len(signs) > 1 or re.fullmatch(r"\d{1,3}[.,]\d{3}", text):
        text = re.sub(r"[.,]", "", text)
    return format(Decimal(text.replace(",", ".")).normalize(), "f")


@cache
def _names() -> Mapping[str, tuple[Claim, ...]]:
    """Every claim by how it may be said, folded."""
    found: dict[str, set[Claim]] = {}

    def add(said: str, claim: Claim) -> None:
        words = [word.casefold() for word in _WORD.findall(said)]
        if 0 < len(words) <= LONGEST:
            found.setdefault(" ".join(words), set()).add(claim)

    for field in _VOCABULARIES:
        for said, value in vocabulary(field).items():
            add(said, Claim(field, value))
    for value, spellings in tomllib.loads(_CLAIMS.read_text("utf-8"))["material"].items():
        for said in (value, *spellings):
            add(said, Claim("material", value))
    everyday = wordlists.listed(wordlists.BRANDS, "needs_gender_word")
    for said, brand in gazetteer().names.items():
        if said not in everyday:
            add(said, Claim("brand", brand))
    return {said: tuple(sorted(each)) for said, each in found.items()}


@cache
def _reach() -> Mapping[str, int]:
    """Words of the longest claim that begins with a word: most words begin none."""
    reach: dict[str, int] = {}
    for said in _names():
        first, *others = said.split(" ")
        reach[first] = max(reach.get(first, 0), 1 + len(others))
    return reach


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
    elif value is not None:
        text = str(value)
        if text[:1] in ("{", "[") and len(text) < 100_000:
            try:
                inside = json.loads(text)
            except (ValueError, RecursionError):
                yield text
            else:
                yield from _texts(inside)
        else:
            yield text
