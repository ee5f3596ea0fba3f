"""The register learns what sources have: each listing its batch, each batch its content version.

What belongs here: comparing a source's scan, or what its feed says, with the register; identity (`listing_key`); putting back what was
lost. What does not: how listings fill batches (`filling`), reading the register (`register`), reading a source.

A sync compares a source's scan with the register inside the database, so that neither side is ever held in
memory. It is one transaction under a lock: whatever happens, the register is as before or as after.
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from fashion_assets.errors import FashionAssetsError
from fashion_assets.postgres.copy import copy_rows
from fashion_assets.warehouse import changes
from fashion_assets.warehouse.filling import filled, write_batches
from fashion_assets.warehouse.register import REFERENCES_SCHEMA, on_tables

CHUNK = 5_000
"""Listings fingerprinted at once. Fingerprinting opens pictures: this bounds what a source has in hand."""


LONGEST_ID = 255
"""Characters of an id that are its key; of a longer one the key is a hash. The register's own key is in an index, whose entries
PostgreSQL lets have 2,704 bytes. No such listing becomes a product (`catalog.rules.LONGEST`)."""


class ScannableSource(Protocol):
    """The part of a source that a sync needs."""

    @property
    def name(self) -> str:
        """Names the source and its batches."""
        ...

    def scan(self) -> Iterator[pa.Table]:
        """Every record in the source's order: external_id (null if unreadable), locator, signature."""
        ...

    def fingerprints(self, references: pa.Table) -> Sequence[str]:
        """The content hash of each of these scanned records; may open pictures."""
        ...


@dataclass(frozen=True)
class SyncReport:
    """What a sync found. `listings` = `new` + `changed` + `unchanged`."""

    listings: int
    new: int  # never seen before
    changed: int  # another content hash, or back after having been gone
    gone: int  # in the register as present, not in the source
    unchanged: int
    batches_touched: tuple[str, ...]  # whose content version changed
    told: tuple[
        str, ...
    ] = ()  # by a feed, that may be other ones than before: their `listing_key`; of a scan none
    tables: "Mapping[str, SyncReport]" = field(default_factory=dict)  # of those beside the listings, by name
    left_out: Mapping[str, int] = field(
        default_factory=dict
    )  # what is no record, by what it is; see `Source.left_out`
    notes: tuple[str, ...] = ()  # what people should know of it; see `Source.notes`


def sync(
    connection: psycopg.Connection[Any],
    source: ScannableSource,
    batch_size: int,
    progress: Callable[[int, int], None] | None = None,
    *,
    register_name: str | None = None,
    of: str | None = None,
) -> SyncReport:
    """Bring the register in line with the source, and say what was found. Rows of a table that a source declares are registered
    under `register_name`, which also their batches are called after; `of` is that source.

    New listings fill new batches of `batch_size`, larger where that made more than `filling.MOST_BATCHES`, in the source's order; or first the last
    one, where there are many small ones (`filling.SPARE_BATCHES`). A known one stays where it is, also when it goes and comes back. Only listings that are new, or whose signature changed, are fingerprinted:
    `progress` is told how many of them are done, and how many there are. Commits, unless the caller has a
    transaction open. Raises what the source raises, and `LookupError` for a source that was never activated; then nothing
    has changed.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}, and must be at least 1")
    with connection.transaction():
        # Two scans of a source go one after the other. A lock of its row, which only who may write to it can take.
        known = on_tables("SELECT FROM {sources} WHERE name = %s FOR UPDATE")
        owner, name = of or source.name, register_name or source.name
        if connection.execute(known, (owner,)).fetchone() is None:
            raise LookupError(f"there is no source {owner!r} in the register: activate it first")
        logged = changes.position(connection)
        # Of this transaction only: enough to sort some 100,000 listings in memory.
        connection.execute("SET LOCAL work_mem = '32MB'")
        _load_scan(connection, source.scan())
        _identify(connection, name)
        _fingerprint(connection, source, progress)
        report = _apply(connection, name, batch_size, None)
        if register_name is None:
            connection.execute(
                on_tables("UPDATE {sources} SET has_changes_before = %s WHERE name = %s"), (logged, owner)
            )
        for table in ("fingerprinted", "identified", "scanned"):
            connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier("pg_temp", table)))
    return report


def open_anew(connection: psycopg.Connection[Any], source: str) -> None:
    """Have the next scan open every listing of a source, and every row of the tables it declares, also where its signature is as it was."""
    connection.execute(
        on_tables(
            "UPDATE {listings} SET signature = '' WHERE signature <> '' AND (source = %s OR starts_with(source, %s))"
        ),
        (source, f"{source}."),
    )


class NeedsScan(FashionAssetsError):
    """What a feed says does not tell which listings changed: the whole source is to be scanned."""


def note(
    connection: psycopg.Connection[Any],
    source: ScannableSource,
    changed: pa.Table,
    gone: Sequence[str],
    batch_size: int,
) -> SyncReport:
    """As `sync`, of a source that tells by itself what changed (references, as `ScannableSource.scan` yields them) and what is gone
    (`listing_key`). Raises `NeedsScan` where an id is there more than once."""
    with connection.transaction():
        known = on_tables("SELECT FROM {sources} WHERE name = %s FOR UPDATE")
        if connection.execute(known, (source.name,)).fetchone() is None:
            raise LookupError(f"there is no source {source.name!r} in the register: activate it first")
        _load_scan(connection, [changed])
        _identify(connection, source.name)
        repeated = connection.execute(
            on_tables(
                "SELECT FROM pg_temp.identified WHERE occurrence > 0 OR external_id IS NULL UNION ALL "
                "SELECT FROM pg_temp.identified i JOIN {listings} l ON l.source = %s AND l.external_id = i.external_id "
                "AND l.listing_key = i.listing_key || '#1' LIMIT 1"
            ),
            (source.name,),
        ).fetchone()
        if repeated is not None:
            raise NeedsScan(f"Source {source.name} has an id more than once, or a record without one.")
        _fingerprint(connection, source, None)
        told = connection.execute("SELECT listing_key FROM pg_temp.identified WHERE is_different").fetchall()
        report = _apply(connection, source.name, batch_size, gone)
        for table in ("fingerprinted", "identified", "scanned"):
            connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier("pg_temp", table)))
    return replace(report, told=(*(key for (key,) in told), *gone))


def gone(connection: psycopg.Connection[Any], source: str, locators: Iterable[Sequence[str]]) -> list[str]:
    """The `listing_key` of each listing of a source that is present in the register and lies at none of these places. Compared by the
    database."""
    with connection.transaction():
        connection.execute("CREATE TEMPORARY TABLE there (locator text NOT NULL) ON COMMIT DROP")
        tables = (pa.table({"locator": pa.array(some, pa.string())}) for some in locators)
        copy_rows(connection, sql.Identifier("pg_temp", "there"), {"locator": "text"}, tables)
        rows = connection.execute(
            on_tables(
                "SELECT listing_key FROM {listings} l WHERE source = %s AND present "
                "AND NOT EXISTS (SELECT FROM pg_temp.there t WHERE t.locator = l.locator)"
            ),
            (source,),
        ).fetchall()
    return [key for (key,) in rows]


@contextmanager
def as_scanned(
    connection: psycopg.Connection[Any], source: ScannableSource, size: int = CHUNK
) -> Iterator[Iterator[pa.Table]]:
    """Everything a source has at present, with the keys a sync would give it, as it is asked to read it (REFERENCES_SCHEMA, `size`
    rows a table, in the source's order). The register stays as it is. Within the caller's transaction; raises what the source
    raises."""
    _load_scan(connection, source.scan())
    _identify(connection, source.name)
    try:
        yield _in_order(connection, size)
    finally:
        if connection.info.transaction_status != psycopg.pq.TransactionStatus.INERROR:
            for table in ("identified", "scanned"):
                connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier("pg_temp", table)))


def _in_order(connection: psycopg.Connection[Any], size: int) -> Iterator[pa.Table]:
    with connection.cursor("as_scanned") as cursor:
        cursor.execute(
            "SELECT external_id, locator, signature, listing_key, occurrence FROM pg_temp.identified ORDER BY position"
        )
        while rows := cursor.fetchmany(size):
            columns = zip(*rows, strict=True)
            yield pa.table([list(column) for column in columns], schema=REFERENCES_SCHEMA)


RECOVERED_COLUMNS = {
    "listing_key": "text",
    "external_id": "text",
    "occurrence": "int4",
    "content_hash": "text",
}
"""What `recover` must be told of each listing."""


def recover(connection: psycopg.Connection[Any], source: str, batch: str, listings: pa.Table) -> None:
    """Put a batch that the register has lost back into it, with its listings (`RECOVERED_COLUMNS`), as present.

    Where they lie in the source nobody knows until the next sync finds them, which opens each once. A listing that is in
    another batch by now stays there.
    """
    with connection.transaction():
        connection.execute(
            """
            CREATE TEMPORARY TABLE recovered (
                listing_key text, external_id text, occurrence integer, content_hash text
            ) ON COMMIT DROP
            """
        )
        copy_rows(
            connection,
            sql.Identifier("pg_temp", "recovered"),
            RECOVERED_COLUMNS,
            listings.select(list(RECOVERED_COLUMNS)).set_column(
                list(RECOVERED_COLUMNS).index("external_id"),
                "external_id",
                _holdable(listings["external_id"]),
            ),
        )
        connection.execute(
            on_tables(
                """
                INSERT INTO {listings}
                    (source, listing_key, external_id, occurrence, batch, locator, signature, content_hash,
                     present)
                SELECT %(source)s, listing_key, external_id, occurrence, %(batch)s, '', '', content_hash, true
                FROM pg_temp.recovered ON CONFLICT DO NOTHING
                """
            ),
            {"source": source, "batch": batch},
        )
        write_batches(connection, [batch])
        connection.execute("DROP TABLE pg_temp.recovered")


# --- the steps of a sync


def _load_scan(connection: psycopg.Connection[Any], scanned: Iterable[pa.Table]) -> None:
    connection.execute(
        """
        CREATE TEMPORARY TABLE scanned (
            position bigint NOT NULL, external_id text, locator text NOT NULL, signature text NOT NULL
        ) ON COMMIT DROP
        """
    )

    def numbered() -> Iterator[pa.Table]:
        position = 0
        for table in scanned:
            positions = pa.array(range(position, position + table.num_rows), pa.int64())
            position += table.num_rows
            columns = [_holdable(table["external_id"]), table["locator"], table["signature"], positions]
            yield pa.table(columns, names=["external_id", "locator", "signature", "position"])

    columns = {"position": "int8", "external_id": "text", "locator": "text", "signature": "text"}
    copy_rows(connection, sql.Identifier("pg_temp", "scanned"), columns, numbered())
    connection.execute("ANALYZE pg_temp.scanned")


def _identify(connection: psycopg.Connection[Any], source: str) -> None:
    """Give each scanned record its key, and put the register's entry of that key beside it.

    The key is the external id; its n-th repetition adds "#n". So that no id can look like such a key, a "#"
    in an id is doubled. An id too long for a key is known by its hash, and a record without an id by what it is,
    that is by its signature: a single "#" comes first.
    """
    connection.execute(
        on_tables(
            """
            CREATE TEMPORARY TABLE identified ON COMMIT DROP AS
            WITH named AS (
                SELECT scanned.*, CASE
                           WHEN external_id IS NULL THEN
                               '#unreadable:' || left(encode(sha256(convert_to(signature, 'UTF8')), 'hex'), 32)
                           WHEN length(external_id) > %(longest)s THEN
                               '#long:' || left(encode(sha256(convert_to(external_id, 'UTF8')), 'hex'), 32)
                           ELSE replace(external_id, '#', '##')
                       END AS name
                FROM pg_temp.scanned
            ), counted AS (
                SELECT *, (row_number() OVER (PARTITION BY name ORDER BY position) - 1)::integer AS occurrence
                FROM named
            )
            SELECT c.position, c.external_id, c.locator, c.signature, c.occurrence, k.listing_key,
                   known.listing_key IS NULL AS is_new,
                   known.signature IS DISTINCT FROM c.signature AS is_suspect,
                   known.signature IS DISTINCT FROM c.signature OR known.locator IS DISTINCT FROM c.locator
                       OR NOT known.present AS is_different
            FROM counted c
            CROSS JOIN LATERAL (
                SELECT c.name || CASE c.occurrence WHEN 0 THEN '' ELSE '#' || c.occurrence END
            ) k(listing_key)
            LEFT JOIN {listings} known ON known.source = %(source)s AND known.listing_key = k.listing_key
            """
        ),
        {"source": source, "longest": LONGEST_ID},
    )
    connection.execute("ANALYZE pg_temp.identified")


def _fingerprint(
    connection: psycopg.Connection[Any], source: ScannableSource, progress: Callable[[int, int], None] | None
) -> None:
    connection.execute(
        """
        CREATE TEMPORARY TABLE fingerprinted (
            position bigint NOT NULL, content_hash text NOT NULL
        ) ON COMMIT DROP
        """
    )
    row = connection.execute("SELECT count(*) FROM pg_temp.identified WHERE is_suspect").fetchone()
    total, done = (row[0] if row else 0), 0
    if not total:
        return
    with connection.cursor("suspects") as cursor:
        cursor.execute(
            """
            SELECT position, external_id, locator, signature FROM pg_temp.identified
            WHERE is_suspect ORDER BY position
            """
        )
        while rows := cursor.fetchmany(CHUNK):
            positions, *scanned = zip(*rows, strict=True)
            table = pa.table(
                [list(column) for column in scanned], schema=pa.schema(list(REFERENCES_SCHEMA)[:3])
            )
            hashes = list(source.fingerprints(table))
            if len(hashes) != len(rows):
                raise ValueError(
                    f"source {source.name} gave {len(hashes)} fingerprints for {len(rows)} listings"
                )
            copy_rows(
                connection,
                sql.Identifier("pg_temp", "fingerprinted"),
                {"position": "int8", "content_hash": "text"},
                pa.table(
                    {
                        "position": pa.array(positions, pa.int64()),
                        "content_hash": pa.array(hashes, pa.string()),
                    }
                ),
            )
            done += len(rows)
            if progress:
                progress(done, total)
    connection.execute("ANALYZE pg_temp.fingerprinted")


_GONE = """
touched AS (
    UPDATE {listings} l SET present = false WHERE l.source = %(source)s AND l.present AND {gone}
    RETURNING l.batch
)
"""

# Three kinds of difference: another content, the same content under another signature, or only another place.
_CHANGED = """
known AS (
    SELECT l.source, l.listing_key, l.present, l.content_hash,
           coalesce(f.content_hash, l.content_hash) AS found, i.locator, i.signature
    FROM pg_temp.identified i
    JOIN {listings} l ON l.source = %(source)s AND l.listing_key = i.listing_key
    LEFT JOIN pg_temp.fingerprinted f USING (position)
    WHERE i.is_different AND NOT i.is_new
), updated AS (
    UPDATE {listings} l
    SET locator = known.locator, signature = known.signature, content_hash = known.found,
        present = true
    FROM known WHERE l.source = known.source AND l.listing_key = known.listing_key
    RETURNING l.batch, known.present, known.content_hash, known.found
), touched AS (
    SELECT batch FROM updated WHERE NOT present OR content_hash <> found
)
"""

_NEW = """
touched AS (
    INSERT INTO {listings}
        (source, listing_key, external_id, occurrence, batch, locator, signature, content_hash,
         present)
    SELECT %(source)s, listing_key, external_id, occurrence,
           %(source)s || '-'
               || CASE WHEN number < 100000 THEN lpad(number::text, 5, '0') ELSE number::text END,
           locator, signature, content_hash, true
    FROM (
        SELECT i.*, f.content_hash,
               %(last)s + (%(filled)s + row_number() OVER (ORDER BY position) - 1) / %(batch_size)s AS number
        FROM pg_temp.identified i JOIN pg_temp.fingerprinted f USING (position) WHERE i.is_new
    ) numbered
    RETURNING batch
)
"""


def _apply(
    connection: psycopg.Connection[Any], source: str, batch_size: int, gone_keys: Sequence[str] | None
) -> SyncReport:
    """`gone_keys`: the listings that are no more; None: whatever was not scanned."""
    values = {
        "source": source,
        "gone": list(gone_keys or ()),
        **filled(connection, source, batch_size),
    }

    def touched(steps: str) -> dict[str, int]:
        # Counted in the database: a first sync touches every listing there is.
        statement = on_tables("WITH " + steps + " SELECT batch, count(*) FROM touched GROUP BY batch")
        return dict(connection.execute(statement, values).fetchall())

    missing = "NOT EXISTS (SELECT FROM pg_temp.identified i WHERE i.listing_key = l.listing_key)"
    gone = touched(
        _GONE.replace("{gone}", missing if gone_keys is None else "l.listing_key = ANY (%(gone)s)")
    )
    changed, new = touched(_CHANGED), touched(_NEW)
    names = sorted({*gone, *changed, *new})
    if names:
        write_batches(connection, names)
    connection.execute(on_tables("UPDATE {sources} SET scanned_at = now() WHERE name = %(source)s"), values)
    row = connection.execute("SELECT count(*) FROM pg_temp.identified").fetchone()
    listings = row[0] if row else 0
    return SyncReport(
        listings=listings,
        new=sum(new.values()),
        changed=sum(changed.values()),
        gone=sum(gone.values()),
        unchanged=listings - sum(new.values()) - sum(changed.values()),
        batches_touched=tuple(names),
    )


def _holdable(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Ids as the register has them. No text in Postgres holds a NUL: such an id is none here, and the record says what it
    was."""
    return pc.if_else(pc.fill_null(pc.match_substring(ids, "\0"), False), pa.scalar(None, ids.type), ids)
