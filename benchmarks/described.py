"""The search API, and the former APIs, asked as they describe themselves: no answer that they do not describe.

Usage: python benchmarks/described.py WORK_FOLDER [--examples N] [--seed N]

A home below the folder, as `benchmarks/hostile_requests.py` makes it. Every route of every description is sent so many requests drawn from the seed
that fit it, and as many that do not, with a key that opens everything. Of every answer must hold: no status of 500 and more; status, media type
and document as described. Exit code 0 where all held.
"""

import argparse
import sys
import time
from pathlib import Path

from api_server import Server, prepared

from fashion_assets.serving.former.mounting import APIS
from fashion_assets_tests.serving import described
from fashion_assets_tests.serving.hostility.world import world_of


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--examples", type=int, default=200, help="of each kind for each route")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    settings = prepared(given.work.resolve())
    server, broken, routes, began = Server(settings.home), 0, 0, time.monotonic()
    try:
        world = world_of(settings, server.port)
        server.wait_for("/api/v1/search", 401)
        for path in described.descriptions(APIS):
            asked, wrong = described.ask_as_described(
                f"http://127.0.0.1:{server.port}{path}",
                given.examples,
                given.seed,
                {"X-API-Key": world.keys["all"]},
            )
            print(f"{path}: {asked} routes, {len(wrong)} do not hold", flush=True)
            print("".join(f"  {each}\n" for each in wrong), end="", flush=True)
            routes, broken = routes + asked, broken + len(wrong)
    finally:
        print(f"the API ended with {server.end()}")
    print(
        f"{routes} routes, {2 * given.examples * routes:,} requests at the most, seed {given.seed}, {time.monotonic() - began:.0f} s"
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
