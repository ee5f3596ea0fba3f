"""Old systems drawn in the installation's own database, each in a schema of its own.

What belongs here: making such a schema once, whole or not at all, and where a reader finds it. What does not: what is in it.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql

from fashion_assets.postgres import server
from fashion_assets.postgres.connections import connect, wait_for
from fashion_assets.settings import Settings
from fashion_assets.sources.source import SourceError

_DRAWING = 7_051_922_312
"""Advisory lock of who draws: any number, the same everywhere."""

_BY = "Drawn by fashion-assets: "


def draw(settings: Settings, schema: str, what: str, fill: Callable[[psycopg.Connection[Any]], None]) -> bool:
    """Have `schema` filled, where it is not there or was drawn as something else than `what`; whether it was filled now. `fill` is given
    a connection that finds and makes tables in the schema, in a transaction.

    Raises SourceError where there is a schema of that name which was not drawn.
    """
    said = _BY + what
    with connect(settings) as connection:
        found = _comment(connection, schema)
        if found == said:
            return False
        wait_for(connection, _DRAWING, "draws a sample")
        found = _comment(connection, schema)  # by who drew it meanwhile
        if found == said:
            return False
        if found is not None and not found.startswith(_BY):
            raise SourceError(
                f"The schema {schema} of the database ({server.describe(settings)}) holds something that was not drawn here, and a "
                "sample would have that name. Rename it, or draw a sample of another size."
            )
        name = sql.Identifier(schema)
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(name))
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(name))
        connection.execute(sql.SQL("COMMENT ON SCHEMA {} IS {}").format(name, sql.Literal(said)))
        row = connection.execute("SHOW search_path").fetchone()
        assert row is not None
        connection.execute(
            "SELECT set_config('search_path', %s, true)", (f"{name.as_string(connection)}, {row[0]}",)
        )
        fill(connection)
    return True


def _comment(connection: psycopg.Connection[Any], schema: str) -> str | None:
    """What is said of a schema; None where there is none of that name."""
    row = connection.execute(
        "SELECT coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace WHERE nspname = %s",
        (schema,),
    ).fetchone()
    return None if row is None else row[0]


def url(settings: Settings, schema: str) -> str:
    """Where a reader of somebody's database finds the schema's tables. Holds the password, if there is one: it is never kept."""
    given = {**server.parameters(settings), "search_path": schema}
    given.pop("options", None)  # of our own sessions
    return f"postgresql:///?{urlencode(given, quote_via=quote)}"
