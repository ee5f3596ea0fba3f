"""The register of listings: which there are, and in which batch each lives.

What belongs here: reading it. What does not: how it learns what sources have (`noting`), the sources' own records (`sources` beside
this file), and anything a listing says.
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

from typing import Any, NamedTuple

import psycopg
import pyarrow as pa
from psycopg import sql

from fashion_assets.errors import FashionAssetsError
from fashion_assets.warehouse.schemas import OPS
from fashion_assets.warehouse.sources import SourceRecord

REFERENCES_SCHEMA = pa.schema(
    [
        pa.field("external_id", pa.string()),
        pa.field("locator", pa.string(), nullable=False),
        pa.field("signature", pa.string(), nullable=False),
        pa.field("listing_key", pa.string(), nullable=False),
        pa.field("occurrence", pa.int32(), nullable=False),
    ]
)
"""What `references` returns: what a scan said of each listing, and who the listing is."""


class UnknownBatch(FashionAssetsError, LookupError):
    """A name that no scan has given a batch."""

    shared = False


class Batch(NamedTuple):
    """A fixed set of listings of one source."""

    name: str
    source: str
    number: int
    listings: int  # present ones
    content_version: str


def batches(connection: psycopg.Connection[Any], source: str | None = None) -> list[Batch]:
    """Every batch, or those of one source, in order."""
    rows = connection.execute(
        on_tables(
            """
            SELECT batch, source, number, listings, content_version FROM {batches}
            WHERE %(source)s::text IS NULL OR source = %(source)s ORDER BY source, number
            """
        ),
        {"source": source},
    )
    return [Batch(*row) for row in rows]


def batch_and_source(connection: psycopg.Connection[Any], name: str) -> tuple[Batch, SourceRecord]:
    """A batch and the source it belongs to. Raises `UnknownBatch` for a name no scan has given."""
    row = connection.execute(
        on_tables(
            """
            SELECT b.batch, b.source, b.number, b.listings, b.content_version,
                   s.name, s.kind, s.location, s.options, s.active
            FROM {batches} b JOIN {sources} s ON s.name = b.source WHERE b.batch = %s
            """
        ),
        (name,),
    ).fetchone()
    if row is None:
        raise UnknownBatch(
            f"there is no batch {name!r} in the register: scan the source (fashion-assets run, or the sensor)"
        )
    return Batch(*row[:5]), SourceRecord(*row[5:])


def references(connection: psycopg.Connection[Any], batch: str) -> pa.Table:
    """The listings of a batch that are present, by listing_key, as a source needs them to read them."""
    rows = connection.execute(
        on_tables(
            """
            SELECT external_id, locator, signature, listing_key, occurrence FROM {listings}
            WHERE batch = %s AND present ORDER BY listing_key COLLATE "C"
            """
        ),
        (batch,),
    ).fetchall()
    columns = zip(*rows, strict=True) if rows else [[] for _ in REFERENCES_SCHEMA]
    return pa.table([list(column) for column in columns], schema=REFERENCES_SCHEMA)


def count_present(connection: psycopg.Connection[Any], source: str) -> int:
    """How many listings of a source are present."""
    row = connection.execute(
        on_tables("SELECT coalesce(sum(listings), 0)::bigint FROM {batches} WHERE source = %s"), (source,)
    ).fetchone()
    assert row is not None
    return row[0]


def on_tables(statement: str) -> sql.Composed:
    """A statement in which `{sources}`, `{listings}` and `{batches}` are the register's tables."""
    tables = {name: sql.Identifier(OPS, name) for name in ("sources", "listings", "batches")}
    return sql.SQL(statement).format(**tables)  # type: ignore[arg-type]
