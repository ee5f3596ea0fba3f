"""The search engine: one question in, one page of hits out, over a pool of connections, blocking or not.

What belongs here: `SearchEngine` and `AsyncSearchEngine`, which carry out what `answering` and `people` yield. What does
not: how a search goes.

A search is one round trip: settings, the statement, and a look at which release answered, in one read-only transaction
under the reader's role (`reading`). An engine may be used by many threads, or tasks, at once; there is nothing two engines share.
"""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from psycopg_pool import AsyncConnectionPool, ConnectionPool

from fashion_assets.embedding.encoder import Encoder
from fashion_assets.search import people, statements
from fashion_assets.search.answering import Answering
from fashion_assets.search.meaning import CacheFigures, Encoders
from fashion_assets.search.query import Query, Results
from fashion_assets.search.reading import AsyncReadingConnection, ReadingConnection, Statement
from fashion_assets.search.work import Compute, Read, Work
from fashion_assets.settings import Settings
from fashion_assets.warehouse import server

POOL_SIZE = 4

Answer = TypeVar("Answer")


class SearchEngine:
    """Searches over a pool of blocking connections; `with SearchEngine.open(settings) as engine`."""

    def __init__(self, pool: ConnectionPool[ReadingConnection], answering: Answering):
        self._pool = pool
        self._answering = answering

    @classmethod
    def open(
        cls, settings: Settings, size: int = POOL_SIZE, encoders: Mapping[str, Encoder] | None = None
    ) -> Self:
        """An engine on the server in use, with up to `size` connections.

        `encoders`, by space, are those of a catalogue's further spaces; the one of the settings is at hand in any case.
        """
        # Before the pool: it raises where there is no model, and would leave the connections open.
        answering = Answering(settings, Encoders(settings, encoders))
        pool = ConnectionPool(
            connection_class=ReadingConnection,
            kwargs=_connection(settings),
            min_size=1,
            max_size=size,
            configure=ReadingConnection.configure,
            open=True,
        )
        return cls(pool, answering)

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

    def complete_look(self, product_id: str, limit: int = 8, per_kind: int = 1) -> Results:
        """What goes with a product: for each of the other kinds of thing, those nearest to it in style.

        Raises `SearchError` for a product that is not there.
        """
        return self._drive(people.complete_look(self._answering, product_id, limit, per_kind))

    def cache(self) -> CacheFigures:
        """Of the vectors of words and pictures."""
        return self._answering.encoders.figures()

    def _drive(self, work: Work[Answer]) -> Answer:
        try:
            step = next(work)
            while True:
                try:
                    answer = step.make() if isinstance(step, Compute) else self._read(step)
                except Exception as error:
                    step = work.throw(error)
                else:
                    step = work.send(answer)
        except StopIteration as end:
            return end.value

    def _read(self, step: Read) -> list[list[tuple]]:
        # Not `connection()`: its commit has nothing to do here.
        conn = self._pool.getconn()
        try:
            return conn.wait(conn.reader.read(_with_settings(step)))[1:]
        finally:
            self._pool.putconn(conn)


class AsyncSearchEngine:
    """`SearchEngine` over asynchronous connections; `async with AsyncSearchEngine.open(settings) as engine`."""

    def __init__(self, pool: AsyncConnectionPool[AsyncReadingConnection], answering: Answering):
        self._pool = pool
        self._answering = answering

    @classmethod
    def open(
        cls, settings: Settings, size: int = POOL_SIZE, encoders: Mapping[str, Encoder] | None = None
    ) -> Self:
        """As `SearchEngine.open`; connections are made on entering."""
        pool = AsyncConnectionPool(
            connection_class=AsyncReadingConnection,
            kwargs=_connection(settings),
            min_size=1,
            max_size=size,
            configure=AsyncReadingConnection.configure,
            open=False,
        )
        return cls(pool, Answering(settings, Encoders(settings, encoders)))

    async def __aenter__(self) -> Self:
        await self._pool.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.close()

    async def search(self, query: Query) -> Results:
        """See `SearchEngine.search`."""
        return await self._drive(self._answering.search(query))

    async def explain(self, query: Query) -> dict[str, Any]:
        """See `SearchEngine.explain`."""
        return await self._drive(self._answering.explain(query))

    async def recommend(
        self, user_id: str, source: str | None = None, limit: int = 10, release: str | None = None
    ) -> Results:
        """See `SearchEngine.recommend`."""
        return await self._drive(people.recommend(self._answering, user_id, source, limit, release))

    async def complete_look(self, product_id: str, limit: int = 8, per_kind: int = 1) -> Results:
        """See `SearchEngine.complete_look`."""
        return await self._drive(people.complete_look(self._answering, product_id, limit, per_kind))

    def cache(self) -> CacheFigures:
        """See `SearchEngine.cache`."""
        return self._answering.encoders.figures()

    async def _drive(self, work: Work[Answer]) -> Answer:
        try:
            step = next(work)
            while True:
                try:
                    if isinstance(step, Compute):
                        answer = await asyncio.to_thread(step.make)
                    else:
                        answer = await self._read(step)
                except Exception as error:
                    step = work.throw(error)
                else:
                    step = work.send(answer)
        except StopIteration as end:
            return end.value

    async def _read(self, step: Read) -> list[list[tuple]]:
        conn = await self._pool.getconn()
        try:
            return (await conn.wait(conn.reader.read(_with_settings(step))))[1:]
        finally:
            await self._pool.putconn(conn)


def _connection(settings: Settings) -> dict[str, Any]:
    return {"application_name": "fashion-assets search", "autocommit": True, **server.parameters(settings)}


def _with_settings(step: Read) -> list[Statement]:
    return [statements.settle(step.settings), *step.statements]
