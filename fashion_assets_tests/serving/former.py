"""A server of the former APIs over an installation, and requests as their clients send them."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from fastapi import FastAPI
from fastapi.testclient import TestClient
from psycopg import sql

from fashion_assets.criteria.subject import Candidate
from fashion_assets.serving.analytics import Analytics
from fashion_assets.serving.api.served import Served
from fashion_assets.serving.former.mounting import FormerHosts, hosts, mount
from fashion_assets.settings import Settings


@contextmanager
def former(settings: Settings) -> Iterator[TestClient]:
    """A client of a server that has the former APIs, and nothing else."""

    @asynccontextmanager
    async def alive(app: FastAPI) -> AsyncIterator[None]:
        async with Served(settings, "127.0.0.1") as served:
            app.state.served, app.state.engine, app.state.settings = served, served.engine, settings
            with Analytics(settings) as app.state.analytics:
                yield

    app = FastAPI(lifespan=alive)
    mount(app)
    app.add_middleware(FormerHosts, names=hosts(settings))
    with TestClient(app) as client:
        yield client


def picture_of(live: Candidate, external_id: str) -> bytes:
    """The picture of a product."""
    row = live.conn.execute(
        sql.SQL("SELECT image_path FROM {} WHERE external_id = %s").format(live.release.table("products")),
        (external_id,),
    ).fetchone()
    assert row is not None
    with open(row[0], "rb") as file:
        return file.read()
