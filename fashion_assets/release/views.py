"""The serving views: which there are, which there shall be, and how each reads a release.

What belongs here: contracts met with what a release has. What does not: what a contract promises (`warehouse.contract`), changing views under
their readers (`repointing`), what hangs on them (`attached`).

A view of a contract has the contract's columns, whatever the release has: what an older release lacks is NULL, of the type promised, and
what a newer one has besides is not in it. So a swap, back as well as forward, never changes what a prepared `SELECT *` returns. The views of
declared tables, whose columns mappings say, have a contract of their own: as they were made, so they stay, until they are made anew on
purpose. So do those of a contract that only a later version of the program states.
"""

from collections.abc import Iterable, Mapping
from typing import Any, LiteralString, NamedTuple, cast

import psycopg
from psycopg import sql

from fashion_assets.warehouse import contract, value_counts
from fashion_assets.warehouse.contract import Columns, ContractError
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import SERVED

RETIRED = "Retired: no view of this contract is made any more."
"""The comment of a serving schema whose contract somebody retired."""


class View(NamedTuple):
    """A serving view there is."""

    schema: str
    name: str
    owner: str
    """Quoted."""
    options: list[str]
    """As in `CREATE VIEW … WITH`, which without them takes them away."""
    columns: Columns

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)


OURS = """
    c.relkind = 'v' AND n.nspname ~ %(schemas)s
    AND (c.relname = ANY(%(views)s) OR c.relname IN (SELECT name FROM fashion_ops.release_tables))
"""
"""Condition on `pg_class c JOIN pg_namespace n`, with `ours()`: a serving view of ours, and none that somebody else made beside them."""


def ours() -> dict[str, object]:
    """The parameters of `OURS`."""
    promised = {view for each in contract.contracts() for view in each.views}
    return {"schemas": f"^{contract.SCHEMA}$", "views": sorted(promised | set(SERVED))}


def views(conn: psycopg.Connection[Any]) -> list[View]:
    """The serving views there are, of every contract."""
    rows = conn.execute(
        sql.SQL(
            """
            SELECT n.nspname::text, c.relname::text, c.relowner::regrole::text, coalesce(c.reloptions, '{{}}'),
                   (SELECT array_agg(ARRAY[a.attname::text, format_type(a.atttypid, a.atttypmod)] ORDER BY a.attnum)
                    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {} ORDER BY 1, 2
            """
        ).format(sql.SQL(OURS)),
        ours(),
    ).fetchall()
    return [
        View(schema, name, owner, options, dict(columns)) for schema, name, owner, options, columns in rows
    ]


def leading(conn: psycopg.Connection[Any]) -> dict[str, set[str]]:
    """The releases that serving views read from, by the view with its schema. One that reads none is left out: what it promises that
    release lacks."""
    rows = conn.execute(
        sql.SQL(
            """
            SELECT DISTINCT format('%%s.%%s', n.nspname, c.relname), led.nspname::text
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_rewrite r ON r.ev_class = c.oid
            JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
            JOIN pg_class t ON t.oid = d.refobjid AND t.oid <> c.oid JOIN pg_namespace led ON led.oid = t.relnamespace
            WHERE led.nspname ~ '^fashion_sota_r[0-9]{{4,}}$' AND {}
            """
        ).format(sql.SQL(OURS)),
        ours(),
    ).fetchall()
    led: dict[str, set[str]] = {}
    for view, release in rows:
        led.setdefault(view, set()).add(release)
    return led


def wanted(
    conn: psycopg.Connection[Any],
    release: Release,
    there: Iterable[View],
    longer: Mapping[tuple[str, str], Columns] = {},
) -> dict[str, dict[str, Columns]]:
    """The views there shall be once a release is live, by schema and name: those of the contracts, and those of declared tables.
    `longer`: columns of some of the latter that are more than they have, by schema and name."""
    found: dict[str, dict[str, Columns]] = {
        each.schema: dict(each.views) for each in contract.contracts() if each.schema not in retired(conn)
    }
    stated = set(found)
    for view in there:
        if view.schema not in stated or view.name not in found[view.schema]:
            found.setdefault(view.schema, {})[view.name] = longer.get((view.schema, view.name), view.columns)
    own = relations(conn, release.release)
    for schema in found:
        for name in served_by(conn, release):
            if name not in SERVED:
                found[schema].setdefault(name, own[name])
    return found


def served_by(conn: psycopg.Connection[Any], release: Release) -> list[str]:
    """What of a release has a view: its tables, those its sources declare, and its own views; of former versions some are missing."""
    there = relations(conn, release.release)
    return [*(name for name in SERVED if name in there), *(name for name in there if name not in SERVED)]


def relations(conn: psycopg.Connection[Any], schema: str) -> dict[str, Columns]:
    """The tables and views of a schema, and their columns; not the counts of values, which are nobody's but the engine's."""
    rows = conn.execute(
        """
        SELECT c.relname::text, (
            SELECT array_agg(ARRAY[a.attname::text, format_type(a.atttypid, a.atttypmod)] ORDER BY a.attnum)
            FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
        FROM pg_class c WHERE c.relnamespace = to_regnamespace(%s) AND c.relkind IN ('r', 'v') AND c.relname <> %s ORDER BY 1
        """,
        (schema, value_counts.TABLE),
    ).fetchall()
    return {name: dict(columns) for name, columns in rows}


def retired(conn: psycopg.Connection[Any]) -> set[str]:
    """The serving schemas whose contract somebody retired."""
    rows = conn.execute(
        "SELECT nspname::text FROM pg_namespace WHERE nspname ~ %s AND obj_description(oid, 'pg_namespace') = %s",
        (f"^{contract.SCHEMA}$", RETIRED),
    ).fetchall()
    return {name for (name,) in rows}


def fit(view: View, columns: Columns) -> bool:
    """Whether a view can be replaced in place by one with these columns: they begin with its own."""
    return list(columns.items())[: len(view.columns)] == list(view.columns.items())


class Definitions:
    """How views read a release. Raises `ContractError` where a column is of a type that cannot be read as the promised one."""

    def __init__(self, conn: psycopg.Connection[Any], release: Release):
        self._conn, self._release = conn, release
        self._there = relations(conn, release.release)

    def selected(self, view: str, columns: Columns) -> sql.Composed:
        """The query behind a view with these columns."""
        own = self._there.get(view, {})
        for column in unreadable(self._conn, own, columns):
            raise ContractError(
                f"{self._release.release} has {view}.{column} as {own[column]}, and the views promise {columns[column]}, which not "
                "every such value is. Give the new column another name (in the source's mapping, if the table is one it declares), or "
                "let the view be made anew: fashion-assets contract retire SCHEMA.VIEW"
            )
        listed = sql.SQL(", ").join(
            sql.SQL("{} AS {}").format(_value(own, column, kind), sql.Identifier(column))
            for column, kind in columns.items()
        )
        if view not in self._there:
            return sql.SQL("SELECT {} WHERE false").format(listed)
        return sql.SQL("SELECT {} FROM {}").format(listed, self._release.table(view))

    def statement(
        self, schema: str, view: str, columns: Columns, options: Iterable[str] = ()
    ) -> sql.Composed:
        """What makes, or replaces, a view. Raises `ContractError` where an option cannot be on it."""
        options = list(options)
        if view not in self._there and any(option.startswith("check_option") for option in options):
            raise ContractError(
                f"{self._release.release} has no {view}, so that {schema}.{view} is empty with it, and PostgreSQL lets no such view have a "
                f"check_option, as somebody set on it. Take it away before: ALTER VIEW {schema}.{view} RESET (check_option)"
            )
        stated = [trusted(option) for option in options]
        return sql.SQL("CREATE OR REPLACE VIEW {} {} AS {}").format(
            sql.Identifier(schema, view),
            sql.SQL("WITH ({})").format(sql.SQL(", ").join(stated)) if stated else sql.SQL(""),
            self.selected(view, columns),
        )


def _value(own: Columns, column: str, kind: str) -> sql.Composable:
    if column not in own:
        return sql.SQL("NULL::{}").format(trusted(kind))
    name = sql.Identifier(column)
    return name if own[column] == kind else sql.SQL("{}::{}").format(name, trusted(kind))


def unreadable(conn: psycopg.Connection[Any], own: Columns, promised: Columns) -> list[str]:
    """Columns of which not every value is one of the promised type: PostgreSQL casts some by itself, and all to text."""
    asked = [
        (column, own[column], kind) for column, kind in promised.items() if own.get(column, kind) != kind
    ]
    if not asked:
        return []
    rows = conn.execute(
        """
        SELECT name FROM unnest(%s::text[], %s::text[], %s::text[]) WITH ORDINALITY AS asked(name, own, promised, place)
        WHERE NOT coalesce(promised !~ '[(]' AND (
            to_regtype(own) = to_regtype(promised) OR to_regtype(promised) = 'text'::regtype
            OR EXISTS (SELECT FROM pg_cast WHERE castsource = to_regtype(own) AND casttarget = to_regtype(promised)
                       AND castcontext = 'i')), false)
        ORDER BY place
        """,
        [list(each) for each in zip(*asked, strict=True)],
    ).fetchall()
    return [name for (name,) in rows]


def readable(conn: psycopg.Connection[Any], release: Release) -> dict[str, set[str]]:
    """Columns of declared tables of a release that its sources let readers read, all of those that have the table."""
    rows = conn.execute(
        "SELECT name, readable FROM fashion_ops.release_tables WHERE release = %s AND name <> ALL (%s)",
        (release.release, list(SERVED)),
    ).fetchall()
    served = served_by(conn, release)
    found: dict[str, set[str]] = {}
    for name, columns in rows:
        if name not in served:
            continue
        found[name] = found.get(name, set(columns)) & set(columns)
    return found


def trusted(statement: str) -> sql.SQL:
    """SQL that PostgreSQL itself wrote, names and values quoted (`format`, `format_type`)."""
    return sql.SQL(cast(LiteralString, statement))


def added(
    there: Iterable[View], shall: Mapping[str, Mapping[str, Columns]]
) -> dict[str, dict[str, list[str]]]:
    """The columns views get that they do not have, by schema and view."""
    has = {(view.schema, view.name): set(view.columns) for view in there}
    return {
        schema: {
            name: new
            for name, columns in those.items()
            if (new := [column for column in columns if column not in has.get((schema, name), ())])
        }
        for schema, those in shall.items()
    }
