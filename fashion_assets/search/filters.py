"""Narrowing a search down: conditions on the products' columns, read from text, typed and made canonical.

What belongs here: which names can be filtered by, reading and checking values, the SQL of one condition, and whether a
row in memory meets it. What does not: whole statements (`statements`), choosing how to search under a filter (`path`).
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any, LiteralString, TypeAlias

from psycopg import sql
from psycopg.types.json import Jsonb

from fashion_assets.catalog.attributes import ATTRIBUTES
from fashion_assets.catalog.brands import canonical_brand
from fashion_assets.catalog.normalization import FIELDS, LISTS, canonical
from fashion_assets.catalog.sizes import canonical_size
from fashion_assets.catalog.suitable import TABLES, suitable, told_of
from fashion_assets.errors import FashionAssetsError
from fashion_assets.warehouse.serving import PRODUCTS, Compared

MAX_VALUES = 10_000
"""Values of one filter; a longer list is a mistake of the caller's."""

MAX_VALUE_LENGTH = 1_000
"""Characters of one value; no product states a longer one."""

NORMALIZED = "normalized."
"""Begins the names of filters on the `normalized` object."""

GOES_WITH = "goes_with."
"""Begins the names of filters that ask for what goes with a value: they become filters on the `normalized` object, on every value that
does."""

_OF_ATTRIBUTES = frozenset(each.name for each in ATTRIBUTES)

COLUMNS: Mapping[str, Compared] = {
    column.name: column.compared
    for column in sorted(PRODUCTS.columns, key=lambda column: column.name not in _OF_ATTRIBUTES)
    if column.compared is not None
}
"""Columns a search can be narrowed by, attributes first, and the type of their values."""

_SQL_TYPES: Mapping[Compared, LiteralString] = {"text": "text", "integer": "int4", "number": "numeric"}
_INTEGER_LIMIT = 2**31 - 1

_COMPARED = re.compile(r"^\s*([^<>=]+?)\s*(<=|>=)\s*(.*?)\s*$", re.DOTALL)
_THOUSANDS = re.compile(r"^0\d\d$")
"""What is left of `1,000`."""
_TO = re.compile(r"\s*(?:\.{2,}|\u2026)\s*")
"""Between the bounds of a range; some programs make one sign of two or three dots."""


class SearchError(FashionAssetsError, ValueError):
    """A search that cannot be answered as asked; the message says why and what to do."""


class FilterError(SearchError):
    """A filter that does not exist or cannot be read; the message lists those that do."""


@dataclass(frozen=True)
class AnyOf:
    """The column has one of the values; no value at all matches nothing."""

    column: str
    values: tuple[str | int | Decimal, ...]

    @property
    def name(self) -> str:
        return self.column

    @property
    def shape(self) -> tuple:
        return ("any", self.column)

    def parameters(self) -> tuple[Any, ...]:
        return (list(self.values),)

    def matches(self, row: Mapping[str, Any]) -> bool:
        return row[self.column] in self._known

    @cached_property
    def _known(self) -> frozenset:
        return frozenset(self.values)


@dataclass(frozen=True)
class NoneOf:
    """The column has none of the values; what has no value has none of them."""

    column: str
    values: tuple[str | int | Decimal, ...]

    @property
    def name(self) -> str:
        """Not the column's: what is asked for beside it narrows by the column, too."""
        return f"{self.column}!"

    @property
    def shape(self) -> tuple:
        return ("none", self.column)

    def parameters(self) -> tuple[Any, ...]:
        return (list(self.values),)

    def matches(self, row: Mapping[str, Any]) -> bool:
        return row[self.column] not in self.values


@dataclass(frozen=True)
class Between:
    """The column's number lies between two bounds, both included; None is no bound."""

    column: str
    low: int | Decimal | None
    high: int | Decimal | None

    @property
    def name(self) -> str:
        return self.column

    @property
    def shape(self) -> tuple:
        return ("between", self.column, self.low is not None, self.high is not None)

    def parameters(self) -> tuple[Any, ...]:
        return tuple(bound for bound in (self.low, self.high) if bound is not None)

    def matches(self, row: Mapping[str, Any]) -> bool:
        value = row[self.column]
        return (
            value is not None
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
        )


@dataclass(frozen=True)
class Holds:
    """The `normalized` object has one of the values under the key, alone or in a list."""

    key: str
    values: tuple[str | int | float | bool, ...]

    @property
    def name(self) -> str:
        return NORMALIZED + self.key

    @property
    def shape(self) -> tuple:
        return ("holds",)

    def parameters(self) -> tuple[Any, ...]:
        return ([Jsonb({self.key: held}) for value in self.values for held in (value, [value])],)

    def matches(self, row: Mapping[str, Any]) -> bool:
        found = row["normalized"].get(self.key)
        held = found if isinstance(found, list) else [found]
        # In JSON true is not 1, in Python it is.
        return any(
            (type(one) is type(value) and one == value) or _same_number(one, value)
            for one in held
            for value in self.values
        )


Filter: TypeAlias = AnyOf | NoneOf | Between | Holds
Filters: TypeAlias = Sequence[Filter] | Mapping[str, Any]


def _same_number(one: object, other: object) -> bool:
    numbers = (int, float)
    return (
        isinstance(one, numbers)
        and isinstance(other, numbers)
        and not isinstance(one, bool)
        and not isinstance(other, bool)
        and one == other
    )


def condition(shape: tuple, placeholders: Iterator[sql.Placeholder]) -> sql.Composed:
    """The SQL of filters of this shape, whose `parameters` are bound to the next placeholders."""
    if shape[0] == "holds":
        return sql.SQL("normalized @> ANY({}::jsonb[])").format(next(placeholders))
    column = sql.Identifier(shape[1])
    typed = sql.SQL(_SQL_TYPES[COLUMNS[shape[1]]])
    if shape[0] == "any":
        return sql.SQL("{} = ANY({}::{}[])").format(column, next(placeholders), typed)
    if shape[0] == "none":
        return sql.SQL("({0} IS NULL OR {0} <> ALL({1}::{2}[]))").format(column, next(placeholders), typed)
    bounds = [
        sql.SQL("{} {} {}::{}").format(column, sql.SQL(operator), next(placeholders), typed)
        for operator, bounded in zip((">=", "<="), shape[2:], strict=True)
        if bounded
    ]
    return sql.SQL(" AND ").join([*bounds, sql.SQL("{} IS NOT NULL").format(column)])


def known_names() -> str:
    """The names of all filters, for messages."""
    keys = (f"{NORMALIZED}{key}" for key in dict.fromkeys((*LISTS, "…")))
    return ", ".join((*COLUMNS, *keys, *(f"{GOES_WITH}{name}" for name in TABLES)))


def parse_filters(pairs: Iterable[str]) -> tuple[Filter, ...]:
    """`["colour=red,blue", "brand!=puma", "price=10..50", "year>=2011", "normalized.material=cotton"]` as filters.

    Commas separate values of which any will do, two dots the bounds of a range, in either order. Values are made canonical as the
    catalogue's were: `colour=gray` finds what is grey, `size=XL` what is `xl`. `colour!=red` leaves out what is red. `goes_with.style=casual`
    finds what states a style that goes with casual. A text that stands in double quotes is one value, commas and all.

    Raises `FilterError` for unknown names (with the nearest and all known ones), a missing `=`, and values of a wrong type.
    """
    return tuple(_parsed(pair) for pair in pairs)


def _parsed(pair: str) -> Filter:
    if compared := _COMPARED.match(pair):
        name, operator, bound = compared.groups()
        if COLUMNS.get(_known(name)) not in ("integer", "number"):
            raise FilterError(f"{name[:80]!r} is no number that is compared; give {name[:80]}=VALUE")
        return _between(name, *((None, bound) if operator == "<=" else (bound, None)))
    name, equals, text = pair.partition("=")
    if not equals:
        raise FilterError(f"filter {pair[:80]!r} is not NAME=VALUE")
    if not name.endswith("!"):
        return _from_text(name.strip(), text)
    refused = _from_text(name[:-1].strip(), text)
    if not isinstance(refused, AnyOf):
        raise FilterError(
            f"{name[:80]}=VALUE takes values of a column, and neither ranges nor {NORMALIZED}… or {GOES_WITH}…"
        )
    return NoneOf(refused.column, refused.values)


def contradictions(filters: Sequence[Filter]) -> list[str]:
    """What to tell of filters on one column that no product can meet at once."""
    told = []
    by_column: dict[str, list[AnyOf | Between]] = {}
    for each in filters:
        if isinstance(each, AnyOf | Between):
            by_column.setdefault(each.column, []).append(each)
    for column, own in by_column.items():
        if len(own) < 2:
            continue
        values = [each for each in own if isinstance(each, AnyOf)]
        ranges = [each for each in own if isinstance(each, Between)]
        low = max((each.low for each in ranges if each.low is not None), default=None)
        high = min((each.high for each in ranges if each.high is not None), default=None)
        left = set.intersection(*(set(each.values) for each in values)) if values else set()
        bounded = low is not None and high is not None and low > high
        if bounded or (
            values and not any(all(each.matches({column: one}) for each in ranges) for one in left)
        ):
            # Without the values: some may be those of a key, which who asks by it did not say.
            told.append(
                f"the filters on {column} leave nothing to one another, for each narrows further; one that takes any of several values is "
                f"{column}=ONE,OTHER"
            )
    return told


def as_filters(given: Filters) -> tuple[Filter, ...]:
    """Filters as a query states them: ready ones, or a mapping of name to value, list of values, or (low, high) in a
    dictionary `{"from": 10, "to": 50}`. Raises `FilterError`."""
    if not isinstance(given, Mapping):
        return tuple(given)
    filters: list[Filter] = []
    for name, value in given.items():
        if isinstance(value, Mapping):
            if not set(value) <= {"from", "to"}:
                raise FilterError(f'the range of {name!r} has other keys than "from" and "to"')
            filters.append(_between(_known(name), value.get("from"), value.get("to")))
        elif isinstance(value, list | tuple | set | frozenset):
            filters.append(_any_of(_known(name), list(value)))
        else:
            filters.append(_any_of(_known(name), [value]))
    return tuple(filters)


def _known(name: object) -> str:
    if isinstance(name, str) and (
        name in COLUMNS
        or (name.startswith(GOES_WITH) and name.removeprefix(GOES_WITH) in TABLES)
        or (name.startswith(NORMALIZED) and name != NORMALIZED and "\0" not in name)
    ):
        return name
    raise FilterError(
        f"there is no filter {str(name)[:80]!r}{_nearest(str(name))}; known filters: {known_names()}"
    )


def _nearest(name: str) -> str:
    """The name that was likely meant, as a part of a message."""
    from rapidfuzz import fuzz, process, utils  # here: only what is mistyped is compared

    near = process.extractOne(
        name[:80], list(COLUMNS), scorer=fuzz.ratio, processor=utils.default_process, score_cutoff=75
    )
    return "" if near is None else f" (did you mean {near[0]!r}?)"


def _from_text(name: str, text: str) -> Filter:
    name = _known(name)
    if COLUMNS.get(name) in ("integer", "number") and (to := _TO.search(text)):
        return _between(name, text[: to.start()].strip() or None, text[to.end() :].strip() or None)
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return _any_of(name, [text[1:-1]])
    return _any_of(name, [part.strip() for part in text.split(",")])


def _between(name: str, low: object, high: object) -> Between:
    if COLUMNS.get(name) not in ("integer", "number"):
        raise FilterError(f"{name!r} is no number, so it has no range; give its values, separated by commas")
    least, most = (None if bound is None else _number(name, bound) for bound in (low, high))
    if least is not None and most is not None and least > most:
        # Who says from 100 to 10 means what is between.
        least, most = most, least
    return Between(name, least, most)


def _any_of(name: str, raw: list) -> Filter:
    if len(raw) > MAX_VALUES:
        raise FilterError(f"filter {name!r} has {len(raw):,} values; {MAX_VALUES:,} are the most")
    if name.startswith(GOES_WITH):
        attribute = name.removeprefix(GOES_WITH)
        suited = [value for each in raw for value in _going_with(attribute, each)]
        return Holds(attribute, tuple(dict.fromkeys(suited)))
    if name.startswith(NORMALIZED):
        key = name.removeprefix(NORMALIZED)
        values = [value for each in raw for value in _json_values(key, each)]
        return Holds(key, tuple(dict.fromkeys(values)))
    if COLUMNS[name] in ("integer", "number"):
        return AnyOf(name, tuple(dict.fromkeys(_number(name, each) for each in raw)))
    return AnyOf(name, tuple(dict.fromkeys(_text(name, each) for each in raw)))


def _number(name: str, raw: object) -> int | Decimal:
    if isinstance(raw, bool) or not isinstance(raw, int | float | Decimal | str) or len(str(raw)) > 100:
        raise FilterError(f"filter {name!r} needs a number, not {str(raw)[:80]!r}")
    try:
        number = Decimal(str(raw).strip())
    except InvalidOperation:
        raise FilterError(f"filter {name!r} needs a number, not {str(raw)[:80]!r}") from None
    if isinstance(raw, str) and _THOUSANDS.match(raw.strip()):
        raise FilterError(
            f"filter {name!r} has {raw.strip()!r} behind a comma, which parts values: write thousands without one"
        )
    if not number.is_finite() or abs(number) > _INTEGER_LIMIT:
        raise FilterError(f"filter {name!r} needs a number up to {_INTEGER_LIMIT:,}, not {str(raw)[:80]!r}")
    if COLUMNS[name] == "number":
        return number
    if number != math.trunc(number):
        raise FilterError(f"filter {name!r} needs a whole number, not {str(raw)[:80]!r}")
    return int(number)


def _checked(name: str, raw: object) -> str:
    if not isinstance(raw, str):
        raise FilterError(f"filter {name!r} needs text, not {type(raw).__name__}")
    if len(raw) > MAX_VALUE_LENGTH:
        raise FilterError(f"a value of filter {name!r} has {len(raw):,} characters; no product's has")
    if "\0" in raw:
        raise FilterError(f"filter {name!r} holds a NUL character, which no product has")
    try:
        raw.encode()
    except UnicodeEncodeError:
        raise FilterError(f"filter {name!r} holds half a character, which no product has") from None
    return raw


def _text(name: str, raw: object) -> str:
    text = _checked(name, raw)
    if name == "brand":
        return canonical_brand(text)
    if name in FIELDS:
        return canonical(name, text)[0] or text
    if name == "size":
        return canonical_size(text) or text
    return text


def _going_with(attribute: str, raw: object) -> tuple[str, ...]:
    """The values that go with one. Raises `FilterError`, which names the nearest and those there are, where no table has it."""
    text = _checked(GOES_WITH + attribute, raw)
    values = suitable(attribute, text)
    if values is None:
        raise FilterError(told_of(attribute, text))
    return values


def _json_values(key: str, raw: object) -> tuple[str | int | float | bool, ...]:
    """The values of the object a filter's value may mean: text in its canonical form, and `true`, `false` and numbers
    as text and as themselves, because the object has either."""
    if isinstance(raw, bool | int):
        return (raw,)
    if isinstance(raw, float | Decimal) and math.isfinite(raw):
        return (float(raw),)
    text = _checked(NORMALIZED + key, raw)
    _checked(NORMALIZED + key, key)
    if key == "brand":
        return (canonical_brand(text).lower(),)
    if key in FIELDS or key in LISTS:
        return ((canonical(key, text)[0] or text),)
    lowered = text.lower()
    if lowered in ("true", "false"):
        return (lowered, lowered == "true")
    try:
        number = float(text)
    except ValueError:
        return (lowered,)
    return (lowered, int(number) if number.is_integer() else number) if math.isfinite(number) else (lowered,)
