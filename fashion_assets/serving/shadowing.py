"""A share of the searches asked of another release as well, behind the answers: how far both agree, and how long either takes.

What belongs here: which searches, the queue between, comparing. What does not: comparing two releases on demand (`proof.shadow`), the names Prometheus
knows the figures by (`metrics`).

Nobody waits for it. A search is put aside once its answer is sent, if the queue has room; one task asks the other release, one search after another,
on a connection of its own. What finds no room, and what fails, is counted and forgotten.
"""

import asyncio
import logging
import random
import time
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import NamedTuple, Self

import psycopg

from fashion_assets.errors import FashionAssetsError
from fashion_assets.proof.shadow import compare
from fashion_assets.search.engine import AsyncSearchEngine, within
from fashion_assets.search.query import Query, Results
from fashion_assets.serving import metrics
from fashion_assets.settings import Settings

WAITING = 32
"""Searches that wait to be asked again, at the most."""

WAITING_BYTES = 16 * 2**20
"""Bytes of the pictures among them, at the most."""

log = logging.getLogger(__name__)


class Asked(NamedTuple):
    """A search that was answered."""

    query: Query
    found: tuple[str, ...]
    """Products, best first."""
    total: int | None
    seconds: float


class Shadowing:
    """Of one process. `async with` begins and ends its task; it does nothing where the settings name no release, or no share."""

    def __init__(self, engine: AsyncSearchEngine, settings: Settings, chance: random.Random | None = None):
        self._settings = settings
        self._chance = chance or random.Random()
        self._engine = engine.beside(1)
        self._queue: asyncio.Queue[Asked] = asyncio.Queue(WAITING)
        self._bytes = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def release(self) -> str | None:
        """The release that is asked as well, if any is."""
        return self._settings.shadow_release if self._settings.shadow_share > 0 else None

    def take(self, query: Query, results: Results, seconds: float) -> None:
        """Put a search aside that was answered; of later pages there is nothing to compare, and of the release itself neither."""
        if self._task is None or query.page is not None or results.plan.release == self.release:
            return
        if self._chance.random() >= self._settings.shadow_share:
            return
        found = tuple(hit.product_id for hit in results.hits)
        asked = Asked(query, found, None if results.total is None else results.total.value, seconds)
        size = len(query.picture or b"")
        if self._queue.full() or self._bytes + size > WAITING_BYTES:
            metrics.SHADOWED.labels(self.release, "dropped").inc()
            return
        self._bytes += size
        self._queue.put_nowait(asked)

    async def __aenter__(self) -> Self:
        if self.release is not None:
            await self._engine.__aenter__()
            self._task = asyncio.create_task(self._go_on(self.release))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is None:
            return
        # What waits still is of no use to anybody now.
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        await self._engine.__aexit__(kind, error, trace)

    async def _go_on(self, release: str) -> None:
        while True:
            asked = await self._queue.get()
            try:
                await self._compare(asked, release)
            except (psycopg.Error, FashionAssetsError) as error:
                metrics.SHADOWED.labels(release, "failed").inc()
                log.warning("%s could not be asked beside: %s", release, error)
            except Exception:
                metrics.SHADOWED.labels(release, "failed").inc()
                log.exception("asking %s beside met an error that nobody foresaw", release)
            finally:
                self._bytes -= len(asked.query.picture or b"")
                self._queue.task_done()

    async def _compare(self, asked: Asked, release: str) -> None:
        began = time.perf_counter()
        with within(self._settings.api_search_seconds):
            results = await self._engine.search(replace(asked.query, release=release))
        took = time.perf_counter() - began
        compared = compare(asked.found, [hit.product_id for hit in results.hits])
        metrics.SHADOWED.labels(release, "compared").inc()
        metrics.SHADOW_OVERLAP.labels(release).observe(compared.overlap)
        metrics.SHADOW_SECONDS.labels(release, "served").observe(asked.seconds)
        metrics.SHADOW_SECONDS.labels(release, "shadow").observe(took)
        if asked.total != (None if results.total is None else results.total.value):
            metrics.SHADOW_TOTALS.labels(release).inc()

    async def settled(self) -> None:
        """Once nothing waits any more."""
        await self._queue.join()
