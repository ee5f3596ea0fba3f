"""A reader of one's own: a shop system's SQLite file `shop.sqlite`, with a table `items`, and `photos/` beside it.

What belongs here: how that system is read. What does not: judging what was read; what is wrong with an item becomes a
rejection later.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any, ClassVar

import pyarrow as pa

from fashion_assets.catalog.listing import LISTING_SCHEMA, REFERENCE_SCHEMA, content_hash
from fashion_assets.settings import Settings
from fashion_assets.sources import Source, SourceError
from fashion_assets.sources.source import SCAN_CHUNK_ROWS

ATTRIBUTES = {
    "title": "name",
    "brand": "maker",
    "gender": "department",
    "category": "range",
    "sub_category": "shelf",
    "article_type": "kind",
    "colour": "colour",
    "season": "season",
    "price": "price",
}
"""What a listing calls the columns of `items`."""


class ShopDatabase(Source):
    """The items of a shop system. `location` is the folder that holds `shop.sqlite` and `photos/`."""

    kind: ClassVar[str] = "shopdb"

    def __init__(self, name: str, location: str, settings: Settings) -> None:
        self.name, self.folder, self.most = name, location, settings.max_image_bytes

    @property
    def root(self) -> str:
        return os.path.realpath(self.folder)

    def scan(self) -> Iterator[pa.Table]:
        """Cheap: no photo is opened. The signature changes whenever the item or its photo may have."""
        with closing(self._open()) as shop:
            rows = shop.execute("SELECT sku, rowid, updated, photo FROM items ORDER BY rowid")
            while chunk := rows.fetchmany(SCAN_CHUNK_ROWS):
                ids = [row["sku"] for row in chunk]
                locators = [str(row["rowid"]) for row in chunk]
                signatures = [f"{row['updated']} {self._stamp(row['photo'])}" for row in chunk]
                yield pa.table([ids, locators, signatures], schema=REFERENCE_SCHEMA)

    def fingerprints(self, references: pa.Table) -> list[str]:
        return [content_hash(record, sha256) for _, record, sha256 in self._items(references)]

    def read(self, references: pa.Table) -> pa.Table:
        listings = []
        for asked, (item, record, sha256) in zip(
            references.to_pylist(), self._items(references), strict=True
        ):
            stated = {name: item[column] for name, column in ATTRIBUTES.items()}
            listings.append(
                {
                    "source": self.name,
                    "listing_key": asked["listing_key"],
                    "occurrence": asked["occurrence"],
                    "external_id": item["sku"],
                    "record": record,
                    "content_hash": content_hash(record, sha256),
                    # Texts, as the source has them; null where it has none.
                    **{name: None if value is None else str(value) for name, value in stated.items()},
                    "image": item["photo"],
                    "image_uri": self._uri(item["photo"]) if sha256 else None,
                    "image_sha256": sha256,
                    "defects": [],
                }
            )
        return pa.Table.from_pylist(listings, LISTING_SCHEMA)

    def _items(self, references: pa.Table) -> Iterator[tuple[dict[str, Any], str, str | None]]:
        """Each item asked for, the same as JSON, and its photo's hash."""
        with closing(self._open()) as shop:
            for rowid in references["locator"].to_pylist():
                row = shop.execute("SELECT * FROM items WHERE rowid = ?", (rowid,)).fetchone()
                if row is None:
                    raise SourceError(f"item {rowid} is gone from {self.folder}. Scan the source again.")
                item = dict(row)
                yield item, json.dumps(item, ensure_ascii=False), self._sha256(item["photo"])

    def _open(self) -> sqlite3.Connection:
        try:
            shop = sqlite3.connect(f"file:{self.root}/shop.sqlite?mode=ro", uri=True)
            shop.execute("SELECT 1 FROM items LIMIT 1")
        except sqlite3.Error as error:
            raise SourceError(f"{self.folder}/shop.sqlite cannot be read: {error}.") from None
        shop.row_factory = sqlite3.Row
        return shop

    def _uri(self, photo: str | None) -> str:
        """Relative to `root`, and never out of it, whatever the item says."""
        return f"photos/{os.path.basename(photo or '')}"

    def _stamp(self, photo: str | None) -> str:
        try:
            status = os.stat(f"{self.root}/{self._uri(photo)}")
        except OSError:
            return "-"
        return f"{status.st_size}.{status.st_mtime_ns}"

    def _sha256(self, photo: str | None) -> str | None:
        path = f"{self.root}/{self._uri(photo)}"
        if not os.path.isfile(path) or os.path.getsize(path) > self.most:
            return None
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
