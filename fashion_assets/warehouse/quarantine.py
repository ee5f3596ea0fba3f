"""Quarantine: rejected listings, by batch, with every reason.

What belongs here: replacing a batch's quarantine and reading it. What does not: deciding what is rejected
(`catalog`).
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from fashion_assets.postgres.copy import copy_rows

_COLUMNS = {
    "source": "text",
    "listing_key": "text",
    "external_id": "text",
    "batch": "text",
    "reasons": "text[]",
    "record": "json",
    "image_uri": "text",
    "content_hash": "text",
}


@dataclass(frozen=True)
class Quarantined:
    """One rejected listing; `record` is the original, whole, `image_uri` relative to the source's root."""

    external_id: str | None
    source: str
    batch: str
    reasons: list[str]
    record: Any
    image_uri: str | None


def replace_quarantine(conn: psycopg.Connection, batch: str, rejections: pa.Table) -> None:
    """Make the batch's quarantine exactly these rejections, in one transaction."""
    with conn.transaction():
        conn.execute("DELETE FROM fashion_ops.quarantine WHERE batch = %s", (batch,))
        _append(conn, rejections, pa.repeat(batch, rejections.num_rows))


def quarantine_accepted(
    conn: psycopg.Connection, batch: str, accepted: pa.Table, rejections: pa.Table
) -> None:
    """Of the batch's listings that validation accepted, have these and no others in quarantine: what a later stage could
    not use after all. One transaction."""
    with conn.transaction():
        conn.execute(
            "DELETE FROM fashion_ops.quarantine WHERE batch = %s AND listing_key = ANY (%s)",
            (batch, accepted["listing_key"].to_pylist()),
        )
        _append(conn, rejections, pa.repeat(batch, rejections.num_rows))


def replace_listings(
    conn: psycopg.Connection, source: str, judged: Sequence[str], rejections: pa.Table, batches: Sequence[str]
) -> None:
    """Of these listings of a source (`listing_key`), have the rejected ones and no others in quarantine; each rejection with its
    batch. In the caller's transaction."""
    conn.execute(
        "DELETE FROM fashion_ops.quarantine WHERE source = %s AND listing_key = ANY (%s)",
        (source, list(judged)),
    )
    _append(conn, rejections, pa.array(batches, pa.string()))


def _append(conn: psycopg.Connection, rejections: pa.Table, batches: pa.Array) -> None:
    """Quarantine is where listings go that nothing else can hold: what the database cannot hold either is written in
    another way, and nothing is refused."""
    rows = rejections.append_column("batch", batches)
    for name in ("external_id", "image_uri"):
        # No text in Postgres holds a NUL.
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, rows.field(name), pc.replace_substring(rows[name], "\0", "\\x00"))
    records = pa.array(map(_holdable, rows["record"].to_pylist()), pa.string())
    rows = rows.set_column(rows.schema.get_field_index("record"), "record", records)
    copy_rows(conn, sql.Identifier("fashion_ops", "quarantine"), _COLUMNS, rows.select(list(_COLUMNS)))


def _holdable(record: str) -> str:
    """The record, if Postgres takes it for JSON, else its text as a JSON object."""
    try:
        # As strict as Postgres, and no deeper: Python gives up at a tenth of the depth.
        json.loads(record, parse_constant=_refused)
    except (ValueError, RecursionError):
        return json.dumps({"text": record.replace("\0", "\\x00")}, ensure_ascii=False)
    return record


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def counts(conn: psycopg.Connection) -> dict[str, int]:
    """How many listings, or rows, of each batch it has rejected itself; batches with none are not named."""
    return dict(
        conn.execute(
            "SELECT batch, count(*) FROM fashion_ops.quarantine WHERE release IS NULL GROUP BY batch"
        ).fetchall()
    )


def quarantined(
    conn: psycopg.Connection,
    *,
    reason: str | None = None,
    limit: int | None = None,
    tables: bool = False,
    skip: int = 0,
) -> Iterator[Quarantined]:
    """Rejected listings of the active sources, streamed, without the first `skip`; with `tables` rejected rows of the tables they declare too, whose source
    is the source's name and the table's with a dot between."""
    with conn.cursor(name="quarantine") as cursor:
        cursor.itersize = 1_000
        cursor.execute(
            "SELECT q.external_id, q.source, q.batch, q.reasons, q.record, q.image_uri FROM fashion_ops.quarantine q "
            "JOIN fashion_ops.sources s ON s.active "
            "AND s.name = CASE WHEN %(tables)s THEN split_part(q.source, '.', 1) ELSE q.source END "
            "WHERE %(reason)s::text IS NULL OR %(reason)s = ANY (q.reasons) "
            "ORDER BY q.batch, q.listing_key LIMIT %(limit)s OFFSET %(skip)s",
            {"reason": reason, "limit": limit, "tables": tables, "skip": skip},
        )
        for row in cursor:
            yield Quarantined(*row)


def with_picture(conn: psycopg.Connection, source: str, image_uri: str) -> Iterator[Quarantined]:
    """The rejected listings of a source that name this picture."""
    rows = conn.execute(
        "SELECT external_id, source, batch, reasons, NULL, image_uri FROM fashion_ops.quarantine "
        "WHERE source = %s AND image_uri = %s LIMIT 1",
        (source, image_uri),
    )
    yield from (Quarantined(*row) for row in rows)


def reasons(conn: psycopg.Connection) -> list[tuple[str, int]]:
    """Reasons and how many listings of the active sources have each, most frequent first."""
    return conn.execute(
        "SELECT reason, count(*) FROM fashion_ops.quarantine q "
        "JOIN fashion_ops.sources s ON s.name = q.source AND s.active, unnest(q.reasons) AS reason "
        "GROUP BY reason ORDER BY 2 DESC, 1"
    ).fetchall()
