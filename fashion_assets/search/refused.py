"""What people say that they do not want: "shirt not red", "shoes except black", "dress without lace", "shirt -blue".

What belongs here: finding it in a question, and what is left out by it. What does not: asking without it (`answering`), words to avoid that are
stated apart (`Query.avoid`).

Only what has a meaning is left out: a value or a brand of the vocabularies, what the ontology knows, a part of a garment. "Rebel without a
clue" is a print, and stays a question for its words.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from fashion_assets.catalog.attributes import IMPORTANCE
from fashion_assets.search import spoken, word_files
from fashion_assets.search.everyday import is_filler
from fashion_assets.search.filters import COLUMNS, NoneOf
from fashion_assets.search.words import LONGEST_NAME, is_name, read

_NOT = (
    r"(?:i )?(?:don'?t|do not) (?:like|want|need)|i hate|avoid(?:ing)?|but not|not|except(?: for)?|excluding|other than|(?:anything|everything|all) but|apart from|isn'?t|aren'?t|neither|minus|"
    r"nicht|keine?[nrms]?|ausser|au\u00dfer|pas|sauf|excepto|menos|tranne|niet|geen|behalve|(?P<without>without|w/o|no|non)"
)
"""In the languages in which questions come; "without" of other languages is read with the language (`languages`), for some are names, too."""
_SAYS_SO = re.compile(rf"(?<![\w'-])(?:{_NOT})[\s-]+(?=\w)|(?:^|(?<=\s))[-!](?=[^\W\d])", re.IGNORECASE)
_READ = re.compile(r"(?<!\w)(?:(?P<without>without)|not) (?=\w)")
"""The same as they are put before a question is read in the catalogue's words: some languages' small words are left out of it, "no" among them."""
_WORD = re.compile(r"\w+(?:['\u2019&./-]\w+)*")
_AND = re.compile(r"\s*(?:\bor\b|\band\b|\bnor\b|/|&)\s*", re.IGNORECASE)
_BESIDE = re.compile(r"(?:\b(?:with|in|and|or|but|that|which)|,)\s*$", re.IGNORECASE)
"""What stands before, and says nothing any more."""


@dataclass(frozen=True)
class Refused:
    """A question, parted."""

    words: str
    """What is looked for."""
    avoid: str
    """What hits should have nothing of, as it was said, in the catalogue's words."""
    filters: tuple[NoneOf, ...]
    """What none of them may be."""


@cache
def _words(kind: str) -> frozenset[str]:
    return frozenset(word_files.read("refused")["words"][kind].split())


def says_so(text: str) -> bool:
    """Whether a question may say that something is not wanted: most do not, and are looked at no further."""
    return _SAYS_SO.search(text) is not None


@lru_cache(maxsize=1_024)
def parted(text: str) -> Refused | None:
    """What a question asks for and what it refuses; None where it refuses nothing that has a meaning."""
    text = spoken.replaced(_SAYS_SO.sub(lambda found: "without " if found["without"] else "not ", text)).text
    kept: list[str] = []
    avoided: list[str] = []
    end = 0
    for found in _READ.finditer(text):
        if found.start() < end:
            continue
        refused, last = _refused(text, found.end(), bool(found["without"]))
        if not refused:
            continue
        kept.append(_BESIDE.sub("", text[end : found.start()]))
        end = last
        avoided += refused
    if not avoided:
        return None
    words = " ".join((*kept, text[end:])).split()
    if all(is_filler(word.lower()) for word in words):
        words = []
    return Refused(" ".join(words), " ".join(avoided), none_of(avoided))


def none_of(said: Iterable[str]) -> tuple[NoneOf, ...]:
    """Filters that leave out the values which names are of."""
    values: dict[str, list[str]] = {}
    for term in (term for each in said for term in read(each)):
        # What a catalogue states: what has another value there is known not to be it. Of the others words tell.
        if term.column in IMPORTANCE and term.column in COLUMNS and term.value is not None:
            values.setdefault(term.column, []).append(term.value)
    return tuple(NoneOf(column, tuple(dict.fromkeys(own))) for column, own in values.items())


def _refused(text: str, start: int, of_a_thing: bool) -> tuple[list[str], int]:
    """What is refused from a place of a text on, in the catalogue's words, and where it ends; `of_a_thing`: what a thing has not, which is no
    thing itself ("no panty line")."""
    refused: list[str] = []
    end = start
    while True:
        said, last = next(_meant(text, start), ("", end))
        if not said or (of_a_thing and said.lower() not in _words("parts") and _is_a_thing(said)):
            return refused, end
        end = last
        refused.append(said)
        joined = _AND.match(text, end)
        if joined is None:
            return refused, end
        start = joined.end()


def _is_a_thing(said: str) -> bool:
    known = spoken.meaning(said.lower())
    return read(said)[0].column in spoken.THINGS or (
        known is not None and known.kind in ("category", "subcategory")
    )


def _meant(text: str, start: int) -> Iterator[tuple[str, int]]:
    """What the words from a place on mean, the longest first, and where each ends."""
    words = list(_WORD.finditer(text, start))
    while words and words[0][0].lower() in _words("small"):
        words.pop(0)
    # Behind a sign that ends a sentence's part nothing is meant any more.
    if not words or re.search(r"[,;.!?]", text[start : words[0].start()]):
        return
    for count in range(min(LONGEST_NAME, len(words)), 0, -1):
        phrase = text[words[0].start() : words[count - 1].end()]
        if is_name(phrase.lower()):
            yield phrase, words[count - 1].end()
        elif count == 1:
            known = spoken.meaning(phrase.lower())
            if known is not None:
                yield (phrase if known.english else spoken.in_english(known.value)), words[0].end()
            elif phrase.lower() in _words("parts"):
                yield phrase, words[0].end()
