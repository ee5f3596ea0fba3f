"""Peak memory on a Ray cluster by the size of the catalogue: of the command, of the cluster's processes, and of Postgres.

    python benchmarks/ray_memory.py CATALOG FOLDER [--listings 2000 8000] [--batch 500]

Migrates the first so many listings of a folder in the public layout, each in a home of its own in FOLDER, which must be new, on a cluster of its own: a
head that computes nothing and a node of two processors, both on this machine. The command's are it and its two processes for batches. Memory is
the sum of proportional set sizes, sampled four times a second. The cluster's shared memory, as far as it was touched, is told by itself: it has a
bound of its own. Exit code 1 where the largest catalogue takes more than 1.1 times what the smallest does, of the command's or the
cluster's processes.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import psutil
from memory import INTERVAL, MOST, proportional
from processes import tree
from ray_workers import cluster, command_of, part_of

PARTS = ("command", "cluster", "shared", "largest", "postgres")
"""Of the cluster's processes what each has of its own, their shared memory, in which parts are handed over, and the largest of them."""


def peaks(catalogue: Path, home: Path, batch: int) -> tuple[dict[str, int], float]:
    """Peak bytes of each part, and seconds, of a run in a fresh home. Raises `CalledProcessError` where it fails."""
    with cluster(1) as address:
        how = {"COMPUTE": "ray", "RAY_ADDRESS": address, "RAY_BATCHES": 2}
        command, environment = command_of(catalogue, home, batch, how)
        most = dict.fromkeys(PARTS, 0)
        started = time.monotonic()
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as running:
            own = psutil.Process(running.pid)
            while running.poll() is None:
                for part, size in sizes(own, home).items():
                    most[part] = max(most[part], size)
                time.sleep(INTERVAL)
        if running.returncode:
            raise subprocess.CalledProcessError(running.returncode, command)
        return most, time.monotonic() - started


def sizes(command: psutil.Process, home: Path) -> dict[str, int]:
    """Bytes of each part now."""
    of_run = {each.pid: each for each in tree(command, home)}
    found = dict.fromkeys(PARTS, 0)
    for process in of_run.values():
        found["postgres" if named(process).startswith("postgres") else "command"] += proportional(process)
    for process in psutil.Process().children(recursive=True):
        if process.pid not in of_run:
            shared = proportional(process, "Pss_Shmem")
            own = proportional(process) - shared
            found["shared"] += shared
            found["cluster"] += own
            found["largest"] = max(found["largest"], own)
    return found


def named(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    arguments.add_argument("catalog", type=Path)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--listings", type=int, nargs="+", default=[2_000, 8_000])
    arguments.add_argument("--batch", type=int, default=500)
    asked = arguments.parse_args()
    asked.folder.mkdir(parents=True)
    measured = []
    print(f"{'listings':>10}" + "".join(f"{part:>14}" for part in PARTS) + f"{'seconds':>10}")
    for listings in asked.listings:
        catalogue = part_of(asked.catalog, asked.folder / f"catalogue-{listings}", listings)
        most, seconds = peaks(catalogue, asked.folder / f"home-{listings}", asked.batch)
        measured.append(most)
        print(
            f"{listings:>10,}"
            + "".join(f"{most[part] / 1e6:>11,.0f} MB" for part in PARTS)
            + f"{seconds:>10.1f}",
            flush=True,
        )
    ratios = {part: measured[-1][part] / measured[0][part] for part in PARTS}
    print(f"{'ratio':>10}" + "".join(f"{ratios[part]:>14.2f}" for part in PARTS))
    return 0 if max(ratios["command"], ratios["cluster"]) <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
