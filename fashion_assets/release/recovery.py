"""What the database lost and the files still have, written again: an installation that was moved to another database, a
database that was restored from a backup, made anew, or lost its last moments.

What belongs here: the register of listings, the quarantine and the embedding store from the batches' files. What does not:
what is lacking (`plan`), and what files lack, which a run of the batch makes again.

Nothing is validated or embedded anew for it. The files are what counts: they are written last.
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

from dataclasses import dataclass

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from fashion_assets.batches.files import (
    PRODUCT_EMBEDDINGS,
    QUARANTINED_LISTINGS,
    RAW_LISTINGS,
    VALIDATED_PRODUCTS,
    read_columns,
    without_vector,
)
from fashion_assets.batches.plan import active_batches
from fashion_assets.batches.vectors import recover_vectors
from fashion_assets.catalog.validation import rejected
from fashion_assets.embedding.spaces import EmbeddingSpace
from fashion_assets.release.plan import Plan, plan
from fashion_assets.settings import Settings
from fashion_assets.warehouse import register
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
        for name in sorted(store.batches(RAW_LISTINGS.name) - known)
        if name.rpartition("-")[0] in active and name.rpartition("-")[2].isdecimal()
    ]
    for name in found:
        listings = read_columns(store, RAW_LISTINGS.name, name, list(register.RECOVERED_COLUMNS))
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


def _quarantine(store: ParquetStore, batch: str) -> pa.Table:
    """A batch's quarantine, as its files say it."""
    rejections = store.read(QUARANTINED_LISTINGS.name, batch)
    failed = without_vector(store.read(PRODUCT_EMBEDDINGS.name, batch, ["product_id"]))
    if not failed:
        return rejections
    products = store.read(VALIDATED_PRODUCTS.name, batch)
    lacking = products.filter(pc.is_in(products["product_id"], value_set=pa.array(list(failed))))
    why = [failed[product].reason for product in lacking["product_id"].to_pylist()]
    return pa.concat_tables([rejections, rejected(lacking, why)])
