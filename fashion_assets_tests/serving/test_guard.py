"""Who may ask the UI what: real requests to a real server, as browsers, pages elsewhere and programs send them."""

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from fashion_assets.serving.guard import Guard, Names, hostname
from fashion_assets.settings import Settings
from fashion_assets_tests.serving.web import Server, running

JSON = [("Content-Type", "application/json")]


async def _reached(request: Request) -> PlainTextResponse:
    return PlainTextResponse("reached")


async def _connected(websocket: WebSocket) -> None:
    await websocket.accept("graphql-ws")
    await websocket.close()


def guarded(names: Names) -> Guard:
    methods = ["GET", "POST", "PUT", "DELETE", "OPTIONS"]
    routes = [WebSocketRoute("/graphql", _connected), Route("/{path:path}", _reached, methods=methods)]
    return Guard(Starlette(routes=routes), names)


@pytest.fixture(scope="module")
def ui() -> Iterator[Server]:
    with running(guarded(Names("127.0.0.1", ["dagster.shop.example", "ops.example:8443"]))) as server:
        yield server


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::1]", "dagster.shop.example", "OPS.example", "localhost."]
)
def test_the_ui_answers_to_its_own_names_whatever_the_port(ui: Server, host: str):
    for port in ("", ":80", f":{ui.port}"):
        assert ui.ask("GET", "/runs", headers=[("Host", host + port)]).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "evil.example:3000",
        "192.0.2.7",
        "[2001:db8::1]",
        "",
        "localhost:port",
        "evil@localhost",
        "localhost/evil",
        "localhost, evil.example",
    ],
)
def test_the_ui_answers_to_no_other_name(ui: Server, host: str):
    for method in ("GET", "POST"):
        refused = ui.ask(method, "/graphql", "{}", [("Host", host), *JSON])
        # The server itself refuses what cannot be a name at all.
        assert refused.status in (400, 403) and "reached" not in refused.text
    if host == "evil.example":
        assert "does not answer to evil.example" in refused.text and "FASHION_ASSETS_UI_HOSTS" in refused.text


def test_two_names_are_none(ui: Server):
    both = [("Host", f"127.0.0.1:{ui.port}"), ("Host", "evil.example")]
    assert ui.ask("GET", "/", headers=both).status in (400, 403)


def test_what_listens_on_every_address_answers_to_every_address_and_to_no_strange_name():
    with running(guarded(Names("0.0.0.0", ["dagster.shop.example"]))) as ui:
        for host in ("192.0.2.7:3000", "[2001:db8::1]:3000", "localhost", "dagster.shop.example"):
            assert ui.ask("GET", "/", headers=[("Host", host)]).status == 200
        for host in ("evil.example", "192.0.2.7.evil.example"):
            assert ui.ask("GET", "/", headers=[("Host", host)]).status == 403
        own = [("Host", "192.0.2.7:3000"), ("Origin", "http://192.0.2.7:3000"), *JSON]
        assert ui.ask("POST", "/graphql", "{}", own).status == 200


def test_the_settings_name_further_names(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FASHION_ASSETS_UI_URL", "https://dagster.shop.example/assets")
    monkeypatch.setenv("FASHION_ASSETS_UI_HOSTS", " one.example , two.example:8443,")
    names = Names.of(Settings(), "127.0.0.1")
    assert all(
        names.has(host) for host in ("dagster.shop.example", "one.example", "two.example:1", "127.0.0.1:3000")
    )
    assert not names.has("three.example") and not names.has("")
    assert names.has_origin("https://two.example:8443", "127.0.0.1:3000")
    assert not names.has_origin("https://two.example", "127.0.0.1:3000")


def test_what_changes_something_is_json_sent_by_the_ui_itself(ui: Server):
    own = f"http://127.0.0.1:{ui.port}"
    for headers in (
        [("Origin", own), ("Sec-Fetch-Site", "same-origin")],
        [("Origin", own)],
        [],  # a program
        [("Host", "dagster.shop.example"), ("Origin", "https://dagster.shop.example")],
        [("Origin", "https://ops.example:8443")],  # a proxy that asks by another name
    ):
        assert ui.ask("POST", "/graphql", "{}", [*headers, *JSON]).status == 200
        assert (
            ui.ask(
                "POST", "/graphql", "{}", [*headers, ("content-type", "Application/JSON; charset=utf-8")]
            ).status
            == 200
        )


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://localhost:1",
        "https://ops.example",
        "http://127.0.0.1.evil.example",
        "file://",
        "",
    ],
)
def test_no_page_elsewhere_may_ask(ui: Server, origin: str):
    for method, path in (
        ("POST", "/graphql"),
        ("POST", "/report_asset_materialization/products"),
        ("DELETE", "/x"),
    ):
        refused = ui.ask(method, path, "{}", [("Origin", origin), *JSON])
        assert refused.status == 403 and "may not ask this UI" in refused.text
    assert ui.open_web_socket([("Origin", origin)]) == 403


def test_two_origins_are_none(ui: Server):
    both = [("Origin", f"http://127.0.0.1:{ui.port}"), ("Origin", "http://evil.example")]
    assert ui.ask("POST", "/graphql", "{}", [*both, *JSON]).status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_browser_says_of_where_it_comes_from_is_believed(ui: Server, site: str):
    assert ui.ask("POST", "/graphql", "{}", [("Sec-Fetch-Site", site), *JSON]).status == 403


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/plain; application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        "application/json-patch+json",
    ],
)
def test_forms_and_plain_text_change_nothing(ui: Server, kind: str):
    refused = ui.ask("POST", "/graphql", '{"query": "mutation"}', [("Content-Type", kind)])
    assert refused.status == 415 and "application/json" in refused.text


def test_nothing_said_of_the_kind_changes_nothing_either(ui: Server):
    assert ui.ask("POST", "/graphql?query=mutation").status == 415
    assert ui.ask("POST", "/report_asset_materialization/products?metadata=%7B%7D").status == 415
    both = [("Content-Type", "application/json"), ("Content-Type", "text/plain")]
    assert ui.ask("POST", "/graphql", "{}", both).status == 415


@pytest.mark.parametrize("accept", ["*/*", "image/avif,image/webp,*/*", "application/json"])
@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "/assets/graphql"])
def test_nothing_is_asked_of_graphql_by_get(ui: Server, path: str, accept: str):
    refused = ui.ask("GET", f"{path}?query=mutation%7B%7D", headers=[("Accept", accept)])
    assert refused.status == 405 and "by POST" in refused.text
    assert ui.ask("HEAD", f"{path}?query=mutation%7B%7D", headers=[("Accept", accept)]).status == 405


def test_pages_are_read_by_get(ui: Server):
    for path in ("/", "/runs?q=graphql", "/assets/products"):
        assert ui.ask("GET", path).text == "reached"
    # The page on which people write queries; it sends them itself, by POST.
    assert ui.ask("GET", "/graphql?query=x", headers=[("Accept", "text/html,*/*")]).text == "reached"
    assert ui.open_web_socket([("Origin", f"http://127.0.0.1:{ui.port}")]) == 101
    assert ui.open_web_socket([]) == 101


def test_no_page_elsewhere_frames_the_ui(ui: Server):
    for answer in (ui.ask("GET", "/"), ui.ask("GET", "/", headers=[("Host", "evil.example")])):
        assert answer.headers["x-frame-options"] == "SAMEORIGIN"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_name_is_taken_out_of_a_host_header():
    assert [hostname(host) for host in ("a.example:1", "[::1]:1", "A.", "a:b", "a@b", "a/b", "", ":1")] == [
        *("a.example", "::1", "a"),
        *(None,) * 5,
    ]
