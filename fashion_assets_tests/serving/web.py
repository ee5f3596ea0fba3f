"""A web server for tests, and requests as no browser or library would send them."""

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import uvicorn
from starlette.types import ASGIApp


class Answer(NamedTuple):
    status: int
    text: str
    headers: dict[str, str]


class Server:
    """A running application."""

    def __init__(self, port: int):
        self.port = port

    def ask(
        self, method: str, path: str, body: str = "", headers: list[tuple[str, str]] | None = None
    ) -> Answer:
        """Send exactly this; with a `Host` of the server's own, unless another is given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        given = headers or []
        if not any(name.lower() == "host" for name, _ in given):
            connection.putheader("Host", f"127.0.0.1:{self.port}")
        for name, value in given:
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body.encode())))
        connection.endheaders(body.encode())
        response = connection.getresponse()
        answer = Answer(
            response.status,
            response.read().decode("utf-8", "replace"),
            {name.lower(): value for name, value in response.getheaders()},
        )
        connection.close()
        return answer

    def open_web_socket(self, headers: list[tuple[str, str]]) -> int:
        """The status of the answer to a handshake: 101 where it is let through."""
        asked = [
            ("Host", f"127.0.0.1:{self.port}"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Protocol", "graphql-ws"),
        ]
        lines = [
            "GET /graphql HTTP/1.1",
            *(f"{name}: {value}" for name, value in {**dict(asked), **dict(headers)}.items()),
        ]
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            return int(connection.recv(1024).split()[1])


@contextmanager
def running(app: ASGIApp, lifespan: Literal["on", "off"] = "off", **more: Any) -> Iterator[Server]:
    """The application on a free port of this machine; with its own beginning and end, where `lifespan` is on; `more` is the server's to know."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan=lifespan, **more))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield Server(listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
