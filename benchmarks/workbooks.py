"""Speed and peak memory of reading a workbook, a small one and a large one, and of the same table as text.

Usage: python benchmarks/workbooks.py WORK_FOLDER [ROWS]

Draws workbooks of a fifth of ROWS (100,000 where nothing is said) and of ROWS into the folder, and the latter as text; reads each in a
process of its own, finds the last batch of 2,000 rows again, and deletes them. Prints rows, seconds of CPU to read all and the
batch, and peak memory. Exit code 0 where the large workbook's peak is within 20 % of the small one's: 16 bytes a row are kept.
"""

import csv
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from fashion_assets.sources.readers import open_rows

ROWS, BATCH, MOST = 100_000, 2_000, 1.2
HEADER = [
    "id",
    "gender",
    "masterCategory",
    "subCategory",
    "articleType",
    "baseColour",
    "season",
    "year",
    "productDisplayName",
    "price",
]


def table(rows: int) -> Iterator[list]:
    """A catalogue's header and rows."""
    yield HEADER
    for number in range(rows):
        title = f"Puma Women T-shirt {number}"
        yield [number, "Women", "Apparel", "Topwear", "Tshirts", "Red", "Summer", 2016, title, 19.9]


def draw(path: Path, rows: int) -> Path:
    """Write a catalogue as text, or as a workbook."""
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(table(rows))
        return path
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in table(rows):
        sheet.append(row)
    book.save(path)
    return path


def read(path: Path) -> str:
    """Rows, CPU seconds to read them and to find a batch again, peak bytes."""
    began = time.process_time()
    with open_rows("delimited", str(path)) as reader:
        locators = [row.locator for row in reader.rows()]
        read = time.process_time()
        assert sum(row.defect is None for row in reader.again(locators[-BATCH:])) == BATCH
    again = time.process_time() - read
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return f"{len(locators)} {read - began:.2f} {again:.3f} {peak}"


def main(folder: Path, rows: int) -> bool:
    peaks = []
    for path, count in (
        (folder / "small.xlsx", rows // 5),
        (folder / "large.xlsx", rows),
        (folder / "large.csv", rows),
    ):
        draw(path, count)
        said = subprocess.check_output([sys.executable, __file__, "--read", path], text=True).split()
        path.unlink()
        peaks.append(int(said[3]))
        print(
            f"{path.name:12} {int(said[0]):>9,} rows  {said[1]:>7} s  a batch {said[2]} s  {peaks[-1] / 1e6:,.0f} MB"
        )
    return peaks[1] <= MOST * peaks[0]


if __name__ == "__main__":
    if sys.argv[1] == "--read":
        print(read(Path(sys.argv[2])))
    else:
        sys.exit(0 if main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else ROWS) else 1)
