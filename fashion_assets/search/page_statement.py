"""The statement that answers a page: it finds, fuses, counts and fetches.

What belongs here: its text, built once for each shape. What does not: the shape and its settings (`statements`), the values, what the rows
say (`paging`).
"""

from collections.abc import Sequence

from psycopg import sql

from fashion_assets.search.kept import remembered
from fashion_assets.search.query import HIT_COLUMNS
from fashion_assets.search.statements import (
    COMPARING,
    Shape,
    conditions,
    distance,
    each_condition,
    narrowing,
    table,
    where,
)
from fashion_assets.search.tallies import FOUND_MOST, counted, tally
from fashion_assets.warehouse.serving import PRODUCT_STYLE_AFFINITY

RANK_CONSTANT = 60
"""k of reciprocal rank fusion (Cormack, Clarke, Büttcher: Reciprocal Rank Fusion, SIGIR 2009)."""


def _carried(shape: Shape) -> list[sql.Composable]:
    """What vector legs bring along of each row they read, so that no row is looked up again to be counted, ordered or judged by its words."""
    columns: list[str] = [
        *(shape.counted or ()),
        *(column for column, _ in shape.aside),
        *(column for column in shape.terms if column is not None),
        *([] if shape.sort is None else [shape.sort[0]]),
        *(["search_vector"] if shape.matches or shape.terms else []),
    ]
    return [sql.Identifier(column) for column in dict.fromkeys(columns)]


def _with(read: Sequence[sql.Composable]) -> sql.Composed:
    """Further columns of a SELECT."""
    return sql.Composed([sql.SQL(", ") + each for each in read])


def _meets(place: int) -> sql.Identifier:
    """What a leg of all products says of whether a row meets a condition."""
    return sql.Identifier(f"meets {place}")


def vector_leg(shape: Shape, position: int) -> sql.Composed:
    """The `%(window_<position>)s` products nearest to `%(vector_<position>)s` in a leg's space, with their distance and what is carried."""
    leg = shape.vectors[position]
    carried = _carried(shape)
    own: list[sql.Composable] = [sql.SQL("embedding_space = {}").format(sql.Literal(leg.space))]
    if leg.path == "styles":
        own.append(
            sql.SQL(
                "product_id IN (SELECT product_id FROM {} WHERE rank = 1 AND cluster = ANY({}::smallint[]))"
            ).format(table(shape.schema, PRODUCT_STYLE_AFFINITY.name), sql.Placeholder(f"styles_{position}"))
        )
    narrowed = narrowing(shape)
    if leg.path in COMPARING:
        # The bare column, which no index is on.
        nearest = _nearest(
            shape,
            position,
            sql.SQL("embedding <=> {}::halfvec").format(sql.Placeholder(f"vector_{position}")),
            [],
            [*own, *narrowed],
        )
        if not carried:
            return nearest
        # Of the nearest alone: each row that is compared is copied to be sorted, with whatever is read of it.
        return sql.SQL(
            "SELECT product_id, distance{carried} FROM ({nearest}) AS nearest JOIN {products} USING (product_id)"
        ).format(carried=_with(carried), nearest=nearest, products=table(shape.schema))
    met = [
        sql.SQL("{} AS {}").format(each, _meets(place))
        for place, each in enumerate(narrowed if leg.whole else ())
    ]
    return _nearest(
        shape,
        position,
        distance(leg, f"vector_{position}"),
        [*carried, *met],
        own + ([] if leg.whole else narrowed),
    )


def _nearest(
    shape: Shape,
    position: int,
    nearness: sql.Composable,
    columns: Sequence[sql.Composable],
    kept: Sequence[sql.Composable],
) -> sql.Composed:
    return sql.SQL(
        "SELECT product_id, {nearness} AS distance{columns} FROM {products} WHERE {where} ORDER BY {nearness} LIMIT {window}"
    ).format(
        nearness=nearness,
        columns=_with(columns),
        products=table(shape.schema),
        where=where(kept),
        window=sql.Placeholder(f"window_{position}"),
    )


def _within(shape: Shape, position: int) -> list[sql.Composable]:
    """The condition of those of a leg that are within the cut-off."""
    if not shape.vectors[position].cut:
        return []
    return [sql.SQL("distance <= {}").format(sql.Placeholder(f"cut_{position}"))]


def _near(shape: Shape, position: int) -> sql.Composed:
    """What of a vector leg is found: those within the cut-off, of all products those that meet the filters."""
    kept = _within(shape, position)
    if shape.vectors[position].whole:
        kept += [_meets(place) for place in range(len(narrowing(shape)))]
    return sql.SQL("SELECT product_id, distance{} FROM {} WHERE {}").format(
        _with(_carried(shape)), sql.Identifier(f"vector_{position}"), where(kept)
    )


MENTIONED = 0.5
"""What a term counts that a product's text has, while the column the words name has another value."""


def _covered(column: str | None, position: int, lexemes: sql.Composed) -> sql.Composed:
    mentioned = sql.SQL("(search_vector @@ {})").format(lexemes)
    if column is None:
        return sql.SQL("{}::int").format(mentioned)
    return sql.SQL("CASE WHEN {} = {} THEN 1::float8 WHEN {} THEN {}::float8 ELSE 0::float8 END").format(
        sql.Identifier(column), sql.Placeholder(f"value_{position}"), mentioned, sql.Literal(MENTIONED)
    )


def _text_leg(shape: Shape) -> list[sql.Composable]:
    products, narrowed = table(shape.schema), narrowing(shape)
    lexemes = sql.SQL("to_tsquery('english', {})")
    carried = _with(_carried(shape))
    branches = [
        sql.SQL("(SELECT product_id{} FROM {} WHERE {} LIMIT %(window)s)").format(
            carried,
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
    near = [sql.Identifier(f"near_{position}") for position in range(len(shape.vectors))]
    found: list[sql.Composable] = [
        sql.SQL("SELECT product_id{} FROM {}").format(carried, each) for each in near
    ]
    if branches:
        # Spaces share no product, and what is near was said already.
        unsaid = [sql.SQL("product_id NOT IN (SELECT product_id FROM {})").format(each) for each in near]
        found.append(
            sql.SQL("SELECT * FROM (SELECT * FROM ({}) AS tiers LIMIT %(window)s) AS first WHERE {}").format(
                sql.SQL(" UNION ALL ").join(branches), where(unsaid)
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
        sql.SQL("candidates AS ({})").format(sql.SQL(" UNION ALL ").join(found)),
        sql.SQL(
            "words AS MATERIALIZED (SELECT product_id, {coverage} AS coverage, "
            "ts_rank(search_vector, {any}) AS relevance FROM candidates "
            "WHERE search_vector @@ {any}{refused} ORDER BY coverage DESC, relevance DESC, product_id LIMIT %(window)s)"
        ).format(coverage=coverage, any=lexemes.format(sql.Placeholder("any_term")), refused=refused),
    ]


_AVOIDED = sql.SQL("to_tsquery('english', %(avoid)s)")


def _matching(shape: Shape) -> list[sql.Composable]:
    """The condition of those whose words are found, in parts."""
    matching: list[sql.Composable] = [sql.SQL("search_vector @@ to_tsquery('english', %(matched)s)")]
    if shape.avoids:
        matching.append(sql.SQL("NOT search_vector @@ {}").format(_AVOIDED))
    return matching


def _found(shape: Shape, columns: Sequence[sql.Composable], pins: bool = True) -> sql.Composed:
    """Columns of every product that is found, each once; `pins`: those that are pinned, too."""
    narrowed = narrowing(shape)
    legs = [
        (sql.Identifier(f"near_{position}"), list[sql.Composable]()) for position in range(len(shape.vectors))
    ]
    return _read(shape, columns, narrowed, legs, conditions(shape.filters) if pins else None)


def _nearly_found(shape: Shape, columns: Sequence[sql.Composable]) -> sql.Composed:
    """The same of every product that at most the filters on one of the columns counted `aside` leave out, with the number of that column, from
    1, as `missed`; 0 of those that are found. No leg goes by the filters."""
    narrowed = narrowing(shape)
    whole = [_meets(place) for place in range(len(narrowed))]
    legs = []
    for position in range(len(shape.vectors)):
        missed, kept = _missed(shape, whole)
        legs.append((sql.Identifier(f"vector_{position}"), [*_within(shape, position), *kept], missed))
    missed, kept = _missed(shape, narrowed)
    _, pinned = _missed(shape, conditions(shape.filters))
    return _read(shape, columns, kept, legs, pinned, missed)


def _missed(shape: Shape, met: Sequence[sql.Composable]) -> tuple[sql.Composed, list[sql.Composable]]:
    """Of a row that meets conditions: the column whose filters it misses, and what must hold for there to be one at the most."""
    others = [among for _, among in shape.aside]
    counted = range(len(shape.filters))
    shared = [
        each
        for place, each in enumerate(met)
        if all(place in among for among in others) or place not in counted
    ]
    beside = [
        where([met[place] for place in among if any(place not in other for other in others)])
        for among in others
    ]
    all_met = where([met[place] for place in counted if any(place not in other for other in others)])
    return (
        sql.SQL("CASE WHEN {} THEN 0 {} END").format(
            all_met,
            sql.SQL(" ").join(
                sql.SQL("WHEN {} THEN {}").format(each, sql.Literal(number))
                for number, each in enumerate(beside, start=1)
            ),
        ),
        [
            *shared,
            sql.SQL("({})").format(sql.SQL(" OR ").join(sql.SQL("({})").format(each) for each in beside)),
        ],
    )


def _read(
    shape: Shape,
    columns: Sequence[sql.Composable],
    narrowed: Sequence[sql.Composable],
    legs: Sequence[tuple],
    pinned: Sequence[sql.Composable] | None,
    missed: sql.Composable | None = None,
) -> sql.Composed:
    """Columns of products whose words match and that meet conditions, and of those of legs that meet theirs and whose words do not; and of
    those that are pinned and meet theirs, if there are any."""
    products, matching = table(shape.schema), _matching(shape)

    def read(of: sql.Composable | None) -> sql.Composed:
        return sql.SQL(", ").join([*columns, *([] if of is None else [of + sql.SQL(" AS missed")])])

    parts: list[sql.Composable] = []
    if shape.matches:
        parts.append(
            sql.SQL("(SELECT {} FROM {} WHERE {} LIMIT {})").format(
                read(missed), products, where([*matching, *narrowed]), sql.Literal(FOUND_MOST)
            )
        )
    for leg, kept, *of in legs:
        told = [sql.SQL("NOT ({})").format(where(matching))] if shape.matches else []
        parts.append(
            sql.SQL("SELECT {} FROM {} WHERE {}").format(read(*of or [None]), leg, where([*kept, *told]))
        )
    if not parts:
        parts.append(sql.SQL("SELECT {} FROM {} WHERE {}").format(read(missed), products, where(narrowed)))
    if shape.pins and pinned is not None:
        # None of them is among the others, which are found without what is excluded.
        own = [sql.SQL("product_id = ANY(%(pinned)s::uuid[])"), *pinned]
        parts.append(sql.SQL("SELECT {} FROM {} WHERE {}").format(read(missed), products, where(own)))
    return sql.SQL(" UNION ALL ").join(parts)


@remembered(1_024)
def search(shape: Shape) -> bytes:
    """The text of the statement that answers a page.

    Placeholders: `hidden`, `pinned`, `boost_<n>_<m>`, `factor_<n>`, `vector_<n>`, `window_<n>`, `cut_<n>` and `styles_<n>` of each vector leg, `tier_<n>`, `term_<n>`, `value_<n>`, `importance_<n>`,
    `any_term`, `matched`, `avoid`, `filter_<n>`, `excluded`, `weight_<n>` of each leg, `window`, `limit`, `offset`, `after_value`,
    `after_id`. Rows: `product_id`, the hit's columns, `legs`, `ranks` and `values` (distance or coverage) of the legs that brought it; which
    boosts it meets; what it is ordered by, as text; for each vector leg how many it found, the largest distance, and which of `probes_<n>` are among them, as the
    text of a JSON array, NULL for an exact leg's probes; and, in the first row, the
    tally (`tallies`) of `counted` and the columns of `aside`. There is always a first row; where the page is empty it
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
        aside = tuple(column for column, _ in shape.aside)
        columns = (*shape.counted, *aside)
        found = _nearly_found if aside else _found
        counts = tally(found(shape, counted(columns)), columns, len(aside))
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
    if len(ranked) == 1:
        tables.append(
            sql.SQL(
                "fused AS MATERIALIZED (SELECT product_id, weight / ({} + rank) AS score, ARRAY[leg] AS legs, "
                "ARRAY[rank::int] AS ranks, ARRAY[value::float8] AS values FROM ({}) AS legs)"
            ).format(sql.Literal(RANK_CONSTANT), ranked[0])
        )
    else:
        tables += [
            sql.SQL("legs AS ({})").format(sql.SQL(" UNION ALL ").join(ranked)),
            sql.SQL(
                "fused AS MATERIALIZED (SELECT product_id, sum(weight / ({} + rank)) AS score, "
                "array_agg(leg ORDER BY leg) AS legs, array_agg(rank::int ORDER BY leg) AS ranks, "
                "array_agg(value::float8 ORDER BY leg) AS values FROM legs GROUP BY product_id)"
            ).format(sql.Literal(RANK_CONSTANT)),
        ]
    ranking = sql.SQL("fused")
    if shape.boosts:
        tables += _boosted(shape)
        ranking = sql.SQL("boosted")
    ordered = sql.SQL("SELECT *, NULL::numeric AS key FROM {}").format(ranking)
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
            " UNION ALL SELECT product_id, -1, NULL, NULL, NULL, {nothing}NULL FROM ({found}) AS found "
            "WHERE NOT EXISTS (SELECT FROM {ranking} AS ranked WHERE ranked.product_id = found.product_id)"
        ).format(
            nothing=sql.SQL("NULL, " if shape.boosts else ""),
            found=_found(shape, [sql.SQL("product_id")], pins=False),
            ranking=ranking,
        )
    tables.append(sql.SQL("ordered AS ({})").format(ordered))
    return tables


def _factors(shape: Shape) -> tuple[list[sql.Composed], sql.Composed]:
    """Whether a product meets each of the boosts, and the product of the factors of those it meets."""
    met = [
        sql.SQL("(({}) IS TRUE)").format(where(each_condition(filters, f"boost_{number}")))
        for number, (filters, _) in enumerate(shape.boosts)
    ]
    factors = sql.SQL(" * ").join(
        sql.SQL("CASE WHEN {} THEN {}::float8 ELSE 1 END").format(each, sql.Placeholder(f"factor_{number}"))
        for number, each in enumerate(met)
    )
    return met, factors


def _boosted(shape: Shape) -> list[sql.Composable]:
    """What is ranked, its scores multiplied by the factors of the boosts it meets. What a boost lifts, and whose words are found, is among
    it: as if the text leg had it last, if that leg did not get to it."""
    met, factors = _factors(shape)
    ranked = sql.SQL("SELECT * FROM fused")
    tables: list[sql.Composable] = []
    lifting = [each for each, (_, lifts) in zip(met, shape.boosts, strict=True) if lifts]
    if shape.matches and shape.terms and lifting:
        wanted = [*_matching(shape), *narrowing(shape), sql.SQL("({})").format(sql.SQL(" OR ").join(lifting))]
        tables.append(
            sql.SQL("lifted AS MATERIALIZED (SELECT product_id FROM {} WHERE {} LIMIT %(window)s)").format(
                table(shape.schema), where(wanted)
            )
        )
        ranked = sql.SQL(
            "SELECT * FROM fused UNION ALL SELECT product_id, {weight}::float8 / ({constant} + %(window)s), NULL, NULL, NULL "
            "FROM lifted WHERE NOT EXISTS (SELECT FROM fused WHERE fused.product_id = lifted.product_id)"
        ).format(weight=sql.Placeholder(f"weight_{len(shape.vectors)}"), constant=sql.Literal(RANK_CONSTANT))
    tables.append(
        sql.SQL(
            "boosted AS MATERIALIZED (SELECT product_id, score * {factors} AS score, legs, ranks, values, ARRAY[{met}] AS boosts "
            "FROM ({ranked}) AS ranked JOIN {products} USING (product_id))"
        ).format(factors=factors, met=sql.SQL(", ").join(met), ranked=ranked, products=table(shape.schema))
    )
    return tables


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
    reach = sql.SQL("%(limit)s" if shape.after else "(%(limit)s + %(offset)s)")

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
        met, factors = _factors(shape)
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
