"""The part of a page's statement that ranks: the text leg, the fusion of all legs, and boosts.

What belongs here: what a score is made of. What does not: the order of a list in which nothing is ranked, and the page itself
(`page_statement`).
"""

from psycopg import sql

from fashion_assets.search.found_statement import AVOIDED, found_products, matching_words
from fashion_assets.search.near_statement import carried_columns, further
from fashion_assets.search.statements import Shape, each_condition, narrowing, table, where

RANK_CONSTANT = 60
"""k of reciprocal rank fusion (Cormack, Clarke, Büttcher: Reciprocal Rank Fusion, SIGIR 2009)."""

FEW = 10
"""Products at the most that are meant where they alone have all words, or the question word for word: no more than a page of them."""

MEANT = 0.2
"""What either counts then, where all terms count 1; the question word for word by how much of the title it is. Of 300 titles asked as they stand .98 are
found first, without .89 (`benchmarks/titles.py`); .15 does as well, and .3 loses plain questions."""

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
    carried = further(carried_columns(shape))
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
    refused = sql.SQL(" AND NOT search_vector @@ {}").format(AVOIDED) if shape.avoids else sql.SQL("")
    # Words that all name colours, kinds and people are no title's.
    named = len(shape.terms) > 1 and not {None, "brand"}.isdisjoint(shape.terms)
    best = sql.SQL(
        "SELECT product_id, {vector}{coverage} AS coverage, ts_rank(search_vector, {any}) AS relevance FROM candidates "
        "WHERE search_vector @@ {any}{refused} ORDER BY coverage DESC, relevance DESC, product_id LIMIT %(window)s"
    ).format(
        vector=sql.SQL("search_vector, " if named else ""),
        coverage=coverage,
        any=lexemes.format(sql.Placeholder("any_term")),
        refused=refused,
    )
    return [
        sql.SQL("candidates AS ({})").format(sql.SQL(" UNION ALL ").join(found)),
        sql.SQL("words AS MATERIALIZED ({})").format(_meant(best) if named else best),
    ]


def _meant(best: sql.Composed) -> sql.Composed:
    """The best by their words, with what counts besides the terms: that a few have all words, or the question word for word."""
    few = "count(*) FILTER (WHERE {}) OVER () BETWEEN 1 AND {}"
    few_all = sql.SQL(few).format(sql.SQL("has_all > 0"), sql.Literal(FEW))
    few_named = sql.SQL(few).format(sql.SQL("named > 0"), sql.Literal(FEW))
    return sql.SQL(
        "SELECT product_id, (coverage + has_all * few_all + named * few_named) / (1 + few_all + few_named) AS coverage, relevance "
        "FROM (SELECT *, CASE WHEN {few_all} THEN {meant} ELSE 0 END AS few_all, CASE WHEN {few_named} THEN {meant} ELSE 0 END AS few_named "
        "FROM (SELECT product_id, coverage, relevance, (search_vector @@ to_tsquery('english', %(every_term)s))::int AS has_all, "
        "CASE WHEN search_vector @@ phraseto_tsquery('english', %(said)s) THEN least(1, length(to_tsvector('english', %(said)s))::float8 "
        "/ greatest(1, length(ts_filter(search_vector, '{{a}}')))) ELSE 0 END AS named FROM ({best}) AS best) AS told) AS counted"
    ).format(
        best=best,
        few_all=few_all,
        few_named=few_named,
        meant=sql.SQL("{}::float8").format(sql.Literal(MEANT)),
    )


def ranked_tables(shape: Shape) -> list[sql.Composable]:
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
                # What has half of the terms counts half, however many others have less.
                "SELECT {leg} AS leg, product_id, {weight}::float8 * coverage AS weight, "
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
            found_products(
                shape, [sql.SQL("product_id"), sql.SQL("{}::numeric AS key").format(sql.Identifier(key))]
            )
        )
    elif shape.whole:
        ordered += sql.SQL(
            " UNION ALL SELECT product_id, -1, NULL, NULL, NULL, {nothing}NULL FROM ({found}) AS found "
            "WHERE NOT EXISTS (SELECT FROM {ranking} AS ranked WHERE ranked.product_id = found.product_id)"
        ).format(
            nothing=sql.SQL("NULL, " if shape.boosts else ""),
            found=found_products(shape, [sql.SQL("product_id")], pins=False),
            ranking=ranking,
        )
    tables.append(sql.SQL("ordered AS ({})").format(ordered))
    return tables


def boost_factors(shape: Shape) -> tuple[list[sql.Composed], sql.Composed]:
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
    met, factors = boost_factors(shape)
    ranked = sql.SQL("SELECT * FROM fused")
    tables: list[sql.Composable] = []
    lifting = [each for each, (_, lifts) in zip(met, shape.boosts, strict=True) if lifts]
    if shape.matches and shape.terms and lifting:
        wanted = [
            *matching_words(shape),
            *narrowing(shape),
            sql.SQL("({})").format(sql.SQL(" OR ").join(lifting)),
        ]
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
