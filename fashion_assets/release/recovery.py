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
    QUARANTINED_ROWS,
    RAW_LISTINGS,
    RAW_ROWS,
    VALIDATED_PRODUCTS,
    Damaged,
    read_columns,
    read_whole,
    without_vector,
)
from fashion_assets.batches.vectors import recover_vectors
from fashion_assets.catalog.validation import rejected
from fashion_assets.embedding.spaces import EmbeddingSpace
from fashion_assets.release.plan import Plan, plan
from fashion_assets.settings import Settings
from fashion_assets.warehouse import batch_files, noting, register
from fashion_assets.warehouse.names import is_of_a_table
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

    Their listings, and the rows of their tables, are in it as they were read last, so that each stays in its batch; a scan that
    follows says what has changed since.
    """
    active = {entry.name for entry in active_sources(conn)}
    if not active:
        return []
    store = ParquetStore(settings.assets_url)
    known = {batch.name for batch in register.batches(conn)}
    recovered = []
    for file in (RAW_LISTINGS.name, RAW_ROWS.name):
        for name in sorted(store.batches(file) - known):
            under, _, number = name.rpartition("-")
            if under.partition(".")[0] not in active or not number.isdecimal():
                continue
            rows = read_columns(store, file, name, list(noting.RECOVERED_COLUMNS))
            if rows is not None:
                noting.recover(conn, under, name, rows)
                recovered.append(name)
    return recovered


def recover(conn: psycopg.Connection, settings: Settings, wanted: Plan, *, vectors: bool = True) -> Recovered:
    """Write again what the database lacks of the batches whose files are whole, with or without the vectors. All or nothing
    of it. Raises `Damaged` for a file that only looked whole."""
    store, made = ParquetStore(settings.assets_url), 0
    with conn.transaction():
        batch_files.keep(conn, wanted.unknown)
        for batch in wanted.lost:
            replace_quarantine(conn, batch.name, _quarantine(store, batch.name, wanted.versions[batch.name]))
        # How many they reject is read of the files again.
        batch_files.forget(conn, [batch.name for batch in wanted.lost])
        if vectors:
            lost = wanted.of_listings.lost
            whole = [*lost, *(wanted.finished if wanted.vectors_are_lost else ())]
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
    if not wanted.lost and not wanted.unknown and not (vectors and wanted.vectors_are_lost):
        return wanted, None
    try:
        recovered = recover(conn, settings, wanted, vectors=vectors)
    except Damaged:
        # The file is gone now: its batch is one that a run makes again.
        return recovered_plan(conn, settings, space, vectors=vectors)
    if not recovered.batches and not recovered.vectors:
        return wanted, None
    return plan(conn, settings, space), recovered


def _quarantine(store: ParquetStore, batch: str, version: str) -> pa.Table:
    """A batch's quarantine, as its files say it."""
    if is_of_a_table(batch):
        return read_whole(store, QUARANTINED_ROWS, batch, version)
    rejections = read_whole(store, QUARANTINED_LISTINGS, batch, version)
    failed = without_vector(read_whole(store, PRODUCT_EMBEDDINGS, batch, version))
    if not failed:
        return rejections
    products = store.read(VALIDATED_PRODUCTS.name, batch)
    lacking = products.filter(pc.is_in(products["product_id"], value_set=pa.array(list(failed))))
    why = [failed[product].reason for product in lacking["product_id"].to_pylist()]
    return pa.concat_tables([rejections, rejected(lacking, why)])
