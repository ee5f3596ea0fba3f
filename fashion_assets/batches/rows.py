"""Rows of the tables sources declare beside their listings: what may be declared, what a sound row is, and its stages.

What belongs here: users, favourites and whatever else comes across, batch by batch. What does not: whether a row refers to what is
there, which hangs on other batches and is found when a release is loaded (`release.declared`).
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any, Final
from uuid import UUID

import psycopg
import pyarrow as pa

from fashion_assets.batches.files import (
    BATCH_VERSION,
    OF_ROWS,
    QUARANTINED_ROWS,
    RAW_ROWS,
    VALIDATED_ROWS,
    carry_version,
    held_by,
)
from fashion_assets.batches.stage import Made, Stage, Tables
from fashion_assets.catalog.listing import REJECTION_SCHEMA
from fashion_assets.criteria.listings import RawBatch, RowsBatch
from fashion_assets.settings import Settings
from fashion_assets.sources import Source, SourceError, open_source
from fashion_assets.sources.source import TABLE_ROW_SCHEMA, DeclaredTable
from fashion_assets.warehouse import batch_files
from fashion_assets.warehouse.declared import Counts, Declared, Refers, table_of_batch
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.quarantine import replace_quarantine
from fashion_assets.warehouse.register import Batch, references

ROWS_VERSION: Final = "1"
"""Changes whenever a rule here changes its mind."""

ROWS_OF_A_BATCH: Final = 10_000
"""Rows are small beside listings, and have no pictures."""

LONGEST_KEY = 512
"""Characters of a value that identifies a row, or names another one: it stands in an index, whose entries may have 2,704
bytes."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,50}")
_RESERVED = (
    "products",
    "product_embeddings",
    "garments",
    "vectors_as_json",
    "style_clusters",
    "product_style_affinity",
    "revision",
    "value_counts",
    "value_counts_value",
    "value_counts_unsettled",
    "product_style_affinity_product",
    "product_style_affinity_cluster",
    "favourites_user",
    "favourites_product",
    "users_user",
    "source",
    "record",
)

# Declarations


def declared(source: Source) -> list[tuple[Declared, DeclaredTable]]:
    """The tables of a source, each as it is registered and as it is read. Raises `SourceError` for one that no release could
    have."""
    found = []
    for table in source.tables():
        said = Declared(
            source.name,
            table.name,
            tuple(table.key),
            dict(table.columns),
            tuple(Refers(*each) for each in table.references),
            tuple(table.readable),
            tuple(Counts(*each) for each in table.counts),
        )
        if wrong := _wrong(said, {each.name: each for each in source.tables()}):
            raise SourceError(f"The table {table.name!r} of source {source.name}: {wrong}.")
        found.append((said, table))
    return found


def _wrong(table: Declared, tables: Mapping[str, DeclaredTable]) -> str | None:
    """Why a release cannot have such a table; None where it can."""
    return _wrong_names(table) or _wrong_references(table, tables) or _wrong_counts(table, tables)


def _wrong_names(table: Declared) -> str | None:
    """What is wrong with what the table and its columns are called, and with the columns it names."""
    if not _NAME.fullmatch(table.name):
        return "its name must be lower-case letters, digits and underscores, a letter first, 51 at the most"
    if table.name in _RESERVED or table.name.startswith(("products_", "product_embeddings_")):
        return "its name is one of the release's own; give it another one in the mapping"
    for column, kind in table.columns.items():
        if not _NAME.fullmatch(column):
            return f"its column {column!r} must be called by lower-case letters, digits and underscores"
        if column in ("source", "record"):
            return f"its column {column!r} is one every table of a release has; give it another name in the mapping"
        if kind not in PARSERS:
            return f"its column {column!r} is of type {kind}; known are {', '.join(PARSERS)}"
    named = [*table.key, *table.readable, *(each.column for each in (*table.references, *table.counts))]
    named += [name for each in table.references for name in (each.type, each.into) if name is not None]
    return next((_is_no_column(table, column) for column in named if column not in table.columns), None)


def _wrong_references(table: Declared, tables: Mapping[str, DeclaredTable]) -> str | None:
    """What is wrong with what its rows refer to."""
    for column, other, *_, within in table.references:
        if not other:
            continue
        if other != "products" and other not in tables:
            return f"its column {column!r} refers to {other!r}, which the source does not declare"
        if other != "products" and len(tables[other].key) != 1:
            return f"its column {column!r} refers to {other!r}, whose key is not one column"
        if within is None:
            continue
        if within[0] not in table.columns:
            return _is_no_column(table, within[0])
        if other == "products" or tables[other].columns.get(within[1]) != "jsonb":
            return f"its column {column!r} names an entry of {within[1]!r} of {other!r}, which is no column of type jsonb"
    return None


def _wrong_counts(table: Declared, tables: Mapping[str, DeclaredTable]) -> str | None:
    """What is wrong with the rows of other tables it counts."""
    for count in table.counts:
        what = f"its column {count.column!r} counts"
        if count.table not in tables:
            return f"{what} rows of {count.table!r}, which the source does not declare"
        named = [
            count.by,
            *([count.where] if count.where else []),
            *(count.entries[:1] if count.entries else ()),
        ]
        for column in named:
            if column not in tables[count.table].columns:
                return f"{what} rows of {count.table!r}, which has no column {column!r}"
        if count.entries and table.columns[count.column] != "jsonb":
            return f"{what} for each entry of a list, and is of type {table.columns[count.column]}, not jsonb"
        if len(table.key) != 1:
            return f"{what} rows that name one of its own, and its key is not one column"
    return None


def _is_no_column(table: Declared, column: str) -> str:
    return f"{column!r} is none of its columns, which are {', '.join(table.columns)}"


# Values


def _whole(text: str) -> int:
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise ValueError(text)
    return number


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError(text)
    return number


def _truth(text: str) -> bool:
    known = {
        "true": True,
        "t": True,
        "1": True,
        "yes": True,
        "false": False,
        "f": False,
        "0": False,
        "no": False,
    }
    return known[text.strip().lower()]


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _json(text: str) -> str:
    json.loads(text, parse_constant=_no_json)
    if "\\u0000" in text:
        raise ValueError(text)
    return text


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


@dataclass(frozen=True)
class Parser:
    """How the text of a value becomes one of its type."""

    copied_as: str
    """Its type as `postgres.copy` names it."""
    arrow: pa.DataType
    parse: Callable[[str], Any]


PARSERS: Final[Mapping[str, Parser]] = {
    "text": Parser("text", pa.string(), str),
    "json": Parser("json", pa.string(), _json),
    "jsonb": Parser("jsonb", pa.string(), _json),
    "bigint": Parser("int8", pa.int64(), _whole),
    "int8": Parser("int8", pa.int64(), _whole),
    "float8": Parser("float8", pa.float64(), float),
    "numeric": Parser("numeric", pa.decimal128(38, 9), _decimal),
    "boolean": Parser("bool", pa.bool_(), _truth),
    "timestamptz": Parser("timestamptz", pa.timestamp("us", "UTC"), _moment),
    "date": Parser("date", pa.date32(), date.fromisoformat),
    "uuid": Parser("uuid", pa.string(), lambda text: str(UUID(text))),
}
"""Types a declared column may have."""

_REFUSED = (ValueError, KeyError, InvalidOperation, OverflowError, RecursionError, pa.ArrowInvalid)


def _texts(value: Any) -> str | None:
    """A value as its source gives it, as text; of a list, JSON."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def typed(values: Sequence[str | None], kind: str) -> tuple[pa.Array, list[int]]:
    """The texts as values of a column's type, and the positions of those that are none, which are null."""
    parser, bad = PARSERS[kind], []
    parsed: list[Any] = []
    for position, text in enumerate(values):
        if text is None:
            parsed.append(None)
            continue
        try:
            value = parser.parse(text)
            pa.scalar(value, parser.arrow)
        except _REFUSED:
            bad.append(position)
            value = None
        parsed.append(value)
    return pa.array(parsed, parser.arrow), bad


def columns_of(rows: pa.Table, names: Sequence[str]) -> dict[str, list[str | None]]:
    """The declared columns of rows (TABLE_ROW_SCHEMA), as texts."""
    said = [json.loads(values) for values in rows["values"].to_pylist()]
    return {name: [_texts(each.get(name)) for each in said] for name in names}


# Stages


@dataclass(frozen=True)
class RowsWork:
    """One batch of a declared table's rows, and what its stages need."""

    name: str
    settings: Settings
    store: ParquetStore
    connect: Callable[[], AbstractContextManager[psycopg.Connection]]

    @cached_property
    def _known(self) -> tuple[Batch, Source, Declared, pa.Table]:
        with self.connect() as conn:
            batch, entry, table = table_of_batch(conn, self.name)
            wanted = references(conn, self.name)
        source = open_source(entry.kind, entry.name, entry.location, self.settings, entry.options)
        return batch, source, table, wanted

    @property
    def batch(self) -> Batch:
        """As the register has it. Raises `UnknownBatch` for a name no scan has given."""
        return self._known[0]

    @property
    def source(self) -> Source:
        """The source that declares the table; nothing of it is opened yet."""
        return self._known[1]

    @property
    def declared(self) -> Declared:
        """The table, as it was declared when it was scanned."""
        return self._known[2]

    @property
    def references(self) -> pa.Table:
        """The batch's rows, as their source needs them to read them."""
        return self._known[3]

    @property
    def rows(self) -> DeclaredTable:
        """The table, to be read. Raises `SourceError` where its source declares it no more."""
        for table in self.source.tables():
            if table.name == self.declared.name:
                return table
        raise SourceError(
            f"Source {self.source.name} declares no table {self.declared.name!r} any more. Scan it again: fashion-assets run."
        )


def rows_version(batch: Batch, table: Declared, read_with: str) -> str:
    """What the files of a batch of rows must have been made of: its content, how its source reads it (`Source.version`), and how
    the table is declared."""
    parts = (batch.content_version, ROWS_VERSION, read_with, table.as_json)
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def _read(work: RowsWork, _: Tables) -> Made:
    rows = work.rows.read(work.references)
    version = rows_version(work.batch, work.declared, work.source.version)
    marked = rows.replace_schema_metadata({BATCH_VERSION: version.encode()})
    return Made({RAW_ROWS.name: marked}, {"batch_version": version})


def _read_batch(work: RowsWork, tables: Tables) -> RawBatch:
    return RawBatch(work.references, tables[RAW_ROWS.name])


def judged(rows: pa.Table, table: Declared) -> tuple[pa.Table, pa.Table]:
    """Rows (TABLE_ROW_SCHEMA) that are sound, and rejections (REJECTION_SCHEMA) of the others with every reason."""
    rows = rows.select(TABLE_ROW_SCHEMA.names).combine_chunks()
    reasons: list[list[str]] = [list(defects or ()) for defects in rows["defects"].to_pylist()]
    unreadable = [bool(found) for found in reasons]
    columns = columns_of(rows, list(table.columns))
    stated = table.key or tuple(each.column for each in table.references)
    for column, kind in table.columns.items():
        _, bad = typed(columns[column], kind)
        wrong = set(bad)
        for position, text in enumerate(columns[column]):
            if unreadable[position]:
                continue
            if text is None and column in stated:
                reasons[position].append(f"null_{column}")
            elif text is not None and "\0" in text and "nul_character" not in reasons[position]:
                reasons[position].append("nul_character")
            elif text is not None and column in stated and len(text) > LONGEST_KEY:
                reasons[position].append(f"{column}_too_long")
            elif position in wrong:
                reasons[position].append(f"{column}_is_no_{kind}")
    for position, occurrence in enumerate(rows["occurrence"].to_pylist()):
        if (
            occurrence
            and not unreadable[position]
            and not any(r.startswith("null_") for r in reasons[position])
        ):
            reasons[position].append("duplicate_key" if table.key else "duplicate_row")
    rejected = pa.array([bool(found) for found in reasons], pa.bool_())
    refused = rows.filter(rejected)
    count = refused.num_rows
    made = {
        "image_uri": pa.nulls(count, pa.string()),
        "reasons": pa.array([found for found in reasons if found], REJECTION_SCHEMA.field("reasons").type),
        "validated_with": pa.repeat(ROWS_VERSION, count),
    }
    arrays = [made[name] if name in made else refused[name] for name in REJECTION_SCHEMA.names]
    rejections = pa.Table.from_arrays(arrays, schema=REJECTION_SCHEMA)
    return rows.filter(pa.array([not found for found in reasons], pa.bool_())), rejections


def _judge(work: RowsWork, tables: Tables) -> Made:
    raw = tables[RAW_ROWS.name]
    rows, rejections = judged(raw, work.declared)
    # Under the name the register has for them, which no source of listings has.
    registered = pa.repeat(work.declared.register_name, rejections.num_rows)
    rejections = rejections.set_column(0, REJECTION_SCHEMA.field("source"), registered)
    with work.connect() as conn:
        replace_quarantine(conn, work.name, rejections)
    return Made(
        {
            VALIDATED_ROWS.name: carry_version(rows, raw),
            QUARANTINED_ROWS.name: carry_version(rejections, raw),
        },
        {"rejection_rate": rejections.num_rows / max(1, raw.num_rows)},
    )


def _judged_batch(work: RowsWork, tables: Tables) -> RowsBatch:
    raw, rows, rejections = (tables[file.name] for file in OF_ROWS.files)
    return RowsBatch(raw, rows, rejections)


def keep_what_is_held(work: RowsWork) -> None:
    """Have the database know what the batch's files hold, once the last of them is written."""
    held = held_by(work.store, OF_ROWS, work.name)
    with work.connect() as conn:
        batch_files.keep(conn, {work.name: held._replace(content=work.batch.content_version)})


READING_ROWS: Stage[RowsWork] = Stage(
    "raw_rows",
    (),
    (RAW_ROWS,),
    lambda given: given.source.version if given.source else "",
    _read,
    _read_batch,
)

VALIDATING_ROWS: Stage[RowsWork] = Stage(
    "rows_validation",
    (RAW_ROWS,),
    (VALIDATED_ROWS, QUARANTINED_ROWS),
    lambda given: ROWS_VERSION,
    _judge,
    _judged_batch,
)

ROW_STAGES = (READING_ROWS, VALIDATING_ROWS)
"""Every stage of a batch of rows, in the order they run."""
