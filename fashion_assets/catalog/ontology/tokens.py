"""A text as words: lower case, without accents, each with its place in the text.

What belongs here: where words begin and end, and what stands between them. What does not: what a word means.
"""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

_WORD = re.compile(r"[a-z0-9]+(?:['\u2019\u2018\u00b4`\u02bc]s(?![a-z0-9]))?")
_SENTENCE_END = re.compile(r"[.!?;\n\r|\u2022\u25aa\u2022*]|\s-\s|\s\u2013\s")
_CLAUSE_END = re.compile(r"[,()\[\]/:]")

LONGEST = 10_000
"""Characters of a text that are read; what a listing says of itself it says before."""


class _Plain(dict[int, str]):
    """One plain letter for each letter, so that places stay."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        plain = unicodedata.normalize("NFKD", letter)[:1].lower() if code > 127 else letter.lower()
        self[code] = plain = plain if len(plain) == 1 else " "
        return plain


_PLAIN = _Plain({ord("ß"): "s", ord("æ"): "a", ord("œ"): "o", ord("ø"): "o", ord("ł"): "l", ord("đ"): "d"})


def plain(text: str) -> str:
    """The text in lower case without accents, of the same length."""
    return text.translate(_PLAIN)


class Words(NamedTuple):
    """The words of a text."""

    text: str
    """As it stands, its letters composed (NFC)."""
    words: list[str]
    starts: list[int]
    ends: list[int]
    sentences: list[int]
    """Of each word, the number of its sentence."""
    clauses: list[int]
    """Of each word, the number of its part of a sentence, over the whole text."""

    def between(self, first: int, last: int) -> str:
        """The text from the word `first` to before the word `last`."""
        return self.text[self.starts[first] : self.ends[last - 1]]


def words_of(text: str) -> Words:
    """Cut a text into words. A possessive s belongs to its word and is no word; longer texts than `LONGEST` are read so far."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text[:LONGEST])
    text = text[:LONGEST]
    words: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    sentences: list[int] = []
    clauses: list[int] = []
    sentence = clause = previous = 0
    for found in _WORD.finditer(plain(text)):
        word = found[0]
        start, end = found.span()
        if previous and start - previous > 0:
            gap = text[previous:start]
            if gap not in (" ", "-", "'", "\u2019"):
                if _SENTENCE_END.search(gap) and not (
                    gap[0] == "." and start - previous == 1 and _inside_number_or_name(words[-1], word)
                ):
                    sentence += 1
                    clause += 1
                elif _CLAUSE_END.search(gap):
                    clause += 1
        if word[-1] == "s" and len(word) > 2 and not word[-2].isalnum():
            word = word[:-2]
        words.append(word)
        starts.append(start)
        ends.append(end)
        sentences.append(sentence)
        clauses.append(clause)
        previous = end
    return Words(text, words, starts, ends, sentences, clauses)


@lru_cache(4096)
def words_of_name(name: str) -> tuple[str, ...]:
    """The words of a name that is met again and again, as a brand's."""
    return tuple(words_of(name).words)


def _inside_number_or_name(before: str, after: str) -> bool:
    """Whether a full stop without a blank is within a number (7.5) or a name (J.Crew)."""
    return (before.isdigit() and after.isdigit()) or len(before) == 1 or len(after) == 1
