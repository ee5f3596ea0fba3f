"""What changed listings would become, and what that changes in the live release: asked before anything is built.

What belongs here: reading and judging listings, the products they would be beside the live ones, vectors there are none of. What does not:
which listings those are (`following`), what a run would cost and whether one is due (`fashion_assets.planning`).

Nothing is kept: what the stages make is in memory, some hundred listings at a time, and pictures are judged and never embedded. What would be
read from words or seen in pictures is not told: the record is held beside what the live release has of records.
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from fashion_assets.batches.files import QUARANTINED_LISTINGS, VALIDATED_PRODUCTS
from fashion_assets.batches.some import SomeListings
from fashion_assets.batches.stages import READING, VALIDATION
from fashion_assets.catalog.listing import IMAGE, TEXT
from fashion_assets.catalog.normalization import normalize
from fashion_assets.criteria.stated import ORIGINS, as_stated, columns_of
from fashion_assets.embedding.embed import text_sha256
from fashion_assets.embedding.encoder import Model
from fashion_assets.embedding.joining import to_embed
from fashion_assets.release import roots
from fashion_assets.settings import Settings
from fashion_assets.warehouse.embedding_store import EmbeddingStore
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.sources import SourceRecord
from fashion_assets.warehouse.spaces import dimensions

AT_ONCE = 500
"""Listings in hand at a time."""

EXAMPLES = 10
"""Prices and rejections that are named."""

SHOWN = 200
"""Characters of a value in an example."""

PICTURE = "picture"
"""What is called another picture, beside the attributes."""


@dataclass
class Forecast:
    """What came of judging listings. All figures are of those that were looked at."""

    looked_at: int = 0
    new: int = 0
    """Products the live release does not have."""
    changed: int = 0
    """Products of which anything a record states would be another value, or the picture another one."""
    attributes: dict[str, int] = field(default_factory=dict)
    """Products whose value would be another one, by attribute, the most first."""
    prices: list[dict[str, Any]] = field(default_factory=list)
    """The largest changes of prices, by what they are of the price."""
    rejected: int = 0
    no_longer: int = 0
    """Of the rejected ones, those that are products by now, and would be none."""
    reasons: dict[str, int] = field(default_factory=dict)
    rejections: list[dict[str, Any]] = field(default_factory=list)
    """Some of them, with their reasons."""
    pictures: int = 0
    """Vectors of pictures to be made: there is none of these bytes by this model."""
    titles: int = 0
    seconds: float = 0.0
    """How long reading and judging them took."""

    def to_dict(self) -> dict[str, Any]:
        """All figures, JSON-friendly."""
        return asdict(self)


def forecast(
    conn: psycopg.Connection,
    settings: Settings,
    model: Model,
    live: Release | None,
    entries: Mapping[str, SourceRecord],
    listings: Mapping[str, pa.Table],
) -> Forecast:
    """What listings (`REFERENCES_SCHEMA`), by source, would become. `entries`: the sources as they were scanned. Reads the sources, their pictures,
    the live release and the embedding store; raises what reading a source raises."""
    found = Forecast()
    changes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    # The same bytes are embedded once, in whichever source.
    lacking: dict[str, set[str]] = {IMAGE: set(), TEXT: set()}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fashion-assets-plan-") as nothing:
        for name, references in listings.items():
            source = roots.opened(entries[name], settings)
            of_spaces = {**source.dimensions, **dimensions(conn)}
            for start in range(0, references.num_rows, AT_ONCE):
                work = SomeListings(
                    name,
                    settings,
                    ParquetStore(nothing),
                    lambda: nullcontext(conn),
                    model,
                    of=entries[name],
                    opened=source,
                    asked=references.slice(start, AT_ONCE),
                )
                tables: dict[str, pa.Table] = {}
                for stage in (READING, VALIDATION):
                    tables.update(stage.make(work, tables).tables)
                products, rejections = tables[VALIDATED_PRODUCTS.name], tables[QUARANTINED_LISTINGS.name]
                found.looked_at += work.asked.num_rows
                _beside(conn, live, products, found, changes)
                _tally(conn, live, rejections, found, reasons)
                for kind, contents in _contents(products, of_spaces).items():
                    new = np.array(EmbeddingStore(conn).lacks(model.space.name, kind, contents), bool)
                    lacking[kind].update(np.array(contents, object)[new])
    found.attributes, found.reasons = dict(changes.most_common()), dict(reasons.most_common())
    found.pictures, found.titles = len(lacking[IMAGE]), len(lacking[TEXT])
    found.seconds = time.monotonic() - began
    return found


def _contents(products: pa.Table, of_spaces: Mapping[str, int]) -> dict[str, list[str]]:
    """Hashes of what the model would make vectors of, by kind."""
    titles = to_embed(products, TEXT, of_spaces)["title"].to_pylist()
    return {
        IMAGE: to_embed(products, IMAGE, of_spaces)["image_sha256"].to_pylist(),
        TEXT: list(map(text_sha256, titles)),
    }


def _beside(
    conn: psycopg.Connection,
    live: Release | None,
    products: pa.Table,
    found: Forecast,
    changes: Counter[str],
) -> None:
    """Hold what would be products beside those that are live."""
    canonical = normalize(products, at=datetime.now(UTC))
    there = [] if live is None else columns_of(conn, live)
    names = [name for name in there if name != ORIGINS]
    held: dict[str, tuple] = {}
    if live is not None and canonical.num_rows:
        rows = conn.execute(
            sql.SQL("SELECT product_id::text, image_sha256, {} FROM {} WHERE product_id = ANY (%s)").format(
                sql.SQL(", ").join(as_stated(name, there) for name in names), live.table("products")
            ),
            (canonical["product_id"].to_pylist(),),
        )
        held = {product: tuple(values) for product, *values in rows}
    for row in canonical.select(
        ["product_id", "source", "external_id", "image_sha256", *(names or ["title"])]
    ).to_pylist():
        values = held.get(row["product_id"])
        if values is None:
            found.new += 1
            continue
        before = dict(zip((PICTURE, *names), values, strict=True))
        after = {name: None if row[name] is None else str(row[name]) for name in names}
        after[PICTURE] = row["image_sha256"]
        differing = [name for name in before if before[name] != after[name]]
        changes.update(differing)
        found.changed += bool(differing)
        if "price" in differing and before["price"] and after["price"]:
            _name_price(found, row, before, after)


def _name_price(found: Forecast, row: Mapping[str, Any], before: Mapping, after: Mapping) -> None:
    """Keep it, where it is among the largest changes."""
    was, becomes = float(before["price"]), float(after["price"])
    change = (becomes - was) / was if was else float(becomes > 0)
    found.prices.append(
        {
            "source": row["source"],
            "external_id": row["external_id"],
            "title": row["title"] and row["title"][:SHOWN],
            "was": before["price"],
            "becomes": after["price"],
            "currency": after.get("currency") or before.get("currency"),
            "change": round(change, 4),
        }
    )
    found.prices.sort(key=lambda each: (-abs(each["change"]), each["external_id"]))
    del found.prices[EXAMPLES:]


def _tally(
    conn: psycopg.Connection,
    live: Release | None,
    rejections: pa.Table,
    found: Forecast,
    reasons: Counter[str],
) -> None:
    found.rejected += rejections.num_rows
    reasons.update(pc.list_flatten(rejections["reasons"]).to_pylist())
    some = rejections.slice(0, EXAMPLES - len(found.rejections))
    found.rejections += [
        {"source": source, "listing": external or key, "reasons": why}
        for source, external, key, why in zip(
            *(some[name].to_pylist() for name in ("source", "external_id", "listing_key", "reasons")),
            strict=True,
        )
    ]
    if live is None or not rejections.num_rows:
        return
    # A further listing of an id is no product; the first one's key is its id's.
    row = conn.execute(
        sql.SQL(
            "SELECT count(*) FROM {} p JOIN fashion_ops.listings l ON l.source = p.source AND l.external_id = p.external_id "
            "AND l.occurrence = 0 WHERE l.source = %s AND l.listing_key = ANY (%s)"
        ).format(live.table("products")),
        (rejections["source"][0].as_py(), rejections["listing_key"].to_pylist()),
    ).fetchone()
    found.no_longer += row[0] if row else 0
