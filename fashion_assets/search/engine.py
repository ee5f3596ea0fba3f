"""The search engine: one question in, one page of hits out, over a pool of connections, blocking or not.

What belongs here: `SearchEngine` and `AsyncSearchEngine`, which carry out what `answering` and `people` yield. What does
not: how a search goes.

A search is one round trip: settings, a look at which release is live, and the statement, in one read-only transaction
under the reader's role (`reading`). An engine may be used by many threads, or tasks, at once; there is nothing two engines share.

An engine outlives its connections and its server. To read twice does no harm, so what was lost with a connection is read
again over another one, for as long as `SERVER_AWAY_SECONDS`.
"""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self, TypeVar
from weakref import WeakValueDictionary

import psycopg
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from fashion_assets.embedding.encoder import Encoder
from fashion_assets.postgres import server
from fashion_assets.postgres.connections import connect
from fashion_assets.postgres.errors import ServerGone, ServerUnreachable, explain
from fashion_assets.search import inspiration, looks, people, styles
from fashion_assets.search.answering import Answering
from fashion_assets.search.beside import Tasks, in_a_thread
from fashion_assets.search.filters import Filters, as_filters
from fashion_assets.search.inspiration import Inspiration
from fashion_assets.search.kept import CacheFigures
from fashion_assets.search.looks import Look
from fashion_assets.search.meaning import Encoders
from fashion_assets.search.query import Query, Results
from fashion_assets.search.reading import AsyncReadingConnection, ReadingConnection, Statement, settle
from fashion_assets.search.styles import Style
from fashion_assets.search.suggesting import Suggesting, Suggestion
from fashion_assets.search.work import Beside, Compute, Once, Read, Work
from fashion_assets.settings import Settings

POOL_SIZE = 4

SERVER_AWAY_SECONDS = 30.0
"""How long a search waits for a server that restarts, or cannot be reached."""

LOOK_SECONDS = 2.0
"""How long a connection is waited for before it is asked why there is none."""

Answer = TypeVar("Answer")


class SearchEngine:
    """Searches over a pool of blocking connections; `with SearchEngine.open(settings) as engine`."""

    def __init__(self, pool: ConnectionPool[ReadingConnection], answering: Answering, settings: Settings):
        self._pool = pool
        self._answering = answering
        self._suggesting = Suggesting(answering)
        self._settings = settings
        # Only as long as somebody holds one: callers make up names of releases.
        self._locks: WeakValueDictionary[Hashable, Any] = WeakValueDictionary()
        self._choosing = threading.Lock()

    @classmethod
    def open(
        cls,
        settings: Settings,
        size: int = POOL_SIZE,
        encoders: Mapping[str, Encoder] | None = None,
        *,
        curated: bool = True,
    ) -> Self:
        """An engine on the server in use, with up to `size` connections.

        `encoders`, by space, are those of a catalogue's further spaces; the one of the settings is at hand in any case. `curated`: whether
        it follows what a merchant decided; a measurement of a release does not.
        """
        # Before the pool: it raises where there is no model, and would leave the connections open.
        answering = Answering(settings, Encoders(settings, encoders), curated=curated)
        pool = ConnectionPool(
            connection_class=ReadingConnection,
            # Asked anew for each: an embedded server that was restarted may have another socket, or is to be started.
            kwargs=lambda: _connection(settings),
            min_size=1,
            max_size=size,
            configure=ReadingConnection.configure,
            reconnect_timeout=LOOK_SECONDS,
            open=True,
        )
        return cls(pool, answering, settings)

    def close(self) -> None:
        """Give the connections back to the server."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def search(self, query: Query) -> Results:
        """A page of hits, best first.

        Raises `SearchError` for what cannot be answered as asked (`FilterError` for filters), `ReleaseError` where the
        release is not there, or was made with a model that is not at hand.
        """
        return self._drive(self._answering.search(query))

    def prepare(self, texts: Sequence[str], release: str | None = None) -> None:
        """Read and encode together what will be asked for one by one: searches for these words then take less."""
        self._drive(self._answering.prepare(texts, release))

    def explain(self, query: Query) -> dict[str, Any]:
        """The server's plan of the query's statement, as EXPLAIN's JSON has it, without running it."""
        return self._drive(self._answering.explain(query))

    def recommend(
        self, user_id: str, source: str | None = None, limit: int = 10, release: str | None = None
    ) -> Results:
        """Products for a person: like their favourites, none of them, and not one like the other; without favourites,
        of the style they state; without either, what most people like. `Results.plan.notes` says which.

        Raises `SearchError` for a person nobody knows.
        """
        return self._drive(people.recommend(self._answering, user_id, source, limit, release))

    def suggest(self, typed: str, limit: int = 8, release: str | None = None) -> list[Suggestion]:
        """What somebody may be going to ask for who typed so much: values and words of the catalogue that go on so, those most products have
        first; where none does, those whose beginning is nearly so.

        Raises `SearchError` for a limit below 1.
        """
        return self._drive(self._suggesting.suggest(typed, limit, release))

    def complete_look(
        self, product_id: str, limit: int = 8, per_slot: int = 1, release: str | None = None
    ) -> Look:
        """What goes with a product, by the rules of outfits: for each slot they leave open (bottom, footwear, …) the nearest pieces
        that go with it and with each other; with `per_slot`, so many alternatives for each slot that has one piece.

        Raises `SearchError` for a product that is not there, is no part of a look, or has no vector.
        """
        return self._drive(
            looks.complete_look(self._answering, self._answering.rules, product_id, limit, per_slot, release)
        )

    def inspire(
        self, picture: bytes, limit: int = 5, filters: Filters = (), release: str | None = None
    ) -> Inspiration:
        """What resembles the parts of an outfit on a picture of a person (its bytes): of each part (whole, upper, lower, feet) the nearest
        products that are worn there.

        Raises `SearchError` for what is no picture, or too small to be cut into parts.
        """
        return self._drive(
            inspiration.inspire(
                self._answering, self._answering.rules, picture, limit, as_filters(filters), release
            )
        )

    def styles(self, release: str | None = None) -> list[Style]:
        """The styles of the catalogue, the one with most products first. Raises `SearchError` where the release has none."""
        return self._drive(styles.styles(self._answering, release))

    def of_style(self, style: str, limit: int = 10, release: str | None = None) -> Results:
        """Products of a style, by its name or number, those nearest to it first; their score is their affinity.

        Raises `SearchError` for a style that is not there.
        """
        return self._drive(styles.of_style(self._answering, style, limit, release))

    def styles_of(
        self,
        product: str | None = None,
        user: str | None = None,
        source: str | None = None,
        release: str | None = None,
    ) -> list[Style]:
        """The styles a product is near to, or a person by their favourites, the nearest first.

        Raises `SearchError` for a product that is not there; of a person nobody knows, or without favourites, there are none.
        """
        return self._drive(styles.styles_of(self._answering, product, user, source, release))

    def cache(self) -> CacheFigures:
        """Of the vectors of words and pictures."""
        return self._answering.encoders.figures()

    def _drive(self, work: Work[Answer]) -> Answer:
        try:
            step = next(work)
            while True:
                try:
                    answer = self._carry_out(step)
                except Exception as error:
                    step = work.throw(error)
                else:
                    step = work.send(answer)
        except StopIteration as end:
            return end.value

    def _carry_out(self, step: Read | Compute | Once | Beside) -> Any:
        if isinstance(step, Compute):
            return step.make()
        if isinstance(step, Read):
            return self._read(step)
        if isinstance(step, Beside):
            return in_a_thread(lambda: self._drive(step.work()), step.seconds)
        with self._choosing:
            lock = self._locks.setdefault(step.key, threading.Lock())
        with lock:
            known = step.known()
            return self._drive(step.work()) if known is None else known

    def _read(self, step: Read) -> list[list[tuple]]:
        patience = _Patience(self._settings, SERVER_AWAY_SECONDS)
        while True:
            # Not `connection()`: its commit has nothing to do here.
            try:
                conn = self._pool.getconn(LOOK_SECONDS)
            except PoolTimeout as error:
                patience.ask_why(error)
                continue
            try:
                return conn.wait(conn.reader.read(*_bounded(step), step.meanwhile))[-len(step.statements) :]
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                patience.bear(conn, error)
            finally:
                self._pool.putconn(conn)


class AsyncSearchEngine:
    """`SearchEngine` over asynchronous connections; `async with AsyncSearchEngine.open(settings) as engine`."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncReadingConnection],
        answering: Answering,
        settings: Settings,
        away_seconds: float = SERVER_AWAY_SECONDS,
    ):
        self._away_seconds = away_seconds
        self._pool = pool
        self._answering = answering
        self._suggesting = Suggesting(answering)
        self._settings = settings
        # Only as long as somebody holds one: callers make up names of releases.
        self._locks: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()
        self._aside = Tasks()

    @classmethod
    def open(
        cls,
        settings: Settings,
        size: int = POOL_SIZE,
        encoders: Mapping[str, Encoder] | None = None,
        away_seconds: float = SERVER_AWAY_SECONDS,
    ) -> Self:
        """As `SearchEngine.open`; connections are made on entering. A server that goes away is waited for so many seconds."""
        answering = Answering(settings, Encoders(settings, encoders))
        return cls(_pool(settings, size), answering, settings, away_seconds)

    def beside(self, size: int) -> "AsyncSearchEngine":
        """Another engine that knows what this one does (facts of releases, vectors of words), and searches by up to `size` connections of its
        own, so that neither waits for the other's."""
        return AsyncSearchEngine(
            _pool(self._settings, size), self._answering, self._settings, self._away_seconds
        )

    async def __aenter__(self) -> Self:
        await self._pool.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._aside.cancel()
        await self._pool.close()

    async def search(self, query: Query) -> Results:
        """See `SearchEngine.search`."""
        return await self._drive(self._answering.search(query))

    async def prepare(self, texts: Sequence[str], release: str | None = None) -> None:
        """See `SearchEngine.prepare`."""
        await self._drive(self._answering.prepare(texts, release))

    async def explain(self, query: Query) -> dict[str, Any]:
        """See `SearchEngine.explain`."""
        return await self._drive(self._answering.explain(query))

    async def recommend(
        self, user_id: str, source: str | None = None, limit: int = 10, release: str | None = None
    ) -> Results:
        """See `SearchEngine.recommend`."""
        return await self._drive(people.recommend(self._answering, user_id, source, limit, release))

    async def suggest(self, typed: str, limit: int = 8, release: str | None = None) -> list[Suggestion]:
        """See `SearchEngine.suggest`."""
        return await self._drive(self._suggesting.suggest(typed, limit, release))

    async def complete_look(
        self, product_id: str, limit: int = 8, per_slot: int = 1, release: str | None = None
    ) -> Look:
        """See `SearchEngine.complete_look`."""
        return await self._drive(
            looks.complete_look(self._answering, self._answering.rules, product_id, limit, per_slot, release)
        )

    async def inspire(
        self, picture: bytes, limit: int = 5, filters: Filters = (), release: str | None = None
    ) -> Inspiration:
        """See `SearchEngine.inspire`."""
        return await self._drive(
            inspiration.inspire(
                self._answering, self._answering.rules, picture, limit, as_filters(filters), release
            )
        )

    async def styles(self, release: str | None = None) -> list[Style]:
        """See `SearchEngine.styles`."""
        return await self._drive(styles.styles(self._answering, release))

    async def of_style(self, style: str, limit: int = 10, release: str | None = None) -> Results:
        """See `SearchEngine.of_style`."""
        return await self._drive(styles.of_style(self._answering, style, limit, release))

    async def styles_of(
        self,
        product: str | None = None,
        user: str | None = None,
        source: str | None = None,
        release: str | None = None,
    ) -> list[Style]:
        """See `SearchEngine.styles_of`."""
        return await self._drive(styles.styles_of(self._answering, product, user, source, release))

    async def ask(self, question: Callable[[Answering], Work[Answer]]) -> Answer:
        """What a question of the caller's own comes to, which is read from releases as those above are."""
        return await self._drive(question(self._answering))

    def look_again(self) -> None:
        """Have the next search look whether a merchant decided anything."""
        self._answering.curation.look_again()

    def cache(self) -> CacheFigures:
        """See `SearchEngine.cache`."""
        return self._answering.encoders.figures()

    def connections(self) -> Mapping[str, int]:
        """Of the pool, by the names psycopg_pool has for them: `pool_size`, `pool_available`, `requests_waiting`, …"""
        return self._pool.get_stats()

    async def _drive(self, work: Work[Answer]) -> Answer:
        try:
            step = next(work)
            while True:
                try:
                    answer = await self._carry_out(step)
                except Exception as error:
                    step = work.throw(error)
                else:
                    step = work.send(answer)
        except StopIteration as end:
            return end.value

    async def _carry_out(self, step: Read | Compute | Once | Beside) -> Any:
        if isinstance(step, Compute):
            return await asyncio.to_thread(step.make)
        if isinstance(step, Read):
            return await self._read(step)
        if isinstance(step, Beside):
            return await self._aside.begin(self._drive(step.work()), step.seconds)
        lock = self._locks.setdefault(step.key, asyncio.Lock())
        async with lock:
            known = step.known()
            return await self._drive(step.work()) if known is None else known

    async def _read(self, step: Read) -> list[list[tuple]]:
        patience = _Patience(self._settings, self._away_seconds)
        while True:
            try:
                conn = await self._pool.getconn(LOOK_SECONDS)
            except PoolTimeout as error:
                await asyncio.to_thread(patience.ask_why, error)
                continue
            try:
                return (await conn.wait(conn.reader.read(*_bounded(step), step.meanwhile)))[
                    -len(step.statements) :
                ]
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                patience.bear(conn, error)
            finally:
                await self._pool.putconn(conn)


_SERVER_ENDS = "57P"
"""SQLSTATEs of a server that shuts down, restarts, or ends the session."""


_LIMIT = "statement_timeout"

_until: ContextVar[float | None] = ContextVar("until", default=None)


def _pool(settings: Settings, size: int) -> AsyncConnectionPool[AsyncReadingConnection]:
    return AsyncConnectionPool(
        connection_class=AsyncReadingConnection,
        # To start an embedded server takes a moment, in which others go on.
        kwargs=lambda: asyncio.to_thread(_connection, settings),
        min_size=1,
        max_size=size,
        configure=AsyncReadingConnection.configure,
        reconnect_timeout=LOOK_SECONDS,
        open=False,
    )


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is asked of an engine meanwhile, by this thread or task, is given up by the server after so many seconds: it then raises
    `psycopg.errors.QueryCanceled`. Waiting for a connection, or for a server that restarts, is not counted."""
    token = _until.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _until.reset(token)


class _Patience:
    """How long one reading still waits for the server to come back."""

    def __init__(self, settings: Settings, seconds: float):
        self._settings = settings
        self._until = time.monotonic() + seconds

    def bear(self, conn: psycopg.BaseConnection[Any], error: psycopg.Error) -> None:
        """An error: nothing, where the connection was lost and another one may do; else it is raised."""
        if not conn.closed and not (error.sqlstate or "").startswith(_SERVER_ENDS):
            raise error
        if time.monotonic() > self._until:
            raise explain(error, server.describe(self._settings)) or error

    def ask_why(self, error: PoolTimeout) -> None:
        """There was no connection: nothing, where one can be had now or soon; else why not is raised."""
        try:
            connect(self._settings, vectors=False).close()
        except (ServerUnreachable, ServerGone):
            if time.monotonic() > self._until:
                raise
        else:
            if time.monotonic() > self._until:
                raise error


def _connection(settings: Settings) -> dict[str, Any]:
    return {"application_name": "fashion-assets search", "autocommit": True, **server.parameters(settings)}


def _bounded(step: Read) -> tuple[Sequence[Statement], Mapping[str, str]]:
    """What is read, and under which settings, with the time that is left (`within`). Of more than a second to the next tenth of one, so that the session
    seldom needs another; of less for this transaction alone, as the session's next statements begin under what it holds."""
    until = _until.get()
    if until is None:
        return step.statements, step.settings
    left = until - time.monotonic()
    if left >= 1:
        return step.statements, {**step.settings, _LIMIT: str(100 * math.ceil(10 * left))}
    hurry = settle({_LIMIT: str(max(1, round(1_000 * left)))}, lasting=False)
    return (hurry, *step.statements), step.settings
