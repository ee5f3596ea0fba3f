"""The processes of the API: one, or several that share a port.

What belongs here: their start and their end. What does not: what they answer (`application`).

One process serves by itself. Several are started by one more, which only watches over them. It hands them connections (`sharing`), and holds the
embedded server, if there is one, so that the server is started once and outlives each of them. It replaces a process that dies within seconds. If
it is gone itself, they end.

A process that is told to end takes no more connections, and lets those under way go on for `CLOSING_SECONDS`. That is no fault: its exit code is 0.
"""

import multiprocessing
import os
import signal
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Process

from fashion_assets.machine import share_heaps
from fashion_assets.postgres import server
from fashion_assets.serving import UIError, metrics
from fashion_assets.serving.api.application import application
from fashion_assets.serving.api.connections import Bounded, most_connections
from fashion_assets.serving.api.sharing import Handed, Sharing
from fashion_assets.serving.listening import CLOSING_SECONDS, address, listening
from fashion_assets.settings import Settings

OF_A_WORKER = "fashion_assets.serving.api.running:of_this_process"

IDLE_SECONDS = 30
"""How long a connection is kept open for the next request."""

HUNG_SECONDS = 20
"""How long a process may not answer the one that watches over it before it is replaced: on a busy machine one takes some to begin."""

LOOK_SECONDS = 0.5
"""How often it is looked whether all of them are there."""

STARTING_SECONDS = 300
"""How long the first answer is waited for, before nothing is said of being ready."""


def run(settings: Settings, ready: Callable[[str], None] = lambda address: None) -> None:
    """Serve until the process is interrupted or terminated; the database must be prepared.

    `ready` is called with the address once it answers. Raises `UIError`.
    """
    share_heaps()
    workers = settings.api_workers
    with listening(settings.api_host, settings.api_port, "the API") as listens:
        where = address(settings.api_host, listens)
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
        threading.Thread(target=_tell, args=(listens.getsockname(), where, ready), daemon=True).start()
        with suppress(KeyboardInterrupt), _told_to_end():
            if workers == 1:
                uvicorn.Server(config).run(sockets=[listens])
            else:
                server.parameters(settings)
                with (
                    TemporaryDirectory(prefix="fashion-assets-metrics-") as folder,
                    metrics.shared(Path(folder)),
                ):
                    _watch(config, listens)


class _Worker(Process):
    """A process that answers what it is handed."""

    @property
    def server(self) -> uvicorn.Server:
        """The server in this process."""
        if self._server is None:
            self._server = Handed(self.config)
        return self._server

    def ping(self, timeout: float = HUNG_SECONDS) -> bool:
        """Whether it answers within so many seconds; one that dies meanwhile is not waited for."""
        with suppress(OSError, EOFError):
            self.parent_conn.send(b"ping")
            if self.parent_conn in wait([self.parent_conn, self.process.sentinel], timeout):
                self.parent_conn.recv()
                return True
        return False


def _watch(config: uvicorn.Config, listening: socket.socket) -> None:
    """Have as many processes answer as are wanted, until this one is told to end. Raises `UIError` where one cannot begin."""
    told = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: told.set())
    failed = False
    # Told to end they are once nobody accepts any more: a connection is taken by somebody who answers it, or it is refused.
    with Sharing(listening) as sharing:
        workers = [_started(config, sharing) for _ in range(config.workers)]
        while not failed and not told.wait(LOOK_SECONDS):
            for place, worker in enumerate(workers):
                if worker.is_alive(HUNG_SECONDS) or told.is_set():
                    continue
                worker.kill()
                worker.join()
                failed = worker.exitcode == STARTUP_FAILURE
                if failed:
                    break
                workers[place] = _started(config, sharing)
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join()
    if failed:
        raise UIError("a process of the API could not begin; why not stands above")


def _started(config: uvicorn.Config, sharing: Sharing) -> _Worker:
    with sharing.channel() as channel:
        worker = _Worker(config, [channel])
        worker.start()
    return worker


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
