"""Requests as the garment search's web client sends them, to a live release of forty T-shirts."""

import base64
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from fashion_assets.criteria.subject import Candidate
from fashion_assets.warehouse import searches
from fashion_assets_tests.serving.former import former, picture_of

API = "/former/prethrift"

RESULT = {
    *("garment_id", "score", "title", "brand", "price", "currency", "image_path", "thumbnail_url"),
    *("description", "attributes", "explanation", "explanation_summary"),
}


@pytest.fixture
def client(live: Candidate) -> Iterator[TestClient]:
    with former(live.settings) as client:
        yield client


def test_words_find_garments_with_attributes_and_reasons(client: TestClient):
    answer = client.post(f"{API}/search", json={"query": "red cotton tee", "limit": 3, "user_id": "u1"})
    said = answer.json()
    assert answer.status_code == 200 and set(said) == {
        *("query", "results", "attributes", "ambiguous", "clarification", "off_topic", "off_topic_reason"),
        "message",
    }
    assert said["attributes"]["material"] == ["cotton"] and "red" in said["attributes"]["color_primary"]
    assert {frozenset(each) for each in said["results"]} == {frozenset(RESULT)} and len(said["results"]) == 3
    one = said["results"][0]
    assert type(one["garment_id"]) is int and one["garment_id"] < 2**53
    colour = next(each for each in one["attributes"] if each["family"] == "color_primary")
    assert colour == {"family": "color_primary", "value": "red", "confidence": 1.0}
    assert set(one["explanation_summary"]) == {"top_components", "final_score"}
    assert one["thumbnail_url"] == f"{one['image_path']}?size=small"
    assert client.post(f"{API}/search", json={"query": " "}).status_code == 400


def test_what_is_no_garment_and_what_may_be_anything(client: TestClient):
    off = client.post(f"{API}/search", json={"query": "bitcoin price today"}).json()
    assert off["off_topic"] and off["off_topic_reason"] and off["results"] == []
    forced = client.post(f"{API}/search", json={"query": "bitcoin price today", "force": True}).json()
    assert not forced["off_topic"] and forced["results"]
    for query in ("xy", "nice clothes", "jeans skirt"):
        vague = client.post(f"{API}/search", json={"query": query}).json()
        assert vague["ambiguous"] and vague["clarification"], query
    assert not client.post(f"{API}/search", json={"query": "red summer tee"}).json()["ambiguous"]


def test_what_somebody_likes_is_kept_and_searches_are_noted(client: TestClient, live: Candidate):
    found = client.post(f"{API}/search", json={"query": "tee", "limit": 10}).json()["results"]
    liked, disliked = found[-1]["garment_id"], found[0]["garment_id"]
    for garment, action, weight in ((liked, "dislike", 1), (liked, "like", 1), (disliked, "dislike", 0.5)):
        told = {"user_id": "u-7", "garment_id": garment, "action": action, "weight": weight}
        answer = client.post(f"{API}/feedback", json=told)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    kept = live.conn.execute("SELECT person, opinion FROM fashion_ops.feedback ORDER BY opinion").fetchall()
    assert kept == [("u-7", "dislike"), ("u-7", "like")]
    # The same garments, and that what is liked counts is told.
    lifted = client.post(f"{API}/search", json={"query": "tee", "limit": 10, "user_id": "u-7"}).json()[
        "results"
    ]
    assert {each["garment_id"] for each in lifted} == {each["garment_id"] for each in found}
    assert "what the person likes" in lifted[0]["explanation"]
    assert "preference" in lifted[0]["explanation_summary"]["top_components"]
    for wrong, status in (
        ({"garment_id": 2**52 + 1}, 404),
        ({"action": "adore"}, 422),
        ({"user_id": "anna@shop.example"}, 400),
    ):
        told = {"user_id": "u-7", "garment_id": liked, "action": "view", **wrong}
        assert client.post(f"{API}/feedback", json=told).status_code == status
    client.post(f"{API}/feedback", json=told | {"user_id": "u-8"}, headers={"DNT": "1"})
    client.post(f"{API}/search", json={"query": "jacket"}, headers={"Sec-GPC": "1"})
    live.conn.rollback()
    assert live.conn.execute("SELECT DISTINCT person FROM fashion_ops.feedback").fetchall() == [("u-7",)]
    client.app.state.analytics.write()  # pyright: ignore[reportAttributeAccessIssue]
    assert [(each.words, each.searches) for each in searches.asked(live.conn)] == [("tee", 2)]


def test_the_second_version_is_what_its_client_expects(client: TestClient, live: Candidate):
    asked = {
        "text_query": "tee",
        "filters": {"primary_color": ["red", "blue"], "category": "t-shirt", "ontology_confidence_min": 0.5},
        "search_type": "hybrid",
        "limit": 40,  # all: which come first hangs on the last digits of vectors, and so on the machine
    }
    answer = client.post(f"{API}/api/v2/search", json=asked)
    said = answer.json()
    assert answer.status_code == 200 and {
        *("results", "total_found", "total_count", "search_time_ms", "filters_applied", "facets"),
        "search_metadata",
    } == set(said)
    assert {each["primary_color"] for each in said["results"]} == {"red", "blue"}
    assert said["search_metadata"]["ignored_filters"] == ["ontology_confidence_min"]
    colours = {each["value"]: each for each in said["facets"]["colors"]}
    assert set(colours["red"]) == {"value", "count", "selected"} and colours["red"]["selected"]
    assert not colours["green"]["selected"] and set(said["facets"]) == {
        *("brands", "categories", "colors", "materials", "designer_tiers", "price_ranges")
    }
    sent = base64.b64encode(picture_of(live, "9")).decode()
    by_picture = {"image_query": sent, "search_type": "image", "limit": 1}
    (found,) = client.post(f"{API}/api/v2/search", json=by_picture).json()["results"]
    assert found["external_id"] == "9" and found["similarity_score"] > 0.5
    # An address is not fetched for whoever asks.
    fetched = client.post(f"{API}/api/v2/search", json={**by_picture, "image_query": "http://10.0.0.1/x"})
    assert fetched.status_code == 400
    one = client.get(f"{API}/api/v2/garments/{found['id']}").json()
    assert one["external_id"] == "9"
    alike = client.get(f"{API}/api/v2/garments/{found['id']}/similar", params={"limit": 4}).json()
    same = client.post(f"{API}/api/v2/similar", json={"garment_id": found["id"], "limit": 4}).json()
    assert [each["id"] for each in alike["results"]] == [each["id"] for each in same["results"]]
    assert len(alike["results"]) == 4 and found["id"] not in {each["id"] for each in alike["results"]}
    options = client.get(f"{API}/api/v2/filters/options").json()
    assert "red" in options["colors"] and set(options) == {
        *("categories", "colors", "materials", "brands", "styles", "designer_tiers")
    }
    assert client.get(f"{API}/api/v2/suggestions", params={"q": "ts"}).json() == {"suggestions": ["tshirts"]}
    stats = client.get(f"{API}/api/v2/stats").json()
    assert stats == {"total_garments": 40, "with_embedding": 40, "embedding_coverage": 100.0}
    assert client.post(f"{API}/garments/ingest", json={}).status_code == 501
    assert client.get(f"{API}/health/").status_code == 200
