"""Comments and rights of a release's tables, and of the views onto them: what they hold in words, and what readers may read.

What belongs here: putting both into the database. What does not: what they are (`serving`), making the tables
(`release.build`), the views (`release.views`), the role that reads (`reader`).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from fashion_assets.warehouse import value_counts
from fashion_assets.warehouse.schemas import SERVING
from fashion_assets.warehouse.serving import SERVED, TABLES

_WITH_PRIVATE = [name for name, table in TABLES.items() if table.private]

READS_TOO_MUCH = sql.SQL(
    "EXISTS (SELECT FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace = to_regnamespace({schema}) "
    "AND c.relname IN ({tables}) AND a.grantor = c.relowner AND a.grantee = r.oid AND a.privilege_type = 'SELECT')"
).format(schema=sql.Literal(SERVING), tables=sql.SQL(", ").join(map(sql.Literal, _WITH_PRIVATE)))
"""Condition on a role `r` of `pg_roles`: that it may read private columns of the serving views."""

_PRESENT = """
SELECT c.relname::text, c.relkind = 'v', NULL::text, obj_description(c.oid, 'pg_class')
FROM pg_class c WHERE c.relnamespace = to_regnamespace(%(schema)s) AND c.relname = ANY(%(tables)s)
UNION ALL
SELECT c.relname::text, c.relkind = 'v', a.attname::text, col_description(c.oid, a.attnum)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = to_regnamespace(%(schema)s) AND c.relname = ANY(%(tables)s)
"""


def describe(connection: psycopg.Connection[Any], schema: str) -> None:
    """Give the tables, or views, of a schema and their columns a comment where they have none, in the caller's
    transaction."""
    _all(
        connection,
        [
            _comment(schema, table, is_view, column)
            for table, is_view, column, said in _present(connection, schema)
            if said is None and _wanted(table, column)
        ],
    )


def let_read(connection: psycopg.Connection[Any], schema: str, reader: str) -> None:
    """Let the reader role read the tables, or views, of a schema, but for private columns, in the caller's transaction."""
    columns: dict[str, list[str]] = {}
    for table, _, column, _ in _present(connection, schema):
        columns.setdefault(table, []).extend([column] if column else [])
    role = sql.Identifier(reader)
    statements = [sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), role)]
    for table, present in columns.items():
        name = sql.Identifier(schema, table)
        if SERVED[table].private:
            # What was granted on the whole table covers every column.
            statements.append(sql.SQL("REVOKE SELECT ON {} FROM {}").format(name, role))
            statements += _grants(schema, table, present, reader)
        else:
            statements.append(sql.SQL("GRANT SELECT ON {} TO {}").format(name, role))
    if connection.execute("SELECT to_regclass(%s)", (f"{schema}.{value_counts.TABLE}",)).fetchone() != (
        None,
    ):
        statements.append(
            sql.SQL("GRANT SELECT ON {} TO {}").format(sql.Identifier(schema, value_counts.TABLE), role)
        )
    _all(connection, statements)


def let_read_declared(
    schema: str, readable: Mapping[str, Collection[str]], reader: str
) -> list[sql.Composed]:
    """What lets the reader role read these columns, and no others, of declared tables, or of the views onto them. What a source
    knows of people is nobody's to read unless it says so."""
    statements = []
    for table, columns in readable.items():
        name, role = sql.Identifier(schema, table), sql.Identifier(reader)
        statements.append(sql.SQL("REVOKE ALL ON {} FROM {}").format(name, role))
        if columns:
            listed = sql.SQL(", ").join(map(sql.Identifier, sorted({*columns, "source"})))
            statements.append(sql.SQL("GRANT SELECT ({}) ON {} TO {}").format(listed, name, role))
    return statements


def describe_declared(
    connection: psycopg.Connection[Any], schema: str, release: str, views: Mapping[str, Collection[str]]
) -> list[sql.Composed]:
    """What gives the views of `schema` onto declared tables, which have these columns, the comments of the release's tables."""
    rows = connection.execute(
        """
        SELECT c.relname::text, NULL::text, obj_description(c.oid, 'pg_class') FROM pg_class c
        WHERE c.relnamespace = to_regnamespace(%(release)s) AND c.relname = ANY(%(tables)s)
        UNION ALL
        SELECT c.relname::text, a.attname::text, col_description(c.oid, a.attnum)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = to_regnamespace(%(release)s) AND c.relname = ANY(%(tables)s)
        """,
        {"release": release, "tables": list(views)},
    ).fetchall()
    return [
        sql.SQL("COMMENT ON {} {} IS {}").format(
            sql.SQL("COLUMN" if column else "VIEW"),
            sql.Identifier(schema, table, *((column,) if column else ())),
            sql.Literal(said),
        )
        for table, column, said in rows
        if said and (column is None or column in views[table])
    ]


def for_new_columns(schema: str, new: Mapping[str, Collection[str]], reader: str) -> list[sql.Composed]:
    """What makes columns known and read that views of `schema` are about to get."""
    statements: list[sql.Composed] = []
    for view, columns in new.items():
        if view not in SERVED:
            continue
        statements += [_comment(schema, view, True, column) for column in columns if _wanted(view, column)]
        if SERVED[view].private:
            statements += _grants(schema, view, list(columns), reader)
    return statements


def _grants(schema: str, table: str, columns: Sequence[str], reader: str) -> list[sql.Composed]:
    """What lets a reader read those of the columns that are not private."""
    allowed = [sql.Identifier(column) for column in columns if column not in SERVED[table].private]
    grant = sql.SQL("GRANT SELECT ({}) ON {} TO {}")
    listed = sql.SQL(", ").join(allowed)
    return [grant.format(listed, sql.Identifier(schema, table), sql.Identifier(reader))] if allowed else []


def _wanted(table: str, column: str | None) -> str | None:
    return SERVED[table].comments.get(column) if column else SERVED[table].comment


def _comment(schema: str, table: str, is_view: bool, column: str | None) -> sql.Composed:
    kind = "COLUMN" if column else "VIEW" if is_view else "TABLE"
    name = sql.Identifier(schema, table, *((column,) if column else ()))
    return sql.SQL("COMMENT ON {} {} IS {}").format(sql.SQL(kind), name, sql.Literal(_wanted(table, column)))


def _present(
    connection: psycopg.Connection[Any], schema: str
) -> list[tuple[str, bool, str | None, str | None]]:
    """Each table or view there is, and each of its columns: table, whether it is a view, column or none, its comment."""
    return connection.execute(_PRESENT, {"schema": schema, "tables": list(SERVED)}).fetchall()


def _all(connection: psycopg.Connection[Any], statements: Sequence[sql.Composed]) -> None:
    if statements:  # in one round trip
        connection.execute(sql.SQL("; ").join(statements))
