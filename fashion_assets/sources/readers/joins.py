"""Tables whose columns stand beside another one's: vectors of products in a table of their own.

What belongs here: such joins as options say them, composed. What does not: reading their rows (`sql`).

A join adds columns and never rows: of several rows of one key the newest counts, and where there is none the columns are null. Ids
that one table holds as numbers and the other as text, some of them through a float (`34029.0`), are compared as whole numbers.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from fashion_assets.sources.readers import databases
from fashion_assets.sources.source import SourceError

_WHOLE = r"^[0-9]+([.]0*)?$"
_KNOWN = ("table", "on", "columns", "newest", "optional")


class Beside(NamedTuple):
    """A table that is joined."""

    table: sa.TableClause
    types: Mapping[str, Any]
    on: Mapping[str, str]
    """Columns of the base by its own ones."""
    taken: Mapping[str, str]
    """Its columns by the names they get."""
    newest: str | None


class Joins:
    """A table with others beside it."""

    def __init__(self, base: sa.TableClause, types: Mapping[str, Any], beside: Sequence[Beside]) -> None:
        """`types` are those of the base's columns."""
        self._base = base
        self._types = types
        self._beside = beside
        self.columns = [*types, *(name for each in beside for name in each.taken)]

    def source(self, key: str | None = None, among: Sequence[Any] = ()) -> sa.FromClause:
        """What is selected from; with a `key`, a column of the base, it is enough for rows in which that is `among` these values."""
        chosen: list[Any] = [self._base.c[name] for name in self._types]
        source: sa.FromClause = self._base
        for number, join in enumerate(self._beside):
            beside = self._newest(join, number, key, among)
            same = [
                _comparable(beside.c[own], join.types[own], self._types[of])
                == _comparable(self._base.c[of], self._types[of], join.types[own])
                for own, of in join.on.items()
            ]
            source = source.outerjoin(beside, sa.and_(*same))
            chosen += [beside.c[own].label(name) for name, own in join.taken.items()]
        return sa.select(*chosen).select_from(source).subquery("source")

    def _newest(self, join: Beside, number: int, key: str | None, among: Sequence[Any]) -> sa.Subquery:
        """The newest row of each key of a table."""
        own = {
            name: _comparable(join.table.c[name], join.types[name], self._types[of])
            for name, of in join.on.items()
        }
        order = join.table.c[join.newest].desc() if join.newest else next(iter(own.values()))
        rank = sa.func.row_number().over(partition_by=list(own.values()), order_by=order).label("of_its_key")
        ranked = sa.select(*join.table.c, rank)
        for name, of in join.on.items():
            if of == key:
                ranked = ranked.where(own[name].in_(among))
        inner = ranked.subquery(f"ranked_{number}")
        return (
            sa.select(*(inner.c[name] for name in join.types))
            .where(inner.c.of_its_key == 1)
            .subquery(f"beside_{number}")
        )


def joined(
    connection: sa.Connection,
    base: sa.TableClause,
    types: Mapping[str, Any],
    joins: Sequence[Mapping[str, Any]],
    place: str,
) -> Joins:
    """`base`, whose columns and their types these are, with the tables of `joins` beside it.

    A join is a table (`table`); `on`, the column both have, or columns of the base by its own ones; `columns`, which of its columns
    are taken, or its columns by the names they get; `newest`, the column by which the newest row counts; `optional`, whether it may
    be missing. Raises SourceError where there is no such table or column.
    """
    found: list[Beside] = []
    names = list(types)
    for join in joins:
        if unknown := sorted(set(join) - set(_KNOWN)):
            raise SourceError(f"A join of the mapping has no key {unknown[0]!r}, only {', '.join(_KNOWN)}.")
        try:
            schema, table = databases.find_table(connection, join.get("table", ""), place)
        except SourceError:
            if join.get("optional"):
                continue
            raise
        own = databases.types(connection, schema, table)
        on, taken, newest = _pairs(join.get("on")), _pairs(join.get("columns")), join.get("newest")
        for name in (*on, *taken.values(), *([newest] if newest else [])):
            if name not in own:
                raise SourceError(
                    f"{table} in {place} has no column {name!r}, but {', '.join(own)}. Mend the mapping's join."
                )
        for name in on.values():
            if name not in types:
                raise SourceError(
                    f"There is no column {name!r} to join {table} to, but {', '.join(types)}. Mend the mapping's join."
                )
        if not on:
            raise SourceError(f"By which column is {table} joined? The mapping's join names it (on).")
        for name in taken:
            if name in names:
                raise SourceError(
                    f"Two columns would be called {name!r}: give that of {table} another name in the mapping's join."
                )
            names.append(name)
        found.append(Beside(databases.table(schema, table, own), own, on, taken, newest))
    return Joins(base, types, found)


def _comparable(column: sa.ColumnElement[Any], own: Any, other: Any) -> sa.ColumnElement[Any]:
    """The column; where it is text and the other one a number, as that number."""
    if isinstance(own, sa.String) and isinstance(other, sa.Numeric | sa.Integer):
        return sa.case((column.regexp_match(_WHOLE), sa.cast(column, sa.Numeric)))
    return column


def _pairs(given: Any) -> dict[str, str]:
    if isinstance(given, Mapping):
        return {str(name): str(value) for name, value in given.items()}
    return {str(name): str(name) for name in ([given] if isinstance(given, str) else given or [])}
