"""The API put together: its routes, what every request passes through, its beginning and its end.

What belongs here: the list of routers, middleware, the application's life. What does not: any route.

Another router joins by a line in `ROUTERS`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from fashion_assets import __version__
from fashion_assets.serving import metrics
from fashion_assets.serving.analytics import Analytics
from fashion_assets.serving.api import (
    described,
    feedback,
    files,
    health,
    merchandising,
    merchant,
    people,
    pictures,
    problems,
    products,
    releases,
    searching,
    styles,
)
from fashion_assets.serving.api.access import Access, Guarded
from fashion_assets.serving.api.passing import passing
from fashion_assets.serving.api.served import Served
from fashion_assets.serving.former import mounting as former
from fashion_assets.serving.shadowing import Shadowing
from fashion_assets.settings import Settings

ROUTERS: tuple[APIRouter, ...] = (
    searching.router,
    products.router,
    people.router,
    feedback.router,
    styles.router,
    releases.router,
    merchant.router,
    merchandising.router,
    pictures.router,
    health.router,
)
"""Every route of the API, but for the page's own files, which come last."""

DESCRIPTION = """Search a fashion catalogue by words, by a picture, by a product, or by a mix of them.

Errors are problem details (RFC 9457). Lists are walked by `next_page`; a page belongs to one question and one release, so that no hit
comes twice. Every answer names the release it is of."""


def application(settings: Settings, host: str = "127.0.0.1") -> FastAPI:
    """The API of an installation that listens on `host`; the database must be prepared (`warehouse.database.prepare`)."""
    served = Served(settings, host)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        async with served:
            api.state.engine = served.engine
            api.state.metrics = metrics.Metrics(served.engine, served.registered, served.release)
            with Analytics(settings) as api.state.analytics:
                async with Shadowing(served.engine, settings) as api.state.shadowing:
                    yield

    api = FastAPI(
        title="fashion-assets",
        version=__version__,
        description=DESCRIPTION,
        openapi_url="/api/v1/openapi.json",
        # Pages that load their scripts from elsewhere: there are none of these here.
        docs_url=None,
        redoc_url=None,
        lifespan=life,
    )
    api.state.served, api.state.settings = served, settings
    api.state.access, api.state.pictures = Access(served), pictures.Pictures(served)
    problems.told_by(api, settings)
    for router in ROUTERS:
        api.include_router(router)
    api.add_route("/metrics", metrics.told, include_in_schema=False)
    former.mount(api)
    files.mount(api, settings)
    api.add_middleware(Guarded, access=api.state.access)
    passing(api, settings)
    described.complete(api, unchanged=True)
    api.add_middleware(former.FormerHosts, names=former.hosts(settings))
    api.add_middleware(metrics.Measured)
    return api
