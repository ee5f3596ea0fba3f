"""Where the former APIs stand beside our own.

What belongs here: their names, the folder they are below, and the hosts that lead to one. What does not: their routes.

Each is an application of its own below `/former/NAME`, so that nothing of theirs stands in the way of ours: both have an
`/api/v1/products`. A client needs another base URL and no more. Where not even that can be changed, its old host name is pointed here, and
the setting `former_hosts` says which API that name means: what is asked by it is asked below `/former/NAME`.
"""

from collections.abc import Callable, Mapping
from importlib.resources import files

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from fashion_assets.origins import SettingsError
from fashion_assets.serving.api import described
from fashion_assets.serving.former import fashion_ecom, prethrift, second_hand_v2, second_hand_v3
from fashion_assets.serving.guard import hostname
from fashion_assets.settings import Settings

BELOW = "/former"

EXAMPLES = files("fashion_assets.serving.former") / "examples"
"""A file of examples for each API, by its name (`serving.api.described`)."""

APIS: Mapping[str, Callable[[], FastAPI]] = {
    "fashion-ecom": fashion_ecom.api,
    "second-hand-v2": second_hand_v2.api,
    "second-hand-v3": second_hand_v3.api,
    "prethrift": prethrift.api,
}
"""The former APIs by name."""

SHARED = ("/images/",)
"""Paths that are ours whatever host they are asked of: answers name pictures by them."""


def mount(app: FastAPI) -> None:
    """Put every former API below `/former`, with the state of the application (`engine`, `settings`)."""
    for name, api in APIS.items():
        former = api()
        former.state = app.state
        described.complete(former, EXAMPLES / f"{name}.json")
        app.mount(f"{BELOW}/{name}", former, name=name)


def hosts(settings: Settings) -> dict[str, str]:
    """The API that each host name means, of the setting `former_hosts`. Raises `SettingsError` where it cannot be read."""
    found = {}
    for each in filter(None, (part.strip() for part in settings.former_hosts.split(","))):
        host, equals, name = each.partition("=")
        named = hostname(host.strip().lower())
        if not equals or named is None or name.strip() not in APIS:
            raise SettingsError(
                f"former_hosts has {each[:80]!r}, which is no HOST=API; the APIs are {', '.join(APIS)}"
            )
        found[named] = name.strip()
    return found


class FormerHosts:
    """ASGI middleware that leads what is asked of a former API's host name to that API."""

    def __init__(self, app: ASGIApp, names: Mapping[str, str]):
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the application's own start and end."""
        if scope["type"] == "http" and self._names:
            name = self._names.get(hostname(Headers(scope=scope).get("host", "")) or "")
            path = scope["path"]
            if name is not None and not path.startswith((*SHARED, f"{BELOW}/")):
                moved = f"{BELOW}/{name}{path}"
                scope = {**scope, "path": moved, "raw_path": moved.encode()}
        await self._app(scope, receive, send)
