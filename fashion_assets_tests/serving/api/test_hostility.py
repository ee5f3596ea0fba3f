"""Requests nobody meant well: some hundred of those that `benchmarks/hostile_requests.py` draws, and each fault that was found by them."""

import socket
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from fashion_assets.serving.api import access, connections, passing
from fashion_assets.serving.api.application import application
from fashion_assets.serving.api.connections import Bounded
from fashion_assets.settings import Settings
from fashion_assets.warehouse import keys
from fashion_assets_tests.serving.hostility.answers import faults, send
from fashion_assets_tests.serving.hostility.drawing import drawn
from fashion_assets_tests.serving.hostility.texts import request
from fashion_assets_tests.serving.hostility.world import MARK, Answer, Attack, World, world_of
from fashion_assets_tests.serving.web import Server, running

REQUESTS = 150


@pytest.fixture
def server(api: httpx.Client) -> Server:
    """The API that all tests ask, to be asked byte by byte."""
    assert api.base_url.port is not None
    return Server(api.base_url.port)


def test_no_hostile_request_is_answered_by_a_fault_or_by_what_is_not_its_to_know(
    settings: Settings, shop: object, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(access, "FRESH_SECONDS", 0.0)
    monkeypatch.setenv("FASHION_ASSETS_API_REQUESTS_PER_MINUTE", "100000")
    with running(application(Settings()), lifespan="on", http=Bounded, ws="none") as server:
        world = world_of(settings, server.port)
        files = psutil.Process().num_fds()
        for number in range(REQUESTS):
            attack = drawn(world, 0, number)
            answer = send(server.port, attack, patience=0.1)
            assert not faults(world, attack, answer), (number, attack.head[:400], answer.body[:400])
        assert psutil.Process().num_fds() <= files + 8
        assert server.ask("GET", "/healthz").status == 200


def test_what_leaks_or_fails_would_be_seen():
    secrets = ("/home/of/it", "fa_secret", keys.digest("fa_secret").hex())
    world = World(
        {"within": "fa_w"},
        "fashion_sota_r0001",
        "fashion_sota_r0002",
        ("colour", "red"),
        (),
        (),
        secrets,
        1,
        {},
    )
    attack = request(world, "key", "GET", "/api/v1/search", key="within")

    def seen(status: int, body: bytes, kind: str = "application/json", asked: Attack = attack) -> str:
        return "; ".join(faults(world, asked, Answer(status, {"content-type": kind}, body, 0)))

    assert not seen(200, b'{"hits": []}')
    assert "status 500" in seen(500, b'{"title": "x", "status": 500}', "application/problem+json")
    assert "told as" in seen(404, b"Not Found", "text/plain")
    assert "no answer" in seen(0, b"")
    assert "'psycopg'" in seen(200, b"psycopg.errors.X")
    for secret in secrets:
        assert "a secret" in seen(200, secret.encode())
    assert "another release" in seen(200, f'{{"title": "{MARK}"}}'.encode())
    assert "another release" in seen(200, world.candidate.encode())
    outside = b'{"hits": [{"external_id": "1", "attributes": {"colour": "no such"}}]}'
    assert "was told" in seen(200, outside) and "counted" in seen(200, b'{"facets": {"colour": []}}')
    late = request(world, "key", "GET", "/api/v1/search", key="revoked")
    assert "none any more" in seen(200, b"{}", asked=late)


def test_errors_of_files_and_former_calls_are_told_as_all_others(server: Server):
    for method, path in (("GET", "/fashion-assets/reports/none.html"), ("DELETE", "/fashion-assets/")):
        answer = server.ask(method, path)
        assert answer.status in (404, 405) and answer.headers["content-type"] == "application/problem+json"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    json = [("Content-Type", "application/json")]
    for body in ('{"query": 1, "limit": NaN}', '{"query": ["\\ud800"]}', '{"query": 1, "x": 1e999}'):
        told = server.ask("POST", "/former/prethrift/search", body, json)
        assert told.status == 422 and "input" not in told.text
        assert server.ask("POST", "/former/fashion-ecom/api/v1/search/text", body, json).status == 422


def test_what_a_proxy_passes_on_is_not_this_machine(server: Server):
    search = "/api/v1/search?limit=1"
    assert server.ask("GET", search).status == 200
    for name in ("X-Forwarded-For", "Forwarded"):
        assert server.ask("GET", search, headers=[(name, "127.0.0.1")]).status == 401
    assert server.ask("GET", "/healthz", headers=[("X-Forwarded-For", "10.0.0.1")]).status == 200


@pytest.mark.parametrize("path", ["/api/v1/multi-search", "/former/prethrift/search", "/api/v1/search"])
def test_a_body_that_comes_too_slowly_is_refused(server: Server, path: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(passing, "BODY_SECONDS", 0.1)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {{}}\r\nContent-Length: 50\r\n\r\n"
    kind = "multipart/form-data; boundary=x" if path == "/api/v1/search" else "application/json"
    answer = send(
        server.port,
        Attack("slow", head.format(kind).encode(), (b"-" if path == "/api/v1/search" else b"{",)),
    )
    assert answer.status == 408 and answer.headers["connection"] == "close"
    # The next one, whose body is there, is not bound by that.
    monkeypatch.setattr(passing, "BODY_SECONDS", 30)
    assert (
        server.ask(
            "POST", "/api/v1/multi-search", '{"searches": [{}]}', [("Content-Type", "application/json")]
        ).status
        == 200
    )


def test_a_connection_without_a_request_is_closed(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    whole = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    for before, sent in ((b"", b""), (b"", whole[:20]), (whole, whole[:20])):
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(before)
            assert not before or b"alive" in connection.recv(4096)
            connection.sendall(sent)
            assert connection.recv(4096) == b""
    # One that waits for its next request is not meant.
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        for _ in range(2):
            connection.sendall(whole)
            assert b"alive" in connection.recv(4096)
            time.sleep(0.3)


def test_headers_that_never_end_are_refused(server: Server):
    def endless() -> Iterator[bytes]:
        while True:
            yield b"X-More: " + b"x" * 8_000 + b"\r\n"

    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        sent = 0
        with pytest.raises(ConnectionError):
            for part in endless():
                connection.sendall(part)
                sent += len(part)
                assert sent < 100 * connections.HEAD_BYTES
