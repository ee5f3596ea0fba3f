"""The same catalogue migrated here, and on Ray clusters of 1, 2 and 4 workers: are tables and vectors the same, and what does it cost?

    python benchmarks/ray_workers.py CATALOG FOLDER [--listings 2000] [--batch 500] [--workers 1 2 4]

A worker is a node of two processors, as Ray counts them: one holds the model, one reads and decodes. All nodes are on this machine, so that more of
them than it has cores show what sharing costs, and not what further machines bring. Each run has a home of its own in FOLDER, which must be
new. Seconds are of the whole command, and until the last file of the last batch was written; a cluster is there before its command begins.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    arguments.add_argument("catalog", type=Path)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--listings", type=int, default=2000)
    arguments.add_argument("--batch", type=int, default=500)
    arguments.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    asked = arguments.parse_args()
    asked.folder.mkdir(parents=True)
    catalogue = part_of(asked.catalog, asked.folder / "catalogue", asked.listings)
    here = asked.folder / "local"
    times = migrated(catalogue, here, asked.batch, {})
    print(f"{'':>10}  {'batches':>8} {'command':>8}  ratio  tables")
    print(f"{'local':>10}  {times[0]:8.1f} {times[1]:8.1f}")
    for workers in asked.workers:
        home = asked.folder / f"ray{workers}"
        with cluster(workers) as address:
            how = {"COMPUTE": "ray", "RAY_ADDRESS": address, "RAY_ENCODERS": workers, "RAY_BATCHES": 2}
            made = migrated(catalogue, home, asked.batch, how)
        told = differing(here / "assets", home / "assets") or "the same, vectors bit for bit"
        print(
            f"{f'{workers} workers':>10}  {made[0]:8.1f} {made[1]:8.1f}  {made[0] / times[0]:5.2f}  {told}",
            flush=True,
        )


def part_of(catalogue: Path, folder: Path, listings: int) -> Path:
    """The first listings of a catalogue in the public layout, and their pictures."""
    (folder / "images").mkdir(parents=True)
    with (catalogue / "styles.csv").open(encoding="utf-8") as given:
        lines = [line for line, _ in zip(given, range(listings + 1), strict=False)]
    (folder / "styles.csv").write_text("".join(lines), encoding="utf-8")
    for row in csv.reader(lines[1:]):
        picture = catalogue / "images" / f"{row[0]}.jpg"
        if picture.exists():
            shutil.copy(picture, folder / "images")
    return folder


def command_of(
    catalogue: Path, home: Path, batch: int, how: dict[str, Any]
) -> tuple[list[str], dict[str, str]]:
    """The command that migrates a catalogue under these settings, and its environment."""
    settings = {"HOME": home, "BATCH_SIZE": batch, "BENCHMARK_SECONDS": 0.5, **how}
    environment = {**os.environ, **{f"FASHION_ASSETS_{name}": str(value) for name, value in settings.items()}}
    program = [sys.executable, "-c", "from fashion_assets.cli import main; main()"]
    return [*program, "run", "--catalog", str(catalogue)], environment


def migrated(catalogue: Path, home: Path, batch: int, how: dict[str, Any]) -> tuple[float, float]:
    """Seconds until the last file of the last batch was written, and of the whole command."""
    command, environment = command_of(catalogue, home, batch, how)
    began, started = time.time(), time.perf_counter()
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    whole = time.perf_counter() - started
    if ran.returncode:
        sys.exit(f"the run in {home} failed:\n{ran.stdout[-2000:]}\n{ran.stderr[-2000:]}")
    return max(file.stat().st_mtime for file in (home / "assets").glob("*/*.parquet")) - began, whole


@contextmanager
def cluster(workers: int) -> Iterator[str]:
    """The address of a cluster of so many nodes, beside a head that computes nothing."""
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    from ray.cluster_utils import Cluster

    size = {"object_store_memory": 256 * 2**20}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **size})
    try:
        for _ in range(workers):
            made.add_node(num_cpus=2, **size)
        yield made.address
    finally:
        made.shutdown()


def differing(expected: Path, made: Path) -> str:
    """Files and columns that are not the same; the time at which something was normalized is not looked at."""
    names = sorted(str(file.relative_to(expected)) for file in expected.glob("*/*.parquet"))
    others = sorted(str(file.relative_to(made)) for file in made.glob("*/*.parquet"))
    if names != others:
        return "other files"
    found = []
    for name in names:
        here, there = pq.read_table(expected / name), pq.read_table(made / name)
        wrong = [each for each in here.column_names if each != "normalized" and here[each] != there[each]]
        if wrong or here.schema != there.schema:
            found.append(f"{name}: {', '.join(wrong) or 'another schema'}")
    return "; ".join(found)


if __name__ == "__main__":
    main()
