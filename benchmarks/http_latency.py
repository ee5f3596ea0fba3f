"""What searches take through HTTP, and by the engine alone, on an installation that is there.

Usage: python benchmarks/http_latency.py HOME [SECONDS [CALLERS]]

`fashion-assets serve` answers in a process of its own, by one worker. Callers on the same machine put questions without a pause, each kind for so many
seconds: by one, then by several at once. Then the engine is asked the same in this process, one question after the other. Printed as JSON: milliseconds
at the median and the 95th percentile, and questions a second. Exit code 1 where an answer failed.
"""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from own_server import free_port

from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.query import Query
from fashion_assets.settings import Settings

WORDS = ("red shirt", "women dress", "blue jeans", "black shoes", "watch", "summer top", "handbag", "shirts")
FILTERS = ({}, {"gender": "men"}, {"gender": "women", "colour": "blue"}, {"category": "apparel"})
FACETS = ("category", "article_type", "colour", "gender", "brand")


def questions(settings: Settings, number: int = 400) -> dict[str, list[Query]]:
    """Questions of each kind, the same in every run."""
    chance = random.Random(5)
    with SearchEngine.open(settings, size=1) as engine:
        ids = [
            hit.product_id
            for words in WORDS
            for hit in engine.search(Query(words, limit=number // len(WORDS))).hits
        ]
    return {
        "hybrid, filters, facets": [
            Query(chance.choice(WORDS), filters=chance.choice(FILTERS), facets=FACETS) for _ in range(number)
        ],
        "vector": [Query(product=chance.choice(ids), mode="vector") for _ in range(number)],
    }


def parameters(query: Query) -> list[tuple[str, str]]:
    """A question as it is sent."""
    said = [("q", query.words)] if query.words else [("product", query.product or "")]
    filters = [
        ("filter", f"{each.column}={','.join(map(str, sorted(each.values)))}") for each in query.narrowed
    ]
    return [*said, ("mode", query.mode), *filters, *(("facets", each) for each in query.facets)]


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """The API in a process of its own; its address."""
    port = free_port()
    command = [
        sys.executable,
        *("-m", "fashion_assets", "serve", "--port", str(port), "--home", str(settings.home)),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        address = f"http://127.0.0.1:{port}"
        try:
            until = time.monotonic() + 60
            while True:
                try:
                    if httpx.get(f"{address}/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                if time.monotonic() > until:
                    raise SystemExit("the API did not begin")
                time.sleep(0.2)
            yield address
        finally:
            process.terminate()


async def asked(
    address: str, queries: list[Query], seconds: float, callers: int
) -> tuple[list[float], int, float]:
    """Milliseconds of each answer, how many failed, and the seconds it took."""
    times: list[float] = []
    failed = 0
    sent = [parameters(each) for each in queries]
    until = time.perf_counter() + seconds

    async def calling(client: httpx.AsyncClient, seed: int) -> None:
        nonlocal failed
        chance = random.Random(seed)
        while (began := time.perf_counter()) < until:
            answer = await client.get("/api/v1/search", params=chance.choice(sent))
            failed += answer.status_code != 200
            times.append((time.perf_counter() - began) * 1000)

    begun = time.perf_counter()
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:
        await asyncio.gather(*(calling(client, seed) for seed in range(callers)))
    return times, failed, time.perf_counter() - begun


def figures(times: list[float], seconds: float) -> dict[str, float]:
    return {
        "p50_ms": round(float(np.median(times)), 1),
        "p95_ms": round(float(np.percentile(times, 95)), 1),
        "a_second": round(len(times) / seconds, 1),
    }


def main() -> int:
    settings = Settings(home=Path(sys.argv[1]).resolve())
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 20.0
    callers = int(sys.argv[3]) if len(sys.argv) > 3 else 8
    found: dict[str, dict] = {}
    wrong = 0
    of_kinds = questions(settings)
    with served(settings) as address:
        for kind, queries in of_kinds.items():
            asyncio.run(asked(address, queries, 2.0, 1))  # what is read once is read
            for count in (1, callers):
                times, failed, took = asyncio.run(asked(address, queries, seconds, count))
                wrong += failed
                found[f"{kind}: HTTP, {count} at once"] = figures(times, took)
    with SearchEngine.open(settings, size=1) as engine:
        for kind, queries in of_kinds.items():
            chance, times = random.Random(0), []
            engine.search(queries[0])
            begun = time.perf_counter()
            while time.perf_counter() < begun + seconds:
                began = time.perf_counter()
                engine.search(chance.choice(queries))
                times.append((time.perf_counter() - began) * 1000)
            found[f"{kind}: the engine alone"] = figures(times, time.perf_counter() - begun)
    print(json.dumps({**found, "failed": wrong}, indent=1))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
