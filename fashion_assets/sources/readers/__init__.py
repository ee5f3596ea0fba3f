"""Readers by format: files and databases taken apart into rows, whatever the rows mean.

| reader | what it reads |
|---|---|
| `delimited` | delimited text: commas, semicolons, tabs, pipes; encoding and dialect found out |
| `json_records` | JSON arrays and JSON lines, plain or compressed; a folder of files of one object |
| `parquet` | Parquet files |
| `workbook` | Excel workbooks (.xlsx); mappings call them `delimited`, as the same table is as text |
| `sql` | a table or query of any database SQLAlchemy has a driver for |
| `xml` | a feed's items |

What belongs here: rows, where they lie, what cannot be read. What does not: what a column means (`sources.mapping`), judging
(`catalog.validation`).

Each module has its reader, which is made of a location and the options its docstring names, and a function
`looks_like(location, head)` that says whether a location, of which `head` are the first bytes (decompressed; of a folder
none), is of its format. A reader's module is imported when it is asked for; what locations of slow ones begin with stands in
`beginnings`.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from fashion_assets.sources.readers import beginnings
from fashion_assets.sources.readers.archives import MAGIC, is_workbook
from fashion_assets.sources.readers.files import first_bytes
from fashion_assets.sources.readers.reader import Row, RowReader
from fashion_assets.sources.source import SourceError

FORMATS = {
    "sql": "Sql",
    "parquet": "Parquet",
    "workbook": "Workbook",
    "xml": "Xml",
    "json_records": "JsonRecords",
    "delimited": "Delimited",
}
"""Each format's module and the class of its reader, in the order in which they are asked whether a location is theirs: what
begins unmistakably first."""


def open_rows(format: str, location: str, options: Mapping[str, Any] | None = None) -> RowReader:
    """The reader of that format at `location`; to be closed. Options are those its class names; others are left alone.

    Raises SourceError for a format there is no reader for, and where the reader does.
    """
    if format == "delimited" and is_workbook(location, first_bytes(location, len(MAGIC))):
        format = "workbook"
    if format == "delimited":
        from fashion_assets.sources.readers.delimited import OPTIONS, Delimited

        stated = {name: value for name, value in (options or {}).items() if name in OPTIONS}
        return Delimited(Path(location), **stated)
    if format not in FORMATS:
        raise SourceError(f"There is no reader for the format {format!r}, only for {', '.join(FORMATS)}.")
    module = import_module(f"{__name__}.{format}")
    return getattr(module, FORMATS[format])(location, options or {})


def has_table(location: str, table: str) -> bool:
    """Whether a database has a table, or a view, that may be seen. Raises SourceError where the database cannot be reached."""
    from fashion_assets.sources.readers import (
        databases,
    )  # here: SQLAlchemy is slow to import, and files need none

    return databases.has_table(location, table)


def format_of(location: str) -> str | None:
    """The format a location looks like: one of FORMATS; None where it looks like none. Reads at most its beginning.

    Raises SourceError where there is nothing at the location, or it cannot be read.
    """
    if beginnings.is_database_url(location):
        return "sql"
    head = first_bytes(location)
    told = {"sql": beginnings.is_database, "parquet": beginnings.is_parquet, "workbook": is_workbook}
    for format in FORMATS:
        if (told.get(format) or import_module(f"{__name__}.{format}").looks_like)(location, head):
            return format
    return None


def mapped_as(format: str) -> str:
    """What mappings call a format: a workbook is a table as delimited text is."""
    return "delimited" if format == "workbook" else format


__all__ = ["FORMATS", "Row", "RowReader", "first_bytes", "format_of", "has_table", "mapped_as", "open_rows"]
