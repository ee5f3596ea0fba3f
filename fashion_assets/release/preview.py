"""A preview: views of the newest contract onto a release that is not live, in a schema of its own, so that an application can be led to it before.

What belongs here: making them, finding them, letting them go. What does not: the serving views (`repointing`), which a preview never touches.

A preview's schema says in its comment what it is of, and is nobody else's: one without that comment is left alone. It goes with its release
(`warehouse.releases.drop_marked`).
"""

import re
from typing import Any

import psycopg
from psycopg import sql

from fashion_assets.postgres.errors import WarehouseError
from fashion_assets.release.views import Definitions, readable, views, wanted
from fashion_assets.settings import Settings
from fashion_assets.warehouse import contract, release_tables, releases
from fashion_assets.warehouse.releases import PREVIEW_OF, Release, ReleaseError
from fashion_assets.warehouse.schemas import OPS, SERVING
from fashion_assets.warehouse.serving import SERVED

SCHEMA = "fashion_preview"
"""A preview's schema, where nobody names one."""

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def preview(conn: psycopg.Connection[Any], settings: Settings, name: str, schema: str = SCHEMA) -> list[str]:
    """Have `schema` show a release as its readers would see it; returns the names of the views. One that shows another release is made anew.

    Raises `ReleaseError` where there is no such release or its tables are not there, `WarehouseError` where the schema may not be used or
    would open rows that the live release closes.
    """
    with conn.transaction():
        release = releases.get(conn, name)
        if release.state not in ("candidate", "live", "retired"):
            raise ReleaseError(f"{name} is {release.state}: there is nothing to look at")
        _require_free(conn, schema)
        _require_no_policies(conn, release)
        newest = contract.contracts()[-1].schema
        shall = wanted(conn, release, views(conn))[newest]
        definitions = Definitions(conn, release)
        conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
        conn.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        conn.execute(
            sql.SQL("COMMENT ON SCHEMA {} IS {}").format(
                sql.Identifier(schema), sql.Literal(f"{PREVIEW_OF}{name}")
            )
        )
        for view, columns in shall.items():
            conn.execute(definitions.statement(schema, view, columns))
        release_tables.let_read(conn, schema, settings.reader_role)
        release_tables.describe(conn, schema)
        declared = {view: columns for view, columns in shall.items() if view not in SERVED}
        opened = {
            view: columns & set(declared[view])
            for view, columns in readable(conn, release).items()
            if view in declared
        }
        for statement in [
            *release_tables.describe_declared(conn, schema, name, declared),
            *release_tables.let_read_declared(schema, opened, settings.reader_role),
        ]:
            conn.execute(statement)
    return list(shall)


def drop(conn: psycopg.Connection[Any], name: str) -> list[str]:
    """Let the previews of a release go; returns their schemas."""
    with conn.transaction():
        return releases.drop_previews(conn, name)


def _require_free(conn: psycopg.Connection[Any], schema: str) -> None:
    if not _NAME.fullmatch(schema) or schema.startswith((SERVING, OPS, "pg_", "dagster")):
        raise WarehouseError(
            f"{schema!r} is no name for a preview: give one of small letters, digits and _, which is not the product's own, as {SCHEMA}"
        )
    row = conn.execute(
        "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %s", (schema,)
    ).fetchone()
    if row is not None and not (row[0] or "").startswith(PREVIEW_OF):
        raise WarehouseError(
            f"The schema {schema} is there and is no preview: give another one, by --as SCHEMA."
        )


def _require_no_policies(conn: psycopg.Connection[Any], release: Release) -> None:
    """Rows that policies close in the live release are open in one that has none yet."""
    live = releases.live(conn)
    if live is None or live.release == release.release:
        return
    rows = conn.execute(
        "SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = to_regnamespace(%s) AND c.relrowsecurity EXCEPT "
        "SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = to_regnamespace(%s) AND c.relrowsecurity",
        (live.release, release.release),
    ).fetchall()
    if rows:
        tables = ", ".join(sorted(table for (table,) in rows))
        raise WarehouseError(
            f"Row security closes rows of {tables} in {live.release}, and {release.release} gets it only as it goes live: a preview would open "
            f"them. Give {release.release} policies of its own first."
        )
