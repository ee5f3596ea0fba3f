"""What differs between two releases: products that came, went and changed, and in which columns.

What belongs here: the comparison, made in the database. What does not: what a source says (`difference`), how it is shown (`cli`).
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from fashion_assets.warehouse.releases import Release

EXAMPLES = 10
"""Products that are named of each kind."""

SHOWN = 200
"""Characters of a value in an example."""


@dataclass
class Changes:
    """A release beside an earlier one."""

    former: str
    other: str
    equal: int = 0
    added: int = 0
    gone: int = 0
    changed: int = 0
    columns: dict[str, int] = field(default_factory=dict)
    """Products of both whose value of a column differs, by column, the most first."""
    examples: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """All figures, JSON-friendly."""
        return asdict(self)


def changes(conn: psycopg.Connection, former: Release, other: Release) -> Changes:
    """What is different in `other`. Products are the same by their id; of columns those are compared that both have, when a value was
    made canonical is no difference."""
    columns = _common_columns(conn, former, other)
    found = Changes(former.release, other.release)
    values = {name: tuple(_value(side, name, kind) for side in ("a", "b")) for name, kind in columns.items()}
    with conn.transaction():
        conn.execute(
            sql.SQL(
                """
                CREATE TEMPORARY TABLE differing ON COMMIT DROP AS
                SELECT coalesce(a.product_id, b.product_id) AS product_id, coalesce(a.source, b.source) AS source,
                       coalesce(a.external_id, b.external_id) AS external_id,
                       CASE WHEN a.product_id IS NULL THEN 'added' WHEN b.product_id IS NULL THEN 'gone' ELSE 'changed' END AS what,
                       CASE WHEN a.product_id = b.product_id THEN array_remove(ARRAY[{differing}]::text[], NULL) END AS columns
                FROM {former} a FULL JOIN {other} b USING (product_id)
                WHERE a.product_id IS NULL OR b.product_id IS NULL OR {differ}
                """
            ).format(
                differing=sql.SQL(", ").join(
                    sql.SQL("CASE WHEN {} IS DISTINCT FROM {} THEN {} END").format(a, b, sql.Literal(name))
                    for name, (a, b) in values.items()
                ),
                differ=sql.SQL(" OR ").join(
                    sql.SQL("{} IS DISTINCT FROM {}").format(a, b) for a, b in values.values()
                ),
                former=former.table("products"),
                other=other.table("products"),
            )
        )
        for what, count in conn.execute(
            "SELECT what, count(*) FROM pg_temp.differing GROUP BY what"
        ).fetchall():
            setattr(found, what, count)
        row = conn.execute(sql.SQL("SELECT count(*) FROM {}").format(former.table("products"))).fetchone()
        found.equal = (row[0] if row else 0) - found.gone - found.changed
        found.columns = dict(
            conn.execute(
                "SELECT name, count(*) FROM pg_temp.differing, unnest(columns) name WHERE what = 'changed' GROUP BY 1 "
                "ORDER BY 2 DESC, 1"
            ).fetchall()
        )
        for what in ("added", "gone", "changed"):
            for product, source, external_id, names in conn.execute(
                "SELECT product_id, source, external_id, columns FROM pg_temp.differing WHERE what = %s "
                "ORDER BY source, external_id LIMIT %s",
                (what, EXAMPLES),
            ).fetchall():
                example = {"what": what, "source": source, "external_id": external_id}
                if names:
                    example["columns"] = _both(conn, former, other, product, names)
                found.examples.append(example)
        conn.execute("DROP TABLE pg_temp.differing")
    return found


def _common_columns(conn: psycopg.Connection, *releases: Release) -> dict[str, str]:
    """Columns that all have and that are not made of others, with their types, in the first one's order."""
    each = [
        dict(
            conn.execute(
                "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 "
                "AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
                (release.table("products").as_string(conn),),
            ).fetchall()
        )
        for release in releases
    ]
    return {
        name: kind
        for name, kind in each[0].items()
        if name != "product_id" and all(columns.get(name) == kind for columns in each)
    }


def _value(side: str, name: str, kind: str) -> sql.Composed:
    """A column as it can be compared."""
    column = sql.SQL("{}.{}").format(sql.Identifier(side), sql.Identifier(name))
    if name == "normalized":
        return sql.SQL("({} - 'normalized_at')").format(column)
    return sql.SQL("{}::text").format(column) if kind == "json" else column


def _both(
    conn: psycopg.Connection, former: Release, other: Release, product: Any, names: list[str]
) -> dict[str, list[str | None]]:
    """The values of some columns of a product in both, as far as they are shown."""
    query = sql.SQL("SELECT {} FROM {} WHERE product_id = %s")
    shown = sql.SQL(", ").join(
        sql.SQL("left({}::text, {})").format(sql.Identifier(name), sql.Literal(SHOWN)) for name in names
    )
    sides = [
        conn.execute(query.format(shown, release.table("products")), (product,)).fetchone() or ()
        for release in (former, other)
    ]
    return {name: list(values) for name, values in zip(names, zip(*sides, strict=True), strict=True)}
