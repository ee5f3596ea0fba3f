"""What people say in other languages, in the catalogue's words: colours, things that are worn, whom they are for, by a list of words (`languages.toml`).

What belongs here: the list, in which language a question is, and which of its parts the list knows. What does not: the languages that listings are
written in (`catalog.ontology`), slang and needs, replacing parts (`spoken`).

The language is the one that knows most words of a question; a word that is an English one, or names a value or a brand, tells nothing of it, and is read
only beside another one. One word beside words that nobody knows tells nothing, either: "rosso brunello" is a brand.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

from fashion_assets.catalog.ontology.tokens import plain
from fashion_assets.catalog.ontology.vocabulary import spelled_out, without_umlauts
from fashion_assets.search import word_files
from fashion_assets.search.everyday import is_everyday
from fashion_assets.search.words import is_name, longest_first, names

LONGEST = 4
"""Words of a phrase."""

_WORD = re.compile(r"[\w\u0300-\u036f\u0900-\u0dff]+")
"""Letters and digits; `\\w` lacks the vowel signs of the scripts of India."""


class Part(NamedTuple):
    """A stretch of a question, and what is meant by it: nothing, where it says nothing of what is looked for."""

    start: int
    end: int
    meant: str


class Said(NamedTuple):
    """What a phrase means in a language."""

    meant: str
    is_sure: bool
    """Whether the phrase tells the language, which one that is English, too, does not."""


class _Language(NamedTuple):
    phrases: Mapping[tuple[str, ...], Said]
    filler: frozenset[str]


def parts_of(text: str) -> list[Part]:
    """The parts of a question (NFC) that the list knows in the language which knows most of it; none where no language does."""
    spans = [found.span() for found in _WORD.finditer(text)]
    words = [plain(text[start:end]) for start, end in spans]
    if _telling().isdisjoint(words):
        return []
    named = _named(words)
    best: list[tuple[int, int, Said]] = []
    most, filler = (0, 0), frozenset[str]()
    for language in _languages().values():
        found = list(_known(words, language, named))
        sure = sum(last - first for first, last, said in found if said.is_sure)
        known = (sure, sum(last - first for first, last, _ in found))
        tells = sure > 1 or (sure and not _strange(words, found, language, named))
        if tells and known > most:
            best, most, filler = found, known, language.filler
    covered = {place for first, last, _ in best for place in range(first, last)}
    parts = [Part(spans[first][0], spans[last - 1][1], said.meant) for first, last, said in best]
    if best:
        parts += [
            Part(*spans[place], "")
            for place, word in enumerate(words)
            if word in filler and place not in covered | named
        ]
    return parts


def _known(words: list[str], language: _Language, named: set[int]) -> Iterator[tuple[int, int, Said]]:
    """Phrases of a language, from and to which word, the longest that begin somewhere."""

    def find(first: int, last: int) -> Said | None:
        said = language.phrases.get(tuple(words[first:last]))
        return said if named.isdisjoint(range(first, last)) else None

    return longest_first(len(words), LONGEST, find)


def _strange(
    words: list[str], found: list[tuple[int, int, Said]], language: _Language, named: set[int]
) -> bool:
    """Whether a word of a question is of no list and no name."""
    known = named.union(*(range(first, last) for first, last, _ in found))
    return any(
        place not in known
        and word not in language.filler
        and not word.isdigit()
        and not is_name(word)
        and not is_everyday(word)
        for place, word in enumerate(words)
    )


def _named(words: list[str]) -> set[int]:
    """Places of the words of names that have several: of a brand, as "allen solly"."""
    return {
        place
        for first in range(len(words))
        for last in range(first + 2, min(len(words), first + LONGEST) + 1)
        if is_name(" ".join(words[first:last]))
        for place in range(first, last)
    }


@cache
def _languages() -> Mapping[str, _Language]:
    return {language: _read(language, each) for language, each in word_files.read("languages").items()}


@cache
def english_too() -> frozenset[str]:
    """Phrases that are English, too, and tell no language."""
    every = (each.phrases.items() for each in _languages().values())
    return frozenset(" ".join(phrase) for phrases in every for phrase, said in phrases if not said.is_sure)


@cache
def _telling() -> frozenset[str]:
    """First words of phrases that tell a language."""
    every = (each.phrases.items() for each in _languages().values())
    return frozenset(phrase[0] for phrases in every for phrase, said in phrases if said.is_sure)


def _read(language: str, document: Mapping[str, str]) -> _Language:
    english = names()
    phrases: dict[tuple[str, ...], Said] = {}
    for meant, said in document.items():
        if meant == "filler":
            continue
        for each in said.split(","):
            for phrase in _spelled(each.strip().removesuffix("!"), language):
                is_sure = not each.endswith("!") and " ".join(phrase) not in english
                phrases.setdefault(phrase, Said(meant, is_sure))
    return _Language(
        phrases,
        frozenset(word for each in document["filler"].split() for (word,) in _spelled(each, language)),
    )


def _spelled(text: str, language: str) -> Iterator[tuple[str, ...]]:
    for whole in spelled_out(text):
        for written in (whole, *(without_umlauts(whole) if language == "de" else ())):
            yield tuple(plain(found[0]) for found in _WORD.finditer(written))
