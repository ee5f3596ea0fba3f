"""What all former APIs have in common: the page that tells of them, numbers for ids, hosts, and input nobody meant well."""

from uuid import UUID, uuid5

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from psycopg import sql
from starlette.routing import Mount

from fashion_assets.criteria.subject import Candidate
from fashion_assets.origins import SettingsError
from fashion_assets.places import CHECKOUT
from fashion_assets.serving.former import (
    fashion_ecom,
    prethrift,
    second_hand_v2,
    second_hand_v3,
    sketchbooks,
    stored,
)
from fashion_assets.serving.former.mounting import hosts, mount
from fashion_assets.settings import Settings
from fashion_assets_tests.serving.former import former

ROUTERS = (
    fashion_ecom.router,
    second_hand_v2.router,
    sketchbooks.router,
    second_hand_v3.router,
    prethrift.router,
)
HOSTILE = (
    "\x00",
    "%00",
    "' OR 1=1 --",
    "\U0001f457" * 300,
    "1e400",
    "nan",
    "../../etc/passwd",
    "{0}",
    "%(x)s",
)


@pytest.mark.skipif(CHECKOUT is None, reason="there is no documentation beside a wheel")
def test_the_page_names_every_call():
    assert CHECKOUT is not None
    page = (CHECKOUT / "docs" / "how-to" / "former-clients.md").read_text(encoding="utf-8")
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            path = route.path.replace("{path:path}", "{path}")
            for method in route.methods or ():
                assert f"`{method} {path}`" in page, f"{method} {path}"
    left_out = {**second_hand_v2.LEFT_OUT, **second_hand_v3.LEFT_OUT, **prethrift.LEFT_OUT}
    for _, path in left_out:
        begins = path.partition("{")[0].rstrip("/")  # what follows may be called otherwise
        assert f"`{begins}" in page, path


def test_each_api_describes_itself():
    app = FastAPI()
    mount(app)
    described = {
        route.name: route.app.openapi()  # type: ignore[attr-defined]
        for route in app.routes
        if isinstance(route, Mount)
    }
    assert set(described) == {"fashion-ecom", "second-hand-v2", "second-hand-v3", "prethrift"}
    assert "/search_by_image" in described["second-hand-v2"]["paths"]


def test_numbers_made_of_ids_hold_still_and_stand_apart():
    ids = [str(uuid5(UUID(int=0), str(n))) for n in range(10_000)]
    numbers = {stored.number_of(each, None) for each in ids}
    assert len(numbers) == len(ids) and all(2**52 <= number < 2**53 for number in numbers)
    assert stored.number_of(ids[0], "17") == stored.number_of(ids[0], 17) == 17
    # What no database numbers rows by is no number of one.
    assert (
        stored.number_of(ids[0], str(2**60))
        == stored.number_of(ids[0], "x")
        == stored.number_of(ids[0], None)
    )


def test_products_are_found_by_the_numbers_they_had_without_reading_all(live: Candidate):
    live.conn.execute("SET LOCAL enable_seqscan = off")  # of forty products all are read as quickly
    plan = live.conn.execute(
        sql.SQL("EXPLAIN {}").format(
            sql.SQL(stored.BY_OLD_ID).format(products=live.release.table("products"))
        ),
        {"number": "17", "source": None},
    ).fetchall()
    assert "products_old_id" in str(plan)


@pytest.mark.parametrize("said", ["shop.example", "shop.example=nothing", "a@b=prethrift"])
def test_a_host_that_means_nothing_is_refused(said: str):
    with pytest.raises(SettingsError, match=r"former_hosts has .*fashion-ecom"):
        hosts(Settings.model_construct(former_hosts=said))


def test_no_input_is_a_fault_of_ours(live: Candidate):
    with former(live.settings) as client:
        for text in HOSTILE:
            for path in (
                "fashion-ecom/api/v1/products",
                "second-hand-v3/garments",
                "second-hand-v3/garments/search",
                "second-hand-v3/discovery",
                "prethrift/api/v2/suggestions",
                "second-hand-v2/sketchbook/brand/x",
            ):
                asked: dict[str, str] = dict.fromkeys(
                    ("q", "user_id", "gender", "base_color", "category", "size", "condition", "min_price"),
                    text,
                )
                answer = client.get(f"/former/{path}", params=asked)
                assert answer.status_code < 500, (path, text, answer.text)
            for path, body in (
                ("fashion-ecom/api/v1/search/text", {"query": text, "filters": {"gender": text}}),
                ("second-hand-v2/search_by_image", {"image_base64": text}),
                ("second-hand-v2/search_by_text", {"query": text}),
                ("prethrift/search", {"query": text, "user_id": text}),
                ("prethrift/api/v2/search", {"text_query": text, "filters": {"brand": [{}], "size": text}}),
                ("prethrift/api/v2/search", {"filters": {"price_range": [text, {}], text: text}}),
            ):
                answer = client.post(f"/former/{path}", json=body)
                assert answer.status_code < 500, (path, text, answer.text)
        for path in ("products/nan", "products/1e400", "products/%00", "images/%00.jpg", "users/%00/profile"):
            assert client.get(f"/former/fashion-ecom/api/v1/{path}").status_code in (400, 404), path
        raw = b'{"query": "\\ud800", "user_id": "\\ud800", "filters": {"gender": "\\ud800"}}'
        answer = client.post(
            "/former/fashion-ecom/api/v1/search/text",
            content=raw,
            headers={"content-type": "application/json"},
        )
        assert answer.status_code < 500
