"""A pooler for tests: what PgBouncer, which pip cannot install, does to sessions; `benchmarks/servers.py` asks the real one.

It greets each client itself, under a process id of its own, and keeps few sessions with the server. By transaction, a
session is whose transaction it is, and whoever comes next gets the one that was free last; by session, it is a client's for
as long as that is connected.
"""

import select
import socket
import struct
import threading
from contextlib import suppress

PROTOCOL_3 = 196_608


class Pooler:
    """Listens on a port of 127.0.0.1 until it is closed. `server` is the path of a server's socket, which must trust."""

    def __init__(self, server: str, *, by_transaction: bool):
        self._server = server
        self._by_transaction = by_transaction
        self._free: list[tuple[socket.socket, bytes]] = []
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more, and end the sessions."""
        self._listening.close()
        for session, _ in self._free:
            session.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            while True:
                length, code = struct.unpack(">II", _exactly(client, 8))
                startup = _exactly(client, length - 8)
                if code == PROTOCOL_3:
                    break
                client.sendall(b"N")  # neither encrypted nor by Kerberos
            session, greeting = self._session(startup)
            self._release(session, greeting)
            client.sendall(greeting + _message(b"K", struct.pack(">II", 1, 2)) + _message(b"Z", b"I"))
            while True:
                first = _read(client)
                if first[:1] == b"X":
                    return
                session, greeting = self._session(startup)
                self._until_done(client, session, first)
                self._release(session, greeting)

    def _until_done(self, client: socket.socket, session: socket.socket, message: bytes) -> None:
        """Pass messages to and fro until the transaction ends, or the client goes."""
        session.sendall(message)
        while True:
            ready, _, _ = select.select([client, session], [], [])
            if client in ready:
                message = _read(client)
                if message[:1] == b"X":
                    if not self._by_transaction:
                        session.close()
                    raise ConnectionError
                session.sendall(message)
            if session in ready:
                message = _read(session)
                client.sendall(message)
                if self._by_transaction and message[:1] == b"Z" and message[5:] == b"I":
                    return

    def _session(self, startup: bytes) -> tuple[socket.socket, bytes]:
        """A session of the server, and what a client of it is greeted with."""
        with self._lock:
            if self._free:
                return self._free.pop()
        session = socket.socket(socket.AF_UNIX)
        session.connect(self._server)
        session.sendall(struct.pack(">II", len(startup) + 8, PROTOCOL_3) + startup)
        greeting = b""
        while (message := _read(session))[:1] != b"Z":
            if message[:1] in (b"R", b"S"):
                greeting += message
        return session, greeting

    def _release(self, session: socket.socket, greeting: bytes) -> None:
        with self._lock:
            self._free.append((session, greeting))


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack(">I", len(body) + 4) + body


def _read(end: socket.socket) -> bytes:
    head = _exactly(end, 5)
    return head + _exactly(end, struct.unpack(">I", head[1:])[0] - 4)


def _exactly(end: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        more = end.recv(size - len(got))
        if not more:
            raise ConnectionError
        got += more
    return got
