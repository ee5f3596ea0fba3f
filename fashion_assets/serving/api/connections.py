"""Connections before there is a request on them: how long its line and headers may take to come, and how many bytes they may have.

What belongs here: what the server below leaves unbounded. What does not: bodies (`passing`), answers.

A connection that sends nothing, or a byte now and then, is closed; one whose headers never end is refused. Else some hundred of them would use up
the open files of a process.
"""

import asyncio
import resource
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as AutoHTTPProtocol
else:
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD_SECONDS = 20.0
"""How long a connection may take until its request's headers are there."""

HEAD_BYTES = 256 * 1024
"""Bytes of a request's line and headers; more than any proxy passes on."""

CONNECTIONS = 1_000
"""Of one process; what comes beyond is answered 503 and closed."""

_OWN_FILES = 128
"""Open files a process needs beside its connections: to the database, pictures, the model."""


def most_connections() -> int:
    """As many as there may be of the open files a process is allowed."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed == resource.RLIM_INFINITY:
        return CONNECTIONS
    return max(16, min(CONNECTIONS, allowed - _OWN_FILES))


class Bounded(AutoHTTPProtocol):
    """The server's protocol with those bounds."""

    _waiting: asyncio.TimerHandle | None = None
    _head = 0

    def connection_made(self, transport: Any) -> None:
        """As the protocol has it."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """As the protocol has it."""
        before = self._has_none()
        super().data_received(data)
        if self.transport.is_closing() or not self._has_none():
            self._head = 0
            self._wait_no_longer()
            return
        self._head = self._head + len(data) if before else len(data)
        if self._head > HEAD_BYTES:
            self._wait_no_longer()
            self.send_400_response("Invalid HTTP request received.")
        elif self._waiting is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """As the protocol has it."""
        self._wait_no_longer()
        super().connection_lost(exc)

    def _has_none(self) -> bool:
        """Whether no request is under way."""
        return (self.cycle is None or self.cycle.response_complete) and not getattr(self, "pipeline", ())

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _wait_no_longer(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
