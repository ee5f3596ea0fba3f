"""What a page counts, taken from the counts that a large release keeps.

What belongs here: for which pages they hold, and reading them in the shape of `tallies.tally`. What does not: counting rows (`tallies`), keeping the
counts (`release.value_counting`).

They hold for what one filter on values leaves, or none, as the first page of a kind or a brand has it. A value that is not kept leaves few products,
which are counted as they are read; so are those under several filters, a range, or words.
"""

from collections.abc import Sequence

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
    """An expression that says what `tally` does, from the counts where they are kept, and else by `otherwise`.

    A reader from whom policies keep rows has these counted: the counts are of all. Each statement looks, as either may change between two.
    """
    counts, products = table(shape.schema, TABLE), table(shape.schema)
    asked = (
        sql.SQL("filter = {} AND value = ANY(%(filter_0)s::text[])").format(sql.Literal(shape.filters[0][1]))
        if shape.filters
        else sql.SQL("filter = '' AND value = ''")
    )
    values = sql.SQL("cardinality(%(filter_0)s::text[])" if shape.filters else "1")
    which = [sql.SQL("WHEN '' THEN -1")]
    which += [
        sql.SQL("WHEN {} THEN {}").format(sql.Literal(column), sql.Literal(place))
        for place, column in enumerate(columns)
    ]
    least, greatest = (
        sql.SQL("CASE counted {} END").format(
            sql.SQL(" ").join(
                sql.SQL("WHEN {} THEN (SELECT {}({}) FROM {} WHERE {})").format(
                    sql.Literal(column),
                    sql.SQL(extreme),
                    sql.Identifier(column),
                    products,
                    where(narrowing(shape)),
                )
                for column in columns
                if is_range(column)
            )
        )
        if any(map(is_range, columns))
        else sql.SQL("NULL::numeric")
        for extreme in ("min", "max")
    )
    return sql.SQL(
        "CASE WHEN (SELECT count(DISTINCT value) FROM {counts} WHERE {asked} AND counted = '') = {values} "
        "AND NOT (SELECT relrowsecurity FROM pg_class WHERE oid = {products}::regclass) THEN "
        "(SELECT json_agg(json_build_array(CASE counted {which} END, CASE counted WHEN '' THEN '0' ELSE counted_value END, number, "
        "({least})::text, ({greatest})::text))::text FROM ("
        "SELECT *, row_number() OVER (PARTITION BY counted ORDER BY number DESC, counted_value) AS place FROM ("
        "SELECT counted, counted_value, sum(products)::int8 AS number FROM {counts} "
        "WHERE {asked} AND counted = ANY({columns}) GROUP BY 1, 2 HAVING sum(products) > 0) AS summed) AS ranked "
        "WHERE place <= {most}) ELSE {otherwise} END"
    ).format(
        counts=counts,
        asked=asked,
        values=values,
        products=sql.Literal(products.as_string(None)),
        which=sql.SQL(" ").join(which),
        least=least,
        greatest=greatest,
        columns=sql.Literal(["", *columns]),
        most=sql.Literal(max(FACET_VALUES, len(EDGES) + 1)),
        otherwise=otherwise,
    )
