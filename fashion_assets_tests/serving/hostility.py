"""Requests nobody meant well, and what must hold of every answer to them.

What belongs here: drawing them from a seed, sending them as they are, judging answers; for a test of some hundreds and for
`benchmarks/hostile_requests.py` of ten thousand. What does not: hostile pictures' bytes (`fashion_assets_tests.hostile`).

A request is sent over a socket of its own, byte by byte as it was drawn: no library puts right what is wrong with it. `drawn(seed, number)` is
the same request each time, so that a fault is repeated by its number.
"""

import base64
import http.client
import json
import random
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
from PIL import Image
from psycopg import sql

from fashion_assets.criteria.subject import Candidate
from fashion_assets.postgres.connections import connect
from fashion_assets.serving.api.access import SCOPES
from fashion_assets.serving.former.mounting import APIS
from fashion_assets.settings import Settings
from fashion_assets.warehouse import keys, releases
from fashion_assets_tests import hostile
from fashion_assets_tests.release.copies import copy_of

SECONDS = 30.0
"""An answer that takes longer does not come."""

BOUNDARY = "----hostile"

MARK = "unreleased"
"""Behind every title of the candidate: where it is read, another release was told."""


@dataclass(frozen=True)
class World:
    """What is attacked."""

    keys: Mapping[str, str]
    """By what they are good for: `all`, `search`, `within`, `former`, `expired`, `revoked`, and `none` for none."""
    release: str
    candidate: str
    within: tuple[str, str]
    """The column and value that the key `within` is narrowed to."""
    ids: Sequence[str]
    """Of products, some within and some without."""
    cursors: Sequence[str]
    """Of other questions, other callers, the candidate."""
    secrets: Sequence[str]
    """What no answer may have in it."""
    most: int
    """Bytes of a request's body."""
    parameters: Mapping[tuple[str, str], Sequence[str]]
    """Of every route that is described: the names it knows."""


class Attack(NamedTuple):
    """One request."""

    kind: str
    head: bytes
    """The request line and the headers, with the empty line."""
    body: Sequence[bytes] = ()
    key: str = "none"
    pause: float = 0.0
    """Seconds between two parts of the body."""
    finished: bool = True
    """Whether what is sent is a whole request, so that an answer must come."""
    plain: bool = False
    """Whether the server below may refuse it as no HTTP, in words of its own."""


class Answer(NamedTuple):
    """What came back; status 0 where the connection was closed without an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


# What is sent in place of what was meant

TEXTS = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "' OR 1=1 --",
    "'; DROP TABLE products; --",
    "\\",
    "$$",
    "%s%s%s%n",
    "{0.__class__}",
    "{{7*7}}",
    "${jndi:ldap://127.0.0.1/x}",
    "%(x)s",
    ":*",
    "a & | ! ( b",
    "!!!",
    "<->",
    "((((((((((",
    "a:*ABCD <2> b",
    '"unfinished',
    "../../../etc/passwd",
    "..\\..\\settings.toml",
    "/etc/passwd\x00.jpg",
    "file:///etc/passwd",
    "<script>alert(1)</script>",
    "\r\nX-Injected: 1",
    "\u202e\u200f\ufeff",
    "\ud7ff\ue000\uffff",
    "e\u0301" * 200,
    "\U0001f457" * 400,
    "ﷺ" * 300,
    "\u0130\u0131\u017fK",
    "-1",
    "0",
    "1e400",
    "-1e400",
    "nan",
    "NaN",
    "Infinity",
    "9" * 400,
    "9223372036854775808",
    "2147483648",
    "0x10",
    "1_000",
    "٣",
    "null",
    "true",
    "[]",
    "{}",
    "[[[[",
    "undefined",
    "a" * 5_000,
    "a " * 1_500,
    "..",
    "1..",
    "..1",
    "5..1",
    "1..nan",
    "pg_catalog",
    "fashion_ops",
    "public",
    "fashion_sota",
    "00000000-0000-0000-0000-000000000000",
    "{00000000-0000-0000-0000-000000000000}",
)
COLUMNS = (
    "colour",
    "brand",
    "price",
    "year",
    "gender",
    "title",
    "source",
    "embedding",
    "facts",
    "nothing",
    "product_id",
)
COMPARED = ("=", "<=", ">=", "==", "<", ">", "!=", "=~", "", "<>", "=..", "=,", " = ")
JSON_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1e308,
    2**63,
    -(2**63) - 1,
    10**400,
    [],
    {},
    [[]],
    {"a": {}},
    "",
    "x",
)


def text(chance: random.Random) -> str:
    """A text as nobody types it."""
    kind = chance.random()
    if kind < 0.75:
        return chance.choice(TEXTS)
    if kind < 0.9:
        return chance.choice(TEXTS) + chance.choice(TEXTS)
    return "".join(
        chr(chance.choice((chance.randrange(0xD800), chance.randrange(0xE000, 0x110000))))
        for _ in range(chance.randrange(40))
    )


def filter_text(chance: random.Random) -> str:
    value = chance.choice(
        (text(chance), ",".join(text(chance)[:20] for _ in range(chance.choice((2, 99, 101, 400)))))
    )
    return chance.choice((*COLUMNS, text(chance))) + chance.choice(COMPARED) + value


def _encoded(value: str) -> str:
    return quote(value.encode("utf-8", "surrogatepass"), safe="")


def query(chance: random.Random, *asked: tuple[str, str]) -> str:
    """Parameters of a query, now and then not as they should be encoded."""
    parts = [f"{name}={_encoded(value)}" for name, value in asked]
    if chance.random() < 0.1:
        parts.append(
            chance.choice(
                ("%", "%zz", "q=%ff%fe", "q=%ed%a0%80", "&&&", "=", "q", "q=%00", "q[]=1", "q=" + "%" * 90)
            )
        )
    return "&".join(parts)


# Pictures


@cache
def pictures() -> tuple[bytes, ...]:
    """Files that hurt, or are none."""
    sound = hostile.saved(Image.new("RGB", (64, 48), "red"), "JPEG")
    png = hostile.png(16, 16)
    lying = [
        png[:16] + width.to_bytes(4, "big") + height.to_bytes(4, "big") + png[24:]
        for width, height in (
            (0, 0),
            (0, 16),
            (65_535, 65_535),
            (2**31 - 1, 2**31 - 1),
            (2**32 - 1, 1),
            (1, 30_000_000),
        )
    ]
    huge = b"\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01"
    page = b"<html><script>alert(1)</script>"
    return (
        b"",
        b"\0",
        b"no picture",
        page,
        b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        b"%PDF-1.4\n1 0 obj<</Type/Catalog>>",
        b"%!PS\n(/etc/passwd) (r) file",
        b"\x7fELF" + bytes(64),
        b"PK\x03\x04" + bytes(64),
        b"\x1f\x8b\x08" + bytes(64),
        b"BM" + bytes(60),
        b"GIF89a" + b"\xff" * 40,
        b"RIFF\xff\xff\xff\xffWEBPVP8 ",
        b"\x00\x00\x00\x1cftypavif" + bytes(60),
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8" + huge + b"\xff\xd9",
        b"P6\n99999 99999\n255\n",
        b"#define x_width 99999999\n#define x_height 99999999\n",
        *lying,
        png,
        png + b"PK\x05\x06" + bytes(18),
        page + sound,
        b"GIF89a/*" + page + b"*/",
        sound + page,
        sound[: len(sound) // 2],
        sound[:20],
        hostile.with_segments(sound, hostile.exif_segment(hostile.overlapping_exif(500))),
        *(
            hostile.with_segments(sound, hostile.exif_segment(hostile.turned_exif(turn)))
            for turn in (0, 3, 6, 9, 65_535)
        ),
        hostile.with_segments(sound, hostile.exif_segment(b"II*\0\xff\xff\xff\xff")),
        hostile.with_segments(sound, b"\xff\xe2\xff\xff" + bytes(65_533)),
        hostile.with_chunks(png, hostile.text_chunk(24)),
        hostile.with_chunks(png, hostile.profile_chunk(24)),
        hostile.png(12_000, 8),
        hostile.png(4_000, 4_000, 1, 0),
        hostile.progressive(60, 512),
        hostile.run_length_bmp(2_000),
        hostile.grey_tiff(64, 64, 1),
        hostile.webp_with_frames(32, 40),
        hostile.saved(Image.new("P", (30, 30)), "GIF"),
        hostile.saved(Image.new("CMYK", (30, 30)), "JPEG"),
        hostile.saved(Image.new("I;16", (30, 30)), "PNG"),
        hostile.saved(Image.new("LA", (1, 1)), "PNG"),
    )


def picture(chance: random.Random) -> bytes:
    """A file as it stands, cut, or with some bytes turned over."""
    data = chance.choice(pictures())
    how = chance.random()
    if how < 0.6 or not data:
        return data
    if how < 0.8:
        return data[: chance.randrange(len(data))]
    damaged = bytearray(data)
    for _ in range(chance.choice((1, 3, 20))):
        damaged[chance.randrange(min(len(damaged), chance.choice((64, len(damaged)))))] = chance.randrange(
            256
        )
    return bytes(damaged)


def form(chance: random.Random, fields: Sequence[tuple[str, str]], name: str, data: bytes) -> bytes:
    """A form with a file in it."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode(
            "utf-8", "surrogatepass"
        )
        for key, value in fields
    ]
    called = chance.choice(
        ("p.jpg", "../../p.jpg", "p\x00.jpg", "", "a" * 3_000, '"; filename="b', "p.jpg\r\nX-Injected: 1")
    )
    kind = chance.choice(
        ("image/jpeg", "image/png", "text/html", "application/x-php", "image/svg+xml", ";;;", "")
    )
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{called}"\r\nContent-Type: {kind}\r\n\r\n'
    end = chance.choice((f"\r\n--{BOUNDARY}--\r\n",) * 6 + ("", f"\r\n--{BOUNDARY}\r\n"))
    return b"".join([*parts, head.encode(), data, end.encode()])


# The kinds of attack


def request(
    world: World,
    kind: str,
    method: str,
    target: str,
    *,
    key: str = "all",
    headers: Sequence[tuple[str, str]] = (),
    body: bytes | None = None,
    media: str = "application/json",
    **more: Any,
) -> Attack:
    """A request that is HTTP, whatever it asks."""
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", "Connection: close"]
    if world.keys.get(key):
        lines.append(f"Authorization: Bearer {world.keys[key]}")
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None:
        lines += [f"Content-Type: {media}", f"Content-Length: {len(body)}"]
    head = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass")
    return Attack(kind, head, () if body is None else (body,), key, **more)


def by_picture(chance: random.Random, world: World) -> Attack:
    data = picture(chance)
    where = chance.random()
    media = f"multipart/form-data; boundary={BOUNDARY}"
    if where < 0.6:
        fields = [("limit", "3"), *([("q", text(chance))] if chance.random() < 0.3 else [])]
        body = form(chance, fields, chance.choice(("picture", "picture", "picture", "image", "q")), data)
        return request(world, "picture", "POST", "/api/v1/search", body=body, media=media)
    if where < 0.75:
        body = form(chance, [("limit", "3")], "image", data)
        path = chance.choice(("image", "cross-modal"))
        return request(
            world, "picture", "POST", f"/former/fashion-ecom/api/v1/search/{path}", body=body, media=media
        )
    sent = base64.b64encode(data).decode()
    sent = chance.choice(
        (
            sent,
            f"data:image/png;base64,{sent}",
            sent[:-1],
            sent + "====",
            "http://127.0.0.1/p.jpg",
            sent + "é",
        )
    )
    path, name = chance.choice(
        (
            ("second-hand-v2/search_by_image", "image_base64"),
            ("second-hand-v2/search_combined", "image_base64"),
            ("prethrift/api/v2/search", "image_query"),
        )
    )
    return request(world, "picture", "POST", f"/former/{path}", body=json.dumps({name: sent}).encode())


def by_words(chance: random.Random, world: World) -> Attack:
    """Words, and values of columns there are: what reaches the statements."""
    asked = [
        ("limit", "5"),
        ("q", text(chance)[:2_000]),
        ("mode", chance.choice(("hybrid", "vector", "text"))),
    ]
    if chance.random() < 0.4:
        asked += [("avoid", text(chance)[:2_000])]
    if chance.random() < 0.5:
        asked += [("facets", "usual"), ("sort", chance.choice(("relevance", "price", "-price", "newest")))]
    for _ in range(chance.choice((0, 1, 1, 2))):
        asked.append(("filter", f"{chance.choice(COLUMNS[:7])}={chance.choice(('', text(chance)[:900]))}"))
    if chance.random() < 0.2:
        return request(
            world, "words", "GET", f"/api/v1/suggestions?{query(chance, ('q', text(chance)[:200]))}"
        )
    return request(
        world, "words", "GET", f"/api/v1/search?{query(chance, *asked)}", key=chance.choice(("all", "within"))
    )


def by_filter(chance: random.Random, world: World) -> Attack:
    asked = [("limit", "5")]
    asked += [("filter", filter_text(chance)) for _ in range(chance.choice((1, 1, 2, 3, 31, 200)))]
    for name in ("q", "avoid", "product", "facets", "sort", "mode", "release", "limit", "page", "explain"):
        if chance.random() < 0.15:
            asked.append((name, text(chance)))
    chance.shuffle(asked)
    path = chance.choice(("/api/v1/search", "/api/v1/products", f"/api/v1/products/{world.ids[0]}/similar"))
    return request(
        world,
        "filter",
        "GET",
        f"{path}?{query(chance, *asked)}",
        key=chance.choice(("all", "search", "within")),
    )


def by_cursor(chance: random.Random, world: World) -> Attack:
    page = chance.choice(world.cursors)
    how = chance.randrange(8)
    if how == 1:
        page = page[: chance.randrange(1, len(page))]
    elif how == 2:
        at = chance.randrange(len(page))
        page = page[:at] + chance.choice("AZaz09-_=.é\0") + page[at + 1 :]
    elif how == 3:
        page = base64.urlsafe_b64encode(
            json.dumps(
                chance.choice((*JSON_VALUES, [world.candidate, 0], {"release": world.candidate}))
            ).encode()
        ).decode()
    elif how == 4:
        page = base64.urlsafe_b64encode(chance.randbytes(chance.choice((1, 16, 200)))).decode()
    elif how == 5:
        page = page * chance.choice((2, 9, 200))
    elif how == 6:
        # The name of the candidate in place of that of the release the page is of.
        page = _with_another_release(page, world)
    asked = [
        ("page", page),
        *chance.choice(((), (("q", "shirt"),), (("q", "shirt"), ("filter", "colour=red")))),
    ]
    path = chance.choice(
        ("/api/v1/search", "/api/v1/products", f"/api/v1/products/{chance.choice(world.ids)}/similar")
    )
    return request(
        world,
        "cursor",
        "GET",
        f"{path}?{query(chance, *asked)}",
        key=chance.choice(("search", "within", "none")),
    )


def _with_another_release(page: str, world: World) -> str:
    with suppress(ValueError):
        data = base64.urlsafe_b64decode(page + "=" * (-len(page) % 4))
        return (
            base64.urlsafe_b64encode(data.replace(world.release.encode(), world.candidate.encode()))
            .decode()
            .rstrip("=")
        )
    return page.replace(world.release, world.candidate)


def by_header(chance: random.Random, world: World) -> Attack:
    def a_lot() -> str:
        return chance.choice(
            ("x" * chance.choice((100, 7_000, 70_000)), text(chance).replace("\n", "").replace("\r", ""))
        )

    names = (
        *(
            "Host",
            "Content-Length",
            "Transfer-Encoding",
            "Accept",
            "Accept-Encoding",
            "Accept-Language",
            "Range",
        ),
        *(
            "If-None-Match",
            "If-Modified-Since",
            "X-Request-ID",
            "X-Forwarded-For",
            "X-Forwarded-Proto",
            "X-Forwarded-Host",
        ),
        *(
            "Forwarded",
            "X-Real-IP",
            "X-Original-URL",
            "X-Rewrite-URL",
            "X-HTTP-Method-Override",
            "Origin",
            "Referer",
        ),
        *(
            "Cookie",
            "Expect",
            "Upgrade",
            "Connection",
            "TE",
            "Trailer",
            "Purpose",
            "Sec-Purpose",
            "Content-Type",
            "User-Agent",
        ),
    )
    values = (
        *(
            "0",
            "-1",
            "+5",
            "1e3",
            "5, 5",
            "chunked",
            "gzip, chunked",
            "identity",
            "*",
            "*/*;q=nan",
            "br;q=0, *;q=0",
            "gzip;q=9999",
        ),
        *(
            "bytes=0-",
            "bytes=99999999999-",
            "bytes=-1,-2,-3",
            "100-continue",
            "websocket",
            "h2c",
            "keep-alive, Upgrade",
        ),
        *(
            "127.0.0.1",
            "::1",
            "unknown",
            "10.0.0.1, 127.0.0.1",
            "for=127.0.0.1;host=x;proto=https",
            "localhost@elsewhere.example",
        ),
        *(
            "elsewhere.example",
            "127.0.0.1:99999",
            "[::1",
            "null",
            "http://127.0.0.1",
            'W/"x", ' * 300,
            "Thu, 99 Foo 9999",
            "PUT",
            "/healthz",
        ),
        *(
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "application/json; charset=utf-7",
            "application/json\\0",
        ),
    )
    given = [
        (chance.choice(names), chance.choice((*values, a_lot()))) for _ in range(chance.choice((1, 1, 2, 3)))
    ]
    if chance.random() < 0.1:
        given = [("X-Many", "1")] * chance.choice((90, 150, 2_000))
    if chance.random() < 0.1:
        given += given
    body = b'{"searches": [{"q": "shirt", "limit": 1}]}' if chance.random() < 0.3 else None
    method, path = ("POST", "/api/v1/multi-search") if body else ("GET", "/api/v1/search?q=shirt&limit=1")
    # What says how long the body is may be wrong: then nothing, or only part of it, is a request.
    return request(world, "header", method, path, headers=given, body=body, plain=True, finished=False)


def by_line(chance: random.Random, world: World) -> Attack:
    """What is hardly HTTP."""
    line = chance.choice(
        (
            b"GET / HTTP/9.9",
            b"GET /",
            b"GET  /  HTTP/1.1",
            b"get /healthz HTTP/1.1",
            b"\x16\x03\x01\x02\x00\x01\x00",
            b"PRI * HTTP/2.0",
            b"GET http://elsewhere.example/ HTTP/1.1",
            b"CONNECT elsewhere.example:80 HTTP/1.1",
            b"OPTIONS * HTTP/1.1",
            b"GET /%ZZ HTTP/1.1",
            b"GET /\xff\xfe HTTP/1.1",
            b"GET /" + b"a" * chance.choice((3_000, 60_000, 200_000)) + b" HTTP/1.1",
            b"GET /api/v1/search?q=" + b"a" * 60_000 + b" HTTP/1.1",
            b"GET //elsewhere.example/%2e%2e HTTP/1.1",
            b"GET /healthz HTTP/1.1\nHost: 127.0.0.1\n",
            b"\0" * 100,
            chance.randbytes(chance.choice((1, 50, 2_000))),
        )
    )
    head = (
        line
        + b"\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        + chance.choice((b"", b": x\r\n", b" folded\r\n", b"X\xff: y\r\n"))
        + b"\r\n"
    )
    return Attack("line", head, plain=True, finished=False)


def deep(chance: random.Random) -> bytes:
    """JSON that is deep, large, or none."""
    levels = chance.choice((50, 500, 100_000))
    many = chance.choice((11, 1_000, 50_000))
    return chance.choice(
        (
            b"",
            b"null",
            b"[]",
            b'"x"',
            b"{",
            b'{"searches": ' + b"[" * levels + b"]" * levels + b"}",
            b'{"searches": ' + b'{"a":' * levels + b"1" + b"}" * levels + b"}",
            b'{"searches": [' + b",".join([b"{}"] * many) + b"]}",
            b'{"searches": [{"limit": ' + b"9" * chance.choice((20, 400, 5_000)) + b"}]}",
            b'{"searches": [{"limit": 1e999}]}',
            b'{"searches": [{"limit": NaN}]}',
            b'{"searches": [{"limit": -Infinity}]}',
            b'{"searches": [{"limit": 1.5, "limit": 2}]}',
            b'{"searches": [{"q": "\\ud800"}]}',
            b'{"searches": [{"q": "\\u0000"}]}',
            b'{"searches": [{"filter": ["colour=\\ud800"], "page": "\\udfff"}]}',
            b'{"searches": [{"q": "\xff\xfe"}]}',
            '{"searches": [{"q": "x"}]}'.encode("utf-16"),
            '{"searches": [{"q": "x"}]}'.encode("utf-32"),
            b"\xef\xbb\xbf" + b'{"searches": [{"q": "x", "limit": 1}]}',
            b'{"searches": [{"__proto__": {"limit": 1}}]}',
            b'{"searches": [{"' + b"k" * 50_000 + b'": 1}]}',
            b'{"searches": [{' + b",".join(b'"k%d": 1' % n for n in range(many)) + b"}]}",
            json.dumps(
                {
                    "searches": [
                        {
                            chance.choice(
                                (
                                    "q",
                                    "filter",
                                    "facets",
                                    "limit",
                                    "page",
                                    "product",
                                    "sort",
                                    "explain",
                                    "release",
                                )
                            ): chance.choice(JSON_VALUES)
                        }
                    ]
                }
            ).encode(),
        )
    )


def by_body(chance: random.Random, world: World) -> Attack:
    path = chance.choice(
        (
            *("/api/v1/multi-search",) * 4,
            *(
                "/former/fashion-ecom/api/v1/search/text",
                "/former/prethrift/search",
                "/former/prethrift/api/v2/search",
            ),
            *(
                "/former/second-hand-v2/search_by_text",
                "/former/second-hand-v3/discovery",
                "/former/prethrift/api/v2/similar",
            ),
            *("/api/v1/search", "/healthz", "/api/v1/products"),
        )
    )
    media = chance.choice(
        (
            *("application/json",) * 5,
            "text/plain",
            "application/x-www-form-urlencoded",
            f"multipart/form-data; boundary={BOUNDARY}",
            "multipart/form-data",
            "application/json; charset=latin-1",
        )
    )
    body = deep(chance)
    if "multipart" in media and chance.random() < 0.7:
        fields = [
            (chance.choice(("q", "filter", "limit", "x")), text(chance))
            for _ in range(chance.choice((1, 40, 130, 2_000)))
        ]
        body = form(chance, fields, "picture", b"x" * chance.choice((0, 10, 100_000)))
    return request(world, "body", "POST", path, body=body, media=media)


def by_size(chance: random.Random, world: World) -> Attack:
    """Bodies over the bound, in one go and in parts; parts that come slowly, or never end."""
    over = world.most + chance.choice((1, 100_000))
    path = chance.choice(
        ("/api/v1/search", "/api/v1/multi-search", "/former/fashion-ecom/api/v1/search/image", "/healthz")
    )
    media = f"multipart/form-data; boundary={BOUNDARY}" if "multi-search" not in path else "application/json"
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer {world.keys['all']}\r\nContent-Type: {media}\r\n"
    begin = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="picture"; filename="p"\r\n\r\n'.encode()
    how = chance.choice(("announced", "announced", "sent", "chunked", "slow", "cut", "lying"))
    if how == "announced":
        return Attack(
            "size",
            f"{head}Content-Length: {chance.choice((over, 10**18, 10**40))}\r\n\r\n".encode(),
            (begin,),
            "all",
            plain=True,
        )
    if how == "sent":
        return Attack(
            "size",
            f"{head}Content-Length: {over}\r\n\r\n".encode(),
            (begin, *_parts(over - len(begin))),
            "all",
            finished=False,
        )
    if how == "chunked":
        parts = (begin, *_parts(over))
        chunks = tuple(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts)
        return Attack(
            "size", f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(), chunks, "all", finished=False
        )
    if how == "slow":
        return Attack(
            "size",
            f"{head}Content-Length: 1000\r\n\r\n".encode(),
            (b"x",) * 4,
            "all",
            pause=0.1,
            finished=False,
        )
    if how == "cut":
        return Attack("size", f"{head}Content-Length: 5000\r\n\r\n".encode(), (begin,), "all", finished=False)
    broken = chance.choice((b"zz\r\nx\r\n", b"-5\r\nx\r\n", b"ffffffffffffffffff\r\nx", b"5\r\nx", b"0\r\n"))
    return Attack(
        "size",
        f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(),
        (broken,),
        "all",
        finished=False,
        plain=True,
    )


def _parts(size: int) -> Iterator[bytes]:
    while size > 0:
        yield b"x" * min(size, 1 << 20)
        size -= 1 << 20


def by_path(chance: random.Random, world: World) -> Attack:
    up = chance.choice(
        (
            "../",
            "..%2f",
            "%2e%2e/",
            "%2e%2e%2f",
            "..\\",
            "..%5c",
            "%252e%252e%252f",
            "....//",
            "..;/",
            "%c0%ae%c0%ae/",
            "./",
            "//",
        )
    )
    aim = chance.choice(
        (
            "settings.toml",
            "etc/passwd",
            "serving/api/access.py",
            "%00",
            "postgres/PG_VERSION",
            "C:%5cwindows",
            "nul",
            "~root",
        )
    )
    begin = chance.choice(
        (
            *(
                "/",
                "/fashion-assets/",
                "/fashion-assets/reports/",
                "/images/",
                "/api/v1/products/",
                "/api/v1/styles/",
                "/reports/",
            ),
            *(
                "/api/v1/recommendations/",
                "/former/fashion-ecom/api/v1/images/",
                "/former/fashion-ecom/api/v1/products/",
                "/former/",
            ),
            *(
                "/former/second-hand-v3/garments/",
                "/former/second-hand-v2/sketchbook/brand/",
                "/former/prethrift/api/v2/garments/",
            ),
        )
    )
    path = begin + chance.choice(
        (
            up * chance.choice((1, 3, 12)) + aim,
            quote(text(chance).encode("utf-8", "surrogatepass"), safe=chance.choice(("", "/"))),
        )
    )
    tail = chance.choice(
        ("", "", "?size=small", "?size=" + _encoded(text(chance)), "/similar", "/look", "/similar?limit=1e9")
    )
    if chance.random() < 0.2:
        asked = [("source", text(chance)), ("uri", chance.choice((up * 4 + aim, text(chance))))]
        path, tail = "/api/v1/merchant/quarantine/picture", "?" + query(chance, *asked)
    return request(
        world, "path", "GET", path + tail, key=chance.choice(("all", "search", "none")), plain=True
    )


def by_key(chance: random.Random, world: World) -> Attack:
    """What a key does not open, and filters of a key that somebody tries to leave."""
    column, value = world.within
    outside = chance.choice(world.ids)
    undoing = (
        *(
            f"/api/v1/search?filter={column}={other}&limit=50"
            for other in ("black", "blue", "white", f"{value},black")
        ),
        f"/api/v1/search?limit=50&facets={column},brand,usual",
        f"/api/v1/search?product={outside}&limit=20",
        f"/api/v1/search?q=shirt&limit=50&mode={chance.choice(('vector', 'text', 'hybrid'))}&explain=true",
        f"/api/v1/search?limit=50&page={quote(chance.choice(world.cursors))}",
        f"/api/v1/search?release={chance.choice((world.release, world.candidate))}&limit=50",
        f"/api/v1/products/{outside}",
        f"/api/v1/products/{outside}/similar",
        f"/api/v1/products/{outside}/look",
        f"/images/{outside}",
        f"/api/v1/compare?q=shirt&a={world.release}&b={world.candidate}",
    )
    closed = (
        *(
            "/api/v1/people",
            "/api/v1/recommendations/x",
            "/api/v1/releases",
            "/api/v1/merchant/quarantine",
            "/api/v1/about",
        ),
        *(
            "/fashion-assets/",
            "/fashion-assets/reports/",
            "/former/prethrift/api/v2/stats",
            "/metrics",
            "/api/v1/styles",
            "/api/v1/suggestions?q=s",
        ),
        *(
            f"/api/v1/search?release={world.candidate}&limit=5",
            f"/api/v1/compare?q=x&a={world.candidate}&b={world.release}",
        ),
        *(
            f"/api/v1/search?q=shirt&release={name}"
            for name in ("fashion_ops", "fashion_sota_r9999", "pg_catalog", "dagster")
        ),
    )
    if chance.random() < 0.5:
        return request(world, "key", "GET", chance.choice((*undoing, *closed)), key="within")
    if chance.random() < 0.6:
        return request(
            world,
            "key",
            "GET",
            chance.choice((*closed, *undoing)),
            key=chance.choice(("search", "former", "expired", "revoked", "none")),
        )
    good = world.keys["search"]
    wrong = chance.choice(
        (
            good[:-1],
            good[:-1] + ("a" if good[-1] != "a" else "b"),
            good.upper(),
            good + " ",
            "",
            "null",
            "fa_",
            "é" * 46,
            "fa_" + "\0" * 43,
            "a" * 60_000,
            "' OR 1=1",
        )
    )
    name = chance.choice(("Authorization", "X-API-Key", "authorization"))
    kind = (
        chance.choice(("Bearer ", "bearer ", "Basic ", "Digest ", "", "Bearer Bearer "))
        if name != "X-API-Key"
        else ""
    )
    if kind == "Basic ":
        wrong = chance.choice(
            (wrong, base64.b64encode(f"x:{wrong}".encode("utf-8", "replace")).decode(), "=====", "eDo=")
        )
    return request(
        world, "key", "GET", "/api/v1/search?limit=1", key="none", headers=[(name, kind + wrong)], plain=True
    )


def by_method(chance: random.Random, world: World) -> Attack:
    method = chance.choice(
        (
            "PUT",
            "DELETE",
            "PATCH",
            "OPTIONS",
            "HEAD",
            "TRACE",
            "POST",
            "GET",
            "BREW",
            "PROPFIND",
            "get",
            "LINK",
            "PURGE",
        )
    )
    path = chance.choice(
        (
            *{path for _, path in world.parameters},
            "/",
            "/metrics",
            "/healthz",
            "/fashion-assets/",
            "/former/prethrift/search",
        )
    )
    path = path.replace("{", "").replace("}", "").replace(":path", "")
    body = chance.choice((None, b"{}", b"x"))
    return request(
        world, "method", method, path, body=body, plain=True, key=chance.choice(("all", "search", "none"))
    )


def by_parameter(chance: random.Random, world: World) -> Attack:
    """Every described route, each of its parameters with what it is not meant for."""
    (method, path), names = chance.choice(sorted(world.parameters.items()))
    target, asked = path, []
    for name in names:
        if f"{{{name}}}" in target:
            value = chance.choice((chance.choice(world.ids), text(chance)))
            target = target.replace(f"{{{name}}}", _encoded(value) or "x")
        elif chance.random() < 0.4:
            asked += [(name, text(chance))] * chance.choice((1, 1, 1, 2, 40))
    asked += [("unknown", text(chance))] * (chance.random() < 0.05)
    body = None
    if method == "POST":
        body = (
            deep(chance)
            if chance.random() < 0.5
            else json.dumps(
                {
                    name: chance.choice((text(chance), *JSON_VALUES))
                    for name in ("query", "q", "searches", "filters", "limit", "words")
                }
            ).encode("utf-8", "surrogatepass")
        )
    return request(
        world,
        "parameter",
        method,
        f"{target}?{query(chance, *asked)}",
        body=body,
        key=chance.choice(("all", "all", "within", "search")),
    )


KINDS: Sequence[tuple[Callable[[random.Random, World], Attack], int]] = (
    (by_picture, 18),
    (by_words, 12),
    (by_filter, 10),
    (by_cursor, 10),
    (by_header, 12),
    (by_line, 4),
    (by_body, 10),
    (by_size, 2),
    (by_path, 10),
    (by_key, 10),
    (by_method, 4),
    (by_parameter, 14),
)
"""Of some hundred, so many of each kind."""


def drawn(world: World, seed: int, number: int) -> Attack:
    """The attack of a number."""
    chance = random.Random(f"{seed}:{number}")
    (make,) = chance.choices([each for each, _ in KINDS], [often for _, often in KINDS])
    return make(chance, world)


# Sending, and judging


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


# What is attacked


def world_of(settings: Settings, port: int) -> World:
    """Keys to an installation whose API answers at a port, and a candidate beside its live release, whose every title is `MARK`."""
    late = datetime.now(UTC) - timedelta(seconds=1)
    with connect(settings) as conn:
        live = releases.live(conn)
        assert live is not None
        row = conn.execute(
            sql.SQL(
                "SELECT colour FROM {} WHERE colour IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"
            ).format(live.table("products"))
        ).fetchone()
        assert row is not None
        within = ("colour", row[0])
        made: dict[str, tuple[Sequence[str], Sequence[str], datetime | None]] = {
            "all": (tuple(SCOPES), (), None),
            "search": (("search",), (), None),
            "within": (tuple(each for each in SCOPES if each != "releases"), (f"colour={row[0]}",), None),
            "former": (("former",), (), None),
            "expired": (tuple(SCOPES), (), late),
            "revoked": (tuple(SCOPES), (), None),
        }
        secrets = {
            name: keys.create(conn, name, scopes, filters, until)
            for name, (scopes, filters, until) in made.items()
        }
        keys.revoke(conn, secrets["revoked"][1].key)
        waiting = releases.candidates(conn)
        candidate = waiting[0] if waiting else copy_of(Candidate(conn, live, settings), MARK)
        ids = [
            str(id)
            for (id,) in conn.execute(
                sql.SQL("SELECT product_id FROM {} ORDER BY 1 LIMIT 40").format(live.table("products"))
            )
        ]
        conn.commit()
    known = {name: secret for name, (secret, _) in secrets.items()}
    with httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers={"X-API-Key": known["all"]}, timeout=SECONDS
    ) as client:
        cursors = [
            client.get("/api/v1/search", params={"limit": 2, **asked}).json()["next_page"]
            for asked in (
                {},
                {"q": "shirt"},
                {"q": "shirt", "mode": "vector"},
                {"sort": "newest"},
                {"filter": "colour=black"},
                {"release": candidate.release},
                {"q": "shirt", "release": candidate.release},
            )
        ]
        parameters = dict(_described(client.get("/api/v1/openapi.json").json()))
        for name in APIS:
            parameters |= dict(
                _described(client.get(f"/former/{name}/openapi.json").json(), f"/former/{name}")
            )
    digests = [keys.digest(secret).hex() for secret in known.values()]
    return World(
        keys=known,
        release=live.release,
        candidate=candidate.release,
        within=within,
        ids=ids,
        cursors=[each for each in cursors if each],
        secrets=[str(settings.home), *known.values(), *digests],
        most=settings.api_max_body,
        parameters=parameters,
    )


def _described(
    document: Mapping[str, Any], below: str = ""
) -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            yield (
                (method.upper(), below + path),
                tuple(each["name"] for each in described.get("parameters", ())),
            )
