"""How many changed listings a sync brings into the live release in a second, where their vectors are at hand.

Usage: python benchmarks/changed_rows.py WORK_FOLDER CATALOGUE_FOLDER [--listings N] [--share SHARE] [--times N] [--candidates N …]
       [--index-method hnsw|ivfflat]

The first listings of a catalogue folder (`styles.csv`, `images/`), or all of them, are migrated, once for a work folder. Then a share of them exchange
their titles, whose vectors are all known, and a sync changes the live release; several times. Prints a line of JSON for each: rows
written, seconds by what they were spent on, rows a second of judging and writing, and milliseconds of a core that the whole sync took for each, the server and the
command. The index is not built anew meanwhile. `--candidates`: how many what comes
later is linked with (`release.graphs`); of several each in its turn, as many times. `--index-method`: the release's; a work folder for each.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from ageing import exchange, make_catalogue, write
from following import Cores
from rich.console import Console

from fashion_assets.postgres.connections import connect
from fashion_assets.release import graphs
from fashion_assets.settings import Settings
from fashion_assets.sync import Sync
from fashion_assets.warehouse import releases


def _link_with(settings: Settings, candidates: int) -> None:
    with connect(settings, autocommit=True) as conn:
        live = releases.live(conn)
        assert live is not None
        for name in graphs.standing(conn, live):
            assert graphs.take(conn, live, name, candidates, 5)


def main() -> None:
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("work", type=Path)
    options.add_argument("origin", type=Path)
    options.add_argument("--listings", type=int, default=1_000_000)
    options.add_argument("--share", type=float, default=0.1)
    options.add_argument("--times", type=int, default=3)
    options.add_argument("--candidates", type=int, nargs="+", default=[graphs.LATER_WITH])
    options.add_argument("--index-method", choices=["hnsw", "ivfflat"], default="hnsw")
    given = options.parse_args()
    os.environ["FASHION_ASSETS_INDEX_METHOD"] = given.index_method
    folder, origin = given.work.resolve(), given.origin.resolve()
    settings, catalogue = Settings(home=folder / "home", reindex_after=0), folder / "catalogue"
    rows, chance = make_catalogue(catalogue, origin, given.listings), random.Random(time.time())
    where = ["--catalog", str(catalogue), "--pictures", str(origin / "images"), "--home", str(settings.home)]
    with connect(settings, autocommit=True, vectors=False):
        subprocess.run(
            [sys.executable, "-m", "fashion_assets", "run", *where], check=True, stdout=subprocess.DEVNULL
        )
        with closing(Sync(settings, Console(quiet=True))) as sync:
            for candidates in given.candidates * given.times:
                _link_with(settings, candidates)
                exchange(rows, given.share, chance)
                write(catalogue, rows)
                cores = Cores(settings.home, command=os.getpid())
                done = sync.once("triggered")
                a_row = {
                    name: round(1000 * each / done.followed.written, 2)
                    for name, each in cores.seconds().items()
                }
                rate = done.followed.written / done.seconds["judging and writing"]
                seconds = {name: round(each, 2) for name, each in done.seconds.items()}
                print(
                    json.dumps(
                        {
                            "index": given.index_method,
                            "candidates": candidates,
                            "written": done.followed.written,
                            "seconds": seconds,
                            "a_second": round(rate),
                            "cores_ms": a_row,
                        }
                    ),
                    flush=True,
                )


if __name__ == "__main__":
    main()
