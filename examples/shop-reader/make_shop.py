"""Make a shop system to try `shop_reader` with, of a catalogue folder: `python make_shop.py CATALOGUE SHOP`."""

import csv
import shutil
import sqlite3
import sys
from pathlib import Path

from shop_reader import ATTRIBUTES

COLUMNS = {  # of styles.csv, by what the shop system calls them
    "name": "productDisplayName",
    "maker": "brand",
    "department": "gender",
    "range": "masterCategory",
    "shelf": "subCategory",
    "kind": "articleType",
    "colour": "baseColour",
    "season": "season",
    "price": "price",
}


def make(catalogue: Path, shop: Path) -> int:
    """Write `shop.sqlite` and `photos/`; returns how many items there are."""
    (shop / "photos").mkdir(parents=True)
    columns = list(ATTRIBUTES.values())
    with (catalogue / "styles.csv").open(encoding="utf-8", errors="replace", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["id"]]
    items = []
    for row in rows:
        photo = f"{row['id']}.jpg"
        if (catalogue / "images" / photo).is_file():
            shutil.copyfile(catalogue / "images" / photo, shop / "photos" / photo)
        items.append((row["id"], *(row.get(COLUMNS[column]) for column in columns), photo, "2026-01-01"))
    with sqlite3.connect(shop / "shop.sqlite") as database:
        database.execute(f"CREATE TABLE items (sku, {', '.join(columns)}, photo, updated)")
        database.executemany(f"INSERT INTO items VALUES ({', '.join('?' * (len(columns) + 3))})", items)
    database.close()
    return len(items)


if __name__ == "__main__":
    print(f"{make(Path(sys.argv[1]), Path(sys.argv[2]))} items")
