"""The processes of the API: one, or several that share a port.

What belongs here: their start and their end. What does not: what they answer (`application`).

One process serves by itself. Several are started by one that only watches over them, and holds the embedded server, if there is one,
so that it is started once and outlives any of them; one that dies is replaced within seconds, and where the watching one is gone they end.
Whoever is told to end takes no more connections, and lets those under way go on for `CLOSING_SECONDS`. To be told to is no fault: the exit code
is 0.
"""

import multiprocessing
import os
import signal
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from fashion_assets.machine import share_heaps
from fashion_assets.postgres import server
from fashion_assets.serving import metrics
from fashion_assets.serving.api.application import application
from fashion_assets.serving.api.connections import Bounded, most_connections
from fashion_assets.serving.listening import CLOSING_SECONDS, address, listening
from fashion_assets.settings import Settings

OF_A_WORKER = "fashion_assets.serving.api.running:of_this_process"

IDLE_SECONDS = 30
"""How long a connection is kept open for the next request."""

HUNG_SECONDS = 20
"""How long a process may not answer the one that watches over it before it is replaced: on a busy machine one takes some to begin."""

STARTING_SECONDS = 300
"""How long the first answer is waited for, before nothing is said of being ready."""


def run(settings: Settings, ready: Callable[[str], None] = lambda address: None) -> None:
    """Serve until the process is interrupted or terminated; the database must be prepared.

    `ready` is called with the address once it answers. Raises `UIError`.
    """
    share_heaps()
    workers = settings.api_workers
    with listening(settings.api_host, settings.api_port, "the API") as socket:
        where = address(settings.api_host, socket)
        config = uvicorn.Config(
            application(settings, settings.api_host) if workers == 1 else OF_A_WORKER,
            factory=workers > 1,
            workers=workers,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=CLOSING_SECONDS,
            http=Bounded,
            ws="none",
            limit_concurrency=most_connections(),
            timeout_worker_healthcheck=HUNG_SECONDS,
        )
        # It waits until a process takes its connection, which is when one has begun.
        threading.Thread(target=_tell, args=(socket.getsockname(), where, ready), daemon=True).start()
        with suppress(KeyboardInterrupt), _told_to_end():
            if workers == 1:
                uvicorn.Server(config).run(sockets=[socket])
            else:
                server.parameters(settings)
                with TemporaryDirectory(prefix="fashion-assets-metrics-") as folder:
                    metrics.share(Path(folder))
                    _Watching(config, sockets=[socket]).run()


class _Watching(Multiprocess):
    """Watches over the processes that answer."""

    def terminate_all(self) -> None:
        """Have them end. Their socket is this process's, too: while it is open connections are taken that nobody answers."""
        for each in self.sockets:
            each.close()
        super().terminate_all()


@contextmanager
def _told_to_end() -> Iterator[None]:
    """Meanwhile SIGTERM, which the server sends itself again once it has ended well, does not end the process as a fault would."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def of_this_process() -> FastAPI:
    """The application of the settings of this process, as one of several builds it; it ends where the one that watches over it is gone."""
    if (watching := multiprocessing.parent_process()) is not None:
        threading.Thread(target=end_with, args=(watching.sentinel,), daemon=True).start()
    settings = Settings()
    return application(settings, settings.api_host)


def end_with(sentinel: int) -> None:
    """Have this process end as if it was told to once another is gone, by what `multiprocessing` has of that."""
    wait([sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


def _tell(listened: tuple, where: str, ready: Callable[[str], None]) -> None:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listened[0]) or str(listened[0])
    asked = f"http://[{host}]:{listened[1]}" if ":" in host else f"http://{host}:{listened[1]}"
    with suppress(OSError), urllib.request.urlopen(f"{asked}/healthz", timeout=STARTING_SECONDS):
        ready(where)
