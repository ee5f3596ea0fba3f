"""What people say for what a catalogue calls otherwise: slang, abbreviations, needs, words of other languages.

What belongs here: replacing them by the catalogue's words, before a question is read as terms. What does not: names of values and brands, which
come first (`words`), the list of words of other languages (`languages`), what a release has (`understanding`), a shop's own synonyms.

What that list does not know is read as listings are, by the languages of `catalog.ontology`. Of a word alone that several languages could have,
as "rot", `meaning` tells what it means in any.
"""

import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import product
from typing import NamedTuple

from fashion_assets.catalog.ontology.phrases import Match, every_phrase
from fashion_assets.catalog.ontology.tokens import words_of
from fashion_assets.search import word_files
from fashion_assets.search.languages import Part, english_too, parts_of
from fashion_assets.search.words import Synonyms, has_synonyms, is_name, longest_first, names

KINDS = (
    "colour",
    "subcategory",
    "category",
    "gender",
    "material",
    "pattern",
    "season",
    "occasion",
    "style",
    "fit",
    "neckline",
    "sleeve_length",
)
"""Properties whose words are replaced, and of a word that means several the one that is taken."""

THINGS = ("article_type", "sub_category", "category")
"""Columns of a catalogue that say what a product is."""

LONGEST = 4
"""Words of a phrase that is said."""

MOST_COMPLAINING = 40
"""Words of a question among which it is looked for what is wrong: that takes the square of them."""

CIRCUMSTANCES = frozenset(("under", "underneath", "beneath"))

SMALL = 4
"""Letters of words of another language that are left out where they name nothing: para, pour, mit."""


@dataclass(frozen=True)
class Said:
    """A question in the catalogue's words."""

    text: str
    also: Mapping[str, str] = field(default_factory=dict)
    """What was said, by what it was replaced with."""


def replaced(text: str, synonyms: Synonyms | None = None) -> Said:
    """A question with what is said in slang, abbreviated, or in another language in the catalogue's words; without what a merchant has
    synonyms of."""
    text = unicodedata.normalize("NFC", text)
    parts: list[Part] = []
    for read in (_turned, _slang, _complaint, parts_of, _foreign):
        parts += [
            each
            for each in read(text)
            if not any(each.start < other.end and other.start < each.end for other in parts)
        ]
    also: dict[str, str] = {}
    for start, end, meant in sorted(parts, reverse=True):
        if synonyms and has_synonyms(text[start:end], synonyms):
            continue
        if meant:
            also[meant] = text[start:end].lower()
        text = f"{text[:start]}{meant}{text[end:]}"
    return Said(" ".join(text.split()), also) if parts else Said(text)


@cache
def _said() -> Mapping[tuple[str, ...], str]:
    """What is meant, by what is said, in words."""
    known = names()
    found: dict[tuple[str, ...], str] = {}
    for section in ("slang", "abbreviations", "needs"):
        for meant, said in word_files.read("spoken")[section].items():
            for each in said.split(","):
                phrase = tuple(words_of(each).words)
                if " ".join(phrase) not in known:
                    found[phrase] = meant
    return found


def _slang(text: str) -> Iterator[Part]:
    words, known = words_of(text), _said()

    def find(first: int, last: int) -> str | None:
        phrase = words.words[first:last]
        # Within a name nothing is looked for, and it is not replaced.
        return known.get(tuple(phrase)) or ("" if is_name(" ".join(phrase)) else None)

    for first, last, meant in longest_first(len(words.words), LONGEST, find):
        if meant:
            yield Part(words.starts[first], words.ends[last - 1], meant)


DETERMINERS = frozenset(("a", "an", "the", "my", "your", "his", "her", "our", "their"))


def _turned(text: str) -> Iterator[Part]:
    """What is a name the other way round: "cover for my phone" is a phone cover, and "laces for shoes" are shoe laces. Things to wear with others
    ("shoes for a dress") are left as they are."""
    words = words_of(text)
    for place in [place for place, word in enumerate(words.words) if word == "for"]:
        first = place + 1
        while first < len(words.words) and words.words[first] in DETERMINERS:
            first += 1
        if not 0 < place < first < len(words.words):
            continue
        thing, purpose = words.words[place - 1], words.words[first]
        if _is_thing(thing) and (_is_thing(purpose) or words.words[first - 1] == "the"):
            continue
        for last in range(min(len(words.words), first + 2), first, -1):
            purposes = words.words[first:last]
            for form in (" ".join(purposes), " ".join(purposes).removesuffix("s")):
                named = f"{form} {thing}"
                meant = _said().get(tuple(named.split())) or (named if is_name(named) else None)
                if meant is not None:
                    yield Part(words.starts[place - 1], words.ends[last - 1], meant)
                    return


@cache
def _complaints() -> list[tuple[str, tuple[frozenset[str], ...]]]:
    """What is meant, and the words of each kind of which a question has one that says so, in singular and plural."""
    kinds = {name: _numbers(words.split()) for name, words in word_files.read("spoken")["kinds"].items()}
    return [
        (meant, tuple(kinds.get(kind) or _numbers([kind]) for kind in said.split()))
        for meant, every in word_files.read("spoken")["complaints"].items()
        for said in every.split(",")
    ]


def _numbers(words: Collection[str]) -> frozenset[str]:
    return frozenset(words).union(f"{word}s" for word in words if not word.endswith("s"))


def _complaint(text: str) -> Iterator[Part]:
    """The part of a question that says what is wrong, from its first word to its last, where nothing beside it is asked for that is worn."""
    words = words_of(text)
    complaining = words.words[:MOST_COMPLAINING]
    here = frozenset(complaining)
    told = [
        (last - first, meant, first, last)
        for meant, kinds in _complaints()
        if not here.isdisjoint(kinds[0]) and (said := _nearest(complaining, kinds)) is not None
        for first, last in [(min(said), max(said))]
        if not _asks_for_a_thing(words.words, said)
    ]
    if told:
        _, meant, first, last = min(told)
        yield Part(words.starts[first], words.ends[last], meant)


def _nearest(words: list[str], kinds: tuple[frozenset[str], ...]) -> tuple[int, ...] | None:
    """Places of words of each kind, those that stand nearest to one another; None where there are none of one."""
    places = [[place for place, word in enumerate(words) if word in kind] for kind in kinds]
    told = [each for each in product(*places) if len(set(each)) == len(each)]
    return min(told, key=lambda each: max(each) - min(each), default=None)


def _asks_for_a_thing(words: list[str], said: Collection[int]) -> bool:
    """Whether words beside those that are `said` name a kind of thing that is worn, but for one that what is wrong comes with: "in heels", "under my
    dress", "from carrying a bag"."""
    for first in range(len(words)):
        if CIRCUMSTANCES.intersection(words[max(0, first - 3) : first]):
            continue
        for last in range(first + 1, min(len(words), first + 2) + 1):
            if not set(range(first, last)) <= set(said) and _is_thing(" ".join(words[first:last])):
                return True
    return False


def _is_thing(phrase: str) -> bool:
    known = names().get(phrase) or names().get(phrase.removesuffix("s"))
    return known is not None and known[0] in THINGS


def _foreign(text: str) -> list[Part]:
    """The parts of a question that another language than English has words for, where it is in that language."""
    words = words_of(text)
    known = names()
    if not words.words or all(word in known for word in words.words):
        return []
    ontology, phrases = every_phrase()
    language = phrases.language(words)
    if language in (None, "en"):
        return []
    matches = phrases.find(words, language, brands=frozenset(), title=False)
    foreign = _best([each for each in matches if each.language == language])
    told = sum(each.last - each.first for each in foreign)
    if told < len(words.words) and all(
        " ".join(words.words[each.first : each.last]) in english_too() for each in foreign
    ):
        return []  # "team jersey"
    parts = [
        Part(words.starts[each.first], words.ends[each.last - 1], in_english(each.value)) for each in foreign
    ]
    covered = {place for each in foreign for place in range(each.first, each.last)}
    understood = {place for each in matches if each.kind in KINDS for place in range(each.first, each.last)}
    if any(
        place not in understood and known.get(word, ("brand",))[0] != "brand"
        for place, word in enumerate(words.words)
    ):
        # "football club jersey": one word of it is Spanish, too, and another one the catalogue's own.
        return []
    for place, word in enumerate(words.words):
        # Written with an accent it is of that language, too: "für", and no fur.
        own = ontology.language_words.get(word) == language or not words.between(place, place + 1).isascii()
        small = len(word) <= 2 or (len(word) <= SMALL and own)
        if parts and place not in covered and small and word not in known and not word.isdigit():
            parts.append(Part(words.starts[place], words.ends[place], ""))
    return parts


def _best(matches: list[Match]) -> list[Match]:
    """Of the matches of the same words one, of the first of `KINDS`."""
    best: dict[int, Match] = {}
    for each in sorted(
        (each for each in matches if each.kind in KINDS), key=lambda each: KINDS.index(each.kind)
    ):
        if not any(other.first < each.last and each.first < other.last for other in best.values()):
            best[each.first] = each
    return list(best.values())


def in_english(value: str) -> str:
    """A value of the ontology as people write it."""
    return value if value == "t-shirt" else value.replace("-", " ")


class Known(NamedTuple):
    """What a word means."""

    kind: str
    """A property, as `catalog.ontology` calls its file."""
    value: str
    english: bool


@lru_cache(maxsize=4_096)
def meaning(word: str) -> Known | None:
    """What a word, or a phrase, means that stands alone: in English, or else in whatever language; None where that is unknown, or several things."""
    ontology, _ = every_phrase()
    meanings = ontology.phrases.get(tuple(words_of(word).words), ())
    for english in (True, False):
        meant = {
            (each.kind, each.value)
            for each in meanings
            if each.kind in KINDS and (each.language == "en") is english
        }
        for kind in KINDS:
            values = [value for own, value in meant if own == kind]
            if len(values) == 1:
                return Known(kind, values[0], english)
    return None
