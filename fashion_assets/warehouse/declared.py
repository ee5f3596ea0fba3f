"""The register of declared tables: which tables beside its listings each source has, and how they are declared.

What belongs here: their records, and the batches of their rows. What does not: what a declaration may be (`batches.rows`), their
rows (`register`, under a name of their own), and their tables in a release (`release.declared`).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from fashion_assets.warehouse.names import register_name
from fashion_assets.warehouse.register import Batch, UnknownBatch
from fashion_assets.warehouse.schemas import OPS
from fashion_assets.warehouse.sources import SourceRecord


class Refers(NamedTuple):
    """That a column names rows of another table; see `sources.source.Reference`, which says it of a source."""

    column: str
    table: str
    by: str | None = None
    type: str | None = None
    among: tuple[str, ...] = ()
    into: str | None = None
    within: tuple[str, str, str] | None = None

    @property
    def kept(self) -> list[Any]:
        """As it is kept: column and table, and what else there is to say of it."""
        names = "by", "type", "among", "into", "within"
        more = {name: value for name in names if (value := getattr(self, name))}
        return [self.column, self.table, *([more] if more else [])]

    @classmethod
    def of(cls, kept: Sequence[Any]) -> "Refers":
        """As it was kept."""
        more: dict[str, Any] = kept[2] if len(kept) > 2 else {}
        stated: dict[str, Any] = {
            name: tuple(said) if isinstance(said, list) else said for name, said in more.items()
        }
        return cls(kept[0], kept[1], **stated)


class Counts(NamedTuple):
    """That a column says how many rows of another table name the row; see `sources.source.Count`."""

    column: str
    table: str
    by: str
    where: str | None = None
    among: tuple[str, ...] = ()
    entries: tuple[str, str, str] | None = None

    @property
    def kept(self) -> list[Any]:
        """As it is kept."""
        return [*self[:5], *([self.entries] if self.entries else [])]

    @classmethod
    def of(cls, kept: Sequence[Any]) -> "Counts":
        """As it was kept."""
        column, table, by, where, among, *entries = kept
        return cls(column, table, by, where, tuple(among), tuple(entries[0]) if entries else None)


class Declared(NamedTuple):
    """A table as a source declares it."""

    source: str
    name: str
    key: tuple[str, ...]
    columns: Mapping[str, str]
    """Columns and their Postgres types."""
    references: tuple[Refers, ...]
    """Columns that name rows of other tables, and those tables."""
    readable: tuple[str, ...]
    """Columns the source lets readers read."""
    counts: tuple[Counts, ...] = ()
    """Columns that are counted anew."""

    @property
    def register_name(self) -> str:
        """What its rows and batches are registered under. No source's name has a dot."""
        return register_name(self.source, self.name)

    @property
    def as_json(self) -> str:
        """The declaration, without whose it is; the same text for the same declaration."""
        said = {
            "key": self.key,
            "columns": dict(self.columns),
            "references": [each.kept for each in self.references],
            "readable": self.readable,
        }
        if self.counts:
            said["counts"] = [each.kept for each in self.counts]
        return json.dumps(said, sort_keys=True)

    @classmethod
    def of(cls, source: str, name: str, said: Mapping[str, Any]) -> "Declared":
        """As it was kept."""
        return cls(
            source,
            name,
            tuple(said["key"]),
            said["columns"],
            tuple(map(Refers.of, said["references"])),
            tuple(said["readable"]),
            tuple(map(Counts.of, said.get("counts", ()))),
        )


def keep(connection: psycopg.Connection[Any], source: str, declared: Sequence[Declared]) -> None:
    """Have a source declare these tables, and no others."""
    with connection.transaction():
        connection.execute(
            _sql("DELETE FROM {declared} WHERE source = %s AND name <> ALL (%s)"),
            (source, [table.name for table in declared]),
        )
        for table in declared:
            connection.execute(
                _sql(
                    "INSERT INTO {declared} AS known (source, name, register_name, declared) VALUES (%s, %s, %s, %s::jsonb) "
                    "ON CONFLICT (source, name) DO UPDATE SET declared = excluded.declared "
                    "WHERE known.declared <> excluded.declared"
                ),
                (source, table.name, table.register_name, table.as_json),
            )


def declared_tables(connection: psycopg.Connection[Any]) -> list[Declared]:
    """The tables of the sources in use, by source and name."""
    rows = connection.execute(
        _sql(
            "SELECT d.source, d.name, d.declared FROM {declared} d JOIN {sources} s ON s.name = d.source AND s.active "
            'ORDER BY d.source COLLATE "C", d.name COLLATE "C"'
        )
    ).fetchall()
    return [Declared.of(*row) for row in rows]


def clash(connection: psycopg.Connection[Any]) -> str | None:
    """That tables of one name, which become one table of a release, have a column of two types; None where none have."""
    types: dict[tuple[str, str], tuple[str, str]] = {}
    for table in declared_tables(connection):
        for column, kind in table.columns.items():
            source, other = types.setdefault((table.name, column), (table.source, kind))
            if kind != other:
                return (
                    f"The tables {table.name!r} of sources {source} and {table.source} become one table of a release, and their column "
                    f"{column!r} is {other} in one and {kind} in the other. Give one of them another name, or type, in its mapping."
                )
    return None


def table_of_batch(connection: psycopg.Connection[Any], name: str) -> tuple[Batch, SourceRecord, Declared]:
    """A batch of a declared table's rows, the source it is of, and the table. Raises `UnknownBatch`."""
    row = connection.execute(
        _sql(
            """
            SELECT b.batch, b.source, b.number, b.listings, b.content_version,
                   s.name, s.kind, s.location, s.options, s.active, d.name, d.declared
            FROM {batches} b JOIN {declared} d ON d.register_name = b.source JOIN {sources} s ON s.name = d.source
            WHERE b.batch = %s
            """
        ),
        (name,),
    ).fetchone()
    if row is None:
        raise UnknownBatch(
            f"there is no batch {name!r} of a table in the register: scan the source (fashion-assets run, or the sensor)"
        )
    return Batch(*row[:5]), SourceRecord(*row[5:10]), Declared.of(row[5], *row[10:])


def _sql(statement: str) -> sql.Composed:
    tables = {name: sql.Identifier(OPS, name) for name in ("sources", "batches")}
    return sql.SQL(statement).format(declared=sql.Identifier(OPS, "declared_tables"), **tables)  # type: ignore[arg-type]
