"""The part of a page's statement that finds what is near: a vector leg for each space.

What belongs here: the nearest of a leg, those within its cut-off, and what is carried along of them. What does not: how legs are put
together (`ranked_statement`), what else is found (`found_statement`), which path a leg takes (`path`).
"""

from collections.abc import Sequence
from functools import lru_cache

from psycopg import sql

from fashion_assets.search.statements import COMPARING, Shape, VectorLeg, distance, narrowing, table, where
from fashion_assets.warehouse.serving import PRODUCT_STYLE_AFFINITY


def carried_columns(shape: Shape) -> list[sql.Composable]:
    """What vector legs bring along of each row they read, so that no row is looked up again to be counted, ordered or judged by its words."""
    columns: list[str] = [
        *(shape.counted or ()),
        *(column for column, _ in shape.aside),
        *(column for column in shape.terms if column is not None),
        *([] if shape.sort is None else [shape.sort[0]]),
        *(["search_vector"] if shape.matches or shape.terms else []),
    ]
    return [sql.Identifier(column) for column in dict.fromkeys(columns)]


def further(read: Sequence[sql.Composable]) -> sql.Composed:
    """Further columns of a SELECT."""
    return sql.Composed([sql.SQL(", ") + each for each in read])


def meets(place: int) -> sql.Identifier:
    """What a leg of all products says of whether a row meets a condition."""
    return sql.Identifier(f"meets {place}")


def vector_leg(shape: Shape, position: int) -> sql.Composed:
    """The `%(window_<position>)s` products nearest to `%(vector_<position>)s` in a leg's space, with their distance and what is carried."""
    leg = shape.vectors[position]
    carried = carried_columns(shape)
    own: list[sql.Composable] = [_of_its_space(leg)]
    if leg.path == "styles":
        own.append(
            sql.SQL(
                "product_id IN (SELECT product_id FROM {} WHERE rank = 1 AND cluster = ANY({}::smallint[]))"
            ).format(table(shape.schema, PRODUCT_STYLE_AFFINITY.name), sql.Placeholder(f"styles_{position}"))
        )
    narrowed = narrowing(shape)
    if leg.path in COMPARING:
        # The bare column, which no index is on.
        gap = sql.SQL("embedding <=> {}::halfvec").format(sql.Placeholder(f"vector_{position}"))
        if leg.bounded:
            # What is too far anyway need not be copied to be sorted.
            narrowed.append(sql.SQL("{} <= {}").format(gap, sql.Placeholder(f"bound_{position}")))
        nearest = _nearest(shape, position, gap, [], [*own, *narrowed])
        if not carried:
            return nearest
        # Of the nearest alone: each row that is compared is copied to be sorted, with whatever is read of it.
        return sql.SQL(
            "SELECT product_id, distance{carried} FROM ({nearest}) AS nearest JOIN {products} USING (product_id)"
        ).format(carried=further(carried), nearest=nearest, products=table(shape.schema))
    met = [
        sql.SQL("{} AS {}").format(each, meets(place))
        for place, each in enumerate(narrowed if leg.whole else ())
    ]
    return _nearest(
        shape,
        position,
        distance(leg, f"vector_{position}"),
        [*carried, *met],
        own + ([] if leg.whole else narrowed),
    )


def _of_its_space(leg: VectorLeg) -> sql.Composed:
    """The condition of the products a leg is over. Of a release in one space they are those with a vector: it is read anyway, and the space's name is as long
    to compare as a tenth of a vector."""
    if leg.alone and leg.path in COMPARING:
        return sql.SQL("vector_dims(embedding) = {}").format(sql.Literal(leg.dimension))
    return sql.SQL("embedding_space = {}").format(sql.Literal(leg.space))


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
        columns=further(columns),
        products=table(shape.schema),
        where=where(kept),
        window=sql.Placeholder(f"window_{position}"),
    )


def within(shape: Shape, position: int) -> list[sql.Composable]:
    """The condition of those of a leg that are within the cut-off."""
    if not shape.vectors[position].cut:
        return []
    return [sql.SQL("distance <= {}").format(sql.Placeholder(f"cut_{position}"))]


@lru_cache(maxsize=256)
def still_nearer(shape: Shape, position: int) -> bytes:
    """The text of the statement that says which of the products `%(passed_over)s` a leg would find nearer than `%(nearer_than)s`; rows: `product_id`."""
    leg = shape.vectors[position]
    kept = [
        sql.SQL("product_id = ANY(%(passed_over)s::uuid[])"),
        sql.SQL("embedding_space = {}").format(sql.Literal(leg.space)),
        *([] if leg.whole else narrowing(shape)),
        sql.SQL("{} < %(nearer_than)s").format(distance(leg, f"vector_{position}")),
    ]
    return (
        sql.SQL("SELECT product_id::text FROM {} WHERE {}")
        .format(table(shape.schema), where(kept))
        .as_bytes(None)
    )


def near_tables(shape: Shape, position: int) -> list[sql.Composable]:
    """`vector_<position>`: what a vector leg looks at. `near_<position>`: what of it is found, those within the cut-off, of all products those that meet
    the filters."""
    kept = within(shape, position)
    if shape.vectors[position].whole:
        kept += [meets(place) for place in range(len(narrowing(shape)))]
    vector = sql.Identifier(f"vector_{position}")
    return [
        sql.SQL("{} AS MATERIALIZED ({})").format(vector, vector_leg(shape, position)),
        # What leaves nothing out need not be copied. An index may bring rows nearly in their order (`relaxed_order`): a sum has none, or the server
        # would take them for sorted.
        sql.SQL(
            "{} AS {}MATERIALIZED (SELECT product_id, distance + 0 AS distance{} FROM {} WHERE {})"
        ).format(
            sql.Identifier(f"near_{position}"),
            sql.SQL("" if kept else "NOT "),
            further(carried_columns(shape)),
            vector,
            where(kept),
        ),
    ]
