"""Connections shared out evenly: one process accepts them, and hands each to the answering process that has the fewest open.

What belongs here: accepting and choosing (`Sharing`), and taking what is handed (`Handed`). What does not: starting these processes and
watching over them (`running`).

Where processes accept from one socket themselves, whichever wakes first takes all that wait, as event loops do. Of eight connections that came
at once, one process got seven or eight in ten of twelve tries; since connections are kept, the other core then idles as long as they last.

Each process has a Unix socket of its own, a *channel*. Connections come to it by that (SCM_RIGHTS), and by that it says that it has begun, and
that a connection is closed. So a process gets none before it can answer, and no more once it is gone or does nothing.
"""

import asyncio
import logging
import selectors
import socket
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from uvicorn import Server

from fashion_assets.serving.api.connections import Bounded

_BEGUN, _CLOSED = b"+", b"-"
_HANDED = b"."

_AGAIN_SECONDS = 0.02
"""When a connection is offered anew that no process took, as all have as many on their way as a channel holds."""

_SHORT_SECONDS = 1.0
"""When connections are accepted again after the system had no more open files, or memory, for one."""

_log = logging.getLogger("uvicorn.error")


class Sharing:
    """Hands the connections of a socket that listens to the processes at the other ends of its channels, in a thread of its own.

    As long as no process has begun, connections wait where the system has them.
    """

    def __init__(self, listening: socket.socket):
        self._listening = listening
        listening.setblocking(False)
        self._open: dict[socket.socket, int] = {}
        """Open connections of each process that has begun; of those with as many, the one that was handed none for longest comes first."""
        self._held: socket.socket | None = None
        """A connection that nobody took yet."""
        self._new: SimpleQueue[socket.socket] = SimpleQueue()
        self._ended = False
        self._woken, self._waking = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._run, name="sharing", daemon=True)

    def __enter__(self) -> "Sharing":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is accepted any more; what was handed is others'."""
        self._ended = True
        self._wake()
        self._thread.join()
        self._waking.close()

    def channel(self) -> socket.socket:
        """The end of a new channel, for one process: whoever starts it closes its own copy behind that."""
        own, given = socket.socketpair()
        own.setblocking(False)
        self._new.put(own)
        self._wake()
        return given

    def _wake(self) -> None:
        self._waking.send(b"!")

    def _run(self) -> None:
        with self._selector, self._listening, self._woken:
            self._selector.register(self._woken, selectors.EVENT_READ)
            wait: float | None = None
            while not self._ended:
                accepts = False
                for key, _ in self._selector.select(wait):
                    if key.fileobj is self._listening:
                        accepts = True
                    elif key.fileobj is self._woken:
                        self._woken.recv(4096)
                    else:
                        self._hear(key.fileobj)
                while not self._new.empty():
                    self._selector.register(self._new.get(), selectors.EVENT_READ)
                # One at a time, so that it is known before the next who is gone.
                wait = self._accept() if accepts and self._held is None else None
                if self._held is not None:
                    wait = self._hand(self._held)
                self._listen(bool(self._open) and wait is None)
            for each in (self._held, *(key.fileobj for key in self._selector.get_map().values())):
                if isinstance(each, socket.socket):
                    each.close()

    def _listen(self, wanted: bool) -> None:
        listens = self._listening in self._selector.get_map()
        if wanted and not listens:
            self._selector.register(self._listening, selectors.EVENT_READ)
        elif listens and not wanted:
            self._selector.unregister(self._listening)

    def _hear(self, channel: Any) -> None:
        try:
            said = channel.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:
            self._open.pop(channel, None)
            self._selector.unregister(channel)
            channel.close()
            return
        if _BEGUN in said:
            self._open[channel] = 0
        self._open[channel] -= said.count(_CLOSED)

    def _accept(self) -> float | None:
        """Hold the next connection; the seconds after which to go on, if not at once."""
        try:
            self._held, _ = self._listening.accept()
        except (BlockingIOError, ConnectionError):
            pass  # whoever came is gone
        except OSError as error:
            _log.error("no connection can be accepted: %s", error.strerror)
            return _SHORT_SECONDS
        return None

    def _hand(self, connection: socket.socket) -> float | None:
        """Hand a connection on; the seconds after which to try again, if nobody took it."""
        for channel in sorted(self._open, key=self._open.__getitem__):
            try:
                socket.send_fds(channel, [_HANDED], [connection.fileno()])
            except OSError:  # it is full, or its process is gone, which is heard of next
                continue
            self._open[channel] = self._open.pop(channel) + 1
            connection.close()
            self._held = None
            return None
        return _AGAIN_SECONDS


class Handed(Server):
    """Answers what it is handed by the one channel it is given in place of sockets that listen."""

    _closed = 0
    """Connections that were closed, and not told of yet."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As the server has it."""
        (self._channel,) = sockets or []
        await super().startup([])
        self._loop = asyncio.get_running_loop()
        self._taking: set[asyncio.Task[None]] = set()
        self._channel.setblocking(False)
        self._loop.add_reader(self._channel, self._take)
        self._channel.send(_BEGUN)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As the server has it."""
        self._loop.remove_reader(self._channel)
        await super().shutdown(sockets)

    def _take(self) -> None:
        while True:
            try:
                said, handed, _, _ = socket.recv_fds(self._channel, 1, 1)
            except BlockingIOError:
                return
            except OSError:
                said, handed = b"", []
            if not said:
                # Whoever watches over this process is gone, and so will be this one.
                self._loop.remove_reader(self._channel)
                return
            if not handed:  # the system had no open files left for it
                self.tell()
            for each in handed:
                task = self._loop.create_task(self._adopt(socket.socket(fileno=each)))
                self._taking.add(task)
                task.add_done_callback(self._taking.discard)

    async def _adopt(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            # Event loops do it for connections they accept themselves.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:  # whoever came is gone
            connection.close()
            self.tell()

    def _protocol(self) -> Bounded:
        return _Counted(self)

    def tell(self) -> None:
        """Of a connection that is closed."""
        self._closed += 1
        # What cannot be told now is told with the next one; or nobody is there to be told.
        with suppress(OSError):
            self._closed -= self._channel.send(_CLOSED * self._closed)


class _Counted(Bounded):
    """A connection that tells when it is closed."""

    def __init__(self, server: Handed):
        super().__init__(
            config=server.config, server_state=server.server_state, app_state=server.lifespan.state
        )
        self._server = server

    def connection_lost(self, exc: Exception | None) -> None:
        """As the protocol has it."""
        super().connection_lost(exc)
        self._server.tell()
