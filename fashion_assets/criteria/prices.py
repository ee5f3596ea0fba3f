"""Prices as they were read of the source and as the products have them.

What belongs here: both sides of a release, listing by listing, and how far apart they lie. What does not: reading a notation
(`sources.prices`), the rule by which a price is sane (`catalog.rules`), the limit (`settings.thresholds`), drawing them
(`reports.charts`).
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from fashion_assets.catalog.profile import Profile
from fashion_assets.catalog.stated import parse_price, states_nothing
from fashion_assets.criteria.verdict import OFFENDERS_SHOWN
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.releases import Release

READ = "raw_listings"
"""Stage of a batch in which its listings are as they were read."""

CHUNK = 50_000
"""Products compared at once."""

BATCHES_HELD = 8
"""Batches whose prices as read are held at once. Products lie in the order of their batches, but for those that were changed."""


@dataclass(frozen=True)
class Prices:
    """How many listings that became products state each amount, and how many products have it; amounts (float64 [n]) ascend."""

    amounts: np.ndarray
    stated: np.ndarray
    kept: np.ndarray
    differing: int = 0
    """Products whose price is another one than was read of their listing."""
    examples: tuple[str, ...] = ()
    not_compared: int = 0
    """Products whose listings as they were read are not there any more: their batch was read anew since."""

    @property
    def distance(self) -> float:
        """Two-sample Kolmogorov-Smirnov distance: the largest gap between the two empirical distribution functions, 0 to 1.
        Both sides must have prices."""
        curves = [np.cumsum(side) / side.sum() for side in (self.stated, self.kept)]
        return float(np.abs(curves[0] - curves[1]).max())


def read_and_kept(
    conn: psycopg.Connection, release: Release, store: ParquetStore, held_to: Mapping[str, Profile]
) -> Prices:
    """The prices of a release's products, and what was read of each one's listing, but for what means "unknown" in its source
    (`held_to`: the sources' profiles by name). Memory holds some batches' prices, and grows
    with how many different ones there are, of which two decimals leave ten million."""
    sides = Counter[Decimal](), Counter[Decimal]()
    differing, examples, not_compared = 0, [], 0
    batches = _Read(conn, release, store, held_to)
    for batch, external_id, kept in _products(conn, release):
        read = batches.of(batch)
        if external_id not in read:
            not_compared += 1
            continue
        stated = read[external_id]
        for side, price in zip(sides, (stated, kept), strict=True):
            if price is not None:
                side[price] += 1
        if stated != kept:
            differing += 1
            if len(examples) < OFFENDERS_SHOWN:
                examples.append(f"{external_id}: read {_said(stated)}, kept {_said(kept)}")
    amounts = sorted(set().union(*sides))
    stated, kept = (np.array([side[amount] for amount in amounts], np.int64) for side in sides)
    return Prices(np.array(amounts, np.float64), stated, kept, differing, tuple(examples), not_compared)


def _products(conn: psycopg.Connection, release: Release) -> Iterator[tuple[str, str, Decimal | None]]:
    with conn.cursor(name="prices") as cursor:
        cursor.itersize = CHUNK
        cursor.execute(sql.SQL("SELECT batch, external_id, price FROM {}").format(release.table("products")))
        yield from cursor


def _said(price: Decimal | None) -> str:
    return "none" if price is None else str(price)


class _Read:
    """The prices that were read of a batch's listings, by external id."""

    def __init__(
        self,
        conn: psycopg.Connection,
        release: Release,
        store: ParquetStore,
        held_to: Mapping[str, Profile],
    ) -> None:
        self._store, self._held_to = store, held_to
        self._held: OrderedDict[str, dict[str, Decimal | None]] = OrderedDict()
        rows = conn.execute(
            "SELECT r.batch FROM fashion_ops.release_batches r JOIN fashion_ops.batches b ON b.batch = r.batch "
            "WHERE r.release = %s AND r.content_version = b.content_version",
            (release.release,),
        ).fetchall()
        self._unchanged = {batch for (batch,) in rows} & store.batches(READ)

    def of(self, batch: str) -> dict[str, Decimal | None]:
        """Nothing of a batch whose listings are others by now."""
        if batch not in self._held:
            self._held[batch] = self._prices(batch) if batch in self._unchanged else {}
            if len(self._held) > BATCHES_HELD:
                self._held.popitem(last=False)
        return self._held[batch]

    def _prices(self, batch: str) -> dict[str, Decimal | None]:
        table = self._store.read(READ, batch, ["source", "external_id", "occurrence", "price"])
        source = table["source"][0].as_py() if table.num_rows else ""
        nothing = states_nothing(table["price"], "price", self._held_to.get(source, Profile()))
        stated = pc.if_else(nothing, pa.scalar(None, pa.string()), table["price"].combine_chunks())
        prices = parse_price(stated).to_pylist()
        rows = zip(table["external_id"].to_pylist(), table["occurrence"].to_pylist(), prices, strict=True)
        return {identity: price for identity, occurrence, price in rows if identity and not occurrence}
