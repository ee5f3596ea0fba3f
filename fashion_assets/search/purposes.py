"""What things are for, and what themes are made of, by a list of words (`purposes.toml`): "beach" is said for flip flops, "superhero" for Batman.

What belongs here: that list, as synonyms of what is said. What does not: a shop's own synonyms, which come first (`curated`), slang and needs, which
replace what is said (`spoken`).

A purpose is read as any of its kinds only where no kind of thing is named beside it: "beach dress" asks for dresses, "office shirt" for formal ones.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from fashion_assets.catalog.ontology.tokens import words_of
from fashion_assets.search import word_files, words
from fashion_assets.search.words import Other, Synonyms, Term

KIND = "article_type"
"""The column by whose values a question names a kind of thing; headings as "shoes" leave open which."""

THEME = 4.0
"""Importance of what a theme is made of: as much as a kind of thing."""


def along(terms: Sequence[Term], own: Synonyms | None, missing: Collection[str] = ()) -> Synonyms:
    """The synonyms of a question of these terms: what a merchant has, and of other words the list's; of the kinds that are `missing` what is looked for
    instead."""
    known = _beside() if any(term.column == KIND for term in terms) else _alone()
    nearest = {term.said: _instead()[term.value] for term in terms if term.value in missing}
    return {**known, **nearest, **(own or {})} if own or nearest else known


def replaceable(terms: Sequence[Term]) -> list[str]:
    """The kinds that are asked for, where the list knows what is nearest to them."""
    named = [term.value for term in terms if term.column == KIND and term.value is not None]
    return [value for value in named if value in _instead()]


@cache
def _alone() -> Synonyms:
    return _joined("usages", "kinds", "themes")


@cache
def _beside() -> Synonyms:
    return _joined("usages", "themes")


def _joined(*tables: str) -> Synonyms:
    found: dict[str, tuple[Other, ...]] = {}
    for table in tables:
        for said, other in _others(table):
            found[said] = (*found.get(said, ()), other)
    return found


@cache
def _instead() -> Mapping[str | None, tuple[Other, ...]]:
    found: dict[str | None, tuple[Other, ...]] = {}
    for kind, other in _others("instead"):
        found[kind] = (*found.get(kind, ()), other)
    return found


def _others(table: str) -> Iterator[tuple[str, Other]]:
    lines: Mapping[str, str] = word_files.read("purposes")[table]
    for meant, every in lines.items():
        others = [_other(each.strip(), table) for each in meant.split(",")]
        for said in every.split(","):
            phrase = " ".join(words_of(said.strip().removesuffix("!")).words)
            for other in others:
                yield phrase, replace(other, replaces=said.strip().endswith("!"))


def _other(meant: str, table: str) -> Other:
    if table == "themes":
        return Other("", (Term((meant,), THEME, label="A"),))
    (term,) = words.read(meant)
    return Other("", (term,), is_strict=True)
