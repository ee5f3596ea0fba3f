"""What listings state, held beside what a release has of them: row by row, by keyed hashes, inside the database.

What belongs here: the hash of a row, the same from a listing and from the release's table, and which rows are equal, rejected,
changed or unexplained. What does not: where the listings come from (a batch's files for the criterion `nothing_is_lost`, the source
itself for `proof.difference`), and which columns of a row differ.

What was read from words or seen in a picture is no statement: where the record is silent, the release is held to say so of itself.

Listings are judged by what they say, not by their pictures, and given canonical values; of each its key and two hashes go into a
temporary table, so that memory does not grow with the catalogue.
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import NamedTuple

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from fashion_assets.catalog.attributes import READ
from fashion_assets.catalog.listing import ATTRIBUTES, product_id
from fashion_assets.catalog.normalization import NORMALIZATION_VERSION, normalize
from fashion_assets.catalog.rules import Rules
from fashion_assets.catalog.validation import validate
from fashion_assets.postgres.copy import copy_rows
from fashion_assets.warehouse.releases import Release

NULL, BETWEEN = "\x01", "\x1f"
"""What stands for a null, and between the values of a row, in the text that is hashed."""

ORIGINS = "origins"
"""The column of a release that says which attributes the record does not state."""

EQUAL = "equal"
REJECTED = "rejected"
CHANGED = "changed"
GONE = "gone"
LOST = "lost"
ALTERED = "altered"
UNKNOWN = "unknown"
"""What became of a row: a product as the listing states it; in quarantine; another content by now than the release was made of;
in the release, and no longer stated; stated, and neither a product nor in quarantine; a product that says something else than its
listing; a product that no listing of its source states."""

_STATED = {
    "source": "text",
    "listing_key": "text",
    "batch": "text",
    "product_id": "uuid",
    "content_hash": "text",
    "reasons": "text[]",
    "record_hash": "text",
    "columns_hash": "text",
    "locator": "text",
    "signature": "text",
    "external_id": "text",
    "occurrence": "int4",
}


class Statement(NamedTuple):
    """Listings as a release should have them: canonical products (NORMALIZED_SCHEMA without pictures), and rejections for what the
    others say."""

    products: pa.Table
    rejections: pa.Table


def state(listings: pa.Table, rules: Rules) -> Statement:
    """What a release should have of listings (LISTING_SCHEMA), as far as their pictures are sound."""
    judged = validate(listings, rules, pictures=False)
    return Statement(normalize(judged.products, at=datetime.now(UTC)), judged.rejections)


def columns_of(conn: psycopg.Connection, release: Release) -> list[str]:
    """The attributes a release has columns of, in the order of the table of attributes, and `ORIGINS` where it has that."""
    rows = conn.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
        (release.table("products").as_string(conn),),
    )
    there = {name for (name,) in rows}
    return [name for name in (*ATTRIBUTES, ORIGINS) if name in there]


def attributes_without_column(conn: psycopg.Connection, release: Release) -> set[str]:
    """The attributes that came to be after the release was built: no product of it has a value of theirs. Any other column that is not
    there is a fault of the release's."""
    return {*ATTRIBUTES} - {*columns_of(conn, release)}


def as_stated(name: str, columns: Collection[str]) -> sql.Composed:
    """A column of the release as its listing states it, in SQL: null where the value was read from words or a picture. `columns`: those the
    release has."""
    value = sql.SQL("{}::text").format(sql.Identifier(name))
    if name not in READ or ORIGINS not in columns:
        return value
    return sql.SQL("CASE WHEN {} ? {} THEN NULL ELSE {} END").format(
        sql.Identifier(ORIGINS), sql.Literal(name), value
    )


@contextmanager
def comparing(conn: psycopg.Connection, release: Release) -> Iterator["Comparison"]:
    """A comparison with a release; its tables are gone afterwards. In a transaction of its own, or the caller's."""
    with conn.transaction():
        conn.execute(
            """
            CREATE TEMPORARY TABLE stated (
                source text, listing_key text, batch text, product_id uuid, content_hash text, reasons text[], record_hash text,
                columns_hash text, locator text, signature text, external_id text, occurrence integer
            ) ON COMMIT DROP
            """
        )
        yield Comparison(conn, release)
        conn.execute("DROP TABLE IF EXISTS pg_temp.compared, pg_temp.stated")


class Comparison:
    """What listings state, beside the products of one release."""

    def __init__(self, conn: psycopg.Connection, release: Release) -> None:
        self._conn, self._release = conn, release
        self._there = columns_of(conn, release)
        self.columns = [name for name in self._there if name != ORIGINS]

    def add(self, listings: pa.Table, rules: Rules, *, batch: str | None = None) -> Statement:
        """Put listings (LISTING_SCHEMA, and where they are to be read again `locator` and `signature`) beside the release; returns
        what they state."""
        said = state(listings, rules)
        self.put(listings, self.hashed(listings, said), batch=batch)
        return said

    def hashed(self, listings: pa.Table, said: Statement) -> pa.Table:
        """What listings state, as it is held beside the release (`statements.OF_A_LISTING`), in their order."""
        keys = listings["listing_key"].combine_chunks()
        products = said.products
        place = pc.index_in(keys, value_set=products["listing_key"].combine_chunks())
        refused = pc.index_in(keys, value_set=said.rejections["listing_key"].combine_chunks())
        return pa.table(
            {
                "reasons": said.rejections["reasons"].combine_chunks().take(refused),
                "record_hash": hashes([products["record"]]).take(place),
                "columns_hash": hashes([products[name] for name in ("external_id", *self.columns)]).take(
                    place
                ),
            }
        )

    def put(self, listings: pa.Table, hashed: pa.Table, *, batch: str | None = None) -> None:
        """Put listings and what they state (`hashed`) beside the release."""
        rows = self._rows(listings, hashed, batch)
        copy_rows(self._conn, sql.Identifier("pg_temp", "stated"), _STATED, rows)

    def _rows(self, listings: pa.Table, hashed: pa.Table, batch: str | None) -> pa.Table:
        keys = listings["listing_key"].combine_chunks()
        none = pa.nulls(listings.num_rows, pa.string())
        first = pc.equal(listings["occurrence"], 0)
        ids = [
            product_id(source, known) if known is not None and is_first else None
            for source, known, is_first in zip(
                listings["source"].to_pylist(),
                listings["external_id"].to_pylist(),
                first.to_pylist(),
                strict=True,
            )
        ]
        columns = {
            "source": listings["source"],
            "listing_key": keys,
            "batch": none if batch is None else pa.repeat(batch, listings.num_rows),
            "product_id": pa.array(ids, pa.string()),
            "content_hash": listings["content_hash"],
            **{name: hashed[name] for name in hashed.column_names},
            "locator": listings["locator"] if "locator" in listings.column_names else none,
            "signature": listings["signature"] if "signature" in listings.column_names else none,
            "external_id": listings["external_id"],
            "occurrence": listings["occurrence"],
        }
        return pa.table({name: columns[name] for name in _STATED})

    def held(self, name: str) -> sql.Composed:
        """A column of the release as its listing states it, in SQL."""
        return as_stated(name, self._there)

    def judge(self, sources: Sequence[str], *, whole: bool) -> dict[str, int]:
        """How many rows became what, of these sources. `whole`: all listings of the sources were added, so that a product that none
        states is gone from its source; else it is judged by its batch, if listings of that were added.

        Afterwards `pg_temp.compared` has each row with its verdict."""
        self._conn.execute("ANALYZE pg_temp.stated")
        self._conn.execute(
            sql.SQL(
                """
                CREATE TEMPORARY TABLE compared ON COMMIT DROP AS
                WITH held AS (
                    SELECT product_id, source, batch, external_id, content_hash, md5(record::text) AS record_hash,
                           md5(concat_ws({between}, {columns})) AS columns_hash,
                           normalized ->> 'normalized_version' AS version
                    FROM {products} WHERE source = ANY(%(sources)s)
                      AND (%(whole)s OR batch IN (SELECT DISTINCT batch FROM pg_temp.stated))
                )
                SELECT s.listing_key, coalesce(s.product_id, h.product_id) AS product_id,
                       coalesce(s.batch, l.batch, h.batch) AS batch, coalesce(h.external_id, s.external_id) AS external_id,
                       coalesce(q.reasons, s.reasons) AS reasons,
                       h.product_id IS NOT NULL AS held, s.locator, s.signature, s.occurrence,
                       CASE
                           WHEN s.listing_key IS NULL THEN %(stranger)s
                           WHEN h.product_id IS NULL AND q.listing_key IS NOT NULL THEN %(rejected)s
                           WHEN h.product_id IS NULL AND (
                               l.listing_key IS NULL OR NOT l.present OR l.content_hash <> s.content_hash
                               OR b.content_version IS DISTINCT FROM r.content_version)
                               THEN CASE WHEN cardinality(s.reasons) > 0 THEN %(rejected)s ELSE %(changed)s END
                           WHEN h.product_id IS NULL THEN %(lost)s
                           WHEN h.content_hash <> s.content_hash THEN %(changed)s
                           WHEN h.record_hash = s.record_hash AND h.columns_hash = s.columns_hash THEN %(equal)s
                           WHEN h.version IS DISTINCT FROM %(version)s THEN %(changed)s
                           ELSE %(altered)s
                       END AS verdict
                FROM pg_temp.stated s
                FULL JOIN held h ON h.product_id = s.product_id
                LEFT JOIN fashion_ops.listings l ON l.source = s.source AND l.listing_key = s.listing_key
                LEFT JOIN fashion_ops.quarantine q ON q.source = s.source AND q.listing_key = s.listing_key
                LEFT JOIN fashion_ops.batches b ON b.batch = l.batch
                LEFT JOIN fashion_ops.release_batches r ON r.batch = l.batch AND r.release = %(release)s
                """
            ).format(
                between=sql.Literal(BETWEEN),
                columns=sql.SQL(", ").join(
                    sql.SQL("coalesce({}, {})").format(self.held(name), sql.Literal(NULL))
                    for name in ("external_id", *self.columns)
                ),
                products=self._release.table("products"),
            ),
            {
                "sources": list(sources),
                "whole": whole,
                "stranger": GONE if whole else UNKNOWN,
                "rejected": REJECTED,
                "changed": CHANGED,
                "lost": LOST,
                "equal": EQUAL,
                "altered": ALTERED,
                "version": NORMALIZATION_VERSION,
                "release": self._release.release,
            },
        )
        return self.counts()

    def counts(self) -> dict[str, int]:
        """How many rows became what, once they were judged."""
        return dict(
            self._conn.execute("SELECT verdict, count(*) FROM pg_temp.compared GROUP BY verdict").fetchall()
        )


def hashes(columns: list[pa.ChunkedArray]) -> pa.Array:
    """A hash of each row of some columns (MD5 in hex, as the database computes it of the same values)."""
    texts = [pc.fill_null(pc.cast(column, pa.string()).combine_chunks(), NULL) for column in columns]
    rows = pc.binary_join_element_wise(*texts, BETWEEN).to_pylist() if texts else []
    return pa.array(
        [hashlib.md5(row.encode("utf-8", "replace"), usedforsecurity=False).hexdigest() for row in rows],
        pa.string(),
    )
