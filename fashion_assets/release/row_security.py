"""Row security of a release's tables, and the rights on them that views need which read with their reader's own (`security_invoker`).

What belongs here: giving both to the release that goes live, as the one before has them. What does not: what hangs on the views
(`attached`).

Policies can hang on tables alone, and a swap leads the views to other tables: without this, rows that somebody closed would be open.
"""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from fashion_assets.postgres.errors import WarehouseError
from fashion_assets.release import attached
from fashion_assets.release.views import View, trusted
from fashion_assets.warehouse.releases import Release

INVOKERS = {f"security_invoker={yes}" for yes in ("true", "on", "yes", "1")}


class _Policy(NamedTuple):
    name: str
    permissive: bool
    command: str
    roles: list[str]
    using: str | None
    check: str | None


class _RowSecurity(NamedTuple):
    """Of one table. Without any, all of it is false and empty."""

    enabled: bool
    forced: bool
    policies: list[_Policy]


_NONE = _RowSecurity(False, False, [])

_COMMANDS = {"r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE", "*": "ALL"}


def carry_over(conn: psycopg.Connection[Any], before: Release, after: Release, views: Iterable[View]) -> None:
    """Give the tables of the release that goes live the row security that those of the live one have, and, behind views with
    `security_invoker`, their rights; in the caller's transaction. A candidate that was given policies of its own keeps those.

    Raises `WarehouseError` where a policy cannot be: it names what the release does not have.
    """
    _carry_policies(conn, before, after)
    invoking = {view.name for view in views if INVOKERS & set(map(str.lower, view.options))}
    if invoking:
        _carry_rights(conn, before, after, invoking)


def clear(conn: psycopg.Connection[Any], release: Release) -> None:
    """Take the row security from a release's tables, in the caller's transaction."""
    for table, has in _row_security(conn, release.release).items():
        if has == _NONE:
            continue
        name = release.table(table)
        for each in has.policies:
            conn.execute(sql.SQL("DROP POLICY {} ON {}").format(sql.Identifier(each.name), name))
        conn.execute(
            sql.SQL("ALTER TABLE {} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY").format(name)
        )


def _carry_policies(conn: psycopg.Connection[Any], before: Release, after: Release) -> None:
    wanted, there = _row_security(conn, before.release), _row_security(conn, after.release)
    for table in sorted(there):
        shall, has = wanted.get(table, _NONE), there[table]
        if shall == has or (after.state == "candidate" and has != _NONE):
            continue
        name = after.table(table)
        statements = [
            sql.SQL("DROP POLICY {} ON {}").format(sql.Identifier(each.name), name) for each in has.policies
        ]
        statements += [_create(each, name) for each in shall.policies]
        statements += [
            sql.SQL("ALTER TABLE {} {} ROW LEVEL SECURITY").format(
                name, sql.SQL("ENABLE" if shall.enabled else "DISABLE")
            ),
            sql.SQL("ALTER TABLE {} {} ROW LEVEL SECURITY").format(
                name, sql.SQL("FORCE" if shall.forced else "NO FORCE")
            ),
        ]
        try:
            with _searching(conn, after.release):
                for statement in statements:
                    conn.execute(statement)
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
            raise WarehouseError(
                f"The row security of {before.release}.{table} cannot be that of {after.release}.{table}: "
                f"{str(error).splitlines()[0]}. Give {after.release}.{table} policies of its own, then put it live."
            ) from error


def _row_security(conn: psycopg.Connection[Any], schema: str) -> dict[str, _RowSecurity]:
    # Names of the release's own tables are told without their schema, so that they are those of the next one.
    with _searching(conn, schema):
        rows = conn.execute(
            """
            SELECT c.relname::text, c.relrowsecurity, c.relforcerowsecurity, coalesce((
                SELECT jsonb_agg(jsonb_build_array(p.polname, p.polpermissive, p.polcmd, (
                           SELECT jsonb_agg(CASE WHEN role = 0 THEN 'PUBLIC' ELSE role::regrole::text END ORDER BY role)
                           FROM unnest(p.polroles) AS role),
                       pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) ORDER BY p.polname)
                FROM pg_policy p WHERE p.polrelid = c.oid), '[]')
            FROM pg_class c WHERE c.relnamespace = to_regnamespace(%s) AND c.relkind = 'r'
            """,
            (schema,),
        ).fetchall()
    return {
        table: _RowSecurity(enabled, forced, [_Policy(*each) for each in policies])
        for table, enabled, forced, policies in rows
    }


def _create(policy: _Policy, table: sql.Identifier) -> sql.Composed:
    return sql.SQL("CREATE POLICY {} ON {} AS {} FOR {} TO {}{}{}").format(
        sql.Identifier(policy.name),
        table,
        sql.SQL("PERMISSIVE" if policy.permissive else "RESTRICTIVE"),
        trusted(_COMMANDS[policy.command]),
        sql.SQL(", ").join(map(trusted, policy.roles)),
        sql.SQL(" USING ({})").format(trusted(policy.using)) if policy.using else sql.SQL(""),
        sql.SQL(" WITH CHECK ({})").format(trusted(policy.check)) if policy.check else sql.SQL(""),
    )


class _searching:
    """Names without a schema are those of this one, until the block ends."""

    def __init__(self, conn: psycopg.Connection[Any], schema: str):
        self._conn, self._schema = conn, schema

    def __enter__(self) -> None:
        row = self._conn.execute("SELECT current_setting('search_path')").fetchone()
        assert row is not None
        self._before = row[0]
        self._set(f"{self._schema}, {self._before}")

    def __exit__(self, failed: object, *_: object) -> None:
        if failed is None:  # else the transaction is over
            self._set(self._before)

    def _set(self, path: str) -> None:
        self._conn.execute("SELECT set_config('search_path', %s, true)", (path,))


def _carry_rights(
    conn: psycopg.Connection[Any], before: Release, after: Release, tables: Collection[str]
) -> None:
    schema = attached.of_schema(conn, before.release)
    if schema is not None:
        attached.grant(conn, sql.SQL("SCHEMA {}").format(sql.Identifier(after.release)), schema)
    for table in sorted(tables):
        hangs, there = (
            attached.of_view(conn, before.table(table)),
            attached.of_view(conn, after.table(table)),
        )
        if hangs is not None and there is not None:
            attached.grant(conn, sql.SQL("{}").format(after.table(table)), hangs)
