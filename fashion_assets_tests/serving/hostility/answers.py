"""Sending an attack byte by byte, and what must hold of every answer."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from fashion_assets_tests.serving.hostility.world import MARK, SECONDS, Answer, Attack, World


def send(port: int, attack: Attack, patience: float = 2.0) -> Answer:
    """Send it as it is; what is no whole request is given some seconds for an answer. Raises `TimeoutError` where a whole one gets none."""
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        # Who refuses may close before all was sent; its answer is there all the same.
        with suppress(ConnectionError):
            connection.sendall(attack.head)
            for part in attack.body:
                time.sleep(attack.pause)
                connection.sendall(part)
        if not attack.finished:
            # What was sent may be all there is, or the server may wait for more.
            connection.settimeout(patience)
        answer = http.client.HTTPResponse(
            connection, method="HEAD" if attack.head.startswith(b"HEAD ") else "GET"
        )
        try:
            answer.begin()
            body = answer.read()
        except TimeoutError:
            if attack.finished:
                raise
            return Answer(0, {}, b"", time.perf_counter() - began)
        except (http.client.HTTPException, ConnectionError):
            return Answer(0, {}, b"", time.perf_counter() - began)
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, headers, body, time.perf_counter() - began)


INSIDE = (
    b"Traceback (most recent",
    b'File "',
    b"site-packages",
    b"psycopg",
    b"sqlalchemy",
    b"uvicorn",
    b"SELECT ",
    b"FROM fashion",
    b"fashion_ops.",
    b"/etc/passwd:",
    b"root:x:0",
    b"PG_VERSION",
)
"""What is nobody's to read."""

LONGEST = 60_000
"""Bytes of a request's line and headers from which on it may be refused as no HTTP."""

NO_HTTP = b"Invalid HTTP request received."


def faults(world: World, attack: Attack, answer: Answer) -> list[str]:
    """What does not hold of an answer."""
    status, said = answer.status, answer.body
    sent = attack.head + b"".join(attack.body[:4])[:100_000]
    if status == 0:
        return ["no answer"] if attack.finished and not attack.plain else []
    found = []
    former = b" /former/" in attack.head.split(b"\r\n", 1)[0]
    if status >= 500 and not (former and status == 501):
        found.append(f"status {status}")
    if status >= 400 and said and said != NO_HTTP:
        found += _is_told_well(status, answer, former)
    if said == NO_HTTP and not attack.plain and len(attack.head) < LONGEST:
        found.append("taken for no HTTP")
    found += [f"{each!r} is in it" for each in INSIDE if each in said and each not in sent]
    everything = said + b"\n".join(
        f"{name}: {value}".encode("utf-8", "replace") for name, value in answer.headers.items()
    )
    found += ["a secret is in it" for each in world.secrets if each.encode() in everything]
    found += ["a header was injected" for name in answer.headers if name == "x-injected"]
    if MARK.encode() in said and MARK.encode() not in sent and attack.key != "all":
        found.append("a product of another release is in it")
    if world.candidate.encode() in said and world.candidate.encode() not in sent and attack.key != "all":
        found.append("another release's name is in it")
    if attack.key == "within" and status == 200 and said:
        found += _is_within(world, said)
    if attack.key in ("expired", "revoked") and status not in (401, 429) and not _is_everybodys(attack):
        found.append(f"a key that is none any more was answered by {status}")
    return found


def _is_everybodys(attack: Attack) -> bool:
    return attack.head.split(b" ")[1] in (b"/", b"/healthz", b"/readyz")


def _is_told_well(status: int, answer: Answer, former: bool) -> list[str]:
    try:
        document = json.loads(answer.body)
    except ValueError:
        return [f"status {status} told as {answer.headers.get('content-type')}: {answer.body[:80]!r}"]
    if former and "detail" in document:
        return []
    if answer.headers.get("content-type") != "application/problem+json":
        return [f"status {status} told as {answer.headers.get('content-type')}"]
    if document.get("status") != status or not document.get("title"):
        return [f"no problem details: {answer.body[:80]!r}"]
    return []


def _is_within(world: World, said: bytes) -> list[str]:
    try:
        document = json.loads(said)
    except ValueError:
        return []
    column, value = world.within
    hits = [*_hits(document)]
    found = [
        f"a product of {column} {hit['attributes'].get(column)!r} was told"
        for hit in hits
        if hit["attributes"].get(column) != value
    ]
    if isinstance(document, dict) and column in (document.get("facets") or {}):
        found.append(f"{column} was counted")
    return found[:1]


def _hits(document: Any) -> Iterator[dict[str, Any]]:
    """Every product in a document."""
    if isinstance(document, dict):
        if "attributes" in document and "external_id" in document:
            yield document
        for value in document.values():
            yield from _hits(value)
    elif isinstance(document, list):
        for value in document:
            yield from _hits(value)
