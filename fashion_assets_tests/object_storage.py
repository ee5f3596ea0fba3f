"""An S3 server of this machine, which says what it was asked.

What belongs here: the server, and its requests. What does not: what a test puts there.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple


class Request(NamedTuple):
    """What was asked, and the status of the answer."""

    method: str
    path: str
    status: int


class ObjectStorage:
    """The running server."""

    def __init__(self, endpoint: str, requests: list[Request]) -> None:
        self.endpoint = endpoint
        self.requests = requests
        self.buckets = 0

    @property
    def environment(self) -> dict[str, str]:
        """By which any client finds it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "me",
            "AWS_SECRET_ACCESS_KEY": "s3cret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def asked(self, ends: str = "") -> list[Request]:
        """Requests of objects whose names end so, since `requests` was cleared."""
        return [request for request in self.requests if request.path.endswith(ends)]


@contextmanager
def serving() -> Iterator[ObjectStorage]:
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    storage: Any = DomainDispatcherApplication(create_backend_app)
    requests: list[Request] = []

    def counted(environ: dict[str, Any], start_response: Any) -> Any:
        def answered(status: str, *rest: Any) -> Any:
            requests.append(Request(environ["REQUEST_METHOD"], environ["PATH_INFO"], int(status.split()[0])))
            return start_response(status, *rest)

        return storage(environ, answered)

    server = make_server("127.0.0.1", 0, counted, threaded=True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield ObjectStorage(f"http://127.0.0.1:{server.server_port}", requests)
    finally:
        server.shutdown()
        server.server_close()
