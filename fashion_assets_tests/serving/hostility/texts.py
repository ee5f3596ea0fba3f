"""What attacks are made of: texts, filters, pictures, forms, and the request around them.

What belongs here: pieces that several kinds of attack send. What does not: hostile pictures' bytes (`fashion_assets_tests.hostile`).
"""

import random
from collections.abc import Sequence
from functools import cache
from typing import Any
from urllib.parse import quote

from PIL import Image

from fashion_assets_tests import hostile
from fashion_assets_tests.serving.hostility.world import Attack, World

BOUNDARY = "----hostile"


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


def encoded(value: str) -> str:
    return quote(value.encode("utf-8", "surrogatepass"), safe="")


def query(chance: random.Random, *asked: tuple[str, str]) -> str:
    """Parameters of a query, now and then not as they should be encoded."""
    parts = [f"{name}={encoded(value)}" for name, value in asked]
    if chance.random() < 0.1:
        parts.append(
            chance.choice(
                ("%", "%zz", "q=%ff%fe", "q=%ed%a0%80", "&&&", "=", "q", "q=%00", "q[]=1", "q=" + "%" * 90)
            )
        )
    return "&".join(parts)


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
