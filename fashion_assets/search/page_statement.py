"""The statement that answers a page: it finds, fuses, counts and fetches.

What belongs here: its text, built once for each shape. What does not: the shape and its settings (`statements`), the values, what the rows
say (`paging`).
"""

from collections.abc import Sequence
from functools import lru_cache

from psycopg import sql

from fashion_assets.search.query import HIT_COLUMNS
from fashion_assets.search.statements import Shape, conditions, distance, table, where
from fashion_assets.search.tallies import FOUND_MOST, counted, tally

RANK_CONSTANT = 60
"""k of reciprocal rank fusion (Cormack, Clarke, Büttcher: Reciprocal Rank Fusion, SIGIR 2009)."""


def vector_leg(shape: Shape, position: int) -> sql.Composed:
    """The `%(window_<position>)s` products nearest to `%(vector_<position>)s` in a leg's space, with their distance."""
    leg = shape.vectors[position]
    nearness = distance(leg, f"vector_{position}")
    if leg.path == "exact":
        # Which no index is built on; as the rows' own column, so that it is computed once.
        nearness = sql.SQL("({}) + 0").format(nearness)
    own: list[sql.Composable] = [sql.SQL("embedding_space = {}").format(sql.Literal(leg.space))]
    return sql.SQL(
        "SELECT product_id, {distance} AS distance FROM {products} WHERE {where} ORDER BY {order} LIMIT {window}"
    ).format(
        distance=nearness,
        products=table(shape.schema),
        where=where(own + ([] if leg.whole else conditions(shape.filters, shape.excludes))),
        order=nearness,
        window=sql.Placeholder(f"window_{position}"),
    )


def _near(shape: Shape, position: int) -> sql.Composed:
    """What of a vector leg is found: those within the cut-off, of all products those that meet the filters."""
    leg, found = shape.vectors[position], sql.Identifier(f"vector_{position}")
    within: list[sql.Composable] = []
    if leg.cut:
        within.append(sql.SQL("distance <= {}").format(sql.Placeholder(f"cut_{position}")))
    if leg.whole:
        within += conditions(shape.filters, shape.excludes)
        found = sql.SQL("{} JOIN {} USING (product_id)").format(found, table(shape.schema))
    return sql.SQL("SELECT product_id, distance FROM {} WHERE {}").format(found, where(within))


MENTIONED = 0.5
"""What a term counts that a product's text has, while the column the words name has another value."""


def _covered(column: str | None, position: int, lexemes: sql.Composed) -> sql.Composed:
    mentioned = sql.SQL("(search_vector @@ {})").format(lexemes)
    if column is None:
        return sql.SQL("{}::int").format(mentioned)
    return sql.SQL("CASE WHEN {} = {} THEN 1 WHEN {} THEN {} ELSE 0 END").format(
        sql.Identifier(column), sql.Placeholder(f"value_{position}"), mentioned, sql.Literal(MENTIONED)
    )


def _text_leg(shape: Shape) -> list[sql.Composable]:
    products, narrowed = table(shape.schema), conditions(shape.filters, shape.excludes)
    lexemes = sql.SQL("to_tsquery('english', {})")
    branches = [
        sql.SQL("(SELECT product_id FROM {} WHERE {} LIMIT %(window)s)").format(
            products,
            where(
                [
                    sql.SQL("search_vector @@ {}").format(
                        lexemes.format(sql.Placeholder(f"tier_{position}"))
                    ),
                    *narrowed,
                ]
            ),
        )
        for position in range(shape.tiers)
    ]
    # What the other legs found is judged by its words as well.
    found: list[sql.Composable] = [
        sql.SQL("SELECT product_id FROM {}").format(sql.Identifier(f"near_{position}"))
        for position in range(len(shape.vectors))
    ]
    if branches:
        found.append(
            sql.SQL("(SELECT product_id FROM ({}) AS tiers LIMIT %(window)s)").format(
                sql.SQL(" UNION ALL ").join(branches)
            )
        )
    coverage = sql.SQL(" + ").join(
        sql.SQL("{} * {}").format(
            sql.SQL("{}::float8").format(sql.Placeholder(f"importance_{position}")),
            _covered(column, position, lexemes.format(sql.Placeholder(f"term_{position}"))),
        )
        for position, column in enumerate(shape.terms)
    )
    refused = sql.SQL(" AND NOT search_vector @@ {}").format(_AVOIDED) if shape.avoids else sql.SQL("")
    return [
        sql.SQL("candidates AS MATERIALIZED ({})").format(sql.SQL(" UNION ").join(found)),
        sql.SQL(
            "words AS MATERIALIZED (SELECT product_id, {coverage} AS coverage, "
            "ts_rank(search_vector, {any}) AS relevance FROM candidates JOIN {products} USING (product_id) "
            "WHERE search_vector @@ {any}{refused} ORDER BY coverage DESC, relevance DESC, product_id LIMIT %(window)s)"
        ).format(
            coverage=coverage,
            any=lexemes.format(sql.Placeholder("any_term")),
            products=products,
            refused=refused,
        ),
    ]


_AVOIDED = sql.SQL("to_tsquery('english', %(avoid)s)")


def _matching(shape: Shape) -> list[sql.Composable]:
    """The condition of those whose words are found, in parts."""
    matching: list[sql.Composable] = [sql.SQL("search_vector @@ to_tsquery('english', %(matched)s)")]
    if shape.avoids:
        matching.append(sql.SQL("NOT search_vector @@ {}").format(_AVOIDED))
    return matching


def _found(
    shape: Shape, columns: Sequence[sql.Composable], among: Sequence[int] | None = None
) -> sql.Composed:
    """Columns of every product that is found, each once; `among`: places of the filters that narrow it, all of them unless given."""
    read, products = sql.SQL(", ").join(columns), table(shape.schema)
    narrowed = conditions(shape.filters, shape.excludes)
    if among is not None:
        narrowed = [
            each for place, each in enumerate(narrowed) if place in among or place >= len(shape.filters)
        ]
    matching = _matching(shape)
    parts: list[sql.Composable] = []
    if shape.matches:
        parts.append(
            sql.SQL("(SELECT {} FROM {} WHERE {} LIMIT {})").format(
                read, products, where([*matching, *narrowed]), sql.Literal(FOUND_MOST)
            )
        )
    if shape.vectors:
        near = sql.SQL(" UNION ").join(
            sql.SQL("SELECT product_id FROM {}").format(sql.Identifier(f"near_{position}"))
            if among is None
            else sql.SQL("SELECT product_id FROM {} WHERE {}").format(
                sql.Identifier(f"vector_{position}"),
                sql.SQL("distance <= {}").format(sql.Placeholder(f"cut_{position}"))
                if leg.cut
                else sql.SQL("true"),
            )
            for position, leg in enumerate(shape.vectors)
        )
        kept: list[sql.Composable] = [sql.SQL("product_id IN ({})").format(near)]
        if shape.matches:
            kept.append(sql.SQL("NOT ({})").format(where(matching)))
        if among is not None:
            kept += narrowed
        parts.append(sql.SQL("SELECT {} FROM {} WHERE {}").format(read, products, where(kept)))
    if not parts:
        parts.append(sql.SQL("SELECT {} FROM {} WHERE {}").format(read, products, where(narrowed)))
    return sql.SQL(" UNION ALL ").join(parts)


@lru_cache(maxsize=1_024)
def search(shape: Shape) -> bytes:
    """The text of the statement that answers a page.

    Placeholders: `vector_<n>`, `window_<n>` and `cut_<n>` of each vector leg, `tier_<n>`, `term_<n>`, `value_<n>`, `importance_<n>`,
    `any_term`, `matched`, `avoid`, `filter_<n>`, `excluded`, `weight_<n>` of each leg, `window`, `limit`, `offset`, `after_value`,
    `after_id`. Rows: `product_id`, the hit's columns, `legs`, `ranks` and `values` (distance or coverage) of the legs that brought it; what
    it is ordered by, as text; for each vector leg how many it found, the largest distance, and which of `probes_<n>` are among them, as the
    text of a JSON array, NULL for an exact leg's probes; and, in the first row, an array of
    tallies (`tallies`), of `counted` and of each column of `aside`. There is always a first row; where the page is empty it
    has no product.
    """
    tables: list[sql.Composable] = [
        sql.SQL("{} AS MATERIALIZED ({}), {} AS MATERIALIZED ({})").format(
            sql.Identifier(f"vector_{position}"),
            vector_leg(shape, position),
            sql.Identifier(f"near_{position}"),
            _near(shape, position),
        )
        for position in range(len(shape.vectors))
    ]
    if shape.legs == ["listing"]:
        tables.append(sql.SQL("ordered AS ({})").format(_listing(shape)))
    else:
        tables += _ranked(shape)
    tables.append(
        sql.SQL(
            "page AS MATERIALIZED (SELECT *, row_number() OVER (ORDER BY {order}) AS place FROM ordered "
            "ORDER BY {order} LIMIT %(limit)s OFFSET %(offset)s)"
        ).format(order=_order(shape))
        if shape.legs != ["listing"]
        else sql.SQL(
            "page AS MATERIALIZED (SELECT *, {before} + row_number() OVER (ORDER BY {order}) AS place FROM ordered "
            "ORDER BY {order} LIMIT %(limit)s{offset})"
        ).format(
            order=_order(shape),
            before=sql.SQL("%(offset)s::int8" if shape.after else "0"),
            offset=sql.SQL("" if shape.after else " OFFSET %(offset)s"),
        )
    )
    proofs = [
        sql.SQL("(SELECT json_build_array(count(*), max(distance), {})::text FROM {})").format(
            sql.SQL("NULL")
            if leg.path == "exact"
            else sql.SQL("array_agg(product_id) FILTER (WHERE product_id = ANY({}::uuid[]))").format(
                sql.Placeholder(f"probes_{position}")
            ),
            sql.Identifier(f"vector_{position}"),
        )
        for position, leg in enumerate(shape.vectors)
    ]
    counts: sql.Composable = sql.SQL("NULL")
    if shape.counted is not None:
        tallies = [tally(_found(shape, counted(shape.counted)), shape.counted)]
        for column, among in shape.aside:
            tallies.append(tally(_found(shape, counted((column,)), among), (column,)))
        counts = sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(tallies))
    return (
        sql.SQL(
            "WITH {tables} SELECT page.product_id::text, {columns}, page.legs, page.ranks, page.values, page.key, "
            "ARRAY[{proofs}]::text[], CASE WHEN page.place IS NULL OR page.place = %(offset)s::int8 + 1 THEN {counts} END "
            "FROM (SELECT 1) AS one LEFT JOIN page ON true LEFT JOIN {products} ON products.product_id = page.product_id "
            "ORDER BY page.place"
        )
        .format(
            tables=sql.SQL(", ").join(tables),
            columns=sql.SQL(", ").join(map(sql.Identifier, HIT_COLUMNS)),
            proofs=sql.SQL(", ").join(proofs),
            counts=counts,
            products=table(shape.schema),
        )
        .as_bytes(None)
    )


def _ranked(shape: Shape) -> list[sql.Composable]:
    """The tables of a search by words or vectors, the last one `ordered`: all it may show, in no order yet."""
    tables: list[sql.Composable] = []
    ranked: list[sql.Composable] = [
        sql.SQL(
            "SELECT {leg} AS leg, product_id, {weight}::float8 AS weight, "
            "row_number() OVER (ORDER BY distance, product_id) AS rank, distance AS value FROM {found}"
        ).format(
            leg=sql.Literal(position),
            weight=sql.Placeholder(f"weight_{position}"),
            found=sql.Identifier(f"near_{position}"),
        )
        for position in range(len(shape.vectors))
    ]
    if shape.terms:
        tables += _text_leg(shape)
        ranked.append(
            sql.SQL(
                "SELECT {leg} AS leg, product_id, {weight}::float8 AS weight, "
                "rank() OVER (ORDER BY coverage DESC, relevance DESC) AS rank, coverage AS value FROM words"
            ).format(
                leg=sql.Literal(len(shape.vectors)), weight=sql.Placeholder(f"weight_{len(shape.vectors)}")
            )
        )
    tables += [
        sql.SQL("legs AS ({})").format(sql.SQL(" UNION ALL ").join(ranked)),
        sql.SQL(
            "fused AS MATERIALIZED (SELECT product_id, sum(weight / ({} + rank)) AS score, "
            "array_agg(leg ORDER BY leg) AS legs, array_agg(rank::int ORDER BY leg) AS ranks, "
            "array_agg(value::float8 ORDER BY leg) AS values FROM legs GROUP BY product_id)"
        ).format(sql.Literal(RANK_CONSTANT)),
    ]
    ordered = sql.SQL("SELECT product_id, score, legs, ranks, values, NULL::numeric AS key FROM fused")
    if shape.sort is not None:
        key, _ = shape.sort
        ordered = sql.SQL(
            "SELECT product_id, coalesce(score, 0) AS score, legs, ranks, values, found.key FROM ({}) AS found "
            "LEFT JOIN fused USING (product_id)"
        ).format(
            _found(shape, [sql.SQL("product_id"), sql.SQL("{}::numeric AS key").format(sql.Identifier(key))])
        )
    elif shape.whole:
        ordered += sql.SQL(
            " UNION ALL SELECT product_id, -1, NULL, NULL, NULL, NULL FROM ({}) AS found "
            "WHERE NOT EXISTS (SELECT FROM fused WHERE fused.product_id = found.product_id)"
        ).format(_found(shape, [sql.SQL("product_id")]))
    tables.append(sql.SQL("ordered AS ({})").format(ordered))
    return tables


def _order(shape: Shape) -> sql.Composed:
    if shape.sort is None:
        return sql.SQL("score DESC, product_id").format()
    return sql.SQL("key {}, product_id").format(_direction(shape.sort[1]))


def _direction(largest_first: bool) -> sql.SQL:
    return sql.SQL("DESC NULLS LAST" if largest_first else "ASC NULLS LAST")


def _listing(shape: Shape) -> sql.Composed:
    """A page of what the filters leave, and of nothing before it. Ordered by a column, which has an index, those without a value are read apart."""
    narrowed = conditions(shape.filters, shape.excludes)
    behind: list[sql.Composable] = []
    if shape.after in ("id", "none"):
        behind.append(sql.SQL("product_id > %(after_id)s::uuid"))
    reach = sql.SQL("%(limit)s" if shape.after else "(%(limit)s + %(offset)s)")

    def read(key: sql.Composable, kept: Sequence[sql.Composable], order: sql.Composable) -> sql.Composed:
        return sql.SQL(
            "SELECT product_id, 0::float8 AS score, ARRAY[0] AS legs, "
            "NULL::int[] AS ranks, ARRAY[NULL]::float8[] AS values, {key} AS key FROM {products} WHERE {where} "
            "ORDER BY {order} LIMIT {reach}"
        ).format(
            key=key, products=table(shape.schema), where=where([*narrowed, *kept]), order=order, reach=reach
        )

    by_id = sql.SQL("product_id")
    nothing = sql.SQL("NULL::numeric")
    if shape.sort is None:
        return read(nothing, behind, by_id)
    column, largest_first = shape.sort
    key = sql.Identifier(column)
    parts: list[sql.Composable] = []
    if shape.after != "none":
        kept: list[sql.Composable] = [sql.SQL("{} IS NOT NULL").format(key)]
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
