"""Attacks by what is asked: pictures, words, filters, cursors."""

import base64
import json
import random
from contextlib import suppress

from fashion_assets_tests.serving.hostility.texts import (
    BOUNDARY,
    COLUMNS,
    JSON_VALUES,
    filter_text,
    form,
    picture,
    query,
    request,
    text,
)
from fashion_assets_tests.serving.hostility.world import Attack, World


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
