"""A disk that is full: whole installations on it, too small ones, and one that fills in mid-run.

Usage: python benchmarks/full_disk.py WORK_FOLDER [--listings N] [--instants N] [--short] [--installed HOME] [--disk FOLDER]

A home lies on a small file system of its own in memory, which root may mount; whoever may not names one that is there (--disk),
and leaves out the states that need another size. On the full disk of an installation `status`, `search`, `rollback` and
`retire` do their work, and a run is refused; in the other states the run says in a line that there is no room; with room again
the next run repairs everything: in = out + quarantined, readers see the live release. Prints a table. Exit code 0 where every
state is as it should be. `--short`: the full disk of an installation alone. `--installed`: of one that is there, with two
releases of the catalogues in WORK_FOLDER, of which the disk is given a copy; nothing of it may run.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults import Trials, call, catalogues, unsound

MEBIBYTE = 2**20
LARGE = 3_000
"""Megabytes of a file system that is large enough."""

SHARES = (0.15, 0.45, 0.6, 0.75, 0.88)
"""Of what a whole run takes, the sizes that are too small."""


class Disk:
    """A small file system."""

    def __init__(self, place: Path, mounted: bool):
        self.place = place
        self._mounted = mounted

    @property
    def used(self) -> int:
        return shutil.disk_usage(self.place).used

    def resize(self, megabytes: int) -> None:
        how = f"remount,size={megabytes}m"
        subprocess.run(["mount", "-o", how, str(self.place)], check=True)

    def fill(self) -> None:
        """Take all there is."""
        with (self.place / "filler").open("ab", buffering=0) as file:
            for size in (MEBIBYTE, 4096, 1):
                try:
                    while True:
                        file.write(b"\1" * size)
                except OSError:
                    continue

    def free(self) -> None:
        (self.place / "filler").unlink(missing_ok=True)


@contextmanager
def disk(folder: Path, megabytes: int = LARGE) -> Iterator[Disk]:
    """A file system of that size, mounted for a while. Raises `PermissionError` where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise PermissionError(
            f"no file system can be mounted here ({error}); name a small one with --disk"
        ) from None
    try:
        yield Disk(folder, True)
    finally:
        for _ in range(100):  # a server that ends has files open
            if subprocess.run(["umount", str(folder)], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)


def installed(trials: Trials, disk: Disk, first: Path, second: Path, batch: int, made: Path | None) -> None:
    """On the disk of a whole installation of two releases: full to the last byte."""
    home = disk.place / "home"
    if made is not None:
        subprocess.run(["cp", "-a", str(made), str(home)], check=True)  # the server's files stay its user's
    for catalogue in (first, second) if made is None else ():
        ended = call(home, "run", "--catalog", catalogue, batch_size=batch)
        trials.ended(f"a run of {catalogue.name}", ended, succeeds=True)
    live = json.loads(call(home, "status", "--json").out)["live"]["release"]
    disk.fill()
    full = "full disk: "
    trials.ended(full + "run", call(home, "run", "--catalog", first, batch_size=batch), succeeds=False)
    trials.ended(full + "status", call(home, "status"), succeeds=True)
    disk.fill()
    trials.ended(full + "search", call(home, "search", "shirt"), succeeds=True)
    disk.fill()
    trials.ended(full + "rollback", call(home, "rollback"), succeeds=True)
    trials.ended(full + "retire", call(home, "retire", live, "--yes"), succeeds=True)
    trials.ended(full + "status again", call(home, "status"), succeeds=True)
    disk.free()
    ended = call(home, "run", "--catalog", second, batch_size=batch)
    trials.ended("room again: run", ended, succeeds=True, wrong=unsound(home))


def too_small(trials: Trials, folder: Path, catalogue: Path, batch: int, whole: int) -> None:
    """Too small from the start, then enlarged."""
    for share in SHARES:
        size = max(8, int(whole * share))
        with disk(folder, size) as small:
            home = small.place / "home"
            ended = call(home, "run", "--catalog", catalogue, batch_size=batch)
            trials.ended(f"{size} of {whole} MB: run", ended, succeeds=False)
            small.resize(LARGE)
            again = call(home, "run", "--catalog", catalogue, batch_size=batch)
            trials.ended("enlarged: run", again, succeeds=True, wrong=unsound(home))


def suddenly(
    trials: Trials, folder: Path, catalogue: Path, batch: int, instants: int, seconds: float
) -> None:
    """Full at random instants of a run."""
    chance = random.Random(4)
    for _ in range(instants):
        with disk(folder) as large:
            home, at = large.place / "home", chance.uniform(0.15, 1) * seconds
            filling = threading.Timer(at, large.fill)
            filling.start()
            ended = call(home, "run", "--catalog", catalogue, batch_size=batch)
            filling.cancel()
            filling.join()
            trials.ended(f"full after {at:.1f} s: run", ended, succeeds=None)
            large.free()
            again = call(home, "run", "--catalog", catalogue, batch_size=batch)
            trials.ended("room again: run", again, succeeds=True, wrong=unsound(home))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--listings", type=int, default=600)
    parser.add_argument("--instants", type=int, default=4)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--installed", type=Path, help="the home of an installation of two releases")
    parser.add_argument(
        "--disk", type=Path, help="a folder on a small file system, for whoever may not mount one"
    )
    given = parser.parse_args()
    work = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    first, second = catalogues(work, given.listings)
    batch, trials, made = max(1, given.listings // 6), Trials(), given.installed
    if given.disk is not None:
        installed(trials, Disk(given.disk.resolve(), False), first, second, batch, made)
        return trials.finish()
    try:
        with disk(work / "disk") as large:
            installed(trials, large, first, second, batch, made)
    except PermissionError as error:
        print(error)
        return 2
    if not given.short:
        with disk(work / "disk") as large:
            began = time.monotonic()
            ended = call(large.place / "home", "run", "--catalog", first, batch_size=batch)
            trials.ended("a whole run", ended, succeeds=True)
            seconds, whole = time.monotonic() - began, large.used // MEBIBYTE
        too_small(trials, work / "disk", first, batch, whole)
        suddenly(trials, work / "disk", first, batch, given.instants, seconds)
    return trials.finish()


if __name__ == "__main__":
    sys.exit(main())
