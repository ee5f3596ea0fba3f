"""What a page counts, taken from the counts that a large release keeps.

What belongs here: for which pages they hold, and reading them in the shape of `tallies.tally`. What does not: counting rows (`tallies`), keeping the
counts (`release.value_counting`).

They hold for what one filter on values leaves, or none, as the first page of a kind or a brand has it. A value that is not kept leaves few products,
which are counted as they are read; so are those under several filters, a range, or words.
"""

from collections.abc import Sequence
from typing import LiteralString

from psycopg import sql

from fashion_assets.search.statements import Shape, narrowing, table, where
from fashion_assets.search.tallies import FACET_VALUES, is_range
from fashion_assets.warehouse.value_counts import COUNTED, EDGES, NARROWED_BY, TABLE


def hold(shape: Shape, columns: Sequence[str]) -> bool:
    """Whether counts of these columns may be among those kept."""
    return (
        shape.keeps_counts
        and shape.legs == ["listing"]
        and not (shape.matches or shape.avoids or shape.excludes or shape.hides or shape.pins or shape.aside)
        and all(column in COUNTED for column in columns)
        and (
            not shape.filters
            or (
                len(shape.filters) == 1
                and shape.filters[0][0] == "any"
                and shape.filters[0][1] in NARROWED_BY
            )
        )
    )


def kept(shape: Shape, columns: Sequence[str], otherwise: sql.Composed) -> sql.Composed:
    """An expression that says what `tally` does, from the counts where they hold, and else by `otherwise`. Each statement looks, as that may change
    between two."""
    return sql.SQL("CASE WHEN {} THEN {} ELSE {} END").format(
        may_be_read(shape), told(shape, columns), otherwise
    )


def may_be_read(shape: Shape) -> sql.Composed:
    """Whether counts are kept of all values that are asked for, and the reader sees every row they are of: from whom policies keep rows has these
    counted."""
    return sql.SQL(
        "(SELECT count(DISTINCT value) FROM {} WHERE {} AND counted = '') = {} AND NOT (SELECT relrowsecurity FROM pg_class WHERE oid = {}::regclass)"
    ).format(
        table(shape.schema, TABLE),
        _of_what_is_asked(shape),
        sql.SQL("cardinality(%(filter_0)s::text[])" if shape.filters else "1"),
        sql.Literal(table(shape.schema).as_string(None)),
    )


def told(shape: Shape, columns: Sequence[str]) -> sql.Composed:
    """The counts as `tally` has them: place of the column, value, count, least and greatest, the most frequent values of each."""
    return sql.SQL(
        "(SELECT json_agg(json_build_array({which}, CASE counted WHEN '' THEN '0' ELSE counted_value END, number, "
        "({least})::text, ({greatest})::text))::text FROM ("
        "SELECT *, row_number() OVER (PARTITION BY counted ORDER BY number DESC, counted_value) AS place FROM ({summed}) AS summed"
        ") AS ranked WHERE place <= {most})"
    ).format(
        which=_by_column(
            [("", sql.Literal(-1)), *((name, sql.Literal(n)) for n, name in enumerate(columns))]
        ),
        least=_extreme("min", shape, columns),
        greatest=_extreme("max", shape, columns),
        summed=summed(shape, columns),
        # A stretch is never among too many.
        most=sql.Literal(max(FACET_VALUES, len(EDGES) + 1)),
    )


def summed(shape: Shape, columns: Sequence[str]) -> sql.Composed:
    """A query of how many products there are, of each value of the columns and at all: `counted`, `counted_value`, `number`."""
    return sql.SQL(
        "SELECT counted, counted_value, sum(products)::int8 AS number FROM {} "
        "WHERE {} AND counted = ANY({}) GROUP BY 1, 2 HAVING sum(products) > 0"
    ).format(table(shape.schema, TABLE), _of_what_is_asked(shape), sql.Literal(["", *columns]))


def _of_what_is_asked(shape: Shape) -> sql.Composed:
    """Which rows of the counts are of what the filter leaves; of all products where there is none."""
    if not shape.filters:
        return sql.Composed([sql.SQL("filter = '' AND value = ''")])
    return sql.SQL("filter = {} AND value = ANY(%(filter_0)s::text[])").format(
        sql.Literal(shape.filters[0][1])
    )


def _extreme(which: LiteralString, shape: Shape, columns: Sequence[str]) -> sql.Composable:
    """The least or greatest of the column that is `counted`, of those in stretches. Counts know the stretch alone, so products are
    asked."""
    of_each = [
        (
            column,
            sql.SQL("(SELECT {}({}) FROM {} WHERE {})").format(
                sql.SQL(which), sql.Identifier(column), table(shape.schema), where(narrowing(shape))
            ),
        )
        for column in columns
        if is_range(column)
    ]
    return _by_column(of_each) if of_each else sql.SQL("NULL::numeric")


def _by_column(said: Sequence[tuple[str, sql.Composable]]) -> sql.Composed:
    """What is said of the column that is `counted`."""
    cases = [sql.SQL("WHEN {} THEN {}").format(sql.Literal(column), each) for column, each in said]
    return sql.SQL("CASE counted {} END").format(sql.SQL(" ").join(cases))
