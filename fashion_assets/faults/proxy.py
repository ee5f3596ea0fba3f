"""A proxy between the product and its server, which knows where one statement ends and the next begins.

What belongs here: passing on PostgreSQL's protocol (version 3), counting statements and commits, cutting, keeping an answer back. What
does not: which fault strikes, and what else it does (`striking`).

Messages have a letter, a length and a body; the first one of a connection has no letter. `Q` is a statement, `S` the end of one in
parts; the server's `Z` says that it has answered.
"""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

PORT = 5432

Next = Literal["pass", "cut", "keep"]
"""What becomes of a statement: it is passed on; its connection ends before it; it is passed on, and its answer is kept back."""

_CANCEL = 80877102


class Session:
    """One connection through the proxy."""

    def __init__(self, client: socket.socket, server: socket.socket):
        self.client, self.server = client, server
        self.key = b""
        """What the server wants to see from whoever cancels a statement of this session."""
        self.keeps_back = False
        self.said = b""
        """The last error the server sent."""

    def end(self) -> None:
        for each in (self.client, self.server):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


class Proxy:
    """Listens in `folder`, as a server's socket does; passes on to the server whose socket is in `target`."""

    def __init__(self, folder: Path, target: Path):
        self.folder, self._target = folder, target
        self._sessions: set[Session] = set()
        self._mutex = threading.Lock()
        self.statements = self.commits = 0
        self._strike: Callable[[Session], Next] | None = None
        self._at, self._of_commits = 0, False
        self.struck = False
        folder.mkdir(parents=True, exist_ok=True)
        place = folder / f".s.PGSQL.{PORT}"
        place.unlink(missing_ok=True)
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(place))
        self._listening.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, strike: Callable[[Session], Next] | None, at: int = 0, *, commits: bool = False) -> None:
        """Count anew, and have `strike` say what becomes of statement (or commit) number `at`. It is called once."""
        with self._mutex:
            self.statements = self.commits = 0
            self._strike, self._at, self._of_commits, self.struck = strike, at, commits, False

    def end_all(self) -> None:
        """End every connection."""
        with self._mutex:
            sessions = list(self._sessions)
        for session in sessions:
            session.end()

    def close(self) -> None:
        self._listening.close()
        self.end_all()

    def cancel(self, session: Session) -> None:
        """Ask the server to cancel what the session is at."""
        with suppress(OSError), self._connected() as asking:
            asking.sendall(struct.pack("!II", 16, _CANCEL) + session.key)
            asking.recv(1)

    def _connected(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.connect(str(self._target / f".s.PGSQL.{PORT}"))
        except OSError:
            made.close()
            raise
        return made

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return  # closed
            try:
                session = Session(client, self._connected())
            except OSError:
                client.close()  # as a server that is gone
                continue
            with self._mutex:
                self._sessions.add(session)
            for pump in (self._of_client, self._of_server):
                threading.Thread(target=self._pumped, args=(pump, session), daemon=True).start()

    def _pumped(self, pump: Callable[[Session], None], session: Session) -> None:
        with suppress(OSError):
            pump(session)
        session.end()
        with self._mutex:
            self._sessions.discard(session)

    def _of_client(self, session: Session) -> None:
        session.server.sendall(_first(session.client))
        in_parts = b""
        for letter, body in _messages(session.client):
            message = letter + struct.pack("!I", len(body) + 4) + body
            if letter == b"P":
                in_parts = body.partition(b"\0")[2]
            text = body if letter == b"Q" else in_parts
            if letter in (b"Q", b"S"):
                in_parts = b""
                becomes = self._one_more(session, is_commit(text))
                if becomes == "cut":
                    return
                if becomes == "keep":
                    session.keeps_back = True
            session.server.sendall(message)

    def _one_more(self, session: Session, commits: bool) -> Next:
        with self._mutex:
            self.statements += 1
            self.commits += commits
            count = self.commits if self._of_commits else self.statements
            if self._strike is None or count < self._at or (self._of_commits and not commits):
                return "pass"
            strike, self._strike, self.struck = self._strike, None, True
        return strike(session)

    def _of_server(self, session: Session) -> None:
        for letter, body in _messages(session.server):
            if letter == b"K":
                session.key = body
            if letter == b"E":
                session.said = body
            if session.keeps_back:
                if letter == b"Z":
                    return  # it was done, and nobody is told
                continue
            session.client.sendall(letter + struct.pack("!I", len(body) + 4) + body)


def is_commit(text: bytes) -> bool:
    """Whether a statement ends a transaction and keeps what it did."""
    return text.lstrip()[:6].upper() in (b"COMMIT", b"END\0")


def _first(client: socket.socket) -> bytes:
    size = _exactly(client, 4)
    return size + _exactly(client, struct.unpack("!I", size)[0] - 4)


def _messages(of: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    while True:
        head = of.recv(1)
        if not head:
            return
        (size,) = struct.unpack("!I", _exactly(of, 4))
        yield head, _exactly(of, size - 4)


def _exactly(of: socket.socket, size: int) -> bytes:
    read = bytearray()
    while len(read) < size:
        more = of.recv(size - len(read))
        if not more:
            raise ConnectionResetError
        read += more
    return bytes(read)
