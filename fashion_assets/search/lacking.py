"""Words of a question that a release lacks, and what it has that is near.

What belongs here: finding which of the words no product has, and the values nearest to them. What does not: correcting words (`understanding`),
values of filters (`values`).

A value no product has, in its column or its text, is told with the nearest ones there are: colours by how they look, kinds of things by what they
stand under in `catalog.ontology`. Of a word nobody knows nothing is near: the shipped model's vectors of words it never learnt are as near to one
value as to another.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Literal, NamedTuple

from psycopg import sql

from fashion_assets.catalog import colours
from fashion_assets.catalog.ontology.named import line_of
from fashion_assets.catalog.ontology.phrases import every_phrase
from fashion_assets.search import spoken, statements
from fashion_assets.search.filters import COLUMNS, AnyOf
from fashion_assets.search.kept import CACHED_BYTES, Cache
from fashion_assets.search.path import Facts
from fashion_assets.search.reading import Statement
from fashion_assets.search.served import ServedReleases
from fashion_assets.search.told import Lacking, Near
from fashion_assets.search.values import FilterValues
from fashion_assets.search.words import Term
from fashion_assets.search.work import Compute, Work

TOLD = 3
"""Nearest values that are told."""

_COLUMNS = {"subcategory": "article_type", "category": "article_type"}
"""Columns of the properties that are called otherwise."""


class Absent(NamedTuple):
    """A word, no name of a value, that no product has, and the word it was read as."""

    word: str
    read_as: str


class LackingWords:
    """The words of all searches of one engine that a release lacks, found out once."""

    def __init__(self, releases: ServedReleases, values: FilterValues):
        self._releases = releases
        self._values = values
        self._there: Cache[bool] = Cache(65_536, CACHED_BYTES)

    def of(self, facts: Facts, terms: Sequence[Term], absent: Sequence[Absent]) -> Work[tuple[Lacking, ...]]:
        """What a question lacks, in its order: terms that name values, and words that name none."""
        found: list[Lacking] = []
        for term in (yield from self._not_there(facts, terms)):
            assert term.column is not None and term.value is not None
            found.append((yield from self._near(facts, term.said, term.column, term.value)))
        for word, read_as in absent:
            if read_as != word:
                found.append(Lacking(word, "word", (Near(read_as, None, None),), "spelling"))
                continue
            known: spoken.Known | None = yield Compute(partial(spoken.meaning, word))
            named = "" if known is None else _COLUMNS.get(known.kind, known.kind)
            if known is not None and named in COLUMNS:
                found.append((yield from self._near(facts, word, named, known.value)))
            else:
                found.append(Lacking(word, "word"))
        return tuple(found)

    def _not_there(self, facts: Facts, terms: Sequence[Term]) -> Work[list[Term]]:
        # What is looked for instead is not what was asked for; what a merchant says it is, is.
        asked = [replace(term, also=tuple(other for other in term.also if other.told)) for term in terms]
        named = [
            term
            for term in asked
            if term.column is not None and not facts.meeting([AnyOf(term.column, (term.value or "",))]).any()
        ]
        unknown = [term for term in named if self._there.peek(_key(facts, term)) is None]
        if unknown:
            asked = {f"value_{place}": term.value for place, term in enumerate(unknown)}
            asked |= {f"term_{place}": term.tsquery for place, term in enumerate(unknown)}
            text = _there(facts.release, tuple(term.column or "" for term in unknown))
            (((each,),),) = yield from self._releases.read(
                facts, [Statement(text, asked)], {"enable_seqscan": "off"}
            )
            for term, there in zip(unknown, each, strict=True):
                self._there.put(_key(facts, term), there)
        return [term for term in named if self._there.peek(_key(facts, term)) is False]

    def _near(self, facts: Facts, word: str, column: str, value: str) -> Work[Lacking]:
        there = {}
        if column not in facts.empty and column != "brand":
            there = yield from self._values.known(facts, column)
        nearest, by = yield Compute(partial(nearest_values, column, value, there))
        return Lacking(word, column, nearest, by)


def _key(facts: Facts, term: Term) -> tuple:
    return facts.release, facts.revision, term.column, term.tsquery


@lru_cache(maxsize=256)
def _there(schema: str, columns: tuple[str, ...]) -> bytes:
    """The text of the statement that says of terms whether any product has their value or their words: an array."""
    products = statements.table(schema)
    each = [
        sql.SQL(
            "EXISTS (SELECT FROM {products} WHERE {column} = {value}) OR "
            "EXISTS (SELECT FROM {products} WHERE search_vector @@ to_tsquery('english', {term}))"
        ).format(
            products=products,
            column=sql.Identifier(column),
            value=sql.Placeholder(f"value_{place}"),
            term=sql.Placeholder(f"term_{place}"),
        )
        for place, column in enumerate(columns)
    ]
    return sql.SQL("SELECT ARRAY[{}]").format(sql.SQL(", ").join(each)).as_bytes(None)


def nearest_values(
    column: str, value: str, there: Mapping[str, int]
) -> tuple[tuple[Near, ...], Literal["colour", "vocabulary"] | None]:
    """The values of a column nearest to one that no product has, and what they are near by; `there` has products by value."""
    if column in ("colour", "secondary_colour") and colours.lab(value) is not None:
        near = _by_look(value, there)
        if near:
            return _told(column, near, there), "colour"
    near = _by_heading(column, value, there)
    return _told(column, near, there), "vocabulary" if near else None


def _told(column: str, values: Iterable[str], there: Mapping[str, int]) -> tuple[Near, ...]:
    return tuple(Near(value, column, there[value]) for value in [*values][:TOLD])


def _by_look(colour: str, there: Mapping[str, int]) -> list[str]:
    ontology, _ = every_phrase()
    family = ontology.line("colour", colour)
    far = {}
    for value in there:
        gap = colours.distance(colour, value)
        # The wider colour it is a kind of is what people would call it, too.
        if gap is not None and (gap <= colours.ALIKE or value in family):
            far[value] = gap / 2 if value in family else gap
    return sorted(far, key=lambda value: (far[value], value))


def _by_heading(column: str, value: str, there: Mapping[str, int]) -> list[str]:
    ontology, _ = every_phrase()
    of_kinds = column in ("article_type", "sub_category", "category")

    def line(name: str) -> tuple[str, ...]:
        return (
            line_of(name)
            if of_kinds
            else (name, *ontology.line(column, name))
            if column in ontology.properties
            else ()
        )

    own = line(value)
    # The last of several is the widest: clothing, shoes.
    headings = {heading: place for place, heading in enumerate(own[: max(1, len(own) - 1)])}
    shared = {}
    for each in there:
        places = [headings[heading] for heading in line(each) if heading in headings]
        if places:
            shared[each] = min(places)
    return sorted(shared, key=lambda each: (shared[each], -there[each], each))
