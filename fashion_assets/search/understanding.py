"""Words held against a release: which of them it has, and how those it has not are to be read.

What belongs here: asking a release for words no vocabulary has, and how many of the words any product has; what is kept of its answers. What does not: reading
words as terms, and which known word is nearest (`words`), what is said otherwise (`spoken`), what is near to what it lacks (`lacking`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from fashion_assets.catalog.ontology.tokens import plain
from fashion_assets.search import purposes, spelling, spoken, statements, words
from fashion_assets.search.everyday import is_everyday, is_filler
from fashion_assets.search.kept import CACHED_BYTES, Cache
from fashion_assets.search.lacking import Absent
from fashion_assets.search.path import Facts
from fashion_assets.search.reading import Statement
from fashion_assets.search.served import ServedReleases
from fashion_assets.search.values import FilterValues
from fashion_assets.search.words import Level, Synonyms, Term
from fashion_assets.search.work import Compute, Once, Work

LEXICON_PRODUCTS = 20_000
"""Products whose titles give the words misspelt ones are corrected to."""

LEXICON_WORDS = 20_000

PAGE = 10
"""Products that should be found at the least where words alone find any."""

_WORDS = """
SELECT word, numnode(to_tsquery('english', query)) > 0,
    (SELECT count(*) FROM (SELECT FROM {products} p WHERE p.search_vector @@ to_tsquery('english', query)
                           LIMIT %(rare)s) AS found)
FROM unnest(%(words)s::text[], %(queries)s::text[]) AS asked (word, query)
"""

_TITLES = (
    f"SELECT to_tsvector('simple', title) FROM {{products}} ORDER BY product_id LIMIT {LEXICON_PRODUCTS}"
)
_LEXICON = b"""
SELECT word, ndoc FROM ts_stat(%(titles)s) WHERE ndoc >= %(rare)s AND length(word) > 3 AND word ~ '^[[:alpha:]]+$'
ORDER BY ndoc DESC, word LIMIT %(words)s
"""


class Understood(NamedTuple):
    """A question as a release reads it."""

    text: str
    """In the catalogue's words, misspellings corrected."""
    terms: tuple[Term, ...]
    """Without words that say nothing."""
    absent: tuple[Absent, ...] = ()
    otherwise: tuple[str, ...] = ()
    """The text as a merchant's synonyms say it, too."""

    @property
    def texts(self) -> tuple[str, ...]:
        """All that its meaning is made of."""
        return (self.text, *self.otherwise)

    """Words that name no value, and that no product has."""


class _Reading(NamedTuple):
    """How a word that names no value is read."""

    text: str
    """Empty: it says nothing."""
    there: bool
    """Whether any product has the word itself."""
    spelt: bool = True
    """Whether it is one, or means something in another language, and no misspelling."""


class Understanding:
    """The words of all searches of one engine: how each is read in each release, found out once."""

    def __init__(self, releases: ServedReleases, values: FilterValues):
        self._releases = releases
        self._values = values
        self._said: Cache[spoken.Said] = Cache(4_096, CACHED_BYTES)
        self._words: Cache[_Reading] = Cache(65_536, CACHED_BYTES)
        self._levels: Cache[int] = Cache(65_536, CACHED_BYTES)
        self._lexicons: Cache[Mapping[str, int]] = Cache(2)

    def understand(
        self, facts: Facts, text: str, synonyms: Synonyms | None = None, *, widely: bool = True
    ) -> Work[Understood]:
        """A text as a release reads it. What a merchant has synonyms of is read as it is said. `widely`: purposes and themes stand for what they are
        made of, too, which what is not wanted does not."""
        if not text:
            return Understood(text, ())
        said = self._said.peek(text)
        if said is None:
            said = yield Compute(partial(spoken.replaced, text))
            self._said.put(text, said)
        if synonyms and any(words.has_synonyms(own, synonyms) for own in said.also.values()):
            said = yield Compute(partial(spoken.replaced, text, synonyms))
        text, also = said.text, dict(said.also)
        if widely:
            named = words.read(text)
            kinds = purposes.replaceable(named)
            there = (yield from self._values.known(facts, purposes.KIND)) if kinds else {}
            synonyms = purposes.along(named, synonyms, [each for each in kinds if each not in there])
        terms = words.read(text, synonyms)
        asked = words.strangers(terms)
        if not asked:
            terms = words.with_what_was_said(words.without_company(text, synonyms), also)
            return Understood(text, terms, (), words.otherwise(text, synonyms))
        known = {word: self._words.peek((facts.release, word)) for word in asked}
        new = [word for word, reading in known.items() if reading is None]
        if new:
            known |= yield from self._learn(facts, new)
        readings = {word: reading for word, reading in known.items() if reading is not None}
        silent = {word for word, reading in readings.items() if not reading.text}
        inside = words.of_words(text)
        for word, reading in readings.items():
            if reading.text and reading.text != word:
                text = re.sub(
                    rf"(?<!{inside}){re.escape(word)}(?!{inside})", reading.text, text, flags=re.IGNORECASE
                )
                if reading.spelt or reading.there:
                    also[reading.text] = word
        terms = words.without_company(text, synonyms)
        absent = tuple(
            Absent(word, reading.text)
            for word, reading in readings.items()
            if reading.text and not reading.there and (reading.text == word or not reading.spelt)
        )
        nowhere = {each.word for each in absent if each.read_as == each.word}
        left = tuple(
            replace(term, importance=words.NOWHERE) if term.phrases[0] in nowhere else term
            for term in terms
            if term.phrases[0] not in silent
        )
        telling = tuple(term for term in left if term.column is not None or not is_filler(term.phrases[0]))
        terms = words.with_what_was_said(telling or left, also)
        return Understood(text, terms, absent, words.otherwise(text, synonyms))

    def level(
        self, facts: Facts, ranked: Sequence[Term], avoid: str | None, *, alone: bool
    ) -> Work[Level | None]:
        """How many of the terms a product's words must have to be found by them: as many as any product has (`words.levels`); None where
        that is too few."""
        levels = words.levels(ranked, alone=alone)
        if not levels:
            return None
        key = facts.release, facts.revision, tuple(level.tsquery for level in levels), avoid
        place = self._levels.peek(key)
        if place is None:
            asked = {f"level_{place}": level.tsquery for place, level in enumerate(levels)} | {
                "avoid": avoid,
                "fewer": PAGE - 1 if alone else 0,
            }
            text = statements.first_level(facts.release, len(levels), avoid is not None)
            (((place,),),) = yield from self._releases.read(
                facts,
                [Statement(text, asked)],
                {"enable_seqscan": "off", "plan_cache_mode": "force_custom_plan"},
            )
            self._levels.put(key, place)
        if place < len(levels):
            return levels[place]
        return levels[-1] if alone else None

    def learn(self, facts: Facts, texts: Sequence[str]) -> Work[None]:
        """Find out at once how all unknown words of some texts are to be read."""
        asked = dict.fromkeys(word for text in texts for word in words.strangers(words.read(text)))
        new = [word for word in asked if self._words.peek((facts.release, word)) is None]
        if new:
            yield from self._learn(facts, new)

    def _learn(self, facts: Facts, new: Sequence[str]) -> Work[dict[str, _Reading | None]]:
        """How unknown words are to be read: as they are, corrected, or, where they say nothing, not at all."""
        text = statements.on_products(facts.release, _WORDS)
        asked = {"words": list(new), "queries": list(map(words.asking, new)), "rare": words.RARE}
        (rows,) = yield from self._releases.read(facts, [Statement(text, asked)], {"enable_seqscan": "off"})
        readings: dict[str, _Reading | None] = {}
        for word, says_something, products in rows:
            reading = _Reading(word if says_something else "", products > 0)
            if says_something and products < words.RARE:
                lexicon = yield from self.lexicon(facts)
                reading = yield Compute(partial(_rare, word, products > 0, lexicon))
            readings[word] = reading
            self._words.put((facts.release, word), reading)
        return readings

    def lexicon(self, facts: Facts) -> Work[Mapping[str, int]]:
        """Words of titles that several products have, with how many."""
        known = self._lexicons.peek(facts.release)
        if known is None:
            known = yield Once(
                ("lexicon", facts.release),
                lambda: self._lexicons.peek(facts.release),
                lambda: self._collect(facts),
            )
        return known

    def _collect(self, facts: Facts) -> Work[Mapping[str, int]]:
        parameters = {
            "titles": statements.on_products(facts.release, _TITLES).decode(),
            "words": LEXICON_WORDS,
            "rare": words.RARE,
        }
        (rows,) = yield from self._releases.read(facts, [Statement(_LEXICON, parameters)])
        lexicon = dict(rows)
        self._lexicons.put(facts.release, lexicon)
        return lexicon


def _rare(word: str, there: bool, lexicon: Mapping[str, int]) -> _Reading:
    """How a word is read that hardly any product has: as what it means in whatever language; else as the known word nearest to it."""
    known, bare = spoken.meaning(word), plain(word)
    if bare != word and (known is None or known.english) and (words.is_name(bare) or bare in lexicon):
        return _Reading(bare, there, spelt=False)
    if known is not None:
        return _Reading(word if known.english else spoken.in_english(known.value), there)
    nearest = None
    if not is_everyday(word):
        nearest = spelling.abbreviated(word, lexicon) or spelling.nearest_word(word, lexicon)
    return _Reading(nearest or word, there, spelt=nearest is None)
