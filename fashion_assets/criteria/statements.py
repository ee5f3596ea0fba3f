"""What a batch's listings state, kept beside its files: listings that are as they were need not be read by the rules again.

What belongs here: knowing a listing again, and keeping what it stated. What does not: working it out, and holding it beside a release (`stated`),
which is done of every listing each time.

What a listing states follows from its row and the rules alone. So it is kept by a hash of the whole row as it was read: another byte of it, other
rules, and it is worked out anew. Rows with a list in them (vectors that came, faults the reader saw) are always.
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion_assets.warehouse.parquet import ParquetStore

FILE = "stated_listings"
"""The file of a batch. It may be deleted: what it says is worked out again."""

OF_A_LISTING = pa.schema(
    [
        pa.field("reasons", pa.list_(pa.string())),
        pa.field("record_hash", pa.string()),
        pa.field("columns_hash", pa.string()),
    ]
)
"""What a listing states: why it is rejected, or hashes of its record and of its values."""

_KEPT = pa.schema([pa.field("row", pa.string(), nullable=False), *OF_A_LISTING])
_WITH = "stated_with"


class Stated(NamedTuple):
    """What listings state."""

    table: pa.Table
    """`OF_A_LISTING`, in their order."""
    known: int
    """Of so many it was kept from before."""


def kept_or_made(
    store: ParquetStore,
    batch: str,
    version: str,
    listings: pa.Table,
    rows: pa.Array,
    make: Callable[[pa.Table], pa.Table],
) -> Stated:
    """What a batch's listings state.

    Args:
        version: what decides it beside the listings themselves.
        rows: a hash of each listing's row; null where it cannot be known again.
        make: works it out of some of the listings, in their order.
    """
    known = _read(store, batch, version)
    places = pc.index_in(rows, value_set=known["row"].combine_chunks())
    lacking = np.asarray(pc.is_null(places))
    if not lacking.any():
        return Stated(known.take(places).select(OF_A_LISTING.names), listings.num_rows)
    made = make(listings.filter(pa.array(lacking))).select(OF_A_LISTING.names).cast(OF_A_LISTING)
    order = np.asarray(pc.fill_null(places, 0), np.int64).copy()
    order[lacking] = known.num_rows + np.arange(made.num_rows)
    stated = pa.concat_tables([known.select(OF_A_LISTING.names), made]).take(pa.array(order))
    table = stated.add_column(0, "row", rows).filter(pc.is_valid(rows)).cast(_KEPT)
    # It only saves time, which a full disk must not keep a release from being judged for.
    with suppress(OSError):
        store.write(table, FILE, batch, {_WITH: version})
    return Stated(stated, listings.num_rows - made.num_rows)


def _read(store: ParquetStore, batch: str, version: str) -> pa.Table:
    footer = store.footer(FILE, batch)
    if footer is None or footer.metadata.get(_WITH) != version:
        return _KEPT.empty_table()
    try:
        return store.read(FILE, batch).select(_KEPT.names).replace_schema_metadata(None).cast(_KEPT)
    except (FileNotFoundError, KeyError, pa.ArrowInvalid):
        return _KEPT.empty_table()
