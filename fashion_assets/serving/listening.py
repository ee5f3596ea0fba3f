"""A socket that listens, and the address it is reached by.

What belongs here: what the UI and the API both need to listen. What does not: what answers.
"""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from fashion_assets.serving import UIError

_OF_THE_PORT = (errno.EADDRINUSE, errno.EACCES)

CLOSING_SECONDS = 5
"""How long requests under way may take when a server ends."""


@contextmanager
def listening(host: str, port: int, what: str) -> Iterator[socket.socket]:
    """A socket that listens. Raises `UIError`, which says of `what` that it cannot, where that is not possible."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        made = socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        option = "--port" if error.errno in _OF_THE_PORT else "--host"
        said = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise UIError(
            f"{what} cannot listen on {host}, port {port}: {said or error}. Choose another with {option}."
        ) from None
    with made:
        yield made


def address(host: str, made: socket.socket) -> str:
    """Where such a socket is reached; no slash at the end."""
    port = made.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
