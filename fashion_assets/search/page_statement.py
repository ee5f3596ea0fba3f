"""The statement that answers a page: it finds, fuses, counts and fetches.

What belongs here: its text, built once for each shape, and the order of its rows. What does not: its parts that find (`near_statement`,
`found_statement`) and rank (`ranked_statement`), the shape and its settings (`statements`), the values, what the rows say (`paging`).
"""

from collections.abc import Sequence

from psycopg import sql

from fashion_assets.search import kept_counts
from fashion_assets.search.found_statement import found_products, nearly_found_products, number_matching
from fashion_assets.search.kept import remembered
from fashion_assets.search.near_statement import near_tables
from fashion_assets.search.query import HIT_COLUMNS
from fashion_assets.search.ranked_statement import boost_factors, ranked_tables
from fashion_assets.search.statements import Shape, VectorLeg, narrowing, table, where
from fashion_assets.search.tallies import counted, tally, total


@remembered(1_024)
def search(shape: Shape) -> bytes:
    """The text of the statement that answers a page.

    Placeholders: `hidden`, `pinned`, `boost_<n>_<m>`, `factor_<n>`, `vector_<n>`, `window_<n>`, `cut_<n>` and `styles_<n>` of each vector leg, `tier_<n>`, `term_<n>`, `value_<n>`, `importance_<n>`,
    `any_term`, `matched`, `matching`, `avoid`, `filter_<n>`, `excluded`, `weight_<n>` of each leg, `window`, `limit`, `offset`, `after_value`,
    `after_id`. Rows: `product_id`, the hit's columns, `legs`, `ranks` and `values` (distance or coverage) of the legs that brought it; which
    boosts it meets; what it is ordered by, as text; for each vector leg how many it found, the largest distance, and which of `probes_<n>` are among them, or all of them
    where the leg `tells`, as the text of a JSON array, NULL for an exact leg's probes; and, in the first row, the
    tally (`tallies`) of `counted` and the columns of `aside`. There is always a first row; where the page is empty it
    has no product.
    """
    tables = [each for position in range(len(shape.vectors)) for each in near_tables(shape, position)]
    if shape.legs == ["listing"]:
        tables.append(sql.SQL("ordered AS ({})").format(_listing(shape)))
    elif not shape.of_one_leg:
        tables += ranked_tables(shape)
    tables.append(sql.SQL("page AS MATERIALIZED ({})").format(_page(shape)))
    proofs = [
        sql.SQL("(SELECT json_build_array(count(*), max(distance), {})::text FROM {})").format(
            _met(leg, position), sql.Identifier(f"vector_{position}")
        )
        for position, leg in enumerate(shape.vectors)
    ]
    counts: sql.Composable = sql.SQL("NULL")
    if shape.counted == () and not shape.aside and shape.matches:
        matching = sql.SQL("%(matching)s::int8") if shape.matches_known else number_matching(shape)
        counts = total(matching, found_products(shape, counted(()), words=False))
    elif shape.counted is not None:
        aside = tuple(column for column, _ in shape.aside)
        columns = (*shape.counted, *aside)
        found = nearly_found_products if aside else found_products
        counts = tally(found(shape, counted(columns)), columns, len(aside))
        if kept_counts.hold(shape, columns):
            counts = kept_counts.kept(shape, columns, counts)
    return (
        sql.SQL(
            "WITH {tables} SELECT page.product_id::text, {columns}, page.legs, page.ranks, page.values, {boosts}, page.key, "
            "ARRAY[{proofs}]::text[], CASE WHEN page.place IS NULL OR page.place = %(offset)s::int8 + 1 THEN {counts} END "
            "FROM (SELECT 1) AS one LEFT JOIN page ON true LEFT JOIN {products} ON products.product_id = page.product_id "
            "ORDER BY page.place"
        )
        .format(
            tables=sql.SQL(", ").join(tables),
            columns=sql.SQL(", ").join(map(sql.Identifier, HIT_COLUMNS)),
            boosts=sql.SQL("page.boosts" if shape.boosts else "NULL::bool[]"),
            proofs=sql.SQL(", ").join(proofs),
            counts=counts,
            products=table(shape.schema),
        )
        .as_bytes(None)
    )


def _met(leg: VectorLeg, position: int) -> sql.Composable:
    if leg.path == "exact":
        return sql.SQL("NULL")
    if leg.tells:
        return sql.SQL("array_agg(product_id)")
    return sql.SQL("array_agg(product_id) FILTER (WHERE product_id = ANY({}::uuid[]))").format(
        sql.Placeholder(f"probes_{position}")
    )


def _page(shape: Shape) -> sql.Composed:
    """What is on the page, each with its `place`, from 1."""
    if shape.of_one_leg:
        # A score that falls with the rank has them in the same order, and would have them sorted once more.
        return sql.SQL(
            "SELECT product_id, ARRAY[0] AS legs, ARRAY[place::int] AS ranks, ARRAY[distance]::float8[] AS values, NULL::numeric AS key, place "
            "FROM (SELECT product_id, distance, row_number() OVER (ORDER BY distance, product_id) AS place FROM near_0 "
            "ORDER BY distance, product_id LIMIT %(limit)s OFFSET %(offset)s) AS nearest"
        ).format()
    return sql.SQL(
        "SELECT *, {before}row_number() OVER (ORDER BY {order}) AS place FROM ordered ORDER BY {order} LIMIT %(limit)s{offset}"
    ).format(
        order=_order(shape),
        before=sql.SQL("%(offset)s::int8 + " if shape.after else ""),
        offset=sql.SQL("" if shape.after else " OFFSET %(offset)s"),
    )


def _order(shape: Shape) -> sql.Composed:
    if shape.sort is None:
        return sql.SQL("{} DESC, product_id").format(sql.SQL("key" if shape.lists_boosted else "score"))
    return sql.SQL("key {}, product_id").format(_direction(shape.sort[1]))


def _direction(largest_first: bool) -> sql.SQL:
    return sql.SQL("DESC NULLS LAST" if largest_first else "ASC NULLS LAST")


def _listing(shape: Shape) -> sql.Composed:
    """A page of what the filters leave, and of nothing before it. Ordered by a column, which has an index, those without a value are read
    apart; ordered by the factors of boosts, those that meet none of them are, which the index by ids has in their order."""
    narrowed = narrowing(shape)
    behind: list[sql.Composable] = []
    if shape.after in ("id", "none"):
        behind.append(sql.SQL("product_id > %(after_id)s::uuid"))
    reach = sql.SQL("%(limit)s" if shape.after else "(%(limit)s::int8 + %(offset)s::int8)")

    def read(
        key: sql.Composable,
        kept: Sequence[sql.Composable],
        order: sql.Composable,
        met: Sequence[sql.Composable] = (),
    ) -> sql.Composed:
        return sql.SQL(
            "SELECT product_id, 0::float8 AS score, ARRAY[0] AS legs, "
            "NULL::int[] AS ranks, ARRAY[NULL]::float8[] AS values, ARRAY[{met}]::bool[] AS boosts, {key} AS key "
            "FROM {products} WHERE {where} ORDER BY {order} LIMIT {reach}"
        ).format(
            met=sql.SQL(", ").join(met),
            key=key,
            products=table(shape.schema),
            where=where([*narrowed, *kept]),
            order=order,
            reach=reach,
        )

    by_id = sql.SQL("product_id")
    nothing = sql.SQL("NULL::numeric")
    parts: list[sql.Composable] = []
    if shape.lists_boosted:
        met, factors = boost_factors(shape)
        # By one boost all have the same factor, so that they are in their order, too.
        factor = sql.SQL("({})::numeric").format(
            factors if len(met) > 1 else sql.SQL("{}::float8").format(sql.Placeholder("factor_0"))
        )
        any_met = sql.SQL("({})").format(sql.SQL(" OR ").join(met))
        kept: list[sql.Composable] = [any_met]
        if shape.after is not None:
            kept.append(
                sql.SQL(
                    "{0} <= %(after_value)s::numeric AND ({0} < %(after_value)s::numeric OR product_id > %(after_id)s::uuid)"
                ).format(factor)
            )
        parts.append(read(factor, kept, sql.SQL("{} DESC, product_id").format(factor), met))
        if shape.after != "below":
            parts.append(read(sql.SQL("1::numeric"), [sql.SQL("NOT {}").format(any_met), *behind], by_id))
        return sql.SQL(" UNION ALL ").join(sql.SQL("({})").format(part) for part in parts)
    if shape.sort is None:
        return read(nothing, behind, by_id)
    column, largest_first = shape.sort
    key = sql.Identifier(column)
    if shape.after != "none":
        kept = [sql.SQL("{} IS NOT NULL").format(key)]
        if shape.after == "value":
            beyond = sql.SQL("<" if largest_first else ">")
            kept.append(
                sql.SQL(
                    "{key} {beyond}= %(after_value)s::numeric AND ({key} {beyond} %(after_value)s::numeric OR "
                    "product_id > %(after_id)s::uuid)"
                ).format(key=key, beyond=beyond)
            )
        order = sql.SQL("{} {}, product_id").format(key, sql.SQL("DESC" if largest_first else "ASC"))
        parts.append(read(sql.SQL("{}::numeric").format(key), kept, order))
    parts.append(read(nothing, [sql.SQL("{} IS NULL").format(key), *behind], by_id))
    return sql.SQL(" UNION ALL ").join(sql.SQL("({})").format(part) for part in parts)
