"""Headers that every answer of an application has.

What belongs here: putting them on. What does not: which ones, which is for whoever answers to say.
"""

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def with_headers(send: Send, headers: Mapping[str, str]) -> Send:
    """Sends as `send` does, answers with these headers, unless they have them already."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            sent = MutableHeaders(scope=message)
            for name, value in headers.items():
                sent.setdefault(name, value)
        await send(message)

    return sending


class WithHeaders:
    """ASGI middleware whose answers have these headers."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]):
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        await self._app(scope, receive, with_headers(send, self._headers))
