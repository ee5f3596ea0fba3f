"""The table of a large release that says how many products have a value, alone and beside each other one.

What belongs here: its columns, which columns of products are counted in it, where one stretch of prices ends. What does not: making it and having
it follow what is written (`release.value_counting`), reading it for a page (`search.kept_counts`).

Rows say how many products have `value` in the column `filter` and `counted_value` in the column `counted`. Where `counted` is empty, how many
have `value` at all; where `filter` is, how many there are without a filter. Prices are counted by the stretch they are in (`EDGES`). A count is
the sum of its rows: who writes products adds rows that are not `settled`, so that no two writers wait for each other, and these are summed up
from time to time.
"""

from decimal import Decimal

from psycopg import sql

from fashion_assets.catalog.attributes import ATTRIBUTES
from fashion_assets.warehouse.serving import PRODUCTS

TABLE = "value_counts"

TRIGGERS = ("count_inserted", "count_updated", "count_deleted")
"""Triggers of `products` by which it follows what is written."""

FUNCTION = "count_values"
"""What they call, in the release's schema."""

NARROWED_BY = tuple(
    column.name
    for column in PRODUCTS.columns
    if column.compared in ("text", "integer")
    and column.name not in ("external_id", "batch", "image_width", "image_height")
)
"""Columns whose frequent values are kept as filters. Of the others each value leaves few products, which are counted as they are read."""

EDGES = tuple(
    Decimal(f"{step}e{power}") for power in range(-1, 9) for step in ("1", "1.5", "2", "3", "5", "7")
)
"""Where one stretch of prices ends and the next begins: round numbers, each half as large again as the last."""

STRETCHES = tuple(each.name for each in ATTRIBUTES if each.kind.compared == "number")
"""Columns that are counted by stretches."""

COUNTED = (*NARROWED_BY, *STRETCHES)
"""Columns whose values are counted."""

DEFINITION = sql.SQL(
    "filter text NOT NULL, value text NOT NULL, counted text NOT NULL, counted_value text NOT NULL, products bigint NOT NULL, "
    "settled boolean NOT NULL"
)
"""Its columns, as CREATE TABLE takes them."""

INDEXES = {
    "value_counts_value": sql.SQL("(filter, value, counted)"),
    "value_counts_unsettled": sql.SQL("(filter) WHERE NOT settled"),
}
"""Its indexes, and what each is over. Entries have the room for a value of 255 characters of four bytes."""


def counted_value(column: str) -> sql.Composed:
    """What is counted of a column, as text."""
    if column in STRETCHES:
        return sql.SQL("width_bucket({}, {}::numeric[])::text").format(
            sql.Identifier(column), sql.Literal(list(EDGES))
        )
    return sql.SQL("{}::text").format(sql.Identifier(column))
