"""Peak memory and speed of reading a delimited file, a small one and a large one.

Usage: python benchmarks/delimited.py WORK_FOLDER [MEGABYTES]

Draws a file of 40 MB and one of MEGABYTES (4,000 where nothing is said) into the folder, reads each in a process of its own, first
to find out how it is written, then row by row as a scan does, and deletes it. One row in fifty has a description of some lines in
quotes, one in a thousand cannot be taken apart for sure, one in ten thousand has a stray quote. Prints rows, seconds of
CPU and peak memory. Exit code 0 where the large file's peak is within 10 % of the small one's.
"""

import subprocess
import sys
import time
from pathlib import Path

from fashion_assets.sources.readers.delimited import Delimited

SMALL_MEGABYTES = 40
LARGE_MEGABYTES = 4_000
MOST = 1.10

_HEADER = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName,description\n"
_COLOURS = ("Black", "White", "Navy Blue", "Grün", "Red")


def draw(path: Path, megabytes: int) -> None:
    """Write a catalogue of so many megabytes."""
    number, written = 0, 0
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(_HEADER)
        while written < megabytes * 1_000_000:
            block = "".join(_row(n) for n in range(number, number + 10_000))
            file.write(block)
            number += 10_000
            written += len(block)


def _row(number: int) -> str:
    colour = _COLOURS[number % len(_COLOURS)]
    front = f"{number},Women,Apparel,Topwear,Tshirts,{colour},Summer,2016,Casual,Puma Women {colour} T-shirt {number}"
    if number % 10_000 == 17:
        return front.replace("Puma", '"Puma') + ",soft\n"
    if number % 1_000 == 7:
        return f"{front}, limited,soft, warm\n"
    if number % 50 == 3:
        return f'{front},"<ul>\n<li>Soft, warm ""wool""</li>\n<li>{number}</li>\n</ul>"\n'
    return f"{front},soft and warm\n"


def read(path: Path) -> str:
    """Rows, what could not be read, CPU seconds to find out and to read, peak bytes."""
    import resource

    began = time.process_time()
    with Delimited(path) as reader:
        found = time.process_time()
        rows = defects = 0
        for row in reader.rows():
            rows += 1
            defects += row.defect is not None
    ended = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return f"{rows} {defects} {found - began:.3f} {ended - found:.3f} {peak}"


def measure(path: Path, megabytes: int) -> int:
    """Peak bytes of reading a drawn file, which is deleted again."""
    try:
        draw(path, megabytes)
        command = [sys.executable, __file__, "--read", str(path)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    finally:
        path.unlink(missing_ok=True)
    rows, defects, survey, seconds, peak = int(said[0]), int(said[1]), *map(float, said[2:])
    print(
        f"{megabytes:6,} MB  {rows:12,} rows ({defects:,} not taken apart)  {survey:6.1f} CPU s to find out  {seconds:7.1f} CPU s to read  "
        f"{rows / seconds:9,.0f} rows/s  {peak / 1e6:6.0f} MB peak"
    )
    return int(peak)


def main() -> int:
    if sys.argv[1] == "--read":
        print(read(Path(sys.argv[2])))
        return 0
    folder = Path(sys.argv[1])
    small = measure(folder / "small.csv", SMALL_MEGABYTES)
    large = measure(folder / "large.csv", int(sys.argv[2]) if len(sys.argv) > 2 else LARGE_MEGABYTES)
    print(f"large / small {large / small:.3f}, at most {MOST:.2f}")
    return 0 if large <= MOST * small else 1


if __name__ == "__main__":
    sys.exit(main())
