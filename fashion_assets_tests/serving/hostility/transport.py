"""Attacks by how a request is sent: its headers, its first line, its body, its size."""

import json
import random
from collections.abc import Iterator

from fashion_assets_tests.serving.hostility.texts import BOUNDARY, JSON_VALUES, form, request, text
from fashion_assets_tests.serving.hostility.world import Attack, World


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
