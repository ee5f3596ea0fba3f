"""Attacks by where a request goes, and who sends it: paths, keys, methods, parameters."""

import base64
import json
import random
from urllib.parse import quote

from fashion_assets_tests.serving.hostility.texts import JSON_VALUES, encoded, query, request, text
from fashion_assets_tests.serving.hostility.transport import deep
from fashion_assets_tests.serving.hostility.world import Attack, World


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
        ("", "", "?size=small", "?size=" + encoded(text(chance)), "/similar", "/look", "/similar?limit=1e9")
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
            target = target.replace(f"{{{name}}}", encoded(value) or "x")
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
