"""The part of a page's statement that reads all a search finds, to be counted or put in order.

What belongs here: products whose words match, what is near beside them, those that one filter more leaves out. What does not: counting
them (`tallies`), ranking them (`ranked_statement`).
"""

from collections.abc import Sequence

from psycopg import sql

from fashion_assets.search.near_statement import meets, within
from fashion_assets.search.statements import Shape, conditions, narrowing, table, where
from fashion_assets.search.tallies import FOUND_MOST

AVOIDED = sql.SQL("to_tsquery('english', %(avoid)s)")


def matching_words(shape: Shape) -> list[sql.Composable]:
    """The condition of those whose words are found, in parts."""
    matching: list[sql.Composable] = [sql.SQL("search_vector @@ to_tsquery('english', %(matched)s)")]
    if shape.avoids:
        matching.append(sql.SQL("NOT search_vector @@ {}").format(AVOIDED))
    return matching


def number_matching(shape: Shape) -> sql.Composed:
    """How many products' words match, of those that are not left out: as many as are counted at the most."""
    return sql.SQL("(SELECT count(*) FROM (SELECT FROM {} WHERE {} LIMIT {}) AS matching)").format(
        table(shape.schema), where([*matching_words(shape), *narrowing(shape)]), sql.Literal(FOUND_MOST)
    )


def found_products(
    shape: Shape, columns: Sequence[sql.Composable], pins: bool = True, words: bool = True
) -> sql.Composed:
    """Columns of every product that is found, each once; `pins`: those that are pinned, too; `words`: those whose words match, too."""
    narrowed = narrowing(shape)
    legs = [
        (sql.Identifier(f"near_{position}"), list[sql.Composable]()) for position in range(len(shape.vectors))
    ]
    return _read(shape, columns, narrowed, legs, conditions(shape.filters) if pins else None, words=words)


def nearly_found_products(shape: Shape, columns: Sequence[sql.Composable]) -> sql.Composed:
    """The same of every product that at most the filters on one of the columns counted `aside` leave out, with the number of that column, from
    1, as `missed`; 0 of those that are found. No leg goes by the filters."""
    narrowed = narrowing(shape)
    whole = [meets(place) for place in range(len(narrowed))]
    legs = []
    for position in range(len(shape.vectors)):
        missed, kept = _missed(shape, whole)
        legs.append((sql.Identifier(f"vector_{position}"), [*within(shape, position), *kept], missed))
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
    words: bool = True,
) -> sql.Composed:
    """Columns of products whose words match and that meet conditions, unless `words` are left out, and of those of legs that meet theirs and whose
    words do not; and of those that are pinned and meet theirs, if there are any."""
    products, matching = table(shape.schema), matching_words(shape)

    def read(of: sql.Composable | None) -> sql.Composed:
        return sql.SQL(", ").join([*columns, *([] if of is None else [of + sql.SQL(" AS missed")])])

    parts: list[sql.Composable] = []
    if shape.matches and words:
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
        kept = [sql.SQL("false")] if shape.matches else narrowed
        parts.append(sql.SQL("SELECT {} FROM {} WHERE {}").format(read(missed), products, where(kept)))
    if shape.pins and pinned is not None:
        # None of them is among the others, which are found without what is excluded.
        own = [sql.SQL("product_id = ANY(%(pinned)s::uuid[])"), *pinned]
        parts.append(sql.SQL("SELECT {} FROM {} WHERE {}").format(read(missed), products, where(own)))
    return sql.SQL(" UNION ALL ").join(parts)
