"""The search API under requests nobody meant well: pictures, filters, cursors, headers, sizes, paths, keys.

Usage: python benchmarks/hostile_requests.py WORK_FOLDER [--requests N] [--first N] [--seed N] [--callers N] [--workers N]

In a home below the folder three drawn old systems are migrated, a candidate is made beside what is live, and keys: one that opens everything, one
for searches, one narrowed to a colour, one expired, one revoked. `fashion-assets serve` is then sent requests drawn from the seed, byte by byte
over sockets. Of every answer must hold: no status of 500 and more, but for 501 of calls that are left out; errors are problem details; nothing of the
inside is in it, no path of the home, no key, nothing of the candidate for who may not see it, no product beyond the filters of its key. At the end
the server must live, and neither its memory nor its open files may have grown since the middle. Until then the process has met each kind of request and
its threads the largest pictures; from then on only texts of statements are new, half a megabyte in a thousand requests, up to their bound
(`search/kept`). `--first`: the number of the first request, by which a fault is
repeated. Exit code 0 where all held.
"""

import argparse
import collections
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from api_server import Server, prepared

from fashion_assets_tests.serving.hostility.answers import faults, send
from fashion_assets_tests.serving.hostility.drawing import drawn
from fashion_assets_tests.serving.hostility.world import Answer, Attack, World, world_of

MEMORY = 32 * 2**20
"""Bytes by which the API's processes may have grown from the middle to the end: what a few pictures at once leave behind in their heaps."""

FILES = 8
"""The same of open files: connections that come and go."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1, help="processes that serve")
    given = parser.parse_args()
    settings = prepared(given.work.resolve())
    server = Server(settings.home, given.workers)
    try:
        world = world_of(settings, server.port)
        server.wait_for("/api/v1/search", 401)
        return attacked(server, world, given)
    finally:
        if server.process.poll() is None:
            print(f"the API ended with {server.end()}")


def attacked(server: Server, world: World, given: argparse.Namespace) -> int:
    """Send the requests, print what became of them; the program's exit code."""
    kinds: collections.Counter[str] = collections.Counter()
    statuses: dict[str, collections.Counter[int]] = collections.defaultdict(collections.Counter)
    slowest: dict[str, float] = collections.defaultdict(float)
    broken = 0

    def one(number: int) -> tuple[int, Attack, Answer, list[str]]:
        attack = drawn(world, given.seed, number)
        try:
            answer = send(server.port, attack)
        except OSError as error:
            return number, attack, Answer(0, {}, b"", 0), [f"{type(error).__name__}: {error}"]
        return number, attack, answer, faults(world, attack, answer)

    used, began = [], time.monotonic()
    thousands = range(given.first, given.first + given.requests, 1_000)
    with ThreadPoolExecutor(given.callers) as callers:
        for first in thousands:
            numbers = range(first, min(first + 1_000, given.first + given.requests))
            for number, attack, answer, wrong in callers.map(one, numbers):
                kinds[attack.kind] += 1
                statuses[attack.kind][answer.status] += 1
                slowest[attack.kind] = max(slowest[attack.kind], answer.seconds)
                if wrong:
                    broken += 1
                    print(
                        f"request {number} ({attack.kind}): {'; '.join(wrong)}\n  {attack.head[:300]!r}\n  {answer.body[:300]!r}",
                        flush=True,
                    )
            server.wait_for("/healthz", 200)
            used.append(server.used())
    for kind, count in sorted(kinds.items()):
        told = ", ".join(
            f"{status or 'closed'}: {times:,}" for status, times in sorted(statuses[kind].items())
        )
        print(f"{kind:10} {count:>6,}  slowest {slowest[kind]:6.2f} s  {told}")
    told = ", ".join(f"{memory / 2**20:,.0f}" for memory, _ in used)
    print(f"memory after each thousand, MB: {told}; open files {', '.join(str(files) for _, files in used)}")
    print(
        f"{given.requests:,} requests, seed {given.seed}, {time.monotonic() - began:.0f} s: "
        + (f"{broken:,} answers did not hold" if broken else "all held")
    )
    (memory, files), (memory_after, files_after) = used[len(used) // 2], used[-1]
    grew = memory_after - memory > MEMORY or files_after > files + FILES
    return 1 if broken or grew or server.process.poll() is not None else 0


if __name__ == "__main__":
    sys.exit(main())
