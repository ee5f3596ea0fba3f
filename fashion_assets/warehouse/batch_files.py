"""What batches' files hold, as the register has it: so that nobody opens thousands of files to learn that nothing changed.

What belongs here: keeping and finding one row for each batch. What does not: reading files (`parquet`, `batches.files`), and
what their versions mean.

The files stay the truth. A row is good for as long as the files look as they did when it was written (`look`): where they do
not, or there is no row, their footers are read, and the row is written again.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import psycopg
import pyarrow as pa
from psycopg import sql

from fashion_assets.postgres.copy import copy_rows
from fashion_assets.warehouse.schemas import OPS

_TABLE = sql.Identifier(OPS, "batch_files")
_COLUMNS = {
    "batch": "text",
    "look": "text",
    "version": "text",
    "rows": "int4",
    "quarantined": "int4",
    "without_vector": "text",
    "content_version": "text",
}


DIFFERS = -1
"""In place of the number of rejections: no number of rows in quarantine is as many."""


class Held(NamedTuple):
    """What the files of a batch hold."""

    look: str = ""
    """How they look from outside (`ParquetStore.looks`); empty where one of them is missing."""
    version: str | None = None
    """The version of the batch they were made of; None where one is missing, damaged or of another version."""
    rows: int = 0
    """Rows that passed, those without a vector included."""
    quarantined: int = 0
    """Rows that were rejected, or lack a vector: so many of the batch are in quarantine. `DIFFERS` where others may be."""
    without_vector: str = ""
    """Which products have no vector and why, as the file says it; empty where all have one."""
    content: str | None = None
    """Which content of the batch they were made of; None where it is not known. No file says it: it tells apart why a batch is stale."""


def known(connection: psycopg.Connection[Any]) -> dict[str, Held]:
    """Every row there is, by batch."""
    columns = sql.SQL(", ").join(map(sql.Identifier, _COLUMNS))
    rows = connection.execute(sql.SQL("SELECT {} FROM {}").format(columns, _TABLE)).fetchall()
    return {batch: Held(*rest) for batch, *rest in rows}


def keep(connection: psycopg.Connection[Any], held: Mapping[str, Held]) -> None:
    """Write what files hold, by batch, in place of what was known of these batches."""
    if not held:
        return
    rows = [(name, *each) for name, each in held.items()]
    with connection.transaction():
        forget(connection, list(held))
        columns = zip(*rows, strict=True)
        table = pa.table(dict(zip(_COLUMNS, map(list, columns), strict=True)))
        copy_rows(connection, _TABLE, _COLUMNS, table)


def forget(connection: psycopg.Connection[Any], names: list[str]) -> None:
    """Take away what is known of these batches' files."""
    connection.execute(sql.SQL("DELETE FROM {} WHERE batch = ANY (%s)").format(_TABLE), (names,))


def quarantine_differs(connection: psycopg.Connection[Any], names: list[str]) -> None:
    """Say of these batches that their quarantine is no longer what their files say, however many it holds: a sync wrote it, and no files. Where the source goes back
    to what the files were made of, they are taken for lost from it then (`batches.plan`), and written again."""
    connection.execute(
        sql.SQL("UPDATE {} SET quarantined = %s WHERE batch = ANY (%s)").format(_TABLE), (DIFFERS, names)
    )
