"""Peak memory of a whole run, with a catalogue once and with it twice.

Usage: python benchmarks/memory.py CATALOG WORK_FOLDER

The second catalogue has every listing again under another id, and every second of the added pictures with other bytes, so
that it is embedded too. Memory is the sum of the proportional set sizes of the command, all it started, and the Postgres in
its home, sampled four times a second: what processes share is counted once. Prints both peaks and their ratio. Exit code 0
where twice is within 10 % of once.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
from processes import tree

INTERVAL = 0.25
"""Seconds between samples. A peak between two of them is missed."""

MOST = 1.10


def doubled(catalog: Path, target: Path) -> Path:
    """The catalogue with every listing a second time under the id "9" + id; pictures are hard links, or copies with a
    comment behind the first marker."""
    (target / "images").mkdir(parents=True)
    header, *lines = (catalog / "styles.csv").read_bytes().splitlines(keepends=True)
    again = [re.sub(rb"^(?=\d)", b"9", line) for line in lines]
    if not lines[-1].endswith(b"\n"):
        lines[-1] += b"\n"
    (target / "styles.csv").write_bytes(b"".join([header, *lines, *again]))
    for number, picture in enumerate(sorted((catalog / "images").iterdir())):
        os.link(picture, target / "images" / picture.name)
        twin = target / "images" / f"9{picture.name}"
        data = picture.read_bytes()
        if number % 2 and data[:2] == b"\xff\xd8":
            twin.write_bytes(data[:2] + b"\xff\xfe\x00\x07again" + data[2:])
        else:
            os.link(picture, twin)
    return target


def proportional(process: psutil.Process, part: str = "Pss") -> int:
    """Bytes of its proportional set size, or of a part of that as Linux names it (`Pss_Shmem`: shared memory); 0 for one that has ended."""
    try:
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(rf"^{part}:\s+(\d+) kB", text, re.MULTILINE)
    return 1024 * int(found[1]) if found else 0


def peak(catalog: Path, home: Path) -> tuple[int, float]:
    """Peak bytes and seconds of a run in a fresh home. Raises `CalledProcessError` where it fails."""
    program = str(Path(sys.executable).with_name("fashion-assets"))
    command = [program, "--home", str(home), "run", "--catalog", str(catalog)]
    started = time.monotonic()
    most = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
        own = psutil.Process(running.pid)
        while running.poll() is None:
            most = max(most, sum(map(proportional, tree(own, home))))
            time.sleep(INTERVAL)
    if running.returncode:
        raise subprocess.CalledProcessError(running.returncode, command)
    return most, time.monotonic() - started


def main() -> int:
    catalog, work = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    if any(work.glob("*")):
        print(f"{work} is not empty: each run needs a fresh home", file=sys.stderr)
        return 2
    peaks = []
    for name, source in (("once", catalog), ("twice", doubled(catalog, work / "catalogue-twice"))):
        most, seconds = peak(source, work / name)
        peaks.append(most)
        print(f"{name:6} {most / 1e6:8,.0f} MB peak  {seconds:6.1f} s")
    ratio = peaks[1] / peaks[0]
    print(f"twice / once {ratio:.3f}, at most {MOST:.2f}")
    return 0 if ratio <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
