"""The role that writes what people write while a release is live, and nothing else: making it, and what it may do.

What belongs here: the role, and its rights. What does not: what becomes of what it wrote when another release goes live
(`release`), the role that reads (`reader`).

A program that reads as well is given both roles. The writer alone reads of what it writes only what is not personal: enough to find
the rows it changes.
"""

from typing import Any

import psycopg
from psycopg import sql

from fashion_assets.warehouse.serving import FAVOURITES, SERVED

WRITTEN = (FAVOURITES.name,)
"""Serving views that people's programs write to."""

_GRANTED = """
SELECT has_schema_privilege(r.oid, to_regnamespace(%(schema)s), 'USAGE') AND coalesce(bool_and(
    has_table_privilege(r.oid, c.oid, 'INSERT') AND has_table_privilege(r.oid, c.oid, 'UPDATE')
    AND has_table_privilege(r.oid, c.oid, 'DELETE')), true)
FROM pg_roles r
LEFT JOIN pg_class c ON c.relnamespace = to_regnamespace(%(schema)s) AND c.relname = ANY(%(views)s) AND c.relkind = 'v'
WHERE r.rolname = %(role)s GROUP BY r.oid
"""


def make(connection: psycopg.Connection[Any], writer: str) -> str | None:
    """Make the role where it is missing, in the caller's transaction; returns the statement that an administrator would have to run
    where this session's role may not. The product itself does without."""
    # Roles belong to the whole server: another database of it may be making the same one.
    try:
        with connection.transaction():
            if not _is_there(connection, writer):
                connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(writer)))
    except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
        pass
    except psycopg.errors.InsufficientPrivilege:
        return sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(writer)).as_string(connection)
    return None


def let_write(connection: psycopg.Connection[Any], schema: str, writer: str) -> None:
    """Let the writer role write to the views of `schema` that people write to, as far as both are there, in the caller's
    transaction."""
    if not _is_there(connection, writer) or not _is_lacking(connection, schema, writer):
        return
    role = sql.Identifier(writer)
    statements = [sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), role)]
    for view, columns in _present(connection, schema).items():
        name = sql.Identifier(schema, view)
        statements.append(sql.SQL("GRANT INSERT, UPDATE, DELETE ON {} TO {}").format(name, role))
        if found := [column for column in columns if column not in SERVED[view].private]:
            listed = sql.SQL(", ").join(map(sql.Identifier, found))
            statements.append(sql.SQL("GRANT SELECT ({}) ON {} TO {}").format(listed, name, role))
    connection.execute(sql.SQL("; ").join(statements))


def _is_there(connection: psycopg.Connection[Any], role: str) -> bool:
    return connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is not None


def _is_lacking(connection: psycopg.Connection[Any], schema: str, writer: str) -> bool:
    # A grant that changes nothing still locks a row of the catalogue, which a swap beside it would wait for.
    given = {"schema": schema, "role": writer, "views": list(WRITTEN)}
    return connection.execute(_GRANTED, given).fetchone() != (True,)


def _present(connection: psycopg.Connection[Any], schema: str) -> dict[str, list[str]]:
    rows = connection.execute(
        """
        SELECT c.relname::text, array_agg(a.attname::text ORDER BY a.attnum)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = to_regnamespace(%s) AND c.relkind = 'v' AND c.relname = ANY(%s) GROUP BY 1
        """,
        (schema, list(WRITTEN)),
    ).fetchall()
    return dict(rows)
