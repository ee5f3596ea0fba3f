"""The role that reads what is served, and nothing else: making it, and whether searches can take it on.

What belongs here: the role itself. What does not: what it may read (`release_tables`).
"""

from contextlib import suppress
from typing import Any, LiteralString, cast

import psycopg
from psycopg import sql

from fashion_assets.postgres.errors import NoRights

MISSING_GRANT = """
SELECT CASE
    WHEN (SELECT CASE WHEN asked.version >= 160000 THEN pg_has_role(session_user, oid, 'SET')
                      ELSE pg_has_role(session_user, oid, 'MEMBER') END
          FROM pg_roles WHERE rolname = asked.role) THEN NULL
    ELSE format('GRANT %%I TO %%I%%s', asked.role, session_user,
                CASE WHEN asked.version >= 160000 THEN ' WITH SET TRUE' ELSE '' END)
    END
FROM (SELECT %(role)s::text AS role, current_setting('server_version_num')::int AS version) AS asked
"""
"""The statement that would let this session's role become another one; NULL where it may. As long as it may not, searches
have its own rights and not a reader's."""

_MISSING_USAGE = """
SELECT format('GRANT USAGE ON SCHEMA %%I TO %%I', n.nspname, %(role)s::text)
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'vector' AND NOT has_schema_privilege(%(role)s, n.oid, 'USAGE')
"""


def make(connection: psycopg.Connection[Any], reader: str, where: str) -> None:
    """Make the role where it is missing, and let this session's role become it where that can be, in the caller's
    transaction.

    Raises `NoRights` where it cannot be made, or could not search, since pgvector is closed to it.
    """
    # Roles belong to the whole server: another database of it may be making the same one.
    try:
        with connection.transaction():
            if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (reader,)).fetchone() is None:
                connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(reader)))
    except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
        pass
    except psycopg.errors.InsufficientPrivilege as error:
        raise NoRights(
            f"There is no role {reader}, which reads what is served, and this one may not make it ({where}). Let an "
            f"administrator run `CREATE ROLE {_name(connection, reader)} NOLOGIN` and `{missing_grant(connection, reader)}`, "
            "or name another role in FASHION_ASSETS_READER_ROLE."
        ) from error
    if _granted(connection, _MISSING_USAGE, reader) is not None:
        raise NoRights(
            f"The role {reader} may not use the schema pgvector is in ({where}), and could not search. Let the schema's owner "
            f"run `{_first(connection, _MISSING_USAGE, reader)}`."
        )
    # Who made a role may become it, but not before saying so. Without it searches go on, and say what is missing.
    _granted(connection, MISSING_GRANT, reader)


def let_become(connection: psycopg.Connection[Any], role: str) -> None:
    """Let this session's role become another one that is there, where it may say so, in the caller's transaction."""
    _granted(connection, MISSING_GRANT, role)


def missing_grant(connection: psycopg.Connection[Any], reader: str) -> str | None:
    """The statement that would let this session's role become another one, as searches become the reader; None where it may."""
    return _first(connection, MISSING_GRANT, reader)


def searches_as_owner(reader: str, grant: str) -> str:
    """What to tell of searches that lack `grant`."""
    return f"searches have the owner's rights, as the role that searches may not become {reader}: `{grant}` mends it"


def _granted(connection: psycopg.Connection[Any], missing: LiteralString, reader: str) -> str | None:
    """Run the statement that is missing, if any; returns the one that is missing still."""
    statement = _first(connection, missing, reader)
    if statement is None:
        return None
    with suppress(psycopg.errors.InsufficientPrivilege), connection.transaction():
        connection.execute(sql.SQL(cast(LiteralString, statement)))
    return _first(connection, missing, reader)


def _first(connection: psycopg.Connection[Any], query: LiteralString, reader: str) -> str | None:
    row = connection.execute(query, {"role": reader}).fetchone()
    return row and row[0]


def _name(connection: psycopg.Connection[Any], role: str) -> str:
    row = connection.execute("SELECT quote_ident(%s)", (role,)).fetchone()
    assert row is not None
    return row[0]
