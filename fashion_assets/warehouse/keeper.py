"""The role by which the search API keeps what people tell and what a merchant decides, and does nothing else: making it, taking it on, its rights.

What belongs here: the role, and its rights. What does not: what is kept (`feedback`, `searches`, `merchandising`), the roles that read what is
served (`reader`) and that other programs write favourites by (`writer`).

The API's connections are the owner's, as the registers are nobody else's to read. Those that write become this role as they are made: a fault in what
writes cannot reach a release, a register, or a key.
"""

from typing import Any, LiteralString

import psycopg
from psycopg import sql

from fashion_assets.warehouse import reader, writer
from fashion_assets.warehouse.schemas import OPS

KEPT: dict[str, tuple[LiteralString, ...]] = {
    "feedback": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "feedback_events": ("SELECT", "INSERT", "DELETE"),
    "searches": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "synonyms": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "search_rules": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    # Its one row is there from the beginning.
    "merchandising": ("SELECT", "UPDATE"),
}
"""What may be done to each table that something is kept in."""

READ: dict[str, tuple[str, ...]] = {
    "id_map": ("product_id", "source", "external_id"),
    "sources": ("name",),
}
"""Columns by which products are known that somebody names."""

WRITES_AS_OWNER = (
    "what people like and a merchant decides is written with the owner's rights, as there is no role %s, or this one may not become it: "
    "fashion-assets migrate"
)

_LACKING = """
SELECT NOT coalesce(has_schema_privilege(r.oid, to_regnamespace(%(schema)s), 'USAGE') AND bool_and(
    has_any_column_privilege(r.oid, c.oid, asked.privilege)), false)
FROM pg_roles r, unnest(%(tables)s::text[], %(privileges)s::text[]) AS asked (name, privilege)
LEFT JOIN pg_class c ON c.relnamespace = to_regnamespace(%(schema)s) AND c.relname = asked.name
WHERE r.rolname = %(role)s GROUP BY r.oid
"""

# DELETE is of whole tables alone, of which has_any_column_privilege knows nothing.
_ASKED = [
    *((table, each) for table, rights in KEPT.items() for each in rights if each != "DELETE"),
    *((table, "SELECT") for table in READ),
]


def make(connection: psycopg.Connection[Any], keeper: str) -> str | None:
    """Make the role where it is missing, and let this session's role become it where that can be, in the caller's transaction; returns the
    statement an administrator would have to run where it cannot be made. The API does without, with the owner's rights."""
    missing = writer.make(connection, keeper)
    if missing is None:
        reader.let_become(connection, keeper)
    return missing


def let_keep(connection: psycopg.Connection[Any], keeper: str) -> None:
    """Give the role its rights, as far as it is there, in the caller's transaction."""
    row = connection.execute(
        _LACKING,
        {
            "schema": OPS,
            "role": keeper,
            "tables": [table for table, _ in _ASKED],
            "privileges": [privilege for _, privilege in _ASKED],
        },
    ).fetchone()
    if row != (True,):
        return
    role = sql.Identifier(keeper)
    statements = [sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(OPS), role)]
    for table, rights in KEPT.items():
        statements.append(
            sql.SQL("GRANT {} ON {} TO {}").format(
                sql.SQL(", ").join(map(sql.SQL, rights)), sql.Identifier(OPS, table), role
            )
        )
    for table, columns in READ.items():
        listed = sql.SQL(", ").join(map(sql.Identifier, columns))
        statements.append(
            sql.SQL("GRANT SELECT ({}) ON {} TO {}").format(listed, sql.Identifier(OPS, table), role)
        )
    connection.execute(sql.SQL("; ").join(statements))


def become(connection: psycopg.Connection[Any], keeper: str) -> bool:
    """Have a session do nothing from now on but what the role may; whether it could. Where there is no such role, it has not its rights, or this
    session's may not become it, nothing is changed."""
    there = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (keeper,)).fetchone()
    if there is None or reader.missing_grant(connection, keeper) is not None:
        return False
    may = connection.execute(
        "SELECT has_schema_privilege(%(role)s, to_regnamespace(%(schema)s), 'USAGE')",
        {"role": keeper, "schema": OPS},
    ).fetchone()
    if may != (True,):
        return False
    connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(keeper)))
    return True
