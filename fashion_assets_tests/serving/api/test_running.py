"""The API's processes: several that share a port, how they end, and a database that goes away and comes back."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest
from psycopg import sql

from fashion_assets.postgres import server as postgres
from fashion_assets.postgres.connections import connect
from fashion_assets.search import engine
from fashion_assets.serving import UIError, metrics
from fashion_assets.serving.api import access, served
from fashion_assets.serving.api import running as running_
from fashion_assets.serving.api.application import application
from fashion_assets.serving.api.running import end_with
from fashion_assets.settings import Settings
from fashion_assets.warehouse import keys
from fashion_assets_tests.serving.web import running

LIMIT = 60
SECONDS = 60.0


def until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"{what} within {SECONDS:g} seconds"
        time.sleep(0.05)


@contextmanager
def serving(*options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`fashion-assets serve` of the environment's installation, once it answers, and its port."""
    program = Path(sys.executable).with_name("fashion-assets")
    asked = [str(program), "serve", "--port", "0", *options]
    with subprocess.Popen(asked, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())
            assert said is not None
            yield process, int(said[1])
        finally:
            process.kill()


def shares(port: int, processes: list[psutil.Process], number: int) -> list[int]:
    """How many of so many connections that come at once, and are kept, each process has."""

    def counted() -> list[int]:
        return [
            sum(each.laddr[1] == port and each.status == "ESTABLISHED" for each in one.net_connections())
            for one in processes
        ]

    until(lambda: not any(counted()), "those before are closed")
    with ExitStack() as stack:
        for _ in range(number):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), SECONDS))
        until(lambda: sum(counted()) == number, "all are taken")
        return counted()


def test_several_processes_answer_as_one_and_end_well(
    settings: Settings, shop: object, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FASHION_ASSETS_API_REQUESTS_PER_MINUTE", str(LIMIT))
    monkeypatch.setenv("FASHION_ASSETS_API_SEARCH_SECONDS", str(SECONDS))
    monkeypatch.setenv("FASHION_ASSETS_API_OPEN_TO", "search")
    with connect(settings) as conn:
        # From the first key on it is counted how often somebody asks.
        secret, _ = keys.create(conn, "Prometheus", ("metrics", "search"))
        conn.commit()
    with serving("--workers", "2") as (process, port), httpx.Client(timeout=SECONDS) as client:

        def ask(path: str = "/api/v1/search?q=shirt&limit=1", **headers: str) -> httpx.Response:
            # On a connection of its own: either process may take it.
            return client.get(f"http://127.0.0.1:{port}{path}", headers={"Connection": "close", **headers})

        def workers() -> list[psutil.Process]:
            found = []
            with suppress(psutil.NoSuchProcess):
                for each in psutil.Process(process.pid).children():
                    with suppress(psutil.NoSuchProcess):
                        found += [each] if "spawn_main" in " ".join(each.cmdline()) else []
            return found

        until(lambda: all(shares(port, workers(), 4)), "both have begun")
        assert shares(port, workers(), 40) == [20, 20]

        answers = [ask().status_code for _ in range(2 * LIMIT)]
        assert set(answers) == {200, 429}
        # Each lets its share through: a half to whoever stays with one, all to whoever comes to both.
        assert LIMIT // 2 <= answers.count(200) <= LIMIT
        told = ask("/metrics", Authorization=f"Bearer {secret}").text
        counted = re.findall(r'answers_total{kind="search",status="[24]xx"} ([\d.]+)', told)
        assert sum(map(float, counted)) == 2 * LIMIT

        killed, _ = workers()
        killed.kill()
        until(lambda: len(workers()) == 2 and killed not in workers(), "a process that died is replaced")
        # The other has let through what it may: it is the new one that answers.
        until(lambda: ask().status_code == 200, "the new one answers")

        assert shares(port, workers(), 40) == [20, 20]

        # A search that waits for its table is under way as they are told to end.
        with connect(settings) as conn:
            conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(_products()))
            asked = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
            asked.request("GET", "/api/v1/search?q=shirt&limit=3", headers={"X-API-Key": secret})
            until(lambda: _waits(settings), "the search waits")
            process.send_signal(signal.SIGTERM)
            until(lambda: _refuses(port), "no more connections are taken")
            conn.commit()
            answer = asked.getresponse()
            assert answer.status == 200 and answer.read().endswith(b"}")
        assert process.wait(SECONDS) == 0
        assert not workers()


def test_one_process_ends_well(settings: Settings, shop: object):
    with serving() as (process, _):
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0


def test_a_process_ends_with_the_one_that_watches_over_it(monkeypatch: pytest.MonkeyPatch):
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *to: told.append(to))
    watched, watching = os.pipe()
    os.close(watching)  # as the system does for a process that is gone
    end_with(watched)
    os.close(watched)
    assert told == [(os.getpid(), signal.SIGTERM)]


def _products() -> sql.Identifier:
    return sql.Identifier("fashion_sota_r0001", "products")


def _waits(settings: Settings) -> bool:
    with connect(settings) as conn:
        return conn.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() != (0,)


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS).close()
    except ConnectionError:
        return True
    return False


def test_a_database_that_goes_away_is_told_and_its_return_is_noticed(
    settings: Settings, shop: object, server_settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engine, "LOOK_SECONDS", 0.3)
    monkeypatch.setattr(served, "REGISTER_SECONDS", 0.3)
    monkeypatch.setattr(access, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(metrics, "FRESH_SECONDS", 0.0)
    settings = settings.model_copy(update={"api_search_seconds": 0.5})
    name = sql.Identifier(postgres.parameters(settings)["dbname"])
    with (
        running(application(settings), lifespan="on") as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=SECONDS) as client,
        connect(server_settings, autocommit=True, vectors=False) as conn,
    ):
        search = "/api/v1/search?q=shirt&limit=1"
        assert client.get(search).status_code == client.get("/readyz").status_code == 200
        assert "fashion_assets_database_up 1.0" in client.get("/metrics").text
        conn.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            (postgres.parameters(settings)["dbname"],),
        )
        for path in (search, "/readyz", "/api/v1/about"):
            answer = client.get(path)
            assert answer.status_code == 503 and answer.headers["content-type"] == "application/problem+json"
            assert int(answer.headers["retry-after"]) > 0 and "cannot be asked" in answer.json()["detail"]
        former = client.get("/former/fashion-ecom/api/v1/products?page_size=1")
        assert former.status_code == 503 and "cannot be asked" in former.json()["detail"]
        assert client.get("/healthz").status_code == 200
        assert "fashion_assets_database_up 0.0" in client.get("/metrics").text
        conn.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))
        until(lambda: client.get("/readyz").status_code == 200, "it is ready again")
        assert client.get(search).status_code == 200


def test_a_process_that_cannot_begin_is_told(
    served_settings: Settings, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(running_, "OF_A_WORKER", "fashion_assets.serving.api.running:nothing_of_that_name")
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(UIError, match="could not begin"):
        running_.run(served_settings.model_copy(update={"api_workers": 2, "api_port": 0}))
    assert "nothing_of_that_name" in capfd.readouterr().err
    assert metrics.SHARED not in os.environ
