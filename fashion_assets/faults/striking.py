"""What each fault does at the instant it strikes.

What belongs here: from a fault's name to what happens to a process, a connection, a server. What does not: when (`schedule`), passing
statements on (`proxy`).
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from fashion_assets.faults.proxy import Next, Proxy, Session
from fashion_assets.faults.schedule import Fault
from fashion_assets.faults.servers import Server

AWAY_SECONDS = 0.3
"""How long the source's server is gone."""

STALL_SECONDS = 0.7
"""How long a server stands still."""


def kill(process: int) -> None:
    """SIGKILL to a process and all it started."""
    with suppress(psutil.Error):
        own = psutil.Process(process)
        for each in (own, *own.children(recursive=True)):
            with suppress(psutil.Error):
                each.kill()
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def striking(
    fault: Fault,
    server: Server,
    proxy: Proxy,
    processes: Callable[[], list[int]],
    source: Server | None = None,
) -> Callable[[Session], Next] | None:
    """What happens at the statement the fault strikes at; None of those that are no statement's. `processes`: the step's. `source`: the
    server of a source that is a table."""

    def killed(_: Session) -> Next:
        for process in processes():
            kill(process)
        return "cut"

    def cut(_: Session) -> Next:
        return "cut"

    def lost(_: Session) -> Next:
        return "keep"

    def without_server(_: Session) -> Next:
        server.kill()
        return "cut"

    def killed_while_it_recovers(_: Session) -> Next:
        server.kill(again=True)
        return "cut"

    def restarted(_: Session) -> Next:
        if source is not None:
            source.kill()
            threading.Timer(AWAY_SECONDS, source.start).start()
        return "cut"

    def full(_: Session) -> Next:
        server.fill()
        return "pass"

    def stalled(_: Session) -> Next:
        server.pause(STALL_SECONDS)
        return "pass"

    def cancelled(session: Session) -> Next:
        # As it arrives at the server, or a moment later: who cancels is never in step with who is cancelled.
        threading.Thread(target=_cancel, args=(proxy, session), daemon=True).start()
        return "pass"

    def jumped(_: Session) -> Next:
        if server.clock is not None:
            server.clock.jump(fault.seconds)
        return "pass"

    return {
        "kill": killed,
        "cut": cut,
        "lost": lost,
        "server": without_server,
        "recovering": killed_while_it_recovers,
        "full": full,
        "stall": stalled,
        "timeout": cancelled,
        "clock": jumped,
        "away": cut,
        "restart": restarted,
    }.get(fault.kind)


def _cancel(proxy: Proxy, session: Session) -> None:
    for _ in range(3):
        proxy.cancel(session)
        time.sleep(0.001)
