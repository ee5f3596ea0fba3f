"""From a record to what it says of a listing, by a mapping.

What belongs here: which column of this file is what, an attribute's text, the pictures stated, prices by the notation of their
column. What does not: finding rows (`sources.readers`) or pictures (`sources.picture_files`), judging (`catalog.validation`).
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from fashion_assets.catalog import attributes
from fashion_assets.catalog.listing import ATTRIBUTES, LISTING_SCHEMA
from fashion_assets.catalog.rules import PRICE_UNREADABLE
from fashion_assets.catalog.stated import SPREADSHEET_ERRORS
from fashion_assets.characters import seen
from fashion_assets.sources.column_values import TRANSLATED, translated
from fashion_assets.sources.columns import Columns, stated_currency, synonyms
from fashion_assets.sources.damage import undamaged, without_markup
from fashion_assets.sources.expressions import Compiler, Evaluator, Texts, Values, as_text
from fashion_assets.sources.mapping import Mapping, Vector
from fashion_assets.sources.mapping_expression import Condition, Expression
from fashion_assets.sources.notations import read_id
from fashion_assets.sources.picture_files import stated_in
from fashion_assets.sources.prices import Notation, PriceColumn, read_price
from fashion_assets.sources.readers.reader import AsWritten, Row, RowReader
from fashion_assets.sources.records import Record, encoded, grouped
from fashion_assets.sources.source import SourceError
from fashion_assets.sources.vectors import read_vector

MANY = frozenset(name for name in ATTRIBUTES if pa.types.is_list(LISTING_SCHEMA.field(name).type))
"""Attributes a listing may have several values of."""

PRICE, CURRENCY = "price", "currency"

NO_PROSE = frozenset(
    attribute.name
    for attribute in attributes.ATTRIBUTES
    if attribute.name != "title" and attribute.longest is not None
)
"""Attributes whose values hold no delimiter that nobody quoted: names, numbers, words of lists."""

UNTYPED = frozenset({"delimited", "workbook"})
"""Formats whose header names every column, and whose values are no nested ones."""


class Said(NamedTuple):
    """What a record says: its listing's id and the pictures it states, the product's first."""

    external_id: str | None
    pictures: tuple[str, ...]
    made: bool
    """Whether those are made of the id, since none is stated."""


class Price(NamedTuple):
    """A listing's price: plain (`1199.00`), or as it stands, with the reason why it could not be read."""

    amount: str | None
    currency: str | None = None
    problem: str | None = None


class Reading:
    """A mapping for the columns of one opened file."""

    def __init__(
        self,
        mapping: Mapping,
        reader: RowReader,
        where: str,
        notation: Notation | None = None,
        *,
        details: bool = False,
        source: str = "",
    ) -> None:
        """`where` names the file or table in errors; `notation` is that of its prices, as far as it is known; `details`: whether
        records have theirs; `source` is the source's name. Raises SourceError
        where it lacks a column without which no listing could be a product."""
        self.mapping = mapping
        more = (mapping.details.name,) if details and mapping.details is not None else ()
        self.columns = Columns([*reader.columns, *more])
        self.typed = reader.format not in UNTYPED
        nulls = mapping.profile.profile().null_words
        self._compiler = Compiler(self.columns, typed=self.typed, null_words=nulls, source=source)
        self._of_prices = Compiler(self.columns, typed=self.typed, null_words=nulls, keep_numbers=True)
        self.notation = notation or Notation()
        self.prices = PriceColumn()
        """What the prices `learn` was shown prove of their notation."""
        self.stated_currency: str | None = None
        """That in the name of the column of prices."""
        self.synonyms: dict[str, str] = {}
        """By attribute, the column that is read for it because it is called so, and not as the mapping says."""
        used = self._used()
        self.id = self._required("id", mapping.id, used, where)
        self.group = None if mapping.group is None else self._compiler.compile(mapping.group)
        self._where = [self._condition(each, where) for each in mapping.where]
        self.left_out = 0
        """Records so far that are no listings, as the mapping's `where` has it."""
        self.attributes: dict[str, Evaluator] = {}
        for name in ATTRIBUTES:
            evaluator = self._attribute(name, used, where)
            if evaluator is not None:
                self.attributes[name] = evaluator
        for column in self._columns_of([], PRICE):
            self.stated_currency = self.stated_currency or stated_currency(column)[1]
        if hasattr(reader, "prose"):
            # A delimiter too many is put back where free text may stand, if that is one column.
            closed = self._columns_of([mapping.id, *mapping.pictures.columns], *NO_PROSE)
            setattr(reader, "prose", set(reader.columns) - closed)  # noqa: B010 (of delimited text alone)
        self._last: tuple[Record, list[tuple[Vector, str, np.ndarray]]] | None = (
            None  # whose vectors were read
        )
        self._vectors = [(each, self.columns.find(each.column)) for each in mapping.vectors]
        for each, column in self._vectors:
            if column is None and not self.typed:
                raise SourceError(self._lacking(f"{each.kind} vector", Expression(column=each.column), where))
        self.facts = {
            name: self._compiler.compile(each)
            for name, each in mapping.facts.items()
            if self._compiler.known(each)
        }
        pictures = mapping.pictures
        self.pictures = [
            self._compiler.compile(each) for each in pictures.columns if self._compiler.known(each)
        ]
        if pictures.columns and not self.pictures and (column := self.columns.synonym("image", used)):
            self.pictures.append(self._take("image", column, used))

    def records(self, rows: Iterable[Row]) -> Iterator[Record]:
        """The records of rows that are listings, or cannot be read."""
        for record in grouped(rows, self.group, continued=self.mapping.continued):
            if record.defect or all(holds(record.rows[0].values) for holds in self._where):
                yield record
            else:
                self.left_out += 1

    def problem(self, identity: str | None) -> str | None:
        """Why an id is one no longer; None where it is."""
        return None if identity is None else read_id(identity).problem

    def identity(self, record: Record) -> str | None:
        """The listing's id; None where it states none."""
        for row in record.rows:
            for text in self.id(row.values):
                if self._compiler.states(text):
                    return seen(text).strip()
        return None

    def said(self, record: Record) -> Said:
        """Id and pictures of a record without a defect."""
        identity = self.identity(record)
        stated: dict[str, None] = {}
        for row in record.rows:
            for pictures in self.pictures:
                for text in pictures(row.values):
                    if self._compiler.states(text):
                        stated.update(
                            dict.fromkeys(each.strip() for each in stated_in(text) if each not in stated)
                        )
        made = False
        if not stated and identity is not None:
            made = True
            stated = dict.fromkeys(
                pattern.replace("{id}", identity) for pattern in self.mapping.pictures.pattern
            )
        return Said(identity, tuple(stated), made)

    def attribute(self, name: str, record: Record) -> Texts:
        """What a record says of an attribute: the first row's values that state anything, else what stands there instead."""
        evaluator = self.attributes.get(name)
        if evaluator is None:
            return ()
        if len(record.rows) == 1:
            return evaluator(record.rows[0].values)
        said: Texts = ()
        for row in record.rows:
            found = evaluator(row.values)
            if any(map(self._compiler.states, found)):
                return found
            said = said or found
        return said

    def learn(self, record: Record) -> None:
        """Look at a record's price, for what it proves of how the source writes them."""
        for text in self._price(record):
            if self._compiler.states(text):
                self.prices.add(text)

    def price(self, record: Record) -> Price:
        """A record's price under the notation of its column, and its currency: stated in a column, in the price, in the column's
        name, or that all other prices have."""
        found = self._price(record)
        currency = self.value(CURRENCY, record)
        if found and isinstance(found[0], str) and found[0].strip().lower() in SPREADSHEET_ERRORS:
            return Price(found[0], currency, PRICE_UNREADABLE)
        if not found or not self._compiler.states(found[0]):
            return Price(as_text(found[0]) if found else None, currency)
        read = read_price(found[0], self.notation)
        if currency is None or not self._compiler.states(currency):
            currency = read.currency or self.stated_currency or currency
        if read.problem is not None:
            return Price(as_text(found[0]), currency, read.problem)
        return Price(read.amount, currency)

    def _price(self, record: Record) -> tuple[Any, ...]:
        """What stands for a record's price: one text or number, or nothing."""
        return tuple(
            undamaged(said) if isinstance(said, str) else said for said in self.attribute(PRICE, record)[:1]
        )

    def value(self, name: str, record: Record) -> Any:
        """An attribute as LISTING_SCHEMA has it: a text or null, or a list of texts."""
        found = tuple(without_markup(undamaged(text)).strip() for text in self.attribute(name, record))
        if name in MANY:
            return [text for text in found if self._compiler.states(text)] or None
        said = next(filter(self._compiler.states, found), found[0]) if found else None
        return said if said is None or name not in TRANSLATED else translated(name, said)

    def kept(self, record: Record) -> str | None:
        """What else the mapping keeps of a record (`Mapping.facts`), as a JSON object; None where that is nothing."""
        said: dict[str, Any] = {}
        for name, evaluator in self.facts.items():
            for row in record.rows:
                # Question marks for what no text in the database can hold, which JSON can spell.
                found = [
                    text.strip().replace("\0", "?").encode("utf-8", "replace").decode()
                    for text in evaluator(row.values)
                    if self._compiler.states(text)
                ]
                if found:
                    said[name] = found[0] if len(found) == 1 else found
                    break
        return encoded(said) if said else None

    def vectors(self, record: Record) -> list[dict[str, Any]]:
        """The vectors that came with a record, as LISTING_SCHEMA has them. What a system keeps twice, as JSON and as a vector, is one."""
        said = [
            {"space": space_of(stated, vector), "kind": stated.kind, "vector": vector}
            for stated, _, vector in self._read_vectors(record)
        ]
        return [
            each for place, each in enumerate(said) if not any(_same(each, other) for other in said[:place])
        ]

    def kept_beside(self, record: Record) -> dict[str, Any]:
        """What stands in the record for vectors, by column: their length and a hash, since they are kept bit for bit beside it.
        One that could not be read stays as it is."""
        return {
            column: {
                "numbers": vector.size,
                "blake2b": hashlib.blake2b(vector.tobytes(), digest_size=16).hexdigest(),
            }
            for _, column, vector in self._read_vectors(record)
            if vector.size and column in record.rows[0].values
        }

    def _read_vectors(self, record: Record) -> list[tuple[Vector, str, np.ndarray]]:
        if self._last is None or self._last[0] is not record:
            found: list[tuple[Vector, str, np.ndarray]] = []
            for stated, column in self._vectors:
                name = column or stated.column
                values = (_written(row.values, name) for row in record.rows)
                value = next((value for value in values if value is not None), None)
                vector = read_vector(value, stated.encoding, stated.dimensions.values())
                if vector is not None:
                    found.append((stated, name, vector))
            self._last = record, found
        return self._last[1]

    def _columns_of(self, expressions: Sequence[Expression], *attributes: str) -> set[str]:
        """The columns of this file that these are made of."""
        stated = [*expressions, *map(self.mapping.attributes.get, attributes)]
        named = [name for expression in stated if expression is not None for name in expression.columns()]
        found = {column for name in named if (column := self.columns.find(name)) is not None}
        return found | {self.synonyms[name] for name in ("id", *attributes) if name in self.synonyms}

    def _used(self) -> set[str]:
        """The columns the mapping itself reads."""
        mapping = self.mapping
        return self._columns_of([mapping.id, *mapping.attributes.values(), *mapping.pictures.columns])

    def _take(self, attribute: str, column: str, used: set[str]) -> Evaluator:
        self.synonyms[attribute] = column
        used.add(column)
        return (self._of_prices if attribute == PRICE else self._compiler).compile(Expression(column=column))

    def _required(self, attribute: str, expression: Expression, used: set[str], where: str) -> Evaluator:
        if self._compiler.known(expression):
            return self._compiler.compile(expression)
        column = self.columns.synonym(attribute, used)
        if column is None:
            raise SourceError(self._lacking(attribute, expression, where))
        return self._take(attribute, column, used)

    def _attribute(self, name: str, used: set[str], where: str) -> Evaluator | None:
        expression = self.mapping.attributes.get(name)
        if expression is None:
            return None
        if self._compiler.known(expression):
            return (self._of_prices if name == PRICE else self._compiler).compile(expression)
        column = self.columns.synonym(name, used)
        if column is None and name == PRICE:
            column = self.columns.money((*expression.columns(), *synonyms()[PRICE]))
        if column is not None:
            return self._take(name, column, used)
        if name in self.mapping.profile.critical:
            raise SourceError(self._lacking(name, expression, where))
        return None

    def _condition(self, condition: Condition, where: str) -> Callable[[Values], bool]:
        if not self._compiler.known(Expression(column=condition.column)) and not self.typed:
            raise SourceError(
                f"{where} names no column {condition.column!r}, by which the mapping's where tells listings, only: "
                f"{', '.join(self.columns.names)[:300]}. Rename the column that says it, or change where in the mapping."
            )
        return self._compiler.condition(condition)

    def _lacking(self, attribute: str, expression: Expression, where: str) -> str:
        names = " or ".join(repr(name) for name in dict.fromkeys(expression.columns()))
        shown = ", ".join(self.columns.names)[:300]
        return (
            f"{where} names no column {names}, which every product's {attribute.replace('_', ' ')} is read from, only: {shown}. "
            "Rename the column that holds it, or say in a mapping which one it is (--mapping FILE)."
        )


def _written(values: Values, name: str) -> Any:
    """A value as it is written, where its reader would take it apart."""
    return values.written(name) if isinstance(values, AsWritten) else values.get(name)


def _same(one: Values, other: Values) -> bool:
    return (one["space"], one["kind"]) == (other["space"], other["kind"]) and np.array_equal(
        one["vector"], other["vector"], equal_nan=True
    )


def space_of(stated: Vector, vector: np.ndarray) -> str:
    """The space of a vector a mapping states: by its length where that is another one; one that is filled up with zeros is known by
    its tail, one without a negative number by that."""
    if stated.never_negative and vector.size == stated.dimension and vector.any() and (vector >= 0).all():
        return stated.never_negative
    if vector.size != stated.dimension:
        return stated.by_length.get(vector.size, stated.space)
    if stated.padded_from is None or not vector[stated.padded_from :].any():
        return stated.space
    return stated.otherwise
