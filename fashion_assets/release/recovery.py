"""What the database lost and the files still have, written again: an installation that was moved to another database, a
database that was restored from a backup, made anew, or lost its last moments.

What belongs here: the register of listings, the quarantine and the embedding store from the batches' files. What does not:
what is lacking (`plan`), and what files lack, which a run of the batch makes again.

Nothing is validated or embedded anew for it. The files are what counts: they are written last.
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from fashion_assets.catalog.validation import rejected
from fashion_assets.embedding.embed import vector_matrix
from fashion_assets.embedding.spaces import EmbeddingSpace
from fashion_assets.release.plan import (
    ACCEPTED_STAGE,
    FIRST_STAGE,
    LAST_STAGE,
    REJECTED_STAGE,
    Plan,
    active_batches,
    plan,
    without_vector,
)
from fashion_assets.settings import Settings
from fashion_assets.warehouse import register
from fashion_assets.warehouse.embedding_store import KINDS, EmbeddingStore
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.quarantine import replace_quarantine
from fashion_assets.warehouse.sources import active_sources


@dataclass(frozen=True)
class Recovered:
    """What was written again."""

    batches: int = 0
    """Batches whose quarantine was."""
    vectors: int = 0

    def __str__(self) -> str:
        return (
            "the database lacked what batches' files say; written again: the quarantine of "
            f"{self.batches:,} batches, {self.vectors:,} vectors"
        )


def recover_register(conn: psycopg.Connection, settings: Settings) -> list[str]:
    """Make the register know the batches of active sources that have files and that it does not know; returns their names.

    Their listings are in it as they were read last, so that each stays in its batch; a scan that follows says what has
    changed since.
    """
    active = {entry.name for entry in active_sources(conn)}
    if not active:
        return []
    store = ParquetStore(settings.assets_url)
    known = {batch.name for batch in active_batches(conn)}
    found = [
        name
        for name in sorted(store.batches(FIRST_STAGE) - known)
        if name.rpartition("-")[0] in active and name.rpartition("-")[2].isdecimal()
    ]
    for name in found:
        listings = _read(store, FIRST_STAGE, name, list(register.RECOVERED_COLUMNS))
        if listings is not None:
            register.recover(conn, name.rpartition("-")[0], name, listings)
    return found


def recover(conn: psycopg.Connection, settings: Settings, wanted: Plan, *, vectors: bool = True) -> Recovered:
    """Write again what the database lacks of the batches whose files are whole, with or without the vectors. All or nothing
    of it."""
    store, made = ParquetStore(settings.assets_url), 0
    with conn.transaction():
        for batch in wanted.lost:
            replace_quarantine(conn, batch.name, _quarantine(store, batch.name))
        if vectors:
            whole = [*wanted.lost, *(wanted.finished if wanted.vectors_are_lost else ())]
            made = sum(recover_vectors(conn, store, wanted.space, batch.name) for batch in whole)
    return Recovered(len(wanted.lost), made)


def recovered_plan(
    conn: psycopg.Connection,
    settings: Settings,
    space: EmbeddingSpace | None = None,
    *,
    vectors: bool = True,
) -> tuple[Plan, Recovered | None]:
    """What there is to do (`plan`) once whatever the database had lost was written again (`recover`), and what that was;
    None where nothing was lacking."""
    wanted = plan(conn, settings, space)
    if not wanted.lost and not (vectors and wanted.vectors_are_lost):
        return wanted, None
    recovered = recover(conn, settings, wanted, vectors=vectors)
    if not recovered.batches and not recovered.vectors:
        return wanted, None
    return plan(conn, settings, space), recovered


def recover_vectors(
    conn: psycopg.Connection,
    store: ParquetStore,
    space: EmbeddingSpace,
    batch: str,
    kinds: Sequence[str] = KINDS,
) -> int:
    """Put the vectors of a batch's files into the embedding store where it lacks them; returns how many.

    Before a batch is embedded again: then only what is new in it need be.
    """
    kept, made = EmbeddingStore(conn), 0
    for kind in kinds:
        contents = _read(store, f"{kind}_embeddings", batch, ["space", "sha256"])
        if contents is None or "sha256" not in contents.column_names:
            continue
        wanted = np.asarray(pc.equal(contents["space"], space.name)).copy()
        wanted[wanted] = kept.lacks(space.name, kind, contents["sha256"].filter(pa.array(wanted)).to_pylist())
        if wanted.any():
            lacking = store.read(f"{kind}_embeddings", batch, ["sha256", "vector"]).filter(pa.array(wanted))
            kept.register(space)
            made += kept.put(
                space.name, kind, lacking["sha256"].to_pylist(), vector_matrix(lacking["vector"])
            )
    return made


def _read(store: ParquetStore, asset: str, batch: str, columns: list[str]) -> pa.Table | None:
    """Some columns of a batch's file; None where there is no file, or no whole one."""
    try:
        return store.read(asset, batch, columns)
    except (FileNotFoundError, pa.ArrowInvalid):
        return None


def _quarantine(store: ParquetStore, batch: str) -> pa.Table:
    """A batch's quarantine, as its files say it."""
    rejections = store.read(REJECTED_STAGE, batch)
    failed = without_vector(store.read(LAST_STAGE, batch, ["product_id"]))
    if not failed:
        return rejections
    products = store.read(ACCEPTED_STAGE, batch)
    lacking = products.filter(pc.is_in(products["product_id"], value_set=pa.array(list(failed))))
    why = [failed[product].reason for product in lacking["product_id"].to_pylist()]
    return pa.concat_tables([rejections, rejected(lacking, why)])
