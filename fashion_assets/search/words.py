"""Words as people type them: read as terms of the catalogue.

What belongs here: finding the vocabularies' values in what was typed, the full-text queries of the terms. What
does not: the nearest known word of an unknown one (`spelling`), the statements that ask (`statements`), the models (`meaning`).
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple, TypeVar

from fashion_assets.catalog.attributes import ATTRIBUTES, IMPORTANCE
from fashion_assets.catalog.brands import gazetteer
from fashion_assets.catalog.normalization import vocabulary

PLAIN_IMPORTANCE = 2.0
"""Of words that no vocabulary has."""

NOWHERE = 0.5
"""Of words that no product has: what the others find is found."""

_OF_PROSE = {each.full_text for each in ATTRIBUTES if each.importance is None}

LABELLED = {
    each.name: each.full_text
    for each in ATTRIBUTES
    if each.importance is not None and each.full_text is not None and each.full_text not in _OF_PROSE
}
"""Weight under which `search_vector` has a column's words, where no prose stands under it: there they are that column's."""

MAX_TERMS = 6
"""Terms asked for; each is one more branch of the statement. The rest only counts by the vector."""

LONGEST_NAME = 4
"""Words of the longest names looked for in the vocabularies."""

RARE = 3
"""A word that fewer products have is a misspelling, if a known word is near."""


_Found = TypeVar("_Found")

_SIGNS = re.compile(r"[\W_]+")
_STRETCH = re.compile(r"(?:\w|[^\x00-\x7f])+")


@cache
def _marks() -> str:
    """Characters that are parts of a word though `\\w` leaves them out, as part of a regular expression's set: combining
    marks (vowel signs of Devanagari and Thai, vowels of Arabic, accents that stand for themselves) and characters without
    a width (joiners, soft hyphens). Postgres' parser has them in its words, and a word cut at them is one it never finds."""
    ranges: list[list[int]] = []
    for code in (*range(0x20000), *range(0xE0000, 0xE0200)):  # between them are ideographs alone
        if unicodedata.category(chr(code)) in ("Mn", "Mc", "Me", "Cf"):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


def of_words(text: str) -> str:
    """What the words of a text are made of, as a regular expression's set of characters."""
    return r"[\w]" if text.isascii() else rf"[\w{_marks()}]"


@cache
def _token(of_words: str) -> re.Pattern[str]:
    return re.compile(rf"{of_words}+(?:['\u2019&./-]{of_words}+)*")


@dataclass(frozen=True)
class Term:
    """One thing asked for: any of the phrases will do."""

    phrases: tuple[str, ...]
    importance: float
    column: str | None = None
    """The column whose value the words name, if a vocabulary has them."""
    value: str | None = None
    said: str = ""
    """As it was asked."""
    also: "tuple[Other, ...]" = ()
    """What else will do, where a merchant says so, or the list of purposes."""
    is_replaced: bool = False
    """Whether the phrases themselves will not do."""
    label: str = ""
    """Weight under which `search_vector` must have the words; empty: whichever."""

    @property
    def tsquery(self) -> str:
        """For `to_tsquery`: the phrases, quoted, and what else will do, joined by or."""
        own = () if self.is_replaced else self.phrases
        ways = [
            _quoted(each) + (f":{self.label}" if self.label else "")
            for phrase in own
            for each in _written_out(phrase)
        ]
        ways += ["(" + " & ".join(other.asking(term) for term in other.terms) + ")" for other in self.also]
        return "(" + " | ".join(ways) + ")"

    @property
    def written(self) -> str:
        """As a person reads it."""
        others = [" ".join(term.phrases[0] for term in other.terms) for other in self.also]
        return " | ".join(dict.fromkeys((*self.phrases, *others)))

    @property
    def strict_tsquery(self) -> str:
        """As `tsquery`, but met only by the attribute itself: Red Tape makes brown shoes too."""
        if self.column in LABELLED and self.value is not None:
            return f"{_quoted(self.value.lower())}:{LABELLED[self.column]}"
        return self.tsquery


@dataclass(frozen=True)
class Other:
    """Words that a term is taken for, too: a product that has all of their terms will do."""

    told: str
    """By which synonym, for whoever asks: `teal → turquoise`. Empty: these are the term's own words."""
    terms: tuple[Term, ...]
    words: str = ""
    """As they are written."""
    is_strict: bool = False
    """Whether they are met only by the attribute itself (`Term.strict_tsquery`)."""

    replaces: bool = False
    """Whether the words that stand for these say nothing themselves: a title that has "work" is of something else."""

    def asking(self, term: Term) -> str:
        return term.strict_tsquery if self.is_strict else term.tsquery


Synonyms = Mapping[str, tuple[Other, ...]]
"""By words as `tokens` has them, joined by blanks."""


def asking(word: str) -> str:
    """The full-text query of a word, for `to_tsquery`."""
    return Term((word,), PLAIN_IMPORTANCE).tsquery


def _written_out(phrase: str) -> tuple[str, ...]:
    """A phrase, and an article's number without its signs: of "MTP-1233D-7ADF" Postgres' parser makes words of the whole and of the parts, and
    "MTP-1233D" is neither."""
    if "-" not in phrase or phrase.isalpha() or not any(letter.isdigit() for letter in phrase):
        return (phrase,)
    return (phrase, phrase.replace("-", " "))


def _quoted(phrase: str) -> str:
    escaped = phrase.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


@cache
def names() -> Mapping[str, tuple[str, str]]:
    """Column and canonical value by name, of every name of the vocabularies and of the brands, in lower case. A name of
    several columns stands for the most specific one."""
    found: dict[str, tuple[str, str]] = {}
    known = gazetteer()
    for column in reversed(IMPORTANCE):
        own = (
            {name: brand for name, brand in known.names.items() if name not in known.needs_gender_word}
            if column == "brand"
            else vocabulary(column)
        )
        found.update((name, (column, value)) for name, value in own.items() if len(name) > 2)
    return found


_DENYING = ("non", "without", "faux")
"""Words before what a thing is said not to be; full text has them as words, unlike "no" and "not"."""


def refusing(term: Term) -> str:
    """For `to_tsquery`: what has a term, but where it is said not to be that: who wants no leather may want non leather."""
    denied = " | ".join(_quoted(f"{word} {phrase}") for word in _DENYING for phrase in term.phrases)
    return f"({term.tsquery} & !({denied}))"


class Word(NamedTuple):
    """A word of a text in lower case, and the stretch of the text it stands in."""

    word: str
    written: str
    """As a database cuts it whose locale knows of no letters but those of ASCII: it has every other character in a word,
    dashes and typographic quotes too, so that only ASCII's blanks and signs end one."""


def tokens(text: str) -> list[Word]:
    """The words of a text."""
    # Which Postgres makes an i of, and Python an i with a dot above it.
    lower = text.replace("\u0130", "i").lower()
    found = _token(of_words(lower)).finditer(lower)
    if lower.isascii():
        return [Word(match[0], match[0]) for match in found]
    stretches = [(match.span(), match[0]) for match in _STRETCH.finditer(lower)]
    words = []
    for match in found:
        start, end = match.span()
        # A token with an apostrophe or a dash of ASCII in it lies in several.
        own = [written for (first, last), written in stretches if first < end and last > start]
        words.append(Word(match[0].replace("\u2019", "'"), match[0] if len(own) > 1 else own[0]))
    return words


def read(text: str, synonyms: Synonyms | None = None) -> list[Term]:
    """The terms of a text, in its order: the longest names of the vocabularies, or words that have synonyms, and single words between them."""
    return _read(tokens(text), synonyms)


def _read(words: Sequence[Word], synonyms: Synonyms | None) -> list[Term]:
    terms, start = [], 0
    while start < len(words):
        for count in range(min(LONGEST_NAME, len(words) - start), 0, -1):
            part = words[start : start + count]
            phrase = " ".join(each.word for each in part)
            if synonyms and (others := _others(phrase, synonyms)):
                terms.append(_widened(phrase, _read(part, None), others))
                break
            named = _named(phrase)
            if named is not None:
                column, value = named
                terms.append(
                    Term(
                        _phrases(value.lower(), phrase, _written(part)),
                        IMPORTANCE[column],
                        column,
                        value,
                        phrase,
                    )
                )
                break
        else:
            count = 1
            own = words[start]
            terms.append(Term(_phrases(own.word, own.written), PLAIN_IMPORTANCE, said=own.word))
        start += count
    return list({term.phrases[0]: term for term in terms}.values())


MOST_READINGS = 8
"""Ways a text is read by synonyms beside its own: each is encoded once, which takes a CLIP some 10 ms of a core."""


def otherwise(text: str, synonyms: Synonyms | None) -> tuple[str, ...]:
    """A text with the others in place of the words that have synonyms: the first of each, the second of each, …; of words that have fewer, theirs again
    from the first."""
    if not synonyms:
        return ()
    found = [(term.said, others) for term in read(text, synonyms) if (others := _with_words(term.also))]
    inside = of_words(text)
    readings = []
    for number in range(min(MOST_READINGS, max((len(others) for _, others in found), default=0))):
        reading = text
        for said, others in found:
            phrase = r"\W+".join(map(re.escape, said.split()))
            other = others[number % len(others)].words
            reading = re.sub(
                rf"(?<!{inside}){phrase}(?!{inside})",
                lambda _, other=other: other,
                reading,
                flags=re.IGNORECASE,
            )
        readings.append(reading)
    return tuple(each for each in dict.fromkeys(readings) if each != text)


def _with_words(others: "tuple[Other, ...]") -> "list[Other]":
    return [other for other in others if other.words]


def has_synonyms(text: str, synonyms: Synonyms) -> bool:
    """Whether a text as a whole has any."""
    return bool(_others(" ".join(each.word for each in tokens(text)), synonyms))


def _others(phrase: str, synonyms: Synonyms) -> tuple[Other, ...]:
    """What a phrase stands for, too, in singular or plural."""
    return next((synonyms[form] for form in _forms(phrase) if form in synonyms), ())


def _widened(phrase: str, own: Sequence[Term], others: tuple[Other, ...]) -> Term:
    """The terms of a phrase as one that its synonyms meet as well; what met all of them before meets it. It is as telling as the most telling
    of either."""
    importance = max(term.importance for term in (*own, *(term for other in others for term in other.terms)))
    if len(own) == 1:
        replaced = all(other.replaces for other in others) and own[0].column is None
        return replace(own[0], importance=importance, also=others, is_replaced=replaced)
    return Term((phrase,), importance, said=phrase, also=(Other("", tuple(own)), *others))


def _phrases(*phrases: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(phrases))


def _written(words: Sequence[Word]) -> str:
    """Words as they are written, those of one stretch once."""
    return " ".join(dict.fromkeys(word.written for word in words))


def _forms(phrase: str) -> list[str]:
    """A phrase, and in the other number."""
    forms = [phrase]
    if len(phrase) > 3:
        forms += [phrase.removesuffix("'s"), phrase.removesuffix("s"), phrase.removesuffix("es")]
        if not phrase.endswith("s"):  # "dres" is a misspelling, not one of several "dress"
            forms += [f"{phrase}s", f"{phrase}es"]
        if phrase.endswith("ies"):
            forms.append(f"{phrase[:-3]}y")
    return forms


def _named(phrase: str) -> tuple[str, str] | None:
    """What a phrase names, in singular or plural."""
    written = (_joined(form) for form in _forms(phrase))
    return next((_joined_names()[form] for form in written if form in _joined_names()), None)


def longest_first(
    count: int, longest: int, find: Callable[[int, int], _Found | None]
) -> Iterator[tuple[int, int, _Found]]:
    """What is found of so many words, and from which to which one (that is not of it): of what begins at a word the longest, and nothing within
    another."""
    first = 0
    while first < count:
        for last in range(min(count, first + longest), first, -1):
            found = find(first, last)
            if found is not None:
                yield first, last, found
                first = last
                break
        else:
            first += 1


def is_name(phrase: str) -> bool:
    """Whether a phrase, in singular or plural, names a value or a brand."""
    return _named(phrase) is not None


@cache
def _joined_names() -> Mapping[str, tuple[str, str]]:
    """`names` as they are looked up."""
    joined = {_joined(name): named for name, named in names().items()}
    return {name: named for name, named in joined.items() if len(name) > 2}


def _joined(name: str) -> str:
    """A name without blanks and signs, which people leave out or put in: "us polo" is U.S. Polo, "fab india" Fabindia."""
    return _SIGNS.sub("", name)


_COMPANY = re.compile(
    r"\b(?:for|(?:(?:to|that|which) )?(?:go|goes|pair|wear|put on|match|matches) (?:with|under|over|beneath|underneath)|under|underneath|beneath|over|"
    r"(?:to|that|which) match(?:es)?|matching|(?:to|that|which) (?:fits?|suits?))\b"
)
_KINDS = ("article_type", "sub_category", "category")
_SHARED = ("usage", "season", "gender")


def without_company(text: str, synonyms: Synonyms | None = None) -> list[Term]:
    """The terms of a text, without the thing that what is asked for is to go with: "belt for jeans" asks for belts, "tie to go with a white shirt" for
    ties, and no term of it is met by a shirt."""
    found = _COMPANY.search(text.lower())
    if found is None or len(text.lower()) != len(text):
        return read(text, synonyms)
    asked, company = read(text[: found.start()], synonyms), read(text[found.end() :], synonyms)
    kinds = [place for place, term in enumerate(company) if term.column in _KINDS]
    if not kinds or not any(term.column in _KINDS for term in asked):
        return read(text, synonyms)
    # Of "a formal suit for men" what is asked for is formal, too, and no suit.
    shared = [term for term in company[: kinds[-1]] if term.column in _SHARED]
    terms = [*asked, *shared, *company[kinds[-1] + 1 :]]
    return list({term.phrases[0]: term for term in terms}.values())


def with_what_was_said(terms: Sequence[Term], also: Mapping[str, str]) -> tuple[Term, ...]:
    """Terms that are met, too, by what was said where they were read otherwise; `also` has that by what it was replaced with."""
    if not also:
        return tuple(terms)
    said = {read(meant)[0].phrases[0]: own for meant, own in also.items() if len(read(meant)) == 1}
    return tuple(
        replace(each, phrases=_phrases(*each.phrases, own), said=own)
        if (own := said.get(each.phrases[0])) is not None
        else each
        for each in terms
    )


def strangers(terms: Sequence[Term]) -> list[str]:
    """The words among a text's terms that neither a vocabulary nor a merchant has, each once; without those that stand among signs which a
    database may have in its words, and by which they are not to be judged alone."""
    return list(
        dict.fromkeys(
            term.phrases[0]
            for term in terms
            if term.column is None and len(term.phrases) == 1 and not term.also
        )
    )


def asked_for(terms: Sequence[Term]) -> list[Term]:
    """The most important terms, as many as are asked for."""
    return sorted(terms, key=lambda term: -term.importance)[:MAX_TERMS]


def tiers(ranked: Sequence[Term]) -> list[str]:
    """Full-text queries of terms, the most important first, that share no match, best first: all terms, as attributes; all terms; all but the least
    important; … ; the most important alone; any of the others."""
    if not ranked:
        return []
    strict = " & ".join(term.strict_tsquery for term in ranked)
    chain = []
    for kept in range(len(ranked), 0, -1):
        parts = [term.tsquery for term in ranked[:kept]]
        parts += [f"!{term.tsquery}" for term in ranked[kept : kept + 1]]
        chain.append(" & ".join(parts))
    if len(ranked) > 1:
        rest = " | ".join(term.tsquery for term in ranked[1:])
        chain.append(f"!{ranked[0].tsquery} & ({rest})")
    # Only what has all terms can have them all as attributes.
    chain[0] = f"{chain[0]} & !({strict})"
    return [strict, *chain]


ENOUGH = 0.5
"""Share of what all terms count that a product's words must have where none has them all, to be found by its words beside others that are
found by their vectors."""


@dataclass(frozen=True)
class Level:
    """One way to ask for less than all terms."""

    tsquery: str
    terms: int
    """So many of the most important ones; 0: any of them."""


def levels(ranked: Sequence[Term], *, alone: bool) -> list[Level]:
    """What a product's words may have to have, the most first: all terms; all but the least important; … . The first that any product has is what
    counts as found. `alone`: where nothing else finds anything, down to any one term; else down to half of what they count."""
    total = sum(term.importance for term in ranked)
    found = []
    for kept in range(len(ranked), 0, -1):
        if alone or sum(term.importance for term in ranked[:kept]) >= ENOUGH * total:
            found.append(Level(" & ".join(term.tsquery for term in ranked[:kept]), kept))
    if alone and len(ranked) > 1:
        found.append(Level(" | ".join(term.tsquery for term in ranked), 0))
    return found


def tiers_of(ranked: Sequence[Term], level: Level) -> list[str]:
    """Full-text queries that share no match and together find what a level does: of all terms first those that have them as attributes."""
    if level.terms < len(ranked):
        return [level.tsquery]
    strict = " & ".join(term.strict_tsquery for term in ranked)
    return [strict, f"{level.tsquery} & !({strict})"]
