"""That vectors which came with listings are in the release, bit for bit: a digest of what was read, and of what is there.

What belongs here: the criterion. What does not: which vectors can be none (`catalog.vectors`), other models' vectors.

A vector's digest is over whose it is, its space, its kind, and its float4 bytes; that of many is the exclusive or of theirs, in whatever
order. What was read is what the batches' files of listings have; the release's is computed by the database of its own rows. Beside the two
digests every vector is compared with its own, so that those that differ are named.
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

import hashlib
import struct
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from fashion_assets.catalog.listing import product_id
from fashion_assets.catalog.vectors import brought
from fashion_assets.criteria.verdict import OFFENDERS_SHOWN, Finding, holds, not_applicable
from fashion_assets.postgres.copy import copy_rows
from fashion_assets.settings import Settings
from fashion_assets.sources import SourceError, open_source
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.sources import active_sources
from fashion_assets.warehouse.spaces import dimensions

_LISTINGS = "raw_listings"
_COLUMNS = ["source", "external_id", "occurrence", "vectors"]
_STATED = {"product_id": "uuid", "space": "text", "kind": "text", "digest": "text"}

_OF_A_ROW = """
md5(convert_to(concat_ws(chr(31), e.product_id::text, e.embedding_space, e.kind, ''), 'UTF8') || vector_send(e.embedding))
"""


def digest_of(product: str, space: str, kind: str, vector: np.ndarray) -> str:
    """The digest of one vector, float32 [d], 32 hex digits: as the database computes it of its row."""
    digest = hashlib.md5("\x1f".join((product, space, kind, "")).encode(), usedforsecurity=False)
    digest.update(struct.pack(">HH", vector.size, 0) + vector.astype(">f4").tobytes())
    return digest.hexdigest()


def finding(conn: psycopg.Connection, release: Release, settings: Settings) -> Finding:
    """Whether each vector that came with a product, and can be one, is in the release as it came. Batches that were read anew since are
    left out; the reason says how many."""
    store, known = ParquetStore(settings.assets_url), {**_said(conn, settings), **dimensions(conn)}
    batches = conn.execute(
        """
        SELECT r.batch, b.content_version = r.content_version FROM fashion_ops.release_batches r
        JOIN fashion_ops.batches b ON b.batch = r.batch WHERE r.release = %s ORDER BY r.batch
        """,
        (release.release,),
    ).fetchall()
    judged: list[str] = []
    refused, without, bringing = 0, Counter[str](), set[str]()
    with conn.transaction():
        conn.execute(
            "CREATE TEMPORARY TABLE stated_vectors (product_id uuid, space text, kind text, digest text) ON COMMIT DROP"
        )
        for batch, is_same in batches:
            listings = _read(store, batch) if is_same else None
            if listings is None:
                continue
            judged.append(batch)
            source = listings["source"][0].as_py() if listings.num_rows else ""
            without[source] += listings["vectors"].null_count
            if listings["vectors"].null_count == listings.num_rows:
                continue
            bringing.add(source)
            rows, none = _stated(listings, known)
            refused += none
            copy_rows(conn, sql.Identifier("pg_temp", "stated_vectors"), _STATED, rows)
        conn.execute("ANALYZE pg_temp.stated_vectors")
        came = conn.execute("SELECT count(*) FROM pg_temp.stated_vectors").fetchone()
        kept = _compared(conn, release, judged)
        conn.execute("DROP TABLE pg_temp.stated_vectors")
    if came == (0,) and not kept.there:
        return not_applicable("no vector came with a product")
    bare = sum(without[source] for source in bringing)
    left = len(batches) - len(judged)
    said = [
        f"{kept.there:,} vectors; {kept.read} as they were read, {kept.held} in the release",
        *([f"{refused:,} that came can be none"] if refused else []),
        *([f"{bare:,} listings of the same sources came without one"] if bare else []),
        *([f"{left:,} batches have changed since and were not judged"] if left else []),
    ]
    return holds(not kept.offenders and kept.read == kept.held, kept.held, kept.offenders, "; ".join(said))


def _said(conn: psycopg.Connection, settings: Settings) -> dict[str, int]:
    """Dimensions of spaces as the sources say them."""
    found: dict[str, int] = {}
    for entry in active_sources(conn):
        with suppress(SourceError):
            found |= open_source(entry.kind, entry.name, entry.location, settings, entry.options).dimensions
    return found


def _read(store: ParquetStore, batch: str) -> pa.Table | None:
    try:
        return store.read(_LISTINGS, batch, _COLUMNS)
    except (FileNotFoundError, KeyError, pa.ArrowInvalid):
        return None


def _stated(listings: pa.Table, known: Mapping[str, int]) -> tuple[pa.Table, int]:
    """What listings bring, a digest each, and how many of their vectors can be none."""
    first = pc.and_(pc.equal(listings["occurrence"], 0), pc.is_valid(listings["external_id"]))
    listings = listings.filter(first)
    ids = [
        product_id(source, name)
        for source, name in zip(
            listings["source"].to_pylist(), listings["external_id"].to_pylist(), strict=True
        )
    ]
    found = brought(
        pa.table({"product_id": pa.array(ids, pa.string()), "vectors": listings["vectors"]}), known
    )
    sound = found.sound.combine_chunks()
    digests = [
        digest_of(owner, space, kind, np.asarray(vector.values, np.float32))
        for owner, space, kind, vector in zip(
            sound["product_id"].to_pylist(),
            sound["space"].to_pylist(),
            sound["kind"].to_pylist(),
            sound["vector"],
            strict=True,
        )
    ]
    rows = sound.select(["product_id", "space", "kind"]).append_column(
        "digest", pa.array(digests, pa.string())
    )
    return rows, found.refused.num_rows


class _Kept:
    """Digests of both sides, how many vectors the release has of them, and which differ."""

    def __init__(self, there: int, read: str | None, held: str | None, offenders: list[str]) -> None:
        self.there = there
        self.read, self.held = read or "0", held or "0"
        self.offenders = offenders


def _compared(conn: psycopg.Connection, release: Release, judged: list[str]) -> _Kept:
    """What was read beside what is there, of the products of these batches: those the release has, since what is in quarantine has no
    vector."""
    conn.execute(
        sql.SQL(
            "CREATE TEMPORARY TABLE kept_vectors ON COMMIT DROP AS "
            "SELECT p.product_id, p.external_id, s.digest AS read, e.digest AS held, coalesce(s.kind, e.kind) AS kind "
            "FROM pg_temp.stated_vectors s "
            "FULL JOIN (SELECT e.product_id, e.embedding_space AS space, e.kind, {digest} AS digest FROM {embeddings} e "
            # Of the release's own model only vectors that came, as an export of this very product has them.
            "WHERE e.embedding_space IS DISTINCT FROM {own} OR EXISTS (SELECT FROM pg_temp.stated_vectors o "
            "WHERE (o.product_id, o.space, o.kind) = (e.product_id, e.embedding_space, e.kind))) e USING (product_id, space, kind) "
            "JOIN {products} p USING (product_id) WHERE p.batch = ANY ({batches})"
        ).format(
            digest=sql.SQL(_OF_A_ROW),
            embeddings=release.table("product_embeddings"),
            own=sql.Literal(release.space),
            products=release.table("products"),
            batches=sql.Literal(judged),
        )
    )
    totals = conn.execute(
        "SELECT count(held), bit_xor(('x' || read)::bit(128))::text, bit_xor(('x' || held)::bit(128))::text FROM pg_temp.kept_vectors"
    ).fetchone()
    wrong = conn.execute(
        "SELECT external_id, kind, CASE WHEN held IS NULL THEN 'is lost' WHEN read IS NULL THEN 'came with no listing' "
        "ELSE 'is another one' END FROM pg_temp.kept_vectors WHERE held IS DISTINCT FROM read ORDER BY 1, 2 LIMIT %s",
        (OFFENDERS_SHOWN,),
    ).fetchall()
    conn.execute("DROP TABLE pg_temp.kept_vectors")
    assert totals is not None
    there, read, held = totals
    return _Kept(
        there, _hex(read), _hex(held), [f"{name}: its {kind} vector {said}" for name, kind, said in wrong]
    )


def _hex(bits: str | None) -> str | None:
    return None if bits is None else f"{int(bits, 2):032x}"
