"""Build the old schemas `fashion_demo` and `fashion_sota` in a Postgres, from a folder of the public catalogue.

    python benchmarks/fashion_demo.py CATALOGUE VECTORS.npz PICTURES POSTGRES_URL [--products 44424] [--users 10000]

CATALOGUE is a folder of `styles.csv` and `images/`. VECTORS holds `ids` and `embeddings` (float32 [n, 512], CLIP ViT-B/32); products
without one in it get a drawn one, always the same. Where the folder has fewer products than asked for, further ones repeat its own
under ids from 100,000 on. PICTURES is made, a folder of `ID.jpg`: hard links, or copies. How many there are of each is told.
"""

import argparse
import csv
import os
import shutil
import sys
import time
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np
import psycopg

from fashion_assets_tests.fashion_demo import Old, build

REPEATED_FROM = 100_000
COLUMNS = 10
NULLS = ("", "NA")


def products(catalog: Path) -> list[Old]:
    """Those of the file's lines that have as many fields as its header: others the old system had lost."""
    with (catalog / "styles.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))[1:]
    found = []
    for line in lines:
        if len(line) == COLUMNS:
            number, *rest = (None if value in NULLS else value for value in line)
            year = rest[6]
            found.append(Old(int(number or 0), *rest[:6], None if year is None else int(year), *rest[7:]))  # type: ignore[arg-type]
    return found


def repeated(found: list[Old], size: int) -> Iterator[tuple[Old, int]]:
    """As many products as asked for, and whose picture each has."""
    yield from ((product, product.id) for product in found[:size])
    again = zip(count(REPEATED_FROM), found, strict=False)
    for number, product in islice(again, max(0, size - len(found))):
        yield product._replace(id=number), product.id


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("catalogue", "vectors", "pictures"):
        parser.add_argument(name, type=Path)
    parser.add_argument("postgres_url")
    parser.add_argument("--products", type=int, default=44_424)
    parser.add_argument("--users", type=int, default=10_000)
    given = parser.parse_args()
    started = time.monotonic()
    found = products(given.catalogue)
    chosen = list(repeated(found, given.products))
    given.pictures.mkdir(parents=True, exist_ok=True)
    pictures = 0
    for product, shown in chosen:
        source, target = given.catalogue / "images" / f"{shown}.jpg", given.pictures / f"{product.id}.jpg"
        if source.exists() and not target.exists():
            try:
                os.link(source, target)
            except OSError:  # another file system
                shutil.copyfile(source, target)
        pictures += target.exists()
    held = np.load(given.vectors)
    vectors = dict(zip(map(int, held["ids"]), held["embeddings"], strict=True))
    with psycopg.connect(given.postgres_url) as connection:
        built = build(connection, [product for product, _ in chosen], vectors, users=given.users)
    of_file = sum(product.id in vectors for product, _ in chosen)
    print(
        f"{built.products:,} products ({max(0, built.products - len(found)):,} repeated), {pictures:,} pictures, {of_file:,} image vectors "
        f"of the file, {built.products - built.without_vector - of_file:,} drawn, {built.zeros:,} text vectors of zeros, "
        f"{built.doubles:,} double rows, {built.users:,} users; {time.monotonic() - started:,.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
