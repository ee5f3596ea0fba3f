"""Contracts in use: which are served, what of a release they do not serve, and changing that on purpose.

What belongs here: looking, letting a contract or a view go, giving a declared table's view its new columns, and what stands in a swap's way
before anything is built. What does not: what a contract promises (`warehouse.contract`), swaps (`repointing`).
"""

from collections.abc import Collection
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from fashion_assets.batches.rows import PARSERS
from fashion_assets.release import repointing, views
from fashion_assets.release.dependents import Dependent, dependents
from fashion_assets.settings import Settings
from fashion_assets.warehouse import contract, release_tables, releases
from fashion_assets.warehouse.contract import ContractError
from fashion_assets.warehouse.declared import Declared
from fashion_assets.warehouse.locks import Busy, holders, lock_swaps, named
from fashion_assets.warehouse.releases import ReleaseError

RETIRE_WAIT_MS = 2_000
"""How long letting views go waits for who reads them."""


class Served(NamedTuple):
    """One contract."""

    schema: str
    state: str
    """served, retired, or next release: it is there from the next swap on."""
    views: dict[str, dict[str, str]]
    """What it promises or, where only a later version of the program states it, serves."""
    not_served: dict[str, dict[str, str]]
    """Columns of the live release that its views do not have, by view."""
    depending: list[str]
    """What of others hangs on its views or is in its schema."""


def contracts_in_use(conn: psycopg.Connection[Any]) -> list[Served]:
    """Every contract that is stated or served, the first one first."""
    live, gone, there = releases.live(conn), views.retired(conn), views.views(conn)
    stated = {each.schema: each for each in contract.contracts()}
    has = views.relations(conn, live.release) if live is not None else {}
    found = []
    for schema in sorted({*stated, *gone, *(view.schema for view in there)}, key=contract.version):
        own = {view.name: view.columns for view in there if view.schema == schema}
        state = "retired" if schema in gone else "served" if own else "next release"
        promised = {**(stated[schema].views if schema in stated else {}), **own}
        lacking = {
            name: new
            for name, columns in own.items()
            if (new := {column: kind for column, kind in has.get(name, {}).items() if column not in columns})
        }
        others = [str(each) for each in dependents(conn, [schema])]
        found.append(
            Served(schema, state, {name: dict(those) for name, those in promised.items()}, lacking, others)
        )
    return found


def renew(conn: psycopg.Connection[Any], settings: Settings, name: str) -> dict[str, list[str]]:
    """Give the views onto a declared table (`sizes`) the columns of the live release they do not have, at their end; what each schema's got.

    Sessions that prepared `SELECT *` on it must prepare it anew. Raises `ReleaseError`, `ContractError`, and what a swap raises.
    """
    conn.commit()
    with conn.transaction():
        live = releases.live(conn)
        if live is None:
            raise ReleaseError("nothing is live, so there is nothing to serve")
        there = [view for view in views.views(conn) if view.name == name]
        if not there or any(_is_promised(view.schema, name) for view in there):
            declared = sorted(
                {view.name for view in views.views(conn) if not _is_promised(view.schema, view.name)}
            )
            raise ContractError(
                f"{name!r} is no view onto a table that a source declares; those are: {', '.join(declared) or 'none'}. What a contract "
                "promises never changes: fashion-assets contract next states the next one."
            )
        own = views.relations(conn, live.release).get(name, {})
        new = {view.schema: [column for column in own if column not in view.columns] for view in there}
        longer = {
            (view.schema, name): {
                **view.columns,
                **{column: own[column] for column in new[view.schema]},
            }
            for view in there
        }
        repointing.point_views_at(conn, settings, live, lambda: None, longer=longer)
        opened = views.readable(conn, live).get(name, set())
        for view in there:
            columns = longer[view.schema, name]
            for statement in [
                *release_tables.describe_declared(conn, view.schema, live.release, {name: columns}),
                *release_tables.let_read_declared(
                    view.schema, {name: opened & set(columns)}, settings.reader_role
                ),
            ]:
                conn.execute(statement)
    return new


def retire(conn: psycopg.Connection[Any], name: str) -> None:
    """Serve a contract (`fashion_sota`) no longer, or the view onto a declared table (`fashion_sota.sizes`), which a swap makes anew if its
    release has the table. Raises `ContractError` where it is the newest contract, or others depend on it, and `Busy`.
    """
    schema, _, view = name.partition(".")
    number = contract.version(schema)
    conn.commit()
    with conn.transaction():
        lock_swaps(conn)
        own = [each for each in views.views(conn) if each.schema == schema and view in ("", each.name)]
        if view and _is_promised(schema, view):
            raise ContractError(
                f"{name} is promised by the contract {schema}, which goes as a whole or stays."
            )
        if not view and number >= contract.version(contract.contracts()[-1].schema):
            raise ContractError(f"{schema} is the newest contract, and readers need one.")
        if not own:
            raise ContractError(f"{name} is not served.")
        bound = [each for each in dependents(conn, [schema]) if {one.name for one in own} & set(each.views)]
        if bound:
            raise ContractError(
                f"{name} is still used by {', '.join(map(str, bound))}: lead these to another contract, or drop them: "
                f"{'; '.join(map(dropped_by, bound))}."
            )
        conn.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(RETIRE_WAIT_MS)))
        try:
            with conn.transaction():
                conn.execute(
                    sql.SQL("DROP VIEW {}").format(sql.SQL(", ").join(each.identifier for each in own))
                )
        except psycopg.errors.LockNotAvailable:
            who = named(holders(conn, [each.identifier for each in own])) or "somebody who has just ended"
            raise Busy(f"{name} is still read by {who}. Try again when that has ended.") from None
        if not view:
            conn.execute(
                sql.SQL("COMMENT ON SCHEMA {} IS {}").format(
                    sql.Identifier(schema), sql.Literal(views.RETIRED)
                )
            )


def dropped_by(dependent: Dependent) -> str:
    """The statement that drops it."""
    if dependent.kind == "rule":
        rule, _, table = dependent.name.partition(" on ")
        return f"DROP RULE {rule} ON {table}"
    if dependent.kind == "trigger":
        trigger, _, table = dependent.name.partition(" on ")
        return f"DROP TRIGGER {trigger} ON {table}"
    return f"DROP {dependent.kind.upper()} {dependent.name}"


def in_the_way(conn: psycopg.Connection[Any], tables: Collection[Declared] = ()) -> list[str]:
    """What will keep the next release from going live, as far as it is known before anything is built: in sentences that say what to do.

    `tables`: as the sources declare them.
    """
    gone, there = views.retired(conn), views.views(conn)
    stated = {each.schema: each.views for each in contract.contracts() if each.schema not in gone}
    found = []
    for schema, promised in stated.items():
        former = [
            view
            for view in there
            if view.schema == schema and view.name in promised and not views.fit(view, promised[view.name])
        ]
        bound = dependents(conn, [schema]) if former else []
        if bound:
            found.append(
                f"The views {', '.join(view.name for view in former)} of {schema} are those of a former version, with other columns, and must be "
                f"made anew as the next release goes live; but these hang on them or are in their schema: {', '.join(map(str, bound))}. Keep "
                f"their definitions, drop them before ({'; '.join(map(dropped_by, bound))}), and make them again afterwards: from then on "
                "they stay through every swap."
            )
    return [*found, *_retyped(conn, there, tables)]


def _retyped(
    conn: psycopg.Connection[Any], there: Collection[views.View], tables: Collection[Declared]
) -> list[str]:
    found = []
    for table in tables:
        own = {column: PARSERS[kind].copied_as for column, kind in table.columns.items()}
        for view in there:
            if view.name != table.name or _is_promised(view.schema, view.name):
                continue
            for column in views.unreadable(conn, own, view.columns):
                found.append(
                    f"{view.schema}.{view.name} serves {column} as {view.columns[column]}, and {table.source} declares it as "
                    f"{table.columns[column]}, which not every such value is: the next release cannot go live. Give the column another name in "
                    f"the mapping, or let the view be made anew: fashion-assets contract retire {view.schema}.{view.name}"
                )
    return found


def _is_promised(schema: str, view: str) -> bool:
    return any(each.schema == schema and view in each.views for each in contract.contracts())
