"""Tables a mapping declares beside the listings: users, favourites, whatever a system has.

What belongs here: reading such a table as rows with identity. What does not: judging its rows, where they go.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from fashion_assets.catalog.listing import REFERENCE_SCHEMA, content_hash
from fashion_assets.characters import seen
from fashion_assets.sources.columns import Columns
from fashion_assets.sources.damage import undamaged
from fashion_assets.sources.expressions import Compiler, Evaluator, states
from fashion_assets.sources.listings import UNTYPED
from fashion_assets.sources.mapping_tables import Counted, DataTable
from fashion_assets.sources.places import MOST_ENTRIES, file_in, folder_of, is_database
from fashion_assets.sources.readers import has_table, open_rows
from fashion_assets.sources.readers.reader import Row, RowReader
from fashion_assets.sources.records import Record, encoded
from fashion_assets.sources.source import (
    SCAN_CHUNK_ROWS,
    TABLE_ROW_SCHEMA,
    Count,
    DeclaredTable,
    NoSuchTable,
    Reference,
    SourceError,
)
from fashion_assets.sources.table_values import JsonOf, json_of

if TYPE_CHECKING:
    from fashion_assets.sources.mapped import Mapped


class _Opened(NamedTuple):
    """An open table, and what its columns are made of."""

    reader: RowReader
    columns: dict[str, Evaluator]
    json: dict[str, JsonOf]
    """Of columns that are JSON as it stands."""
    holds: Callable[[Mapping[str, Any]], bool]
    """Whether a row is one of the table's."""


class MappedTable(DeclaredTable):
    """A table of a mapping, in the file or database of its source."""

    def __init__(self, source: "Mapped", table: DataTable) -> None:
        self.source = source
        self.table = table
        self.name = table.name
        self.key = table.key
        self.columns = {name: column.type for name, column in table.columns.items()}
        self.columns |= {each.into: "uuid" for each in table.references if each.into is not None}
        self.references = tuple(_references(table))
        self.counts = tuple(map(_count, table.counts))
        self._named = {*self.key, *(reference.column for reference in self.references)}

    @property
    def place(self) -> str:
        """Its file, or the database it is in."""
        if not self.table.file:
            return self.source.location
        folder = folder_of(self.source.location)
        there = file_in(folder, self.table.file, MOST_ENTRIES) if os.path.isdir(folder) else None
        return there or os.path.join(folder, self.table.file[0])

    @property
    def is_there(self) -> bool:
        """Whether there is such a file, or such a table in the database."""
        if not self.table.file:
            return has_table(self.place, self.table.table or "")
        return os.path.exists(self.place)

    def scan(self) -> Iterator[pa.Table]:
        # Whoever opens a database's table finds out whether it is there; of a file, and for a query, it is asked before.
        if (self.table.file or self.table.query) and not self.is_there:
            self._require()
            return
        ids: list[str | None] = []
        locators: list[str] = []
        signatures: list[str] = []
        with ExitStack() as stack:
            try:
                table = stack.enter_context(self.opened())
            except NoSuchTable:
                self._require()
                return
            for row in table.reader.rows():
                if not row.defect and not table.holds(row.values):
                    continue
                ids.append(self._identity(row, table))
                locators.append(row.locator)
                signatures.append(f"{row.digest}.")
                if len(ids) == SCAN_CHUNK_ROWS:
                    yield pa.table([ids, locators, signatures], schema=REFERENCE_SCHEMA)
                    ids, locators, signatures = [], [], []
        if ids:
            yield pa.table([ids, locators, signatures], schema=REFERENCE_SCHEMA)

    def fingerprints(self, references: pa.Table) -> list[str]:
        with self.opened() as table:
            return [content_hash(Record((row,)).as_json(), None) for row in self._again(references, table)]

    def read(self, references: pa.Table) -> pa.Table:
        columns: dict[str, list[Any]] = {name: [] for name in TABLE_ROW_SCHEMA.names}
        with self.opened() as table:
            for row in self._again(references, table):
                text = Record((row,)).as_json()
                columns["external_id"].append(self._identity(row, table))
                columns["content_hash"].append(content_hash(text, None))
                columns["record"].append(text)
                columns["values"].append(encoded(self.values(row, table)))
                columns["defects"].append([row.defect] if row.defect else [])
        columns["source"] = [self.source.name] * references.num_rows
        for name in ("listing_key", "occurrence"):
            columns[name] = references[name].to_pylist()
        return pa.table(
            [pa.array(columns[f.name], f.type) for f in TABLE_ROW_SCHEMA], schema=TABLE_ROW_SCHEMA
        )

    @contextmanager
    def opened(self) -> Iterator[_Opened]:
        """The open table. Raises SourceError where it cannot be read, or lacks a column of its key or of a reference."""
        options = dict(self.source.mapping.options)
        if self.table.table is not None:
            # What is said of the listings' table is of that one alone.
            key = [self.table.columns[name].column for name in self.key]
            selected = {"query": self.table.query} if self.table.query else {"table": self.table.table}
            options = {**selected, **({"key": key} if key and all(key) else {})}
        is_text = self.table.file and self.table.file[0].lower().endswith((".csv", ".tsv"))
        format = "delimited" if is_text else None
        with open_rows(format or self.source.mapping.format, self.place, options) as reader:
            found = Columns(reader.columns)
            compiler = Compiler(found, typed=reader.format not in UNTYPED, source=self.source.name)
            for name in self.columns:
                if name in self._named and not compiler.known(self.table.columns[name]):
                    raise SourceError(
                        f"{self.source.shown(self.place)} has no column {name!r}, only {', '.join(found.names)[:300]}. Name the column "
                        "in the first line, or take the file away."
                    )
            columns = {name: compiler.compile(column) for name, column in self.table.columns.items()}
            said = {name: json_of(column, found) for name, column in self.table.columns.items()}
            json = {name: of for name, of in said.items() if of is not None}
            yield _Opened(reader, columns, json, compiler.condition(self.table.where))

    def values(self, row: Row, table: _Opened) -> dict[str, Any]:
        """The declared columns of a row: text, a list of texts, or null."""
        said: dict[str, Any] = {}
        for name, evaluator in table.columns.items():
            if name in table.json:
                said[name] = None if row.defect else table.json[name](row.values)
                continue
            found = () if row.defect else tuple(filter(states, evaluator(row.values)))
            found = tuple(map(seen if name in self._named else undamaged, found))
            said[name] = None if not found else found[0].strip() if len(found) == 1 else list(found)
        return said

    def _identity(self, row: Row, table: _Opened) -> str | None:
        if row.defect:
            return None
        if not self.key:
            return hashlib.blake2b(encoded(row.values).encode("utf-8", "replace"), digest_size=16).hexdigest()
        parts = [next(filter(states, table.columns[name](row.values)), None) for name in self.key]
        stated = [seen(part).strip() for part in parts if part is not None]
        if len(stated) < len(parts):
            return None
        return stated[0] if len(stated) == 1 else encoded(stated)

    def _again(self, references: pa.Table, table: _Opened) -> Iterator[Row]:
        rows = table.reader.again(references["locator"].to_pylist())
        for signature, row in zip(references["signature"].to_pylist(), rows, strict=True):
            if signature != f"{row.digest}.":
                raise SourceError(
                    f"{self.source.shown(self.place)} has changed since it was scanned. Scan the source again."
                )
            yield row

    def _require(self) -> None:
        folder = folder_of(self.source.location)
        if not self.table.file:
            if not self.table.optional:
                raise SourceError(
                    f"There is no table {self.table.table} in {self.source.shown(self.place)}, which the mapping says is there."
                )
            return
        if not is_database(self.source.location) and not os.path.isdir(folder):
            raise SourceError(f"There is no folder {folder}. Give the folder of the catalogue.")
        if not self.table.optional:
            raise SourceError(f"There is no {self.place}, which the mapping says is there.")


def _count(said: Counted) -> Count:
    entries = said.entries and (said.entries.by, said.entries.key, said.entries.count)
    where, among = (said.where.column, tuple(said.where.among)) if said.where else (None, ())
    return Count(said.column, said.table, said.by, where, among, entries)


def _references(table: DataTable) -> Iterator[Reference]:
    """The references of a table, one for each table a column may lead to."""
    for each in table.references:
        if each.type is None:
            within = each.within and (each.within.row, each.within.list, each.within.key)
            yield Reference(each.column, each.table or "", each.by, into=each.into, within=within)
            continue
        by_table: dict[str, list[str]] = {}
        for said, other in each.tables.items():
            by_table.setdefault(other, []).append(said)
        for other, among in by_table.items():
            of_products = other == "products"
            yield Reference(
                each.column,
                other,
                each.by if of_products else None,
                each.type,
                tuple(among),
                each.into if of_products else None,
            )
        yield Reference(each.column, "", type=each.type, among=tuple(each.tables))
