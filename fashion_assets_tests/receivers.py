"""Who is told something in tests: a real web server and a real mail server, each in a thread, that keep what they are sent."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Webhook:
    """A receiver of JSON documents."""

    url: str = ""
    received: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    location: str = ""


@contextmanager
def webhook() -> Iterator[Webhook]:
    """One that listens."""
    kept = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/json"
            kept.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(kept.status)
            if kept.location:
                self.send_header("Location", kept.location)
            self.end_headers()

        def do_GET(self) -> None:
            kept.received.append({"method": "GET"})
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kept.url = f"http://127.0.0.1:{server.server_port}/services/T0/secret-token"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield kept
        server.shutdown()


@dataclass
class MailServer:
    """A receiver of e-mails."""

    port: int = 0
    senders: list[str] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)


@contextmanager
def mail_server(refuses: str = "") -> Iterator[MailServer]:
    """One that speaks as much SMTP as it takes; it offers no encryption. A recipient with `refuses` in it is refused."""
    kept = MailServer()

    class Handler(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self) -> None:
            self.say("220 here")
            while command := self.rfile.readline().decode().strip():
                kept.commands.append(command)
                word, _, rest = command.partition(" ")
                if word.upper() == "EHLO":
                    self.say("250-here")
                    self.say("250 AUTH PLAIN LOGIN")
                elif word.upper() == "MAIL":
                    kept.senders.append(rest.partition("<")[2].partition(">")[0])
                    self.say("250 ok")
                elif word.upper() == "RCPT":
                    recipient = rest.partition("<")[2].partition(">")[0]
                    if refuses and refuses in recipient:
                        self.say("550 nobody of that name")
                        continue
                    kept.recipients.append(recipient)
                    self.say("250 ok")
                elif word.upper() == "DATA":
                    self.say("354 go on")
                    lines = []
                    while (line := self.rfile.readline()) != b".\r\n":
                        lines.append(line.removeprefix(b"."))
                    kept.messages.append(message_from_bytes(b"".join(lines), policy=default))
                    self.say("250 ok")
                elif word.upper() == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 ok")

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        kept.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield kept
        server.shutdown()
