"""Metrics as Prometheus reads them: how requests go, and how the installation does.

What belongs here: their names, what is counted of each request, and `/metrics`. What does not: reading figures from the database
(`figures`), what was searched for (`analytics`), when somebody is to be told (deploy/prometheus/alerts.yml).

Of several processes each counts its own requests. They share a folder of files, named by PROMETHEUS_MULTIPROC_DIR before they start
(`share`), and whichever is asked tells the sum. What is read from the database is the same in all.

Labels are few and bounded: routes and kinds, never words, ids or addresses.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fashion_assets.errors import FashionAssetsError
from fashion_assets.search.engine import AsyncSearchEngine
from fashion_assets.search.filters import SearchError
from fashion_assets.search.query import Query
from fashion_assets.serving import figures
from fashion_assets.serving.figures import Figure
from fashion_assets.serving.former import stored
from fashion_assets.serving.former.stored import ServedEngine

SHARED = "PROMETHEUS_MULTIPROC_DIR"

PREFIX = "fashion_assets_"

FRESH_SECONDS = 15.0
"""How long figures of the database are good enough: whoever scrapes more often gets the same."""

CANARY_SECONDS = 300.0
"""The same of the canaries, which are searches."""

CANARIES = 12
"""Products that are looked for by their own titles: the same ones in every release, but for those that are gone."""

BUCKETS = (0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0)
"""Seconds; close where the promises are: 30 ms a search, 50 ms a vector."""

KINDS: Mapping[str, str] = {
    "/api/v1/search": "search",
    "/api/v1/multi-search": "multi_search",
    "/api/v1/suggestions": "suggestions",
    "/api/v1/recommendations": "recommendations",
    "/api/v1/feedback": "feedback",
    "/api/v1/compare": "compare",
    "/api/v1/styles": "styles",
    "/api/v1/merchant": "merchant",
    "/api/v1/products": "product",
    "/images": "image",
    "/former/fashion-ecom": "former_fashion_ecom",
    "/former/second-hand-v2": "former_second_hand_v2",
    "/former/second-hand-v3": "former_second_hand_v3",
    "/former/prethrift": "former_prethrift",
    "/api/v1": "other",
}
"""Kinds of request by how their paths begin, the narrower before the wider."""

UNMEASURED = ("/metrics", "/healthz", "/readyz")

TOLD: Mapping[str, str] = {
    "release_live": "Whether a release is live.",
    "release_info": "The release that is live.",
    "release_promoted_timestamp_seconds": "When it went live.",
    "release_changed_timestamp_seconds": "When rows of it were changed last.",
    "release_products": "Products in it.",
    "release_listings": "Listings it was made of.",
    "release_quarantined": "Listings left out of it.",
    "release_products_without_vector": "Products in it without a vector.",
    "release_build_seconds": "How long loading and indexing it took.",
    "release_revision": "How often its rows were changed.",
    "quarantine": "Listings in quarantine, by reason; one may have several.",
    "source_scanned_timestamp_seconds": "When a source was scanned last.",
    "sync_timestamp_seconds": "When the live release was brought in step last.",
    "sync_seconds": "How long that took.",
    "index_bytes": "Size of an index of the live release.",
    "index_scans": "How often an index of the live release was used.",
    "extraction_confidence": "Mean confidence of an attribute where it was read from words or pictures, of a sample.",
    "embedding_consistent_ratio": "Share of vectors of unit length and of a space of the release, of a sample.",
    "dagster_runs_day": "Dagster runs of the last day, by how they stand.",
    "searches_today": "Searches noted today.",
    "searches_without_hits_today": "Those that found nothing.",
    "canary_found_ratio": "Share of the canaries, products looked for by their own titles, that were on the first page.",
    "canary_seconds": "How long a canary's search took, on average.",
    "database_up": "Whether the figures could be read from the database.",
    "gpu_memory_used_bytes": "Memory of the GPU in use.",
    "gpu_memory_bytes": "Memory of the GPU.",
}
"""Figures that are read, and what they say."""


@contextmanager
def shared(folder: Path) -> Iterator[None]:
    """Have the processes that are started meanwhile count into one folder, an empty one. This process itself does not."""
    os.environ[SHARED] = str(folder)
    try:
        yield
    finally:
        del os.environ[SHARED]


own = CollectorRegistry()
"""What this process counts."""

REQUESTS = Histogram(
    f"{PREFIX}request_seconds",
    "How long requests took, from the first byte of the request to the last of the answer.",
    ("kind",),
    buckets=BUCKETS,
    registry=own,
)
ANSWERS = Counter(
    f"{PREFIX}answers", "Answers, by kind and class of the status.", ("kind", "status"), registry=own
)
UNDER_WAY = Gauge(
    f"{PREFIX}requests_under_way", "Requests under way.", registry=own, multiprocess_mode="livesum"
)
CACHE = Counter(
    f"{PREFIX}vector_cache", "Vectors of words and pictures that were asked for.", ("outcome",), registry=own
)
POOL = Gauge(
    f"{PREFIX}pool_connections",
    "Connections searches read by.",
    ("state",),
    registry=own,
    multiprocess_mode="livesum",
)
SHADOWED = Counter(
    f"{PREFIX}shadow_searches",
    "Searches that another release was asked as well: compared, failed, or dropped because others waited.",
    ("release", "outcome"),
    registry=own,
)
SHADOW_OVERLAP = Histogram(
    f"{PREFIX}shadow_overlap_ratio",
    "Share of the hits of a first page that both releases have.",
    ("release",),
    buckets=(0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.999, 1.0),
    registry=own,
)
SHADOW_SECONDS = Histogram(
    f"{PREFIX}shadow_seconds",
    "How long the engine took for these searches: the release that is served, and the one beside it.",
    ("release", "side"),
    buckets=BUCKETS,
    registry=own,
)
SHADOW_TOTALS = Counter(
    f"{PREFIX}shadow_totals_differ",
    "Of them those for which the releases find another number of products.",
    ("release",),
    registry=own,
)
FEEDBACK = Counter(
    f"{PREFIX}feedback", "What people said of products, and did with them, by kind.", ("kind",), registry=own
)
WAITING = Gauge(
    f"{PREFIX}pool_waiting",
    "Searches that wait for a connection.",
    registry=own,
    multiprocess_mode="livesum",
)


def kind_of(path: str) -> str:
    """The kind of request that is sent to a path."""
    if path.startswith("/api/v1/products/") and path.endswith(("/similar", "/look")):
        return path.rpartition("/")[2]
    return next((kind for begins, kind in KINDS.items() if f"{path}/".startswith(f"{begins}/")), "page")


class Measured:
    """ASGI middleware that measures every request."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the application's own start and end."""
        if scope["type"] != "http" or scope["path"] in UNMEASURED:
            return await self._app(scope, receive, send)
        kind, status = kind_of(scope["path"]), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.perf_counter()
        UNDER_WAY.inc()
        try:
            await self._app(scope, receive, sending)
        finally:
            UNDER_WAY.dec()
            REQUESTS.labels(kind).observe(time.perf_counter() - began)
            ANSWERS.labels(kind, f"{status // 100}xx").inc()
            # Here, not as it is asked: of several processes one is asked.
            if (metrics := getattr(scope["app"].state, "metrics", None)) is not None:
                metrics.note_engine()


Reads = Callable[[Callable[[psycopg.Connection[Any]], Sequence[Figure]]], Any]
"""Reads from the registers by a function of a connection, as `Served.registered` does; to be awaited."""


class Metrics:
    """What `/metrics` tells, of one process."""

    def __init__(self, engine: AsyncSearchEngine, registered: Reads, release: str | None = None):
        self._engine = engine
        self._served = ServedEngine(engine, release)
        self._registered = registered
        self._known: dict[str, tuple[float, list[Figure]]] = {}
        self._cache = (0, 0)
        self._lock = asyncio.Lock()

    async def text(self) -> bytes:
        """All metrics, in Prometheus' text format."""
        async with self._lock:
            read = await self._read()
        registry = CollectorRegistry()
        if folder := os.environ.get(SHARED):
            _without_the_dead(Path(folder))
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        else:
            registry.register(_Own())
        registry.register(_Read(read))
        return generate_latest(registry)

    def note_engine(self) -> None:
        """Take over what the engine has counted."""
        hits, misses, _ = self._engine.cache()
        CACHE.labels("hit").inc(max(0, hits - self._cache[0]))
        CACHE.labels("miss").inc(max(0, misses - self._cache[1]))
        self._cache = hits, misses
        stats = self._engine.connections()
        size, available = stats.get("pool_size", 0), stats.get("pool_available", 0)
        POOL.labels("used").set(size - available)
        POOL.labels("idle").set(available)
        POOL.labels("most").set(stats.get("pool_max", 0))
        WAITING.set(stats.get("requests_waiting", 0))

    async def _read(self) -> list[Figure]:
        database = await self._kept("database", FRESH_SECONDS, self._of_database)
        # Where that does not answer nobody waits for searches of it.
        up = Figure("database_up", {}, 1) in database
        canaries = await self._kept("canaries", CANARY_SECONDS, self._of_canaries) if up else []
        return [*database, *canaries, *of_gpus()]

    async def _kept(self, name: str, seconds: float, read: Callable[[], Any]) -> list[Figure]:
        at, found = self._known.get(name, (0.0, []))
        if not found or time.monotonic() - at > seconds:
            found = await read()
            self._known[name] = time.monotonic(), found
        return found

    async def _of_database(self) -> list[Figure]:
        try:
            found = await self._registered(lambda conn: list(figures.read(conn)))
        except (psycopg.Error, FashionAssetsError):
            return [Figure("database_up", {}, 0)]
        return [Figure("database_up", {}, 1), *found]

    async def _of_canaries(self) -> list[Figure]:
        try:
            return await canaries(self._served)
        except (psycopg.Error, FashionAssetsError):
            return []


async def canaries(engine: ServedEngine) -> list[Figure]:
    """Products looked for by their own titles: the share that was found on the first page, and how long it took. Nothing where no product
    has a title."""
    listing = stored.products("product_id", "title IS NOT NULL")
    rows = (await stored.page(engine, listing, CANARIES)).rows
    if not rows:
        return []
    began, found = time.perf_counter(), 0
    for row in rows:
        with suppress(SearchError):
            hits = (await engine.search(Query(words=row["title"], limit=10))).hits
            # Another product of the same title is as good an answer.
            found += any(hit.title == row["title"] for hit in hits)
    took = time.perf_counter() - began
    return [
        Figure("canary_found_ratio", {}, found / len(rows)),
        Figure("canary_seconds", {}, took / len(rows)),
    ]


def of_gpus() -> Iterator[Figure]:
    """Memory of GPUs, where this process has torch at all: looking for one by importing it would take a gigabyte."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return
    for number in range(torch.cuda.device_count()):
        free, whole = torch.cuda.mem_get_info(number)
        yield Figure("gpu_memory_used_bytes", {"gpu": str(number)}, whole - free)
        yield Figure("gpu_memory_bytes", {"gpu": str(number)}, whole)


def of_installation(read: Iterable[Figure]) -> bytes:
    """Figures in Prometheus' text format, for whoever scrapes no server of ours: a file for the node exporter."""
    registry = CollectorRegistry()
    registry.register(_Read(list(read)))
    return generate_latest(registry)


def _without_the_dead(folder: Path) -> None:
    """Let go what processes that ended said of the moment; what they counted stays."""
    for file in folder.glob("gauge_live*_*.db"):
        process = int(file.stem.rpartition("_")[2])
        if not psutil.pid_exists(process):
            multiprocess.mark_process_dead(process)  # type: ignore[no-untyped-call]


class _Own:
    """What this process counts, as it is now."""

    def collect(self) -> Iterable[Any]:
        return own.collect()


class _Read:
    """Figures as gauges."""

    def __init__(self, read: Sequence[Figure]):
        self._read = read

    def collect(self) -> Iterator[GaugeMetricFamily]:
        families: dict[str, GaugeMetricFamily] = {}
        for name, labels, value in self._read:
            family = families.get(name)
            if family is None:
                family = GaugeMetricFamily(f"{PREFIX}{name}", TOLD[name], labels=list(labels))
                families[name] = family
            family.add_metric(list(labels.values()), value)
        yield from families.values()


async def told(request: Request) -> Response:
    """The route `/metrics`, of an application whose state has `metrics`."""
    text = await request.app.state.metrics.text()
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4, headers={"Cache-Control": "no-store"})
