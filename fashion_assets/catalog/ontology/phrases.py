"""Phrases found in a text: which words of it mean what, the longest phrase first.

What belongs here: matching, the language of a text, which meaning a phrase has in it, brands that are everyday words. What does
not: what context makes of a match (`context`), choosing a property's value (`reading`).
"""

from collections import defaultdict
from functools import cache
from typing import NamedTuple

from fashion_assets.catalog.ontology.tokens import Words
from fashion_assets.catalog.ontology.vocabulary import LANGUAGES, Meaning, Ontology, ontology

_SILENCING = frozenset({"ignored", "brand", "condition", "elsewhere"})
"""Their phrases mean nothing else: no colour in a brand, no kind of thing in "worn with"."""

_NO_KIND = frozenset({"neckline", "sleeve_length"})
"""A short sleeve is no pair of shorts, a polo neck no polo shirt."""

_NO_BRANDS = frozenset({"category", "subcategory", "material", "gender"})

_SURELY_FOREIGN = 6
"""Letters of a word that may be of another language than its text: shorter ones look alike in several."""

_PARTING = frozenset(",;:!?()\n")

_GROUPS = {"category": "kind", "subcategory": "kind", "no_material": "material"}


class Match(NamedTuple):
    """A phrase of a text."""

    first: int
    """Number of its first word."""
    last: int
    """Number of the word behind it."""
    kind: str
    """A property's file, or the context it makes."""
    value: str
    language: str


class Phrases:
    """The phrases of an ontology, by their words."""

    def __init__(self, known: Ontology) -> None:
        self._ontology = known
        self._root: dict = {}
        for phrase, meanings in known.phrases.items():
            here = self._root
            for word in phrase:
                here = here.setdefault(word, {})
            here[None] = meanings
        self._chosen: dict[tuple[int, str | None, bool], tuple[Meaning, ...]] = {}

    def language(self, *texts: Words) -> str | None:
        """The language most words tell, or None where none does or two tie."""
        counts: dict[str, int] = dict.fromkeys(LANGUAGES, 0)
        known = self._ontology.language_words
        for text in texts:
            for word in text.words[:150]:
                language = known.get(word)
                if language is not None:
                    counts[language] += 1
        first, second, *_ = sorted(counts.values(), reverse=True)
        return None if first == second else max(counts, key=counts.__getitem__)

    def find(
        self, text: Words, language: str | None, *, brands: frozenset[tuple[str, ...]], title: bool
    ) -> list[Match]:
        """Every phrase of the text but those within a longer one. `brands`: names the record states, in words."""
        found: list[Match] = []
        covered: dict[str, int] = defaultdict(int)
        root, words = self._root, text.words
        brands = frozenset(brand for brand in brands if brand and not self._is_a_kind(brand))
        silent = 0  # up to which word everything is said
        for first in range(len(words)):
            here = root.get(words[first])
            for brand in brands:
                if (
                    words[first] == brand[0]
                    and first >= silent
                    and tuple(words[first : first + len(brand)]) == brand
                ):
                    silent = first + len(brand)
                    found.append(Match(first, silent, "brand", text.between(first, silent), "en"))
            if here is None:
                continue
            levels = []
            last = first
            while here is not None:
                last += 1
                meanings = here.get(None)
                if meanings is not None:
                    levels.append((last, meanings))
                here = here.get(words[last]) if last < len(words) else None
            for last, meanings in reversed(levels):
                if last <= silent or any(_parts(text, word) for word in range(first + 1, last)):
                    continue
                here_found = []
                for meaning in self._meant(
                    meanings, language, min(map(len, words[first:last])) >= _SURELY_FOREIGN
                ):
                    kind = meaning.kind
                    if covered[_GROUPS.get(kind, kind)] >= last:
                        continue
                    if kind == "brand" and (
                        any(words[first:last][-len(brand) :] == list(brand) for brand in brands)
                        or not self._is_brand(text, first, last, meaning, title)
                    ):
                        continue  # a polo by Ralph Lauren is not by Polo Ralph Lauren
                    here_found.append(Match(first, last, kind, meaning.value, meaning.language))
                silencing = [each for each in here_found if each.kind in _SILENCING]
                found += silencing[:1] or here_found
                for each in silencing[:1] or here_found:
                    group = str(_GROUPS.get(each.kind, each.kind))
                    covered[group] = max(covered[group], last)
                    if each.kind in _NO_KIND:
                        covered["kind"] = max(covered["kind"], last)
                        covered["parts"] = max(covered["parts"], last)
                    if each.kind in _SILENCING:
                        silent = max(silent, last)
        return found

    def _is_a_kind(self, phrase: tuple[str, ...]) -> bool:
        """Whether what is stated as a brand is a kind of thing, a material or whom it is for, as some sellers write."""
        meanings = self._ontology.phrases.get(phrase, ())
        return any(meaning.kind in _NO_BRANDS for meaning in meanings)

    def _meant(
        self, meanings: tuple[Meaning, ...], language: str | None, foreign: bool
    ) -> tuple[Meaning, ...]:
        """Of each kind the meaning in the text's language, else the English one; without a language, any."""
        key = (id(meanings), language, foreign)
        chosen = self._chosen.get(key)
        if chosen is None:
            best: dict[str, tuple[int, Meaning]] = {}
            for meaning in meanings:
                if meaning.only_there and meaning.language != language:
                    continue
                if language is not None and meaning.language not in (language, "en") and not foreign:
                    continue
                rank = 0 if meaning.language == language else 1 if meaning.language == "en" else 2
                if meaning.kind not in best or rank < best[meaning.kind][0]:
                    best[meaning.kind] = (rank, meaning)
            if "category" in best and "subcategory" in best:
                del best["category"]
            chosen = self._chosen[key] = tuple(meaning for _, meaning in best.values())
        return chosen

    def _is_brand(self, text: Words, first: int, last: int, meaning: Meaning, title: bool) -> bool:
        words = text.words
        if meaning.value.lower() not in self._ontology.everyday:
            return True
        if not title or not all(text.text[text.starts[n]].isupper() for n in range(first, last)):
            return False
        if last == len(words):
            return first > 0 and words[first - 1] in self._root
        if first == 0 or words[first - 1] == "by":
            after = text.text[text.starts[last]]
            return None in self._root.get(words[last], {}) or after.isupper()
        return False


def _parts(text: Words, word: int) -> bool:
    """Whether something before a word says that no phrase goes on over it: "excellent état, neuf" is not "état neuf"."""
    gap = text.text[text.ends[word - 1] : text.starts[word]]
    return gap != " " and not _PARTING.isdisjoint(gap)


@cache
def every_phrase() -> tuple[Ontology, Phrases]:
    """What the files of words say, and its phrases."""
    known = ontology()
    return known, Phrases(known)
