"""What searches take through HTTP, and by the engine alone, on an installation that is there.

Usage: python benchmarks/http_latency.py HOME [SECONDS [CALLERS [WORKERS]]]

`fashion-assets serve` answers in processes of its own, one unless said. Callers on the same machine put questions without a pause, each kind for so many
seconds: by one, then by several at once. They speak HTTP over plain sockets, as a load generator does, so that what is measured is the server. Then the
engine is asked the same in this process, one question after the other; of vectors, also the statement as one writes it by hand, which finds ten
products, beside the engine's search for the same ones, in turns. Printed as JSON: milliseconds at the median and the 95th percentile,
and questions a second; through HTTP also what a question takes of a core, in milliseconds: of the API's processes, of the database's, of the callers, and how
many a second two cores could answer at that, whatever else they did meanwhile; and how the callers' connections were shared out between the API's
processes. Exit code 1 where an answer failed.
"""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx
import numpy as np
import psutil
from own_server import free_port
from pgvector import HalfVector
from psycopg import sql

from fashion_assets.postgres.connections import connect
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.query import HIT_COLUMNS, Query
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases

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
def served(settings: Settings, workers: int = 1) -> Iterator[int]:
    """The API in processes of its own; its port."""
    port = free_port()
    command = [
        sys.executable,
        *("-m", "fashion_assets", "serve", "--port", str(port), "--home", str(settings.home)),
        *("--workers", str(workers)),
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
            yield port
        finally:
            process.terminate()


@contextmanager
def core_ms(settings: Settings, answered: list[float]) -> Iterator[dict[str, float]]:
    """What each question takes of a core meanwhile, once it is over; `answered` has an entry for each then."""
    place = next((settings.home / "postgres").rglob("postmaster.pid")).read_text().split()[0]
    own, database = psutil.Process(), psutil.Process(int(place))

    def spent() -> dict[str, float]:
        # Looked up each time: connections are opened as callers come.
        groups = {
            "api": [each for each in own.children(recursive=True) if each.name() != "postgres"],
            "database": database.children(),
            "callers": [own],
        }
        return {
            name: sum(sum(each.cpu_times()[:2]) for each in group if each.is_running())
            for name, group in groups.items()
        }

    before, told = spent(), dict[str, float]()
    yield told
    for name, seconds in spent().items():
        told[f"{name}_core_ms"] = round(1000 * (seconds - before[name]) / len(answered), 2)
    told["two_cores_a_second"] = round(2000 / sum(told.values()), 1)


def connections(port: int) -> list[int]:
    """Open connections of each process that this one started and that has any."""
    of_each = [
        sum(
            each.laddr[1] == port and each.status == psutil.CONN_ESTABLISHED for each in one.net_connections()
        )
        for one in psutil.Process().children(recursive=True)
        if one.name() != "postgres"
    ]
    return sorted(filter(None, of_each))


async def asked(
    port: int, queries: list[Query], seconds: float, callers: int
) -> tuple[list[float], int, float, list[int]]:
    """Milliseconds of each answer, how many failed, the seconds it took, and how many connections each process of the API had."""
    times: list[float] = []
    failed = 0
    sent = [
        f"GET /api/v1/search?{urlencode(parameters(each))} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept-Encoding: gzip\r\n\r\n".encode()
        for each in queries
    ]
    until = time.perf_counter() + seconds

    async def calling(seed: int) -> None:
        nonlocal failed
        chance = random.Random(seed)
        reading, writing = await asyncio.open_connection("127.0.0.1", port)
        while (began := time.perf_counter()) < until:
            writing.write(chance.choice(sent))
            head = (await reading.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reading.readexactly(int(length))
            failed += not head.startswith(b"http/1.1 200 ")
            times.append((time.perf_counter() - began) * 1000)
        writing.close()

    begun = time.perf_counter()
    all_of_them = asyncio.gather(*(calling(seed) for seed in range(callers)))
    await asyncio.sleep(seconds / 2)
    shared = connections(port)
    await all_of_them
    return times, failed, time.perf_counter() - begun, shared


def by_hand(settings: Settings, seconds: float) -> dict[str, dict[str, float]]:
    """The ten nearest of a product's vector by the statement alone, with no more candidates than the engine has, and by the engine, in turns."""
    with connect(settings, autocommit=True) as conn, SearchEngine.open(settings, size=1) as engine:
        live = releases.live(conn)
        assert live is not None
        rows = conn.execute(
            sql.SQL(
                "SELECT embedding_space, embedding FROM {} WHERE embedding IS NOT NULL ORDER BY product_id LIMIT 200"
            ).format(live.table("products"))
        ).fetchall()
        statement = sql.SQL(
            "SELECT {} FROM {} WHERE embedding_space = {} ORDER BY embedding::halfvec({}) <=> %s LIMIT 10"
        ).format(
            sql.SQL(", ").join(map(sql.Identifier, ("product_id", *HIT_COLUMNS))),
            live.table("products"),
            sql.Literal(rows[0][0]),
            sql.Literal(len(rows[0][1].to_numpy())),
        )
        conn.execute("SET hnsw.ef_search = 100")
        ways: dict[str, Callable[[str, HalfVector], object]] = {
            "by hand": lambda _, vector: conn.execute(
                statement, (vector,), prepare=True, binary=True
            ).fetchall(),
            "engine": lambda space, vector: engine.search(
                Query(vector=vector.to_numpy(), space=space, mode="vector")
            ),
        }
        times: dict[str, list[float]] = {way: [] for way in ways}
        until, chance = time.perf_counter() + seconds, random.Random(1)
        while time.perf_counter() < until:
            one = chance.choice(rows)
            for way, ask in ways.items():
                began = time.perf_counter()
                ask(*one)
                times[way].append((time.perf_counter() - began) * 1000)
    return {
        f"the ten nearest of a vector: {way}": figures(each, sum(each) / 1000) for way, each in times.items()
    }


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
    workers = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    found: dict[str, dict] = {}
    wrong = 0
    of_kinds = questions(settings)
    with served(settings, workers) as port:
        for kind, queries in of_kinds.items():
            asyncio.run(asked(port, queries, 2.0, 1))  # what is read once is read
            for count in (1, callers):
                answered: list[float] = []
                with core_ms(settings, answered) as spent:
                    times, failed, took, shared = asyncio.run(asked(port, queries, seconds, count))
                    answered += times
                wrong += failed
                told = figures(times, took) | spent | {"connections": shared}
                found[f"{kind}: HTTP, {count} at once"] = told
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
    found |= by_hand(settings, seconds)
    print(json.dumps({**found, "failed": wrong}, indent=1))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
