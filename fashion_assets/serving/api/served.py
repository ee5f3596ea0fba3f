"""What an API's routes share: the engine, the register, the encoder; opened when it begins and closed when it ends.

What belongs here: opening and closing them, and how a route comes by them. What does not: what is asked of them.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Annotated, Any, Self, TypeVar

import psycopg
from fastapi import Depends, Request
from psycopg_pool import ConnectionPool

from fashion_assets.embedding.encoder import encoder_of
from fashion_assets.postgres import server, session
from fashion_assets.postgres.errors import explained
from fashion_assets.search.engine import AsyncSearchEngine
from fashion_assets.search.filters import Filter
from fashion_assets.search.stored import Products, products
from fashion_assets.serving.api.problems import not_found
from fashion_assets.settings import Settings
from fashion_assets.warehouse import keeper, releases
from fashion_assets.warehouse.releases import ReleaseError

REGISTER_CONNECTIONS = 2
"""Connections to the registers, beside the engine's: what is asked of them is short, and kept for a while."""

REGISTER_SECONDS = 3.0
"""How long a connection to the registers is waited for: what asks is mostly a person, or Prometheus, who wait no longer."""

WRITING_CONNECTIONS = 2
"""Connections that write what people think of products, and what a merchant decides: they do nothing else (`warehouse.keeper`)."""

Answer = TypeVar("Answer")

log = logging.getLogger(__name__)


class Served:
    """What is served; `async with` opens it."""

    engine: AsyncSearchEngine

    def __init__(self, settings: Settings, host: str):
        """`host` is the address listened on."""
        self.settings = settings
        self.host = host
        self._were_live: set[str] = set()
        self._register = _pool(settings, REGISTER_CONNECTIONS, read_only=True)
        self._writing = _pool(settings, WRITING_CONNECTIONS, read_only=False)

    @property
    def release(self) -> str | None:
        """The release that is served; None: whichever is live."""
        return self.settings.api_release

    async def __aenter__(self) -> Self:
        self.engine = AsyncSearchEngine.open(
            self.settings, self.settings.api_connections, away_seconds=self.settings.api_search_seconds
        )
        await self.engine.__aenter__()
        self._register.open()
        self._writing.open()
        # So that the first question does not wait for the model.
        await asyncio.to_thread(encoder_of, self.settings)
        with suppress(ReleaseError):
            await self.engine.prepare(["dress"], self.release)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.engine.__aexit__(kind, error, trace)
        await asyncio.to_thread(self._register.close)
        await asyncio.to_thread(self._writing.close)

    async def products(self, ids: Sequence[str], within: Sequence[Filter] = ()) -> Products:
        """Products by their ids, of those that meet the filters; see `search.stored`."""
        return await self.engine.ask(lambda answering: products(answering, ids, within, self.release))

    async def was_live(self, release: str) -> bool:
        """Whether a release is live, or was."""
        if release not in self._were_live:
            known = await self.registered(releases.releases)
            self._were_live = {each.release for each in known if each.promoted_at is not None}
        return release in self._were_live

    async def require_live_once(self, release: str) -> None:
        """Raise a `Problem` for a release that never went live."""
        if not await self.was_live(release):
            raise not_found("the page is of a release that is not there")

    async def registered(self, work: Callable[[psycopg.Connection[Any]], Answer]) -> Answer:
        """What a function reads from the registers, in a transaction that writes nothing. Raises a `WarehouseError`."""
        return await self._in_transaction(self._register, work)

    async def written(self, work: Callable[[psycopg.Connection[Any]], Answer]) -> Answer:
        """What a function writes of what the API keeps, in one transaction, by the role that may write nothing else. Raises a `WarehouseError`, also of
        a database that takes nothing, as a standby."""
        return await self._in_transaction(self._writing, work)

    async def _in_transaction(
        self,
        pool: ConnectionPool[psycopg.Connection[Any]],
        work: Callable[[psycopg.Connection[Any]], Answer],
    ) -> Answer:
        def do() -> Answer:
            with (
                explained(server.describe(self.settings)),
                pool.connection() as connection,
                connection.transaction(),
            ):
                return work(connection)

        return await asyncio.to_thread(do)


def _pool(settings: Settings, size: int, *, read_only: bool) -> ConnectionPool[psycopg.Connection[Any]]:
    def configure(connection: psycopg.Connection[Any]) -> None:
        session.settle(connection, read_only=read_only)
        if not read_only and not keeper.become(connection, settings.keeper_role):
            log.warning(keeper.WRITES_AS_OWNER, settings.keeper_role)

    return ConnectionPool(
        kwargs=lambda: {
            "application_name": "fashion-assets api",
            "autocommit": True,
            **server.parameters(settings),
        },
        min_size=0,
        max_size=size,
        configure=configure,
        timeout=REGISTER_SECONDS,
        # Short: else a server that was away for long would be looked for again only after a while.
        reconnect_timeout=REGISTER_SECONDS,
        open=False,
    )


async def served(request: Request) -> Served:
    """What the application that was asked serves. Asynchronous, as FastAPI has a thread call what is not."""
    return request.app.state.served


ServedHere = Annotated[Served, Depends(served)]
