"""Counting what a search finds: how many products, and how their values are shared out.

What belongs here: the SQL that counts beside a page, in the same statement, and reading what it says. What does not: which products are
found (`statements`, `nearness`), facets that leave out the filter on their own column (`answering` asks for those apart).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise

from psycopg import sql

from fashion_assets.search.filters import COLUMNS
from fashion_assets.search.query import Bucket, Range
from fashion_assets.warehouse.value_counts import EDGES

FOUND_MOST = 200_000
"""Products counted at the most of those whose words match; beyond, there are at least so many."""

FACET_VALUES = 50

CENT = Decimal("0.01")
"""Prices have two decimal places."""

Values = list[tuple[str | int | Decimal, int]]


@dataclass(frozen=True)
class Tally:
    """How many products are found, and their values by column, the most frequent first."""

    found: int
    facets: Mapping[str, Values] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)
    beside: Mapping[str, int] = field(default_factory=dict)
    """How many products are found without the filters on a column, of the columns counted so."""
    looked: int = 0
    """Products that were looked at for it; `FOUND_MOST` or more: there may be others that were not."""
    matching: int | None = None
    """How many of them are found by their words; None where they were not counted apart."""

    def joined(self, other: "Tally") -> "Tally":
        """With the values of columns that were counted apart."""
        return replace(self, facets={**self.facets, **other.facets}, ranges={**self.ranges, **other.ranges})

    def of(self, columns: Sequence[str]) -> "Tally":
        """With the values of these columns alone."""
        return replace(
            self,
            facets={column: values for column, values in self.facets.items() if column in columns},
            ranges={column: values for column, values in self.ranges.items() if column in columns},
        )


def is_range(column: str) -> bool:
    """Whether a column is counted in stretches."""
    return COLUMNS[column] == "number"


def counted(columns: Sequence[str]) -> list[sql.Composable]:
    """What is read of each product found: the columns, of numbers also which stretch they are in."""
    read: list[sql.Composable] = [sql.Identifier(column) for column in columns]
    read += [
        sql.SQL("width_bucket({}, {}::numeric[]) AS {}").format(
            sql.Identifier(column), sql.Literal(list(EDGES)), _stretch(column)
        )
        for column in columns
        if is_range(column)
    ]
    return read or [sql.SQL("1")]


def _stretch(column: str) -> sql.Identifier:
    return sql.Identifier(f"stretch of {column}")


def total(matching: sql.Composable, beside: sql.Composable) -> sql.Composed:
    """An expression that counts nothing but how many are found, as `read` takes it: those whose words match, by an expression, and the rows of a query beside
    them."""
    return sql.SQL(
        "(SELECT json_build_array(json_build_array(-1, 0, (SELECT count(*) FROM ({}) AS beside), {}))::text)"
    ).format(beside, matching)


def tally(found: sql.Composable, columns: Sequence[str], aside: int = 0) -> sql.Composed:
    """An expression that counts the rows of a query that reads `counted(columns)`: a JSON array, as text, of the place of the column
    (-1 for all rows), value (of all rows the number they `missed`), count, least and greatest.

    The last `aside` of the columns are counted over rows that others are not: those whose `missed` is the number of that column among
    these, from 1. All are counted over rows whose `missed` is 0.
    """
    if not columns:
        return sql.SQL(
            "(SELECT json_build_array(json_build_array(-1, 0, count(*), NULL, NULL))::text FROM ({}) AS found)"
        ).format(found)
    grouped = [_stretch(column) if is_range(column) else sql.Identifier(column) for column in columns]
    which, value, least, greatest = (
        sql.SQL("CASE {} {} END").format(
            sql.SQL(" ").join(
                sql.SQL("WHEN GROUPING({}) = 0 THEN {}").format(group, form(place, column, group))
                for place, (column, group) in enumerate(zip(columns, grouped, strict=True))
            ),
            otherwise,
        )
        for form, otherwise in (
            (lambda place, column, group: sql.Literal(place), sql.SQL("ELSE -1")),
            (
                lambda place, column, group: sql.SQL("{}::text").format(group),
                sql.SQL("ELSE missed::text" if aside else "ELSE '0'"),
            ),
            (lambda place, column, group: _extreme("min", column), sql.SQL("")),
            (lambda place, column, group: _extreme("max", column), sql.SQL("")),
        )
    )
    counted = sql.SQL(
        "SELECT {which} AS which, {value} AS value, {missed} AS missed, count(*) AS number, {least} AS least, {greatest} AS greatest "
        "FROM ({found}) AS found GROUP BY {by}GROUPING SETS ((), {sets})"
    ).format(
        which=which,
        value=value,
        missed=sql.SQL("missed" if aside else "0"),
        least=least,
        greatest=greatest,
        found=found,
        by=sql.SQL("missed, " if aside else ""),
        sets=sql.SQL(", ").join(sql.SQL("({})").format(group) for group in grouped),
    )
    if aside:
        own = sql.SQL("which = -1 OR missed = 0 OR missed = which - {}").format(
            sql.Literal(len(columns) - aside - 1)
        )
        counted = sql.SQL(
            "SELECT which, value, sum(number)::int8 AS number, min(least) AS least, max(greatest) AS greatest "
            "FROM ({}) AS parted WHERE {} GROUP BY which, value"
        ).format(counted, own)
    return sql.SQL(
        "(SELECT json_agg(json_build_array(which, value, number, least::text, greatest::text))::text FROM ("
        "SELECT *, row_number() OVER (PARTITION BY which ORDER BY number DESC, value) AS place FROM ({counted}) AS counted "
        "WHERE value IS NOT NULL) AS ranked WHERE place <= {values})"
    ).format(
        counted=counted,
        # A stretch is never among too many.
        values=sql.Literal(max(FACET_VALUES, len(EDGES) + 1)),
    )


def _extreme(which: str, column: str) -> sql.Composed:
    if not is_range(column):
        return sql.Composed([sql.SQL("NULL::numeric")])
    return sql.SQL("{}({})").format(sql.SQL(which), sql.Identifier(column))  # pyright: ignore[reportArgumentType]


def read(text: str | None, columns: Sequence[str], aside: int = 0) -> Tally:
    """What `tally` says of some columns, the last of them counted `aside`; nothing, where there was nothing to count."""
    rows = [0] * (1 + aside)
    facets: dict[str, Values] = {column: [] for column in columns}
    stretches: dict[str, list[tuple[int, int, Decimal, Decimal]]] = {column: [] for column in columns}
    matching = None
    for place, value, number, *extremes in json.loads(text or "[]"):
        if place < 0:
            matching = extremes[0]
            rows[int(value)] = number + (matching or 0)
            continue
        column = columns[int(place)]
        if is_range(column):
            least, greatest = map(Decimal, extremes)
            stretches[column].append((int(value), number, least, greatest))
        else:
            facets[column].append((_typed(column, value), number))
    return Tally(
        rows[0],
        {column: _first(values) for column, values in facets.items() if not is_range(column)},
        {column: _range(stretches[column]) for column in columns if stretches[column]},
        {
            column: rows[0] + own
            for column, own in zip(columns[len(columns) - aside :], rows[1:], strict=True)
        },
        sum(rows),
        matching,
    )


def _typed(column: str, value: str) -> str | int:
    return int(value) if COLUMNS[column] == "integer" else value


def _first(values: Values) -> Values:
    return sorted(values, key=lambda each: (-each[1], each[0]))[:FACET_VALUES]


def _range(stretches: Sequence[tuple[int, int, Decimal, Decimal]]) -> Range:
    bounds = _bounds()
    return Range(
        min(least for _, _, least, _ in stretches),
        max(greatest for _, _, _, greatest in stretches),
        tuple(Bucket(*bounds[place], number) for place, number, _, _ in sorted(stretches)),
    )


@lru_cache(maxsize=1)
def _bounds() -> list[tuple[Decimal, Decimal | None]]:
    inner: list[tuple[Decimal, Decimal | None]] = [(low, high - CENT) for low, high in pairwise(EDGES)]
    return [(Decimal(0), EDGES[0] - CENT), *inner, (EDGES[-1], None)]
