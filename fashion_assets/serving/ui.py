"""The Dagster UI of an installation: a guarded webserver with our pages, the daemon and the code beside it.

What belongs here: the processes, their start and their end. What does not: who may ask what (`guard`), the pages.

It is what `dagster dev` starts, with a webserver of ours in the place of Dagster's. There is no public interface to host
that webserver: the modules named `_core`, `_cli` and `_grpc` below are Dagster's own, its version is pinned, and a test starts it all.

A terminal interrupts all processes of a group at once. Then the daemon would ask code that has ended, and tell of it at length. So the
others have groups of their own, and this process ends them one after the other: first the daemon, which asks the code, then the code.
They may not be deaf to interrupts instead: by one a run is cancelled, and whoever they start would be as deaf.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import uvicorn
import yaml
from dagster import DagsterInstance
from dagster._cli.proxy_server_manager import ProxyServerManager
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget, WorkspaceFileTarget
from dagster._grpc import server as grpc_server
from dagster_webserver.version import __version__ as webserver_version
from dagster_webserver.webserver import DagsterWebserver
from starlette.middleware import Middleware
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from fashion_assets.places import DAGSTER_FILES
from fashion_assets.serving import UIError
from fashion_assets.serving.guard import Guard, Names
from fashion_assets.serving.links import PAGES, path_prefix
from fashion_assets.serving.listening import CLOSING_SECONDS, address, listening
from fashion_assets.serving.pages import application
from fashion_assets.settings import CODE_LOCATION, Settings

STATEMENT_TIMEOUT_MS = 15_000
"""How long a question of the webserver to Dagster's storage may take; what Dagster's own has."""

SENSOR_SECONDS = 3_600
"""How long a sensor may look before Dagster gives it up; it gives 60 s itself, in which about a million listings are read."""

END_SECONDS = 20
"""How long the code may take to end once it is told to; after 30 s its own parent would give it up and tell of that at length."""

DAEMON_END_SECONDS = 10
"""How long the daemon may take, which first lets a sensor that looks come to its end. Ended without that, it goes on where it was when it
starts again."""


class Webserver(DagsterWebserver):
    """Dagster's webserver behind our guard, with our pages."""

    def __init__(self, context: WorkspaceProcessContext, settings: Settings, host: str):
        self._settings = settings
        self._names = Names.of(settings, host)
        super().__init__(context, path_prefix(settings))

    def build_middleware(self) -> list[Middleware]:
        """The guard first."""
        return [Middleware(Guard, names=self._names), *super().build_middleware()]

    def build_routes(self) -> list[BaseRoute]:
        """Our pages before Dagster's, which answers every path there is."""
        pages = path_prefix(self._settings) + PAGES
        return [
            Route(pages, lambda _: RedirectResponse(f"{pages}/")),
            Mount(pages, application(self._settings)),
            *super().build_routes(),
        ]


def web_application(context: WorkspaceProcessContext, settings: Settings, host: str) -> ASGIApp:
    """The UI as an ASGI application that listens on `host`."""
    return Webserver(context, settings, host).create_asgi_app()


def serve(
    settings: Settings,
    host: str,
    port: int,
    *,
    workspace: Path | None = None,
    daemon: bool = True,
    read_only: bool = False,
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve the UI until the process is interrupted or terminated; `DAGSTER_HOME` must be set, the database prepared.

    `workspace`: a file that names code locations that run elsewhere; by default ours is started. `port` 0: a free one.
    `ready` is called with the UI's address. Raises `UIError`.
    """
    # Read by the daemon, and by what stands between it and the code: both are started here.
    os.environ.setdefault("DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS", str(SENSOR_SECONDS))
    _listen_to_signals()
    interrupted = threading.Event()
    with ExitStack() as stack:
        socket = stack.enter_context(listening(host, port, "the UI"))
        where = address(host, socket)
        instance = stack.enter_context(DagsterInstance.get())
        instance.optimize_for_webserver(STATEMENT_TIMEOUT_MS, pool_recycle=3600, max_overflow=20)
        if workspace is None:
            workspace = stack.enter_context(_code_server(instance, interrupted))
        context = stack.enter_context(
            WorkspaceProcessContext(
                instance,
                WorkspaceFileTarget([str(workspace)]),
                version=webserver_version,
                read_only=read_only,
                code_server_log_level="WARNING",
            )
        )
        server = uvicorn.Server(
            uvicorn.Config(
                web_application(context, settings, host),
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=CLOSING_SECONDS,
            )
        )
        ended: list[int] = []

        def end(code: int) -> None:
            ended.append(code)
            server.should_exit = True

        if daemon:
            stack.enter_context(_daemon(workspace, end))
        ready(where)
        try:
            server.run(sockets=[socket])
        except KeyboardInterrupt:
            interrupted.set()
        if ended:
            raise UIError(
                f"the Dagster daemon ended by itself (exit code {ended[0]}), so the UI ended too: see what it says above"
            )


def dagster_home(settings: Settings) -> Path:
    """The folder for what Dagster's servers leave, which may be neither the checkout nor the installed package; with a copy
    of the one configuration, as Dagster wants it there."""
    folder = settings.home / "dagster_home"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(DAGSTER_FILES / "dagster.yaml", folder / "dagster.yaml")
    return folder


def _listen_to_signals() -> None:
    """A script's shell has what it starts in the background ignore interrupts, and Dagster's processes then ignore that they are told to
    end. A hangup, where it isn't to be ignored (`nohup`), ends this process as it is terminated: a closed terminal does not reach the
    others' groups."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))


@contextmanager
def _groups_of_their_own() -> Iterator[None]:
    """Code servers that are started meanwhile have each a group for itself and its runs; Dagster has no setting for that."""
    servers: Any = grpc_server
    usual = servers.open_ipc_subprocess
    servers.open_ipc_subprocess = partial(usual, process_group=0)
    try:
        yield
    finally:
        servers.open_ipc_subprocess = usual


@contextmanager
def _code_server(instance: DagsterInstance, interrupted: threading.Event) -> Iterator[Path]:
    """Our code location in a process of its own, and a workspace file that names it: webserver and daemon share it, and
    "Reload" in the UI loads the code anew for both. Its runs are interrupted where this process was."""
    target = ModuleTarget("fashion_assets.definitions", None, None, CODE_LOCATION)
    this, own = psutil.Process(), []
    before = set(this.children())
    try:
        with (
            _groups_of_their_own(),
            ProxyServerManager(instance, target, code_server_log_level="WARNING") as servers,
            tempfile.TemporaryDirectory() as folder,
        ):
            own = [process for process in this.children() if process not in before]
            workspace = Path(folder) / "workspace.yaml"
            specs = [dict(spec) for spec in servers.get_code_server_specs()]
            workspace.write_text(yaml.safe_dump({"load_from": specs}))
            try:
                yield workspace
            finally:
                if interrupted.is_set():
                    _signal_groups(own, signal.SIGINT)
    finally:
        try:
            # Told to end, but not waited for. One whose run is under way ends with that, where this process was terminated.
            psutil.wait_procs(own, END_SECONDS)
        finally:
            if interrupted.is_set():
                _signal_groups(own, signal.SIGKILL)


def _signal_groups(leaders: Iterable[psutil.Process], what: signal.Signals) -> None:
    for leader in leaders:
        with suppress(ProcessLookupError):  # none of it is left, or it leads none
            os.killpg(leader.pid, what)


@contextmanager
def _daemon(workspace: Path, on_end: Callable[[int], None]) -> Iterator[None]:
    """The process that launches queued runs, sensors and schedules. `on_end` is called where it ends by itself."""
    command = [sys.executable, "-m", "dagster._daemon", "run", "--workspace", str(workspace)]
    levels = ["--log-level", "warning", "--code-server-log-level", "warning"]
    leaving = threading.Event()
    with subprocess.Popen([*command, *levels], stdin=subprocess.DEVNULL, process_group=0) as process:

        def watch() -> None:
            code = process.wait()
            if not leaving.is_set():
                on_end(code)

        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        try:
            yield
        finally:
            leaving.set()
            process.terminate()
            try:
                watching.join(DAEMON_END_SECONDS)
            finally:  # also when this process is interrupted once more
                process.kill()
