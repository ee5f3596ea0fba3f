"""How many changed listings a sync brings into the live release in a second, where their vectors are at hand.

Usage: python benchmarks/changed_rows.py WORK_FOLDER CATALOGUE_FOLDER [--listings N] [--share SHARE] [--times N]

The first listings of a catalogue folder (`styles.csv`, `images/`), or all of them, are migrated, once for a work folder. Then a share of them exchange
their titles, whose vectors are all known, and a sync changes the live release; several times. Prints a line of JSON for each: rows
written, seconds by what they were spent on, rows a second of judging and writing. The index is not built anew meanwhile.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from ageing import exchange, make_catalogue, write
from rich.console import Console

from fashion_assets.postgres.connections import connect
from fashion_assets.settings import Settings
from fashion_assets.sync import Sync


def main() -> None:
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("work", type=Path)
    options.add_argument("origin", type=Path)
    options.add_argument("--listings", type=int, default=1_000_000)
    options.add_argument("--share", type=float, default=0.1)
    options.add_argument("--times", type=int, default=3)
    given = options.parse_args()
    folder, origin = given.work.resolve(), given.origin.resolve()
    settings, catalogue = Settings(home=folder / "home", reindex_after=0), folder / "catalogue"
    rows, chance = make_catalogue(catalogue, origin, given.listings), random.Random(time.time())
    where = ["--catalog", str(catalogue), "--pictures", str(origin / "images"), "--home", str(settings.home)]
    with connect(settings, autocommit=True, vectors=False):
        subprocess.run(
            [sys.executable, "-m", "fashion_assets", "run", *where], check=True, stdout=subprocess.DEVNULL
        )
        with closing(Sync(settings, Console(quiet=True))) as sync:
            for _ in range(given.times):
                exchange(rows, given.share, chance)
                write(catalogue, rows)
                done = sync.once("triggered")
                rate = done.followed.written / done.seconds["judging and writing"]
                seconds = {name: round(each, 2) for name, each in done.seconds.items()}
                print(
                    json.dumps(
                        {"written": done.followed.written, "seconds": seconds, "a_second": round(rate)}
                    ),
                    flush=True,
                )


if __name__ == "__main__":
    main()
