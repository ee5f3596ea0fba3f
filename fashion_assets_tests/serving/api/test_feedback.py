"""What people like is told, taken once, forgotten, and not taken where nobody wants it."""

import asyncio
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.postgres.connections import connect
from fashion_assets.serving.api.served import Served
from fashion_assets.settings import Settings
from fashion_assets.warehouse import searches
from fashion_assets_tests.serving.api.test_access import guarded as guarded
from fashion_assets_tests.serving.api.test_access import made

PATH = "/api/v1/feedback"


@pytest.fixture
def visit() -> str:
    return str(uuid4())


@pytest.fixture
def products(api: httpx.Client) -> list[dict]:
    return api.get("/api/v1/search?q=shirt&limit=10").json()["hits"]


def kept(settings: Settings, person: str) -> list[tuple]:
    with connect(settings, vectors=False) as connection:
        return connection.execute(
            "SELECT product_id::text, opinion, clicks FROM fashion_ops.feedback WHERE person = %s ORDER BY at, 1",
            (person,),
        ).fetchall()


def test_what_is_told_is_written_by_a_role_that_may_do_nothing_else(
    served_app: FastAPI, served_settings: Settings, api: httpx.Client
):
    served: Served = served_app.state.served
    role = asyncio.run(
        served.written(lambda connection: connection.execute("SELECT current_user").fetchone())
    )
    assert role == (served_settings.keeper_role,)


def test_likes_lead_to_recommendations_and_are_forgotten(
    api: httpx.Client, served_settings: Settings, visit: str, products: list[dict]
):
    liked, disliked = products[0], products[1]
    recommended = f"/api/v1/recommendations/{visit}"
    assert api.get(recommended).status_code == 404
    answer = api.post(PATH, json={"person": visit, "product": liked["external_id"], "kind": "like"})
    assert (answer.status_code, answer.json()) == (
        200,
        {"noted": 1, "repeated": 0, "refused": [], "note": None},
    )
    first = api.get(recommended).json()
    assert first["notes"] == ["like 1 like"] and liked["id"] not in {hit["id"] for hit in first["hits"]}
    disliked = first["hits"][0]
    api.post(PATH, json={"person": visit, "product": disliked["id"], "kind": "dislike"})
    assert disliked["id"] not in {hit["id"] for hit in api.get(recommended).json()["hits"]}
    found = api.get(
        "/api/v1/search", params={"q": "shirt", "limit": 10, "person": visit, "explain": True}
    ).json()
    assert {hit["id"] for hit in found["hits"]} == {hit["id"] for hit in products}
    assert "what the person likes" in found["notes"][-1]
    assert 'feedback_total{kind="like"}' in api.get("/metrics").text
    gone = api.delete(f"/api/v1/people/{visit}/feedback")
    assert (gone.status_code, gone.json()) == (200, {"forgotten": 2}) and kept(served_settings, visit) == []
    assert api.get(recommended).status_code == 404


def test_several_events_are_taken_each_for_itself_and_once(
    api: httpx.Client, served_settings: Settings, visit: str, products: list[dict]
):
    event = str(uuid4())
    opened = {"person": visit, "product": products[2]["id"], "kind": "click", "event": event}
    events = [
        opened,
        {"person": visit, "product": str(uuid4()), "kind": "like"},
        {"person": visit, "product": "no such", "kind": "like"},
        {"person": visit, "product": products[3]["id"], "kind": "like"},
    ]
    said = api.post(PATH, json={"events": events}).json()
    assert (said["noted"], said["repeated"], [each["event"] for each in said["refused"]]) == (2, 0, [1, 2])
    assert "there is no product 'no such'" in said["refused"][1]["why"]
    assert api.post(PATH, json=opened).json()["repeated"] == 1
    assert {row[0]: row[1:] for row in kept(served_settings, visit)} == {
        products[2]["id"]: (None, 1),
        products[3]["id"]: ("like", 0),
    }
    too_many = {"events": [events[3]] * 101}
    assert api.post(PATH, json=too_many).status_code == 422


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"product": "no such"}, 404),
        ({"product": str(uuid4())}, 404),
        ({"product": ""}, 422),
        ({"person": "anna@shop.example"}, 422),
        ({"person": "Anna Berg"}, 422),
        ({"kind": "adore"}, 422),
        ({"place": 0}, 422),
        ({"event": "1"}, 422),
        ({"name": "Anna"}, 422),
    ],
)
def test_what_is_no_feedback_is_refused(
    api: httpx.Client, visit: str, products: list[dict], wrong: dict, status: int
):
    told = {"person": visit, "product": products[0]["id"], "kind": "like", **wrong}
    answer = api.post(PATH, json=told)
    assert answer.status_code == status and answer.headers["content-type"] == "application/problem+json"
    assert api.delete("/api/v1/people/anna@shop.example/feedback").status_code == 400


def test_a_click_counts_for_its_search_and_multi_searches_are_noted(
    api: httpx.Client, served_app: FastAPI, served_settings: Settings, visit: str, products: list[dict]
):
    release = api.get("/api/v1/about").json()["served"]
    # In letters alone: seven digits in a row are left out, as they may be a person's number.
    words = f"shirt {visit[:8].translate(str.maketrans('0123456789', 'ghijklmnop'))}"
    opened = {"person": visit, "product": products[0]["id"], "kind": "click", "place": 4, "words": words}
    for by in ({"by": "words", "release": release}, {"by": "words", "release": "fashion_sota_r9999"}, {}):
        assert api.post(PATH, json={**opened, **by}).json()["noted"] == 1
    assert api.post("/api/v1/multi-search", json={"searches": [{"q": words}]}).status_code == 200
    api.post("/api/v1/multi-search", json={"searches": [{"q": words}]}, headers={"DNT": "1"})
    served_app.state.analytics.write()
    with connect(served_settings, vectors=False) as connection:
        asked = next(each for each in searches.asked(connection, limit=10_000) if each.words == words)
    assert (asked.searches, asked.clicks, asked.mean_place) == (1, 1, 4.0)


def test_nothing_is_kept_of_who_does_not_want_it(
    api: httpx.Client,
    served_app: FastAPI,
    served_settings: Settings,
    visit: str,
    products: list[dict],
    monkeypatch: pytest.MonkeyPatch,
):
    told = {"person": visit, "product": products[0]["id"], "kind": "like"}
    for headers in ({"DNT": "1"}, {"Sec-GPC": "1"}):
        said = api.post(PATH, json=told, headers=headers).json()
        assert said["noted"] == 0 and "DNT" in said["note"]
    off = served_settings.model_copy(update={"feedback_kept_days": 0})
    monkeypatch.setattr(served_app.state.served, "settings", off)
    said = api.post(PATH, json=told).json()
    assert said["noted"] == 0 and "keeps no feedback" in said["note"]
    assert api.get("/api/v1/about").json()["feedback_kept_days"] == 0
    assert kept(served_settings, visit) == []


def test_feedback_wants_its_scope_and_people_with_ids_that_can_be_guessed_want_another(
    guarded: httpx.Client, settings: Settings, visit: str
):
    one, *_ = guarded.get("/api/v1/search?limit=40").json()["hits"]
    search, own, both = (
        made(settings, "search"),
        made(settings, "feedback"),
        made(settings, "feedback", "people"),
    )
    narrow = made(settings, "search", "feedback", filters=("colour=no such colour",))
    visitor = {"person": visit, "product": one["id"], "kind": "like"}
    known = {**visitor, "person": "user-17"}

    def status(told: dict, key: dict | None) -> int:
        return guarded.post(PATH, json=told, headers=key or {}).status_code

    assert [status(visitor, key) for key in (None, search, own, both)] == [401, 403, 200, 200]
    assert [status(known, key) for key in (own, both)] == [403, 200]
    assert status(visitor, narrow) == 404
    theirs, another = f"/api/v1/people/{visit}/feedback", "/api/v1/people/user-17/feedback"
    assert guarded.delete(theirs, headers=search).status_code == 403
    assert guarded.delete(another, headers=own).status_code == 403
    assert guarded.get(f"/api/v1/recommendations/{visit}", headers=own).status_code == 200
    assert guarded.get("/api/v1/recommendations/user-17", headers=own).status_code == 403
    assert guarded.get("/api/v1/search?q=shirt&person=user-17", headers=search).status_code == 403
    assert guarded.delete(another, headers=both).json() == {"forgotten": 1}
    counted = CliRunner().invoke(app, ["feedback", "counts"])
    assert counted.exit_code == 0 and "of 1 people and 1 products" in counted.stdout
    forgotten = CliRunner().invoke(app, ["feedback", "forget", visit])
    assert forgotten.exit_code == 0 and "told of 1 product" in forgotten.stdout
    assert kept(settings, visit) == []
    assert CliRunner().invoke(app, ["feedback", "forget", "Anna Berg"]).exit_code == 1
