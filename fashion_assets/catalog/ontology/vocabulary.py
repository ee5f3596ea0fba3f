"""The files of `words/`: reading them, checking what people wrote into them, every phrase with what it means.

What belongs here: what the files say. What does not: finding phrases in texts (`phrases`), what context makes of them (`context`).

A value is one line: `"navy blue" = { under = "blue", en = "navy, dark blue", fr = "bleu marine", shopify = "…" }`. The value itself
is read in English, too. A value may stand under several, the one that says more first: `under = "synthetic, cloth"`.
`ner/o/a/i/e` stands for nero, nera, neri, nere, and `noir//e` for noir and noire. A word with `!` behind it
means this only in texts of its language. Files that name a `vocabulary` take that one's values and words as English,
and stated values are what it says; `stated_by` names one for stated values alone.
"""

import hashlib
import itertools
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from fashion_assets.catalog import wordlists
from fashion_assets.catalog.brands import gazetteer
from fashion_assets.catalog.ontology.tokens import words_of
from fashion_assets.catalog.wordlists import VocabularyError

WORDS = resources.files("fashion_assets.catalog.ontology").joinpath("words")

LANGUAGES = ("en", "fr", "it", "es", "de")

SIXTEEN = (
    "category",
    "subcategory",
    "color",
    "secondary_color",
    "pattern",
    "material",
    "style",
    "fit",
    "season",
    "occasion",
    "era",
    "gender",
    "size",
    "condition",
    "designer_tier",
    "sustainability",
)
"""The properties of a garment (B2), as they are called in what is printed."""

PROPERTIES = (*SIXTEEN, "brand", "neckline", "sleeve_length")
"""Those and what is read beside them."""

_FILES = (
    "category",
    "subcategory",
    "colour",
    "material",
    "pattern",
    "style",
    "fit",
    "season",
    "occasion",
    "era",
    "gender",
    "condition",
    "sustainability",
    "neckline",
    "sleeve_length",
    "size",
)
_FACTS = {"under", "shopify", "for", *LANGUAGES}
_ENDINGS = re.compile(r"([^\W\d_]+)((?:/[^\W\d_]*)+)")


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a phrase means, in some language."""

    kind: str
    """A property's file (`colour`), or what context it makes (`denies`, `parts` …)."""
    value: str
    language: str
    only_there: bool = False
    """Whether only a text of that language means it."""


@dataclass(frozen=True)
class Value:
    """One canonical value."""

    under: tuple[str, ...]
    """The wider values it stands under, the one that says more first."""
    shopify: str | None
    """Id of the taxonomy Shopify publishes, as `aa-1-13-8`."""
    usually_for: str | None
    """Whom such things are for where nothing says so; a value of gender."""


@dataclass(frozen=True)
class Property:
    """One file: a property's values."""

    name: str
    values: dict[str, Value]
    columns: tuple[str, ...]
    """Fields of a record that state it."""
    several: bool
    """Whether several values may hold at once."""
    applies: frozenset[str]
    """Categories and groups it applies to; empty: all."""
    vocabulary: str | None = None
    """Which of `catalog/vocabularies` says what a stated value means."""


@dataclass(frozen=True)
class Ontology:
    """All files together."""

    properties: dict[str, Property]
    phrases: dict[tuple[str, ...], tuple[Meaning, ...]]
    language_words: dict[str, str]
    tiers: dict[str, str]
    """By brand in lower case, its tier."""
    brands: dict[str, str]
    """By brand in lower case, as it is shown."""
    everyday: frozenset[str] = field(default_factory=frozenset)
    """Brands in lower case that are words as well."""

    _lines: dict[tuple[str, str], tuple[str, ...]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )
    """By property and value, what `line` found before."""

    def line(self, name: str, value: str) -> tuple[str, ...]:
        """What a value stands under, the nearest first; kinds go on from subcategory to category and group."""
        line = self._lines.get((name, value))
        if line is not None:
            return line
        values = [self.properties[name].values]
        if name == "subcategory":
            values.append(self.properties["category"].values)
        reached = [value]
        for each in reached:
            known = next((known for known in (group.get(each) for group in values) if known), None)
            reached += [wider for wider in (known.under if known else ()) if wider not in reached]
        line = tuple(reached[1:])
        if line:  # what a record states may be anything, and is not kept
            self._lines[name, value] = line
        return line


@cache
def ontology(folder: Traversable = WORDS) -> Ontology:
    """Everything the files say. Raises `VocabularyError`: which file, where, and what to do."""
    phrases = _Phrases()
    properties = {name: _property(name, folder, phrases) for name in _FILES}
    _check_lines(folder, properties)
    _add_context(folder, phrases)
    tiers, brands, everyday = _brands(folder, phrases)
    properties["designer_tier"] = _property_of_tiers(folder, tiers)
    return Ontology(
        properties,
        {phrase: tuple(meanings.values()) for phrase, meanings in phrases.known.items()},
        _language_words(folder, phrases),
        tiers,
        brands,
        everyday,
    )


class _Phrases:
    """Every phrase the files have, as they are gone through, with what it means by kind and language."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, ...], dict[tuple[str, str], Meaning]] = {}

    def add(
        self,
        meaning: Meaning,
        text: str,
        where: Traversable,
        *,
        inflected: bool = False,
        yields: bool = False,
    ) -> None:
        """Note a text of a file in all its forms. One that `yields` leaves a phrase to the value that has it already; else such a
        phrase raises `VocabularyError`."""
        if text.endswith("!"):
            meaning = replace(meaning, only_there=True)
        for phrase in _forms(text.rstrip("!"), meaning.language, inflected):
            if not phrase:
                raise VocabularyError(f"{where}: {text!r} of {meaning.value!r} has no letters; take it out.")
            other = self.known.setdefault(phrase, {}).setdefault((meaning.kind, meaning.language), meaning)
            if other.value != meaning.value and not yields:
                raise VocabularyError(
                    f"{where}: {' '.join(phrase)!r} stands for both {other.value!r} and {meaning.value!r} in {meaning.language}; leave it to one of them."
                )


def _property(name: str, folder: Traversable, phrases: _Phrases) -> Property:
    """A property's file, its words among the phrases."""
    path, document = _document(name, folder)
    inflected = bool(document.get("inflected"))
    values: dict[str, Value] = {}
    for value, facts in _table(path, document, "values").items():
        values[value] = Value(tuple(_listed(facts.get("under", ""))), facts.get("shopify"), facts.get("for"))
        for language in LANGUAGES:
            for text in _listed(facts.get(language, "")):
                phrases.add(Meaning(name, value, language), text, path, inflected=inflected)
    # Behind all that the file says itself: a word that stands for something else there is left to it.
    unread = set(document.get("unread", ()))
    borrowed = wordlists.read(document["vocabulary"]) if "vocabulary" in document else {}
    for value in dict.fromkeys([*values, *borrowed]):
        values.setdefault(value, Value((), None, None))
        for text in (value, *borrowed.get(value, ())):
            if text not in unread:
                phrases.add(Meaning(name, value, "en"), text, path, inflected=inflected, yields=True)
    return Property(
        name,
        values,
        tuple(document.get("columns", ())),
        bool(document.get("several")),
        frozenset(document.get("applies", ())),
        document.get("vocabulary") or document.get("stated_by"),
    )


def _add_context(folder: Traversable, phrases: _Phrases) -> None:
    """Words that make a context, as `without` denies what follows."""
    path, document = _document("context", folder)
    for kind, by_language in document.items():
        if isinstance(by_language, dict):
            for key, texts in by_language.items():
                language = key if key in LANGUAGES else "en"
                for text in _listed(texts):
                    phrases.add(Meaning(kind, key, language), text, path)


def _brands(folder: Traversable, phrases: _Phrases) -> tuple[dict[str, str], dict[str, str], frozenset[str]]:
    """Each brand's tier, how it is shown, and which are everyday words as well; all by brands in lower case."""
    path, document = _document("designer_tier", folder)
    by_tier = {tier: _listed(brands) for tier, brands in _table(path, document, "tiers", of=str).items()}
    everyday = {brand.lower() for brand in by_tier.pop("everyday", ())}
    tiers = {brand.lower(): tier.replace("_", "-") for tier, brands in by_tier.items() for brand in brands}
    shown = {brand.lower(): brand for brands in by_tier.values() for brand in brands}
    known = gazetteer()
    for spelling, brand in known.names.items():
        shown.setdefault(spelling, brand)
    everyday |= known.needs_gender_word
    words = {phrase for phrase in phrases.known if len(phrase) == 1}
    for spelling, brand in shown.items():
        phrase = tuple(words_of(spelling).words)
        if phrase in words or (len(phrase) == 1 and len(phrase[0]) < 3):
            everyday.add(spelling)
        if phrase:
            phrases.add(Meaning("brand", brand, "en"), spelling, path, yields=True)
    return tiers, shown, frozenset(everyday)


def _property_of_tiers(folder: Traversable, tiers: dict[str, str]) -> Property:
    _, document = _document("designer_tier", folder)
    values = dict.fromkeys(tiers.values(), Value((), None, None))
    return Property("designer_tier", values, tuple(document.get("columns", ())), False, frozenset())


FILES = {"color": "colour", "secondary_color": "colour"}
"""The file of words of properties that are called otherwise."""


@cache
def values(name: str) -> tuple[str, ...]:
    """The canonical values of a property."""
    known = ontology().properties.get(FILES.get(name, name))
    return tuple(known.values) if known is not None else ()


@cache
def names(name: str) -> dict[str, str]:
    """Canonical value by each value and word of a property, in every language; without what stands for two values."""
    file = FILES.get(name, name)
    found: dict[str, set[str]] = {}
    for phrase, meanings in ontology().phrases.items():
        for meaning in meanings:
            if meaning.kind == file:
                found.setdefault(" ".join(phrase), set()).add(meaning.value)
    return {
        **{words: each.pop() for words, each in found.items() if len(each) == 1},
        **{value: value for value in values(name)},
    }


@cache
def version(folder: Traversable = WORDS) -> str:
    """Another one whenever a file of words changes: 12 hex digits of a hash over the files."""
    digest = hashlib.blake2b(digest_size=6)
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _language_words(folder: Traversable, phrases: _Phrases) -> dict[str, str]:
    """Words that only one language has, of the list of such words and of all phrases of one word."""
    _, document = _document("languages", folder)
    languages: dict[str, set[str]] = {}
    for language in LANGUAGES:
        for word in words_of(document.get(language, "")).words:
            languages.setdefault(word, set()).add(language)
    for phrase, meanings in phrases.known.items():
        if len(phrase) == 1 and not any(
            meaning.only_there or meaning.kind == "brand" for meaning in meanings.values()
        ):
            languages.setdefault(phrase[0], set()).update(meaning.language for meaning in meanings.values())
    return {word: each.pop() for word, each in languages.items() if len(each) == 1}


def spelled_out(text: str) -> Iterator[str]:
    """A phrase with each of its endings (`ner/o/a/i/e`, `noir//e`)."""
    parts = [
        [found[1] + ending for ending in found[2].split("/")[1:]]
        if (found := _ENDINGS.fullmatch(part))
        else [part]
        for part in text.strip().split()
    ]
    return map(" ".join, itertools.product(*parts))


def without_umlauts(text: str) -> Iterator[str]:
    """A German phrase as it is written where there are no such letters: with `ss`, and with `ae`, `oe`, `ue` or none of them."""
    written = text.translate({ord("ß"): "ss"})
    yield written
    yield written.translate(_UMLAUTS)


def _forms(text: str, language: str, inflected: bool) -> Iterator[tuple[str, ...]]:
    """Every form of a phrase, as words."""
    for whole in spelled_out(text):
        phrase = tuple(words_of(whole).words)
        forms = {phrase}
        if language == "de" or "ß" in text:
            forms |= {tuple(words_of(written).words) for written in without_umlauts(whole)}
        if "œ" in text or "oe" in text:
            forms.add(tuple(words_of(whole.replace("œ", "oe")).words))
        if inflected and phrase:
            forms |= {form for each in list(forms) for form in _numbers(each, language)}
        for form in list(forms):
            if len(form) == 2 and "-" in text:  # t-shirt, tshirt
                forms.add(("".join(form),))
        yield from forms


_UMLAUTS = {ord("ä"): "ae", ord("ö"): "oe", ord("ü"): "ue"}


def _numbers(phrase: tuple[str, ...], language: str) -> Iterator[tuple[str, ...]]:
    """Singular and plural of a phrase's noun: the last word in English, the first in French and Spanish."""
    if language == "en":
        *before, noun = phrase
        if noun.endswith(("ss", "sh", "ch", "x")):
            yield (*before, noun + "es")
        elif noun.endswith("y") and noun[-2:-1] not in "aeiou":
            yield (*before, noun[:-1] + "ies")
        elif not noun.endswith("s"):
            yield (*before, noun + "s")
    elif language in ("fr", "es"):
        noun, *after = phrase
        if language == "fr" and noun.endswith(("eau", "au")):
            plural = noun + "x"
        elif language == "es" and noun[-1:] in "dlnrz" and noun[-1:]:
            plural = (noun[:-1] + "c" if noun[-1] == "z" else noun) + "es"
        elif noun.endswith(("s", "x")):
            return
        else:
            plural = noun + "s"
        yield (plural, *after)
        if len(after) == 1 and not after[0].endswith("s"):
            yield (plural, after[0] + "s")


def _document(name: str, folder: Traversable) -> tuple[Traversable, dict]:
    path = folder / f"{name}.toml"
    try:
        return path, tomllib.loads(path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise VocabularyError(f"{path} is not UTF-8: {error.reason} at byte {error.start}.") from None
    except tomllib.TOMLDecodeError as error:
        raise VocabularyError(
            f"{path} is not TOML: {error}. A quote or a brace left open, a value there twice?"
        ) from None


def _table(path: Traversable, document: dict, key: str, of: type = dict) -> dict:
    found = document.get(key)
    if not isinstance(found, dict):
        raise VocabularyError(f"{path} must have a section [{key}]: each value with its words.")
    for value, facts in found.items():
        if not isinstance(facts, of):
            raise VocabularyError(f'{path}: {value!r} must be written as {{ en = "word, other word" }}.')
        if of is dict:
            for fact, said in facts.items():
                if fact not in _FACTS or not isinstance(said, str):
                    raise VocabularyError(
                        f"{path}: {value!r} has {fact} = {said!r}; a text under {', '.join(sorted(_FACTS))} is expected."
                    )
    return found


def _check_lines(folder: Traversable, properties: dict[str, Property]) -> None:
    for name, found in properties.items():
        known = {*found.values, *(properties["category"].values if name == "subcategory" else ())}
        for value, facts in found.values.items():
            for wider in facts.under:
                if wider not in known:
                    raise VocabularyError(
                        f"{folder / f'{name}.toml'}: {value!r} is under {wider!r}, which is no value. Add it, or correct the name."
                    )


def _listed(texts: str) -> list[str]:
    return [text.strip() for text in texts.split(",") if text.strip()]
