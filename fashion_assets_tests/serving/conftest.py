"""An API that answers over HTTP, for all tests that only ask.

`served_settings`: an installation in which forty products are live, once for the test run; nobody changes it. `api`: its API in a
thread, asked by `httpx`.
"""

from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI

from fashion_assets.serving.api.application import application
from fashion_assets.serving.api.connections import Bounded
from fashion_assets.settings import Settings
from fashion_assets_tests.conftest import Template, copied
from fashion_assets_tests.serving.web import running


@pytest.fixture(scope="session")
def served_settings(
    server_settings: Settings, live_template: Template, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    home = tmp_path_factory.mktemp("served") / "home"
    home.mkdir()
    with (
        pytest.MonkeyPatch.context() as environment,
        copied(server_settings, live_template, home, environment) as settings,
    ):
        yield settings


@pytest.fixture(scope="session")
def served_app(served_settings: Settings) -> FastAPI:
    """The application behind `api`."""
    return application(served_settings)


@pytest.fixture(scope="session")
def api(served_app: FastAPI) -> Iterator[httpx.Client]:
    with (
        running(served_app, lifespan="on", http=Bounded, ws="none") as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client,
    ):
        yield client
